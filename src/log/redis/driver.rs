//! The task that owns the publishers and tails of a node's realms.
//!
//! Invariants: a realm has one publisher for as long as the node runs; a tail lives until
//! it is lost, or until nobody hears it.

use std::{collections::HashMap, sync::Arc};

use tokio::{
    sync::{mpsc, oneshot},
    task::JoinSet,
};

use super::{
    super::{ASKED_EVERY, LogError, Tail},
    confirmed::Confirmed,
    context::Context,
    controls::Controls,
    faith::Faith,
    nodes::Lease,
    publisher::Publisher,
    queue::{self, Jobs},
    replicas::Confirming,
    rights,
    tail::Beginning,
};
use crate::{config::LogProfile, lifecycle::CancellationToken, model::RealmId};

/// A tail, or why there is none.
pub(super) type Started = Result<Tail, LogError>;

/// The publisher of a realm, and what may be believed of its answers.
#[derive(Debug, Clone)]
pub(super) struct Publishing {
    pub(super) jobs: Jobs,
    pub(super) faith: Arc<Faith>,
    pub(super) controls: Arc<Controls>,
    /// For claims: many at once share it, where a pool would have them queue.
    pub(super) claims: Confirming,
    /// `None` where no replica is waited for.
    pub(super) confirmed: Option<Confirmed>,
}

/// What the driver is asked to start.
#[derive(Debug)]
pub(super) enum Order {
    /// The publisher of a realm.
    Publish(RealmId, oneshot::Sender<Publishing>),
    /// A tail of a realm.
    Attach(RealmId, oneshot::Sender<Started>),
}

/// Runs everything that a [`RedisLog`](super::RedisLog) needs.
#[derive(Debug)]
pub struct RedisDriver {
    context: Arc<Context>,
    orders: mpsc::Receiver<Order>,
    lease: Arc<Lease>,
    publishers: HashMap<RealmId, Publishing>,
}

impl RedisDriver {
    pub(super) fn new(
        context: Arc<Context>,
        orders: mpsc::Receiver<Order>,
        lease: Arc<Lease>,
    ) -> Self {
        Self { context, orders, lease, publishers: HashMap::new() }
    }

    /// Runs until `stop` is cancelled, or until another node takes this one's name.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future ends every tail and publisher.
    pub async fn run(mut self, stop: CancellationToken) {
        let mut tasks = JoinSet::new();
        let every = self.context.limits.heartbeat.min(ASKED_EVERY);
        let (lease, context) = (Arc::clone(&self.lease), Arc::clone(&self.context));
        let mut leases = JoinSet::new();
        leases.spawn(async move { lease.keep(&context, every).await });
        let mut watching = JoinSet::new();
        watching.spawn(rights::watch(Arc::clone(&self.context), Arc::clone(&self.lease)));
        loop {
            // Every arm is cancel safe; stop, then what ended, then orders.
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                Some(ended) = leases.join_next() => {
                    tracing::error!(?ended, "another node has taken the name of this one");
                    return;
                }
                Some(ended) = tasks.join_next() => {
                    if let Err(error) = ended
                        && error.is_panic()
                    {
                        tracing::error!(%error, "a task of the log panicked");
                        return;
                    }
                }
                Some(order) = self.orders.recv() => self.obey(order, &mut tasks, &stop),
            }
        }
        // Publishers do what they were handed; tails end.
        self.publishers.clear();
        while tasks.join_next().await.is_some() {}
        leases.shutdown().await;
        self.lease.give_up(&self.context.client).await;
    }

    fn obey(&mut self, order: Order, tasks: &mut JoinSet<()>, stop: &CancellationToken) {
        match order {
            Order::Publish(realm, answer) => {
                let publisher = self.publisher(&realm, tasks, stop);
                if answer.send(publisher).is_err() {
                    tracing::debug!("who asked for a publisher has gone");
                }
            }
            Order::Attach(realm, answer) => {
                let Publishing { jobs, faith, controls, confirmed, .. } =
                    self.publisher(&realm, tasks, stop);
                let context = Arc::clone(&self.context);
                let lease = Arc::clone(&self.lease);
                let beginning =
                    Beginning { context, lease, realm, faith, controls, jobs, confirmed };
                let stop = stop.clone();
                // In a task of its own: one realm does not wait for the log of another.
                tasks.spawn(async move {
                    let started = stop.run_until_cancelled(Box::pin(beginning.begin())).await;
                    let (tail, running) = match started {
                        Some(Ok((tail, running))) => (Ok(tail), Some(running)),
                        Some(Err(error)) => (Err(error), None),
                        None => return,
                    };
                    if answer.send(tail).is_ok()
                        && let Some(running) = running
                    {
                        running.run(stop).await;
                    }
                });
            }
        }
    }

    fn publisher(
        &mut self,
        realm: &RealmId,
        tasks: &mut JoinSet<()>,
        stop: &CancellationToken,
    ) -> Publishing {
        if let Some(publishing) = self.publishers.get(realm) {
            return publishing.clone();
        }
        let (sender, jobs) = queue::jobs();
        let faith = Arc::new(Faith::default());
        let controls = Arc::new(Controls::default());
        let context = Arc::clone(&self.context);
        let head = context.key(realm, "m");
        let confirming =
            |role| Confirming::new(context.client.dedicated(&head, role), context.limits.profile);
        let (connection, claims) = (confirming("publish"), confirming("claim"));
        let confirmed = (context.limits.profile == LogProfile::Ha).then(|| {
            // Not over a connection on which something waits for replicas.
            let telling = context.client.dedicated(&head, "publish");
            let all = [connection.clone(), claims.clone()];
            let (confirmed, teller, asking) = Confirmed::new(&context, realm, all, telling);
            tasks.spawn(teller.run(stop.clone()));
            tasks.spawn(asking.run(stop.clone()));
            confirmed
        });
        let publisher = Publisher {
            context,
            realm: realm.clone(),
            connection,
            jobs,
            faith: Arc::clone(&faith),
            controls: Arc::clone(&controls),
            confirmed: confirmed.clone(),
            away: None,
        };
        tasks.spawn(publisher.run(stop.clone()));
        let publishing = Publishing { jobs: sender, faith, controls, claims, confirmed };
        self.publishers.insert(realm.clone(), publishing.clone());
        publishing
    }
}
