//! The verbs: publish, join, leave, status, resume; and the tail that carries the
//! log to the hubs.
//!
//! Everything that happens goes through the log and comes back through the tail,
//! on the publishing node, too: there is no shortcut, so all see one order.
//!
//! Invariants:
//! - an event reaches a hub only from the tail;
//! - a realm has one tail on this node, started before its first use;
//! - no verb waits for a client.
//!
//! Not here: sockets (`session`), wire shapes (`dialect`, `http`).

mod connect;
mod inspect;
mod publish;
mod pulse;
mod rooms;
mod standing;
mod status;
mod tail;
mod watch;

use std::{collections::HashMap, sync::Arc, time::Duration};

use parking_lot::RwLock;
use tokio::sync::{mpsc, oneshot};

pub use crate::{
    hub::{Rule, Verdict},
    log::Draft,
};
pub use connect::{Arrival, Greet, Greeting, Resume, Seat, Welcome};
pub use inspect::{Delivery, NodeInfo, RealmInfo};
pub use publish::{PublishError, Published};
pub use pulse::{Pulse, Stuck};
pub use rooms::HISTORY_MAX;
pub use standing::Standing;
pub use status::StatusTask;
pub use tail::Tails;
pub use watch::WatchError;

use self::rooms::Rooms;
use crate::{
    clock::Clock,
    hub::{Command, Hub, HubHandle, Realm, Ring},
    lifecycle::Tasks,
    log::{AnyLog, LogError},
    metrics::Metrics,
    model::{RealmId, UserId},
    presence::{AnyPresence, Transition},
};

/// Realms that may wait for their tail to start.
const STARTING_REALMS: usize = 64;

/// Status changes that may wait to be published.
const WAITING_TRANSITIONS: usize = 4_096;

/// What bounds a node. A ring keeps the size that its realm began with.
#[derive(Debug, Clone, Copy)]
pub struct NodeLimits {
    /// Records in the ring of one realm.
    pub ring_events: usize,
    /// Bytes in the ring of one realm.
    pub ring_bytes: usize,
    /// Events that a resume may replay.
    pub replay_events: usize,
    /// Bytes that a resume may replay.
    pub replay_bytes: usize,
}

/// What a node is made of.
#[derive(Debug)]
pub struct Parts {
    /// Its name.
    pub id: Arc<str>,
    /// The realm log.
    pub log: AnyLog,
    /// Who is there.
    pub presence: AnyPresence,
    /// How many hubs, and how many records may wait in front of each.
    pub hubs: (usize, usize),
    /// Bounds.
    pub limits: NodeLimits,
    /// Every metric.
    pub metrics: Arc<Metrics>,
    /// The date.
    pub clock: Clock,
}

/// One node: it serves its connections and reads the logs of their realms.
#[derive(Debug)]
pub struct Node {
    id: Arc<str>,
    log: AnyLog,
    presence: AnyPresence,
    hubs: Vec<HubHandle>,
    limits: RwLock<NodeLimits>,
    metrics: Arc<Metrics>,
    clock: Clock,
    rooms: Arc<Rooms>,
    realms: RwLock<HashMap<RealmId, RealmEntry>>,
    /// Realms that need a tail; the tails' task starts them one after the other.
    starting: mpsc::Sender<(RealmId, oneshot::Sender<Result<RealmEntry, LogError>>)>,
    transitions: mpsc::Sender<Transition>,
    hash: foldhash::fast::RandomState,
}

/// A realm that has its tail.
#[derive(Debug, Clone)]
pub(crate) struct RealmEntry {
    pub(crate) key: usize,
    pub(crate) realm: Arc<Realm>,
}

