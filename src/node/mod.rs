//! The verbs: publish, join, leave, status, resume; and the tail that carries the
//! log to the hubs.
//!
//! Everything that happens goes through the log and comes back through the tail,
//! on the publishing node, too: there is no shortcut, so all see one order.
//!
//! Invariants:
//! - an event reaches a hub only from the tail;
//! - a realm has one tail on this node, started before its first use, and again when
//!   the log lost what it was at;
//! - no verb waits for a client.
//!
//! Not here: sockets (`session`), wire shapes (`dialect`, `http`).

mod away;
mod backoff;
mod bus;
mod chat;
mod checkpoints;
mod connect;
mod gauges;
mod inspect;
mod publish;
mod pulse;
mod questions;
mod rooms;
mod seat;
mod standing;
mod status;
mod stays;
mod tail;
mod tails;
#[cfg(test)]
mod tests;
mod watch;
mod wire;

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use parking_lot::{Mutex, RwLock};
use tokio::sync::{mpsc, oneshot};

pub use crate::{
    hub::{Rule, Verdict},
    log::{
        ChatDone, ChatError, ChatOp, ChatOutcome, ChatRefusal, ClusterNode, Draft, NodeFacts,
        PageQuery,
    },
};
pub use chat::Sweeper;
pub use checkpoints::Checkpoints;
pub use connect::{Arrival, Greet, Greeting, Resume, Welcome};
pub use inspect::{Delivery, NodeInfo, RealmInfo};
pub use publish::{PublishError, Published};
pub use pulse::{Pulse, Stuck};
pub use questions::{Located, LocatedSocket};
pub use rooms::HISTORY_MAX;
pub use seat::Seat;
pub use standing::Standing;
pub use status::StatusTask;
pub use stays::Stay;
pub use tails::Tails;
pub use watch::WatchError;

use self::{bus::Merging, chat::ChatRealms, gauges::Progress, rooms::Rooms, stays::Stays};
use crate::{
    bus::{Book, Waiting},
    clock::Clock,
    hub::{Command, Hub, HubHandle, Realm, Ring},
    lifecycle::Tasks,
    log::{AnyLog, LogError, Tail},
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
    /// How long a session can be resumed after its socket ended.
    pub session_ttl: Duration,
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
    /// What the log tells other nodes of this one.
    pub facts: Arc<NodeFacts>,
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
    chats: ChatRealms,
    realms: RwLock<HashMap<RealmId, RealmEntry>>,
    /// The key of the next life of a realm: none is used twice.
    next_key: AtomicUsize,
    facts: Arc<NodeFacts>,
    /// True while the log has been away for so long that nobody is served.
    is_cut_off: AtomicBool,
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
    progress: Arc<Progress>,
    /// The workspaces at the place that the tail has carried.
    pub(crate) bus: Arc<Mutex<Book>>,
    /// The changes of nodes that wait there to be merged.
    pub(crate) waiting: Arc<Mutex<Waiting>>,
    /// Who is in which rooms, and is told when a right ends.
    stays: Arc<Stays>,
}

/// The workspaces before the first record that the log still has.
fn book_at_beginning(tail: &Tail) -> Book {
    let (known_at, workspaces) = &tail.workspaces;
    let mut book = Book::new(workspaces.iter().cloned());
    let known = tail.backlog.iter().filter(|record| record.position.offset <= *known_at);
    known.rev().for_each(|record| book.rewind(record));
    book
}

impl RealmEntry {
    /// Notes that the log has come at least so far.
    fn heard_of(&self, offset: u64) {
        self.progress.heard_of(offset);
    }
}

impl Node {
    /// Builds a node and starts its tasks: hubs, tails, checkpoints, status.
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
            chats: ChatRealms::default(),
            realms: RwLock::default(),
            next_key: AtomicUsize::new(0),
            facts: parts.facts,
            is_cut_off: AtomicBool::new(false),
            starting,
            transitions,
            hash: foldhash::fast::RandomState::default(),
        });
        let tails = Tails::new(Arc::clone(&node), starting_in);
        tasks.spawn("tails", |stop| tails.run(stop));
        let checkpoints = Checkpoints::new(Arc::clone(&node));
        tasks.spawn("checkpoints", |stop| checkpoints.run(stop));
        let sweeper = Sweeper::new(Arc::clone(&node));
        tasks.spawn("rooms", |stop| sweeper.run(stop));
        let merging = Merging::new(Arc::clone(&node));
        tasks.spawn("merging", |stop| merging.run(stop));
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

    /// Begins a life of a realm on this node: its ring and its rooms hold what the log
    /// still has, and its hubs begin where the tail does.
    fn adopt(&self, id: &RealmId, tail: &Tail) -> RealmEntry {
        let limits = *self.limits.read();
        let began_at = tail.position.offset;
        let before = tail.backlog.first().map_or(began_at, |oldest| oldest.position.offset - 1);
        let ring = Ring::new(before, limits.ring_events, limits.ring_bytes);
        let key = self.next_key.fetch_add(1, Ordering::Relaxed);
        let (mut book, mut waiting) = (book_at_beginning(tail), Waiting::default());
        for record in &tail.backlog {
            book.take(record);
            waiting.note(record);
            ring.push(record);
            self.rooms.note(key, record);
        }
        debug_assert_eq!(ring.fill().last, began_at, "the backlog ends where the tail begins");
        let realm = Realm::new(id.clone(), ring, tail.position.clone(), tail.gate.clone());
        let progress = Arc::new(Progress::new(began_at));
        let (bus, waiting) = (Arc::new(Mutex::new(book)), Arc::new(Mutex::new(waiting)));
        let (realm, stays) = (Arc::new(realm), Arc::default());
        let entry = RealmEntry { key, realm, progress, bus, waiting, stays };
        self.realms.write().insert(id.clone(), entry.clone());
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
}
