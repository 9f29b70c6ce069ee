//! The realm log in Redis: one order for all nodes, and what every node may know of it.
//!
//! Appending, memberships and claims are scripts, each one atomic step. Each realm that
//! this node serves has a publisher, which appends, and a tail, which hears; both are
//! tasks of [`RedisDriver`].
//!
//! Invariants:
//! - what is acknowledged is in the log, in the life of it that the answer names;
//! - no answer is guessed: what Redis did not say is an error that may be retried;
//! - no request of the publish path waits for the pool.
//!
//! Not here: connections and who is in charge (`redis_client`), the tail's decisions
//! (`course`), presence.

mod bus;
mod chat;
mod confirmed;
mod context;
mod controls;
mod driver;
mod faith;
mod link;
mod nodes;
mod people;
mod publisher;
mod questions;
mod queue;
mod range;
mod replicas;
mod reply;
mod rights;
mod scripts;
mod sessions;
mod tail;
#[cfg(test)]
mod tests;
mod wire;

use std::{collections::HashMap, sync::Arc, time::Duration};

use bytes::Bytes;
use parking_lot::RwLock;
use tokio::{
    sync::{mpsc, oneshot},
    time::Instant,
};

pub use context::RedisLimits;
pub use driver::RedisDriver;
pub use scripts::{APPEND, Head, PRELUDE};

use self::{
    context::{Context, HOLD, RETRY_AFTER},
    driver::{Order, Publishing, Started},
    nodes::Lease,
    publisher::Job,
    questions::Questions,
};
use super::{
    AppendError, Appended, Checkpoint, Claim, ClusterNode, Draft, Hold, LogError, Opening,
    Question, RealmLog, Snapshot, Tail, ThisNode,
};
use crate::{
    clock::Clock,
    metrics::Metrics,
    model::{
        ConnectionId, Identity, Memberships, Position, RealmId, Record, Revocations, SessionRecord,
        Topic, UserId,
    },
    redis_client::{RedisClient, RedisError},
};

/// Orders that may wait for the driver.
const ORDERS: usize = 64;

/// The log of all realms, in Redis. Cloning is by `Arc`.
#[derive(Debug)]
pub struct RedisLog {
    context: Arc<Context>,
    realms: RwLock<HashMap<RealmId, Publishing>>,
    orders: mpsc::Sender<Order>,
    lease: Arc<Lease>,
    questions: Questions,
}

impl RedisLog {
    /// Takes the name of this node in the cluster and makes the log, and the driver that
    /// must be run for it.
    ///
    /// Waits for the end of a lease of this name that nobody renews.
    ///
    /// # Errors
    ///
    /// [`RedisError`] when Redis can't be asked, or another live node has the name.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future may leave a lease that ends by itself.
    pub async fn open(
        client: RedisClient,
        limits: RedisLimits,
        node: ThisNode,
        clock: Clock,
        metrics: Arc<Metrics>,
    ) -> Result<(Arc<Self>, RedisDriver), RedisError> {
        let lease = Arc::new(Lease::take(&client, node).await?);
        let me = Arc::clone(lease.me());
        let context = Arc::new(Context { client, limits, clock, metrics, me });
        let (orders, orders_in) = mpsc::channel(ORDERS);
        let driver = RedisDriver::new(Arc::clone(&context), orders_in, Arc::clone(&lease));
        let (realms, questions) = (RwLock::default(), Questions::default());
        Ok((Arc::new(Self { context, realms, orders, lease, questions }), driver))
    }

    /// This node as the cluster knows it: its name and which start of it this is.
    #[must_use]
    pub fn me(&self) -> &Arc<str> {
        &self.context.me
    }

    /// Which start of this node's name it is.
    #[must_use]
    pub fn incarnation(&self) -> u64 {
        self.lease.incarnation()
    }

    /// The publisher of a realm, started on first use.
    async fn publisher(&self, realm: &RealmId) -> Result<Publishing, LogError> {
        if let Some(publisher) = self.realms.read().get(realm) {
            return Ok(publisher.clone());
        }
        let publisher = self.order(|answer| Order::Publish(realm.clone(), answer)).await?;
        self.realms.write().insert(realm.clone(), publisher.clone());
        Ok(publisher)
    }

    async fn order<T>(
        &self,
        order: impl FnOnce(oneshot::Sender<T>) -> Order,
    ) -> Result<T, LogError> {
        let stopped = |_| LogError { retry_after: RETRY_AFTER };
        let (answer, answered) = oneshot::channel();
        self.orders.send(order(answer)).await.map_err(|_| LogError { retry_after: RETRY_AFTER })?;
        answered.await.map_err(stopped)
    }

    /// Waits until this node follows the life of the log that an answer is about.
    async fn believe(&self, realm: &RealmId, position: &Position) -> Result<(), LogError> {
        let publisher = self.publisher(realm).await?;
        if publisher.faith.vouch(position, Instant::now() + HOLD).await {
            Ok(())
        } else {
            Err(LogError { retry_after: RETRY_AFTER })
        }
    }
}

