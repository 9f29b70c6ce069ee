//! The load: clients that log every event, publishers, churn of members, and a poll of
//! presence.
//!
//! Invariants:
//! - each client is one task with one history and at most one socket;
//! - a publish has one id until it is acknowledged or given up;
//! - each pair of user and channel is changed by one task, one change after the other.

mod api;
mod client;
mod members;
mod presence;
mod publisher;
mod stats;
mod wire;

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use anyhow::Result;
use parking_lot::Mutex;
use serde_json::json;
use tokio::{sync::watch, task::JoinSet};

pub use self::{
    api::{Api, Outcome},
    client::Manner,
    presence::agrees,
    stats::{Stats, percentile},
};
use crate::{history::History, jwt::mint, node::SECRET, system::until};

/// A node as clients and publishers see it.
#[derive(Debug)]
pub struct Target {
    /// `node.id`.
    pub node: String,
    /// Where clients connect: the node, or a proxy before it.
    pub dial: SocketAddr,
    /// The internal listener.
    pub internal: SocketAddr,
    /// Whether a load balancer would send anybody there.
    pub up: AtomicBool,
    /// Stopped, or cut from Redis, without its clients noticing: its lease ends though
    /// they are there, and both answers about them are right.
    pub paused: AtomicBool,
}

/// How much load.
#[derive(Debug, Clone)]
pub struct Shape {
    /// Clients, each with one socket.
    pub clients: usize,
    /// Events per second.
    pub rate: f64,
    /// Bytes of padding in each event.
    pub padding: usize,
    /// Changes of members per second.
    pub churn: f64,
    /// How many clients stall after their first hello, and for how long.
    pub stalling: (usize, Duration),
}

/// What all tasks share.
#[derive(Debug)]
pub struct Shared {
    /// The nodes.
    pub targets: Vec<Target>,
    /// What was counted.
    pub stats: Stats,
    /// The clients' states, by number.
    pub clients: Vec<Mutex<State>>,
    shape: Shape,
    history: History,
    /// Counts changes of what should be known about users, for the poll of presence.
    phase: watch::Sender<Phase>,
    events: AtomicU64,
}

/// What runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Phase {
    /// Everything.
    Load,
    /// Clients stay; nothing is published and nobody changes members.
    Quiet,
    /// Clients leave.
    End,
}

/// What is known about a client.
#[derive(Debug, Clone, Default)]
pub struct State {
    /// Its user.
    pub user: String,
    /// Its connection, once it has one.
    pub cid: Option<String>,
    /// The number that it expects next.
    pub next: u64,
    /// The node that it is connected to.
    pub node: Option<String>,
    /// The last barrier that it has seen.
    pub barrier: String,
    /// Resets so far.
    pub resets: u64,
}

/// A running load.
#[derive(Debug)]
pub struct Load {
    /// What its tasks share.
    pub shared: Arc<Shared>,
    workers: JoinSet<Result<()>>,
    clients: JoinSet<Result<()>>,
}

/// Channels that each user is in at the start.
const CHANNELS_EACH: usize = 3;
/// Members of a channel at the start, about.
const MEMBERS_EACH: usize = 12;

impl Shape {
    /// How many channels there are.
    #[must_use]
    pub fn channels(&self) -> usize {
        (self.users() * CHANNELS_EACH / MEMBERS_EACH).max(1)
    }

    /// How many users there are: every fifth has two clients.
    #[must_use]
    pub fn users(&self) -> usize {
        (self.clients * 5 / 6).max(1)
    }

    /// The user of a client.
    #[must_use]
    pub fn user_of(&self, client: usize) -> String {
        format!("u{}", client % self.users())
    }
}

impl Load {
    /// Makes the members, connects the clients, and then starts the rest.
    ///
    /// # Errors
    ///
    /// When a member can't be made, or a client gets no hello in time.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: the load ends.
    pub async fn start(history: &History, targets: Vec<Target>, shape: Shape) -> Result<Self> {
        let clients = (0..shape.clients)
            .map(|client| Mutex::new(State { user: shape.user_of(client), ..State::default() }));
        let shared = Arc::new(Shared {
            targets,
            stats: Stats::default(),
            clients: clients.collect(),
            history: history.clone(),
            phase: watch::Sender::new(Phase::Load),
            events: AtomicU64::new(0),
            shape: shape.clone(),
        });
        let mut load =
            Self { shared: Arc::clone(&shared), workers: JoinSet::new(), clients: JoinSet::new() };
        members::fill(&shared, 0).await?;
        for client in 0..shape.clients {
            let (stalling, stall) = shape.stalling;
            let stalls = client < stalling;
            let manner = if stalls { Manner::Stalls(stall) } else { Manner::Normal };
            load.add_client(client, manner)?;
        }
        load.connected(Duration::from_secs(60)).await?;
        let publishers = 24;
        for number in 0..publishers {
            let pace = Duration::from_secs_f64(f64::from(publishers) / shape.rate.max(0.1));
            let shared = Arc::clone(&shared);
            load.workers.spawn(async move { publisher::run(&shared, number, pace).await });
        }
        if shape.churn > 0.0 {
            for number in 0..members::CHANGERS {
                let shared = Arc::clone(&shared);
                load.workers.spawn(async move { members::churn(&shared, number).await });
            }
        }
        let polled = Arc::clone(&shared);
        load.workers.spawn(async move { presence::poll(&polled).await });
        Ok(load)
    }

