//! Writing down how far connections have come, and keeping their records alive.
//!
//! A checkpoint only shortens the walk of a resume: one that is old, or missing, is as
//! right as a new one. So nobody waits for them, and a failure is harmless.
//!
//! Invariants: one batch at a time is on its way; a place that could not be written is
//! written in the next round.

use std::{collections::HashSet, sync::Arc, time::Duration};

use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

use super::{Node, RealmEntry};
use crate::{
    clock::random_below,
    hub::{Command, PlaceOf},
    log::{Checkpoint, LogError, RealmLog as _},
    model::ConnectionId,
};

/// How often places are written; spread, so that nodes do not write together. A resume after
/// a crash walks over what was published since.
const EVERY: Duration = Duration::from_secs(5);

/// Connections of one call to the log.
const BATCH: usize = 1_000;

/// A session's record is renewed so often within its lifetime.
const RENEWALS: u32 = 3;

/// How long a drain may take to write all places before it closes the first socket.
const DRAIN_PATIENCE: Duration = Duration::from_secs(2);

/// The task that writes places down.
#[derive(Debug)]
pub struct Checkpoints {
    node: Arc<Node>,
    /// Realms of which not all listed places were written.
    unwritten: HashSet<usize>,
    renewed_at: Instant,
}

impl Checkpoints {
    pub(super) fn new(node: Arc<Node>) -> Self {
        Self { node, unwritten: HashSet::new(), renewed_at: Instant::now() }
    }

    /// Runs until `stop` is cancelled. Whoever leaves has a checkpoint of its own.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future may leave places unwritten: a resume walks farther.
    pub async fn run(mut self, stop: CancellationToken) {
        let stopped = stop.clone();
        let rounds = async {
            loop {
                let spread = u64::try_from(EVERY.as_millis() / 5).unwrap_or(0);
                let early = Duration::from_millis(random_below(spread));
                tokio::time::sleep(EVERY - early).await;
                self.round().await;
            }
        };
        // A round that is cut short does no harm.
        tokio::select! {
            biased;
            () = stopped.cancelled() => {}
            () = rounds => {}
        }
    }

    async fn round(&mut self) {
        let entries: Vec<RealmEntry> = self.node.realms.read().values().cloned().collect();
        self.unwritten.retain(|key| entries.iter().any(|entry| entry.key == *key));
        let renewal = self.node.limits.read().session_ttl / RENEWALS;
        let is_renewal = self.renewed_at.elapsed() >= renewal.saturating_sub(EVERY);
        for entry in &entries {
            let all = self.unwritten.remove(&entry.key);
            let mut done = self.node.write_places(entry, all).await;
            if done.is_err() {
                self.unwritten.insert(entry.key);
            } else if is_renewal {
                done = self.node.renew_sessions(entry).await;
            }
            if let Err(error) = done {
                // The other realms are in the same store.
                tracing::debug!(realm = %entry.realm.id, %error, "places were not written");
                return;
            }
        }
        if is_renewal {
            self.renewed_at = Instant::now();
        }
    }
}

impl Node {
    /// Writes how far the connections of a realm have come, as far as that is news.
    async fn write_places(&self, entry: &RealmEntry, all: bool) -> Result<(), LogError> {
        let realm_key = entry.key;
        for hub in &self.hubs {
            let places = Self::ask(hub, |answer| Command::Places { realm_key, all, answer }).await;
            for places in places.unwrap_or_default().chunks(BATCH) {
                let checkpoints = places.iter().map(checkpoint).collect();
                let written = self.log.checkpoint(&entry.realm.id, checkpoints).await;
                let result = if written.is_ok() { "written" } else { "failed" };
                let count = u64::try_from(places.len()).unwrap_or(u64::MAX);
                self.metrics.checkpoints_total.with_label_values(&[result]).inc_by(count);
                written?;
            }
        }
        Ok(())
    }

    /// Lengthens the lives of the sessions that have sockets here.
    async fn renew_sessions(&self, entry: &RealmEntry) -> Result<(), LogError> {
        let realm_key = entry.key;
        for hub in &self.hubs {
            let holders = Self::ask(hub, |answer| Command::Holders { realm_key, answer }).await;
            let live: Vec<ConnectionId> =
                holders.unwrap_or_default().into_iter().map(|(connection, _)| connection).collect();
            for connections in live.chunks(BATCH) {
                self.log.renew(&entry.realm.id, connections.to_vec()).await?;
            }
        }
        Ok(())
    }

    /// Closes all connections, evenly over `window`, after their places were written.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future may leave some hubs without the order.
    pub async fn drain(&self, window: Duration) {
        let entries: Vec<RealmEntry> = self.realms.read().values().cloned().collect();
        let all_written = async {
            for entry in &entries {
                self.write_places(entry, true).await?;
            }
            Ok::<(), LogError>(())
        };
        // If the drain is cut short, resumes find recent places.
        if !matches!(timeout(DRAIN_PATIENCE, all_written).await, Ok(Ok(()))) {
            tracing::warn!("not all places were written before the drain");
        }
        for hub in &self.hubs {
            if hub.commands.send(Command::Drain { window }).await.is_err() {
                tracing::warn!("hub has stopped before the drain");
            }
        }
    }
}

fn checkpoint(place: &PlaceOf) -> Checkpoint {
    let PlaceOf { connection, seq, cursor, fencing } = *place;
    Checkpoint { connection, seq, cursor, fencing, ended: false }
}