impl Node {
    /// Builds a node and starts its tasks: hubs, tails, status.
    #[must_use]
    pub fn start(parts: Parts, tasks: &mut Tasks) -> Arc<Self> {
        let (starting, starting_in) = mpsc::channel(STARTING_REALMS);
        let (transitions, transitions_in) = mpsc::channel(WAITING_TRANSITIONS);
        let (hub_count, hub_queue) = parts.hubs;
        let mut hubs = Vec::with_capacity(hub_count);
        for number in 0..hub_count {
            let (hub, handle) = Hub::new(number, hub_queue, &parts.metrics, parts.clock.clone());
            tasks.spawn("hub", |stop| hub.run(stop));
            hubs.push(handle);
        }
        let node = Arc::new(Self {
            id: parts.id,
            log: parts.log,
            presence: parts.presence,
            hubs,
            limits: RwLock::new(parts.limits),
            metrics: parts.metrics,
            clock: parts.clock,
            rooms: Arc::default(),
            realms: RwLock::default(),
            starting,
            transitions,
            hash: foldhash::fast::RandomState::default(),
        });
        let tails = Tails::new(Arc::clone(&node), starting_in);
        tasks.spawn("tails", |stop| tails.run(stop));
        let status = StatusTask::new(Arc::clone(&node), transitions_in);
        tasks.spawn("status", |stop| status.run(stop));
        node
    }

    /// The name of this node.
    #[must_use]
    pub fn id(&self) -> &Arc<str> {
        &self.id
    }

    /// Every metric.
    #[must_use]
    pub fn metrics(&self) -> &Arc<Metrics> {
        &self.metrics
    }

    /// The date.
    #[must_use]
    pub fn clock(&self) -> &Clock {
        &self.clock
    }

    /// Takes new bounds, for realms and resumes that come later.
    pub fn apply_limits(&self, limits: NodeLimits) {
        *self.limits.write() = limits;
    }

    /// The hub of a user: the same for all their connections.
    fn hub(&self, realm: usize, user: &UserId) -> Option<&HubHandle> {
        use std::hash::BuildHasher as _;
        let hash = self.hash.hash_one((realm, user.as_str()));
        let count = u64::try_from(self.hubs.len()).ok()?;
        self.hubs.get(usize::try_from(hash.checked_rem(count)?).ok()?)
    }

    /// Asks a hub and waits for its answer; `None` when the hub has stopped.
    async fn ask<T>(
        hub: &HubHandle,
        command: impl FnOnce(oneshot::Sender<T>) -> Command,
    ) -> Option<T> {
        let (answer, answered) = oneshot::channel();
        hub.commands.send(command(answer)).await.ok()?;
        answered.await.ok()
    }

    /// The realm, with its tail running.
    async fn realm(&self, id: &RealmId) -> Result<RealmEntry, LogError> {
        if let Some(entry) = self.realms.read().get(id) {
            return Ok(entry.clone());
        }
        let stopped = LogError { retry_after: Duration::from_secs(1) };
        let (answer, answered) = oneshot::channel();
        self.starting.send((id.clone(), answer)).await.map_err(|_| stopped.clone())?;
        answered.await.map_err(|_| stopped)?
    }

    /// Attaches a realm to this node: its ring is empty and begins where its tail does.
    fn adopt(&self, id: &RealmId, began_at: u64) -> RealmEntry {
        let limits = *self.limits.read();
        let ring = Ring::new(began_at, limits.ring_events, limits.ring_bytes);
        let mut realms = self.realms.write();
        let realm = Arc::new(Realm { id: id.clone(), ring, began_at });
        let entry = RealmEntry { key: realms.len(), realm };
        realms.insert(id.clone(), entry.clone());
        entry
    }

    /// Waits until every hub has applied everything up to `offset`.
    ///
    /// # Cancel safety
    ///
    /// Safe: it only waits.
    async fn synced(&self, entry: &RealmEntry, offset: u64) {
        for hub in &self.hubs {
            let realm = Arc::clone(&entry.realm);
            let realm_key = entry.key;
            Self::ask(hub, |done| Command::Sync { realm_key, realm, offset, done }).await;
        }
    }

    /// Closes all connections, evenly over `window`.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future may leave some hubs without the order.
    pub async fn drain(&self, window: Duration) {
        for hub in &self.hubs {
            if hub.commands.send(Command::Drain { window }).await.is_err() {
                tracing::warn!("hub has stopped before the drain");
            }
        }
    }
}