    fn add_client(&mut self, client: usize, manner: Manner) -> Result<()> {
        let shared = Arc::clone(&self.shared);
        let token = mint(SECRET, &shared.shape.user_of(client))?;
        self.clients.spawn(async move { client::run(&shared, client, &token, manner).await });
        Ok(())
    }

    /// Waits until every client has a socket with a numbering.
    ///
    /// # Errors
    ///
    /// When one has none in time.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub async fn connected(&self, patience: Duration) -> Result<Duration> {
        let shared = &self.shared;
        let all = || async { shared.clients.iter().all(|one| one.lock().node.is_some()) };
        until("every client is connected", patience, all).await
    }

    /// Makes the members of the start again, as a backend does that lost its log.
    ///
    /// # Errors
    ///
    /// When a member can't be made.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe; whether a change happened is open.
    pub async fn refill(&self) -> Result<()> {
        members::fill(&self.shared, self.shared.events.fetch_add(1, Ordering::Relaxed) + 1).await
    }

    /// Stops publishing and churn, and waits until their last calls have an outcome.
    ///
    /// # Errors
    ///
    /// When a task failed.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub async fn quiet(&mut self) -> Result<()> {
        self.shared.phase.send_replace(Phase::Quiet);
        while let Some(ended) = self.workers.join_next().await {
            ended??;
        }
        Ok(())
    }

    /// Publishes a last event to everyone and waits until every client has seen it.
    /// Returns those who have not.
    ///
    /// # Errors
    ///
    /// When it can't be published.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub async fn barrier(&self, patience: Duration) -> Result<(Duration, Vec<String>)> {
        let number = self.shared.events.fetch_add(1, Ordering::Relaxed);
        let pid = format!("barrier-{number}");
        let writer = self.shared.history.writer(&pid)?;
        let to = json!({"everyone": true});
        let mut api = Api::new(Arc::clone(&self.shared));
        publisher::publish(&mut api, &writer, &pid, &to).await?;
        writer.write(json!({"op": "barrier", "realm": "default", "pid": pid}));
        writer.flush()?;
        let shared = &self.shared;
        let seen = || async { shared.clients.iter().all(|one| one.lock().barrier == pid) };
        match until("the barrier", patience, seen).await {
            Ok(took) => Ok((took, Vec::new())),
            Err(_) => {
                let numbered = shared.clients.iter().enumerate();
                let missing = numbered.filter(|(_, one)| one.lock().barrier != pid);
                let tell = |(number, one): (usize, &Mutex<State>)| {
                    let state = one.lock();
                    format!("c{number}={:?}@{:?} next={}", state.cid, state.node, state.next)
                };
                Ok((patience, missing.map(tell).collect()))
            }
        }
    }

    /// Lets the clients leave and completes every history.
    ///
    /// # Errors
    ///
    /// When a task failed, or a history can't be written.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub async fn end(&mut self) -> Result<()> {
        self.shared.phase.send_replace(Phase::End);
        while let Some(ended) = self.clients.join_next().await {
            ended??;
        }
        Ok(())
    }
}

impl Shared {
    /// A target that is up; any when none is.
    #[must_use]
    pub fn target(&self) -> Option<&Target> {
        let up: Vec<&Target> =
            self.targets.iter().filter(|target| target.up.load(Ordering::Relaxed)).collect();
        fastrand::choice(up).or_else(|| fastrand::choice(&self.targets))
    }

    /// Says whether a load balancer would send anybody to `node`.
    pub fn set_up(&self, node: &str, up: bool) {
        for target in self.targets.iter().filter(|target| target.node == node) {
            target.up.store(up, Ordering::Relaxed);
        }
    }

    /// Says whether `node` is stopped or cut from Redis.
    pub fn set_paused(&self, node: &str, paused: bool) {
        for target in self.targets.iter().filter(|target| target.node == node) {
            target.paused.store(paused, Ordering::Relaxed);
        }
    }

    /// How many clients have a socket on `node`.
    #[must_use]
    pub fn on(&self, node: &str) -> usize {
        let on = |one: &&Mutex<State>| one.lock().node.as_deref() == Some(node);
        self.clients.iter().filter(on).count()
    }

    fn phase(&self) -> Phase {
        *self.phase.borrow()
    }

    /// Waits until it is at least `phase`.
    async fn reached(&self, phase: Phase) {
        let mut watching = self.phase.subscribe();
        // The sender lives as long as `self`.
        watching.wait_for(|now| *now >= phase).await.ok();
    }
}
