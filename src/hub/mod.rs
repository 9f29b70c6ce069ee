//! Who on this node listens to what: topic index, queue, outboxes.
//!
//! A hub is one task that owns a part of the node's connections: all those of a
//! user are in the same hub. It takes all records that wait, applies them to its
//! index, and then writes each touched socket once.
//!
//! Invariants:
//! - the hub never waits for a socket, for the log or for another hub;
//! - its queues are bounded and counted; who fills them waits;
//! - what a connection was sent is what `addressed` says of the log, nothing else.
//!
//! Not here: carrying records here (`node`), reading sockets (`session`).

mod addressed;
mod attach;
mod bounds;
mod claims;
mod command;
mod connection;
mod deliveries;
mod delivery;
mod held;
mod index;
mod inspect;
mod link;
mod outbox;
mod realm;
mod ring;
mod shard;
#[cfg(test)]
mod tests;
mod timers;
mod turn;
pub(crate) mod walk;

use std::sync::Arc;

use tokio::{
    sync::{mpsc, oneshot},
    time::Instant,
};

pub use addressed::{Reader, Rule, Verdict};
pub use attach::{Attach, Attached, Start};
pub use bounds::{LinkContext, LinkLimits};
pub use claims::Claims;
pub use command::{Command, ConnectionInfo, HubInfo, Parcel, PlaceOf};
pub use deliveries::Deliveries;
pub use link::{Duty, Link, Writer};
pub use outbox::{Outbox, OutboxLimits, Pushed};
pub use realm::Realm;
pub use ring::{Ring, RingFill};
pub use walk::ResetCause;

use self::{
    held::Held,
    shard::Shard,
    timers::{DRAIN_STEP, Drain, PASS},
};
use crate::{
    clock::Clock,
    lifecycle::CancellationToken,
    metrics::{HubMetrics, Metrics},
};

/// Records that one turn takes, at most. Below the bound of an outbox, so that a
/// turn alone never fills one.
const TURN_RECORDS: usize = 128;

/// Commands that may wait in front of one hub.
const COMMANDS: usize = 1_024;

/// Where to reach a hub.
#[derive(Debug, Clone)]
pub struct HubHandle {
    /// Its records.
    pub records: mpsc::Sender<Parcel>,
    /// Its commands.
    pub commands: mpsc::Sender<Command>,
    metrics: HubMetrics,
}

impl HubHandle {
    /// Shows how many records wait.
    pub fn show_queue(&self) {
        let waiting = self.records.max_capacity() - self.records.capacity();
        self.metrics.buffer_size.set(i64::try_from(waiting).unwrap_or(i64::MAX));
    }

    /// How many connections it serves.
    #[must_use]
    pub fn connections(&self) -> usize {
        usize::try_from(self.metrics.connections.get()).unwrap_or(0)
    }
}

/// The task of one hub.
#[derive(Debug)]
pub struct Hub {
    shard: Shard,
    records: mpsc::Receiver<Parcel>,
    commands: mpsc::Receiver<Command>,
    /// Who waits for an offset, by realm.
    waiting: Vec<(usize, u64, oneshot::Sender<()>)>,
    drain: Option<Drain>,
    held: Held,
}

impl Hub {
    /// A hub, and where to reach it. `queue` bounds the records that may wait.
    #[must_use]
    pub fn new(
        number: usize,
        queue: usize,
        metrics: &Arc<Metrics>,
        clock: Clock,
    ) -> (Self, HubHandle) {
        let (records_in, records) = mpsc::channel(queue);
        let (commands_in, commands) = mpsc::channel(COMMANDS);
        let hub_metrics = metrics.hub(number);
        hub_metrics.buffer_capacity.set(i64::try_from(queue).unwrap_or(i64::MAX));
        let shard = Shard::new(metrics, number, clock);
        let hub = Self {
            shard,
            records,
            commands,
            waiting: Vec::new(),
            drain: None,
            held: Held::default(),
        };
        let handle = HubHandle { records: records_in, commands: commands_in, metrics: hub_metrics };
        (hub, handle)
    }