impl RealmLog for RedisLog {
    async fn append(
        &self,
        realm: &RealmId,
        drafts: Vec<Draft>,
    ) -> Vec<Result<Appended, AppendError>> {
        let count = drafts.len();
        let refused = || vec![Err(AppendError::Unavailable { retry_after: RETRY_AFTER }); count];
        if count == 0 {
            return Vec::new();
        }
        let Ok(publisher) = self.publisher(realm).await else { return refused() };
        let parcels = drafts.into_iter().map(|draft| self.context.parcel(draft)).collect();
        let (answer, answered) = oneshot::channel();
        let job = Job { parcels, answer, came_at: Instant::now() };
        // A full queue says that Redis can't keep up: the publisher's client is told so.
        if publisher.jobs.offer(job).is_err() {
            return refused();
        }
        match answered.await {
            Ok(answers) if answers.len() == count => answers,
            Ok(_) | Err(_) => refused(),
        }
    }

    async fn open(&self, identity: &Identity, opening: Opening) -> Result<Snapshot, LogError> {
        let publishing = self.publisher(&identity.realm).await?;
        let over = (&publishing.claims, publishing.confirmed.as_ref());
        let snapshot = sessions::open(&self.context, identity, opening, over).await?;
        self.believe(&identity.realm, &snapshot.position).await?;
        Ok(snapshot)
    }

    async fn claim(
        &self,
        identity: &Identity,
        connection: ConnectionId,
    ) -> Result<Claim, LogError> {
        let publishing = self.publisher(&identity.realm).await?;
        let claims = &publishing.claims;
        let claim = sessions::claim(&self.context, identity, connection, claims).await?;
        if let Claim::Granted { snapshot, .. } = &claim {
            if let Some(confirmed) = &publishing.confirmed {
                confirmed.note(&snapshot.position);
            }
            self.believe(&identity.realm, &snapshot.position).await?;
        }
        Ok(claim)
    }

    async fn checkpoint(
        &self,
        realm: &RealmId,
        checkpoints: Vec<Checkpoint>,
    ) -> Result<(), LogError> {
        sessions::checkpoint(&self.context, realm, checkpoints).await
    }

    async fn session(
        &self,
        realm: &RealmId,
        connection: ConnectionId,
    ) -> Result<Option<(SessionRecord, Memberships)>, LogError> {
        sessions::session(&self.context, realm, connection).await
    }

    async fn forget(
        &self,
        realm: &RealmId,
        connection: ConnectionId,
        fencing: Option<u64>,
    ) -> Result<(), LogError> {
        sessions::forget(&self.context, realm, connection, fencing).await
    }

    async fn range(
        &self,
        realm: &RealmId,
        after: u64,
        limit: usize,
    ) -> Result<Vec<Arc<Record>>, LogError> {
        range::read(&self.context, realm, after, limit).await
    }

    async fn memberships(
        &self,
        realm: &RealmId,
        user: &UserId,
    ) -> Result<(Position, Memberships), LogError> {
        people::of_user(&self.context, realm, user).await
    }

    async fn revocations(&self, identity: &Identity) -> Result<Revocations, LogError> {
        people::revocations(&self.context, identity).await
    }

    async fn members(&self, realm: &RealmId, topic: &Topic) -> Result<Vec<UserId>, LogError> {
        people::members(&self.context, realm, topic).await
    }

    async fn node_path(&self, realm: &RealmId, uuid: &str) -> Result<Option<Arc<str>>, LogError> {
        bus::node_path(&self.context, realm, uuid).await
    }

    async fn attach(&self, realm: &RealmId) -> Result<Tail, LogError> {
        let started: Started = self.order(|answer| Order::Attach(realm.clone(), answer)).await?;
        started
    }

    async fn renew(&self, realm: &RealmId, connections: Vec<ConnectionId>) -> Result<(), LogError> {
        sessions::renew(&self.context, realm, connections).await
    }

    async fn holds(
        &self,
        realm: &RealmId,
        claims: Vec<(ConnectionId, u64)>,
    ) -> Result<Vec<Hold>, LogError> {
        sessions::holds(&self.context, realm, claims).await
    }

    async fn ask(&self, realm: &RealmId, question: Bytes) -> Result<Vec<Bytes>, LogError> {
        self.questions.ask(&self.context, realm, question).await
    }

    async fn answer(
        &self,
        realm: &RealmId,
        question: &Question,
        answer: Bytes,
    ) -> Result<(), LogError> {
        questions::answer(&self.context, realm, question, answer).await
    }

    async fn nodes(&self) -> Result<Vec<ClusterNode>, LogError> {
        self.lease.nodes(&self.context).await
    }

    fn silent_for(&self) -> Option<Duration> {
        self.lease.silent_for()
    }
}