    /// Runs until `stop` is cancelled. Records that already wait are applied first.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses what waits in the queue of this hub.
    pub async fn run(mut self, stop: CancellationToken) {
        let mut turn = Vec::with_capacity(TURN_RECORDS);
        let mut next_pass = Instant::now() + PASS;
        // Both moments stay until they come, however busy this hub is.
        let mut next_step = Instant::now();
        loop {
            let wakes_at = match self.drain {
                Some(_) => next_step.min(next_pass),
                None => next_pass,
            };
            let wakes_at = self.held.look_at().map_or(wakes_at, |look| look.min(wakes_at));
            let room = self.records.max_capacity().saturating_sub(self.held.records());
            let room = room.min(TURN_RECORDS);
            // Every arm is cancel safe. Stop, then the clock, then people, then records.
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                () = tokio::time::sleep_until(wakes_at) => {
                    if Instant::now() >= next_pass {
                        self.shard.pass();
                        next_pass = Instant::now() + PASS;
                    }
                    if Instant::now() >= next_step {
                        self.drain_step();
                        next_step = Instant::now() + DRAIN_STEP;
                    }
                    if self.held.look_at().is_some_and(|look| look <= Instant::now()) {
                        self.take(&mut turn);
                    }
                }
                Some(command) = self.commands.recv() => {
                    self.obey(command);
                    // However many ask, records go on.
                    while turn.len() < room && let Ok(parcel) = self.records.try_recv() {
                        turn.push(parcel);
                    }
                    self.take(&mut turn);
                }
                _ = self.records.recv_many(&mut turn, room), if room > 0 => self.take(&mut turn),
            }
            self.shard.flush();
        }
        self.records.close();
        while self.records.recv_many(&mut turn, TURN_RECORDS).await > 0 {
            self.take(&mut turn);
            self.shard.flush();
        }
    }

    fn answer_waiting(&mut self) {
        let shard = &self.shard;
        let has_come = |realm: usize, offset: u64| {
            shard.known_realm(realm).is_some_and(|index| index.seen >= offset)
        };
        let ready = self.waiting.extract_if(.., |(realm, offset, _)| has_come(*realm, *offset));
        for (_, _, done) in ready {
            reply(done, ());
        }
    }

    /// A drain never ends before the hub: a connection may still arrive that was let in
    /// before it began.
    fn drain_step(&mut self) {
        if let Some(drain) = &self.drain {
            self.shard.drain_step(drain);
        }
    }

    fn obey(&mut self, command: Command) {
        let shard = &mut self.shard;
        match command {
            Command::Attach(attach) => self.receive(attach),
            Command::Detach { realm_key, connection, link, done } => {
                shard.detach(realm_key, connection, &link);
                reply(done, ());
            }
            Command::View { realm_key, connection, view } => {
                shard.view(realm_key, connection, *view);
            }
            Command::IsMember { realm_key, user, topic, answer } => {
                let index = shard.known_realm(realm_key);
                reply(answer, index.is_some_and(|index| index.is_member(&user, &topic)));
            }
            Command::Sync { realm_key, realm, offset, done } => {
                match shard.realm(realm_key, &realm) {
                    Some(index) if index.seen >= offset => reply(done, ()),
                    Some(_) => self.waiting.push((realm_key, offset, done)),
                    // Its life is over: it comes no farther.
                    None => drop(done),
                }
            }
            Command::Describe { realm_key, connection, answer } => {
                reply(answer, shard.describe(realm_key, connection));
            }
            Command::Listeners { realm_key, topic, answer } => {
                reply(answer, shard.listeners(realm_key, &topic));
            }
            Command::Inspect { answer } => drop(answer.send(shard.inspect())),
            Command::End { realm_key, done } => {
                self.end_realm(realm_key);
                reply(done, ());
            }
            Command::Taken { realm_key, taken } => {
                let code = crate::model::CloseCode::ResumedElsewhere;
                self.dismiss_lost(realm_key, (&taken, code), |live, newest| live < newest);
            }
            Command::Holders { realm_key, answer } => reply(answer, shard.holders(realm_key)),
            Command::Dismiss { realm_key, lost, code, done } => {
                self.dismiss_lost(realm_key, (&lost, code), |live, lost| live == lost);
                reply(done, ());
            }
            Command::Places { realm_key, all, answer } => {
                reply(answer, shard.places(realm_key, all));
            }
            Command::Shed => shard.shed(),
            Command::Drain { window } => {
                self.drain = Some(Drain::new(window, self.shard.connections.len()));
            }
        }
    }
}

/// Answers a question. Whoever asked may have given up: then nobody listens.
fn reply<T>(to: oneshot::Sender<T>, answer: T) {
    if to.send(answer).is_err() {
        tracing::trace!("an asker has gone");
    }
}
