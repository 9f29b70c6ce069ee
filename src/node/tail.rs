//! The tails: they carry each realm's records from the log to ring, rooms and hubs.
//!
//! Invariants:
//! - records leave a tail in the order of the log, each once, as the log hands them over;
//! - a tail that can't go on ends, and with it the node: a deaf node looks healthy;
//! - a tail waits for a full hub, never for a socket.

use std::sync::Arc;

use tokio::{
    sync::{mpsc, oneshot},
    task::JoinSet,
};
use tokio_util::sync::CancellationToken;

use super::{Node, RealmEntry};
use crate::{
    hub::Parcel,
    log::{Inbound, LogError, RealmLog as _, Tail},
    model::{RealmId, Record},
};

/// Records that a tail takes at once.
const STEP_RECORDS: usize = 256;

/// A realm that wants its tail, and who asked.
type Starting = (RealmId, oneshot::Sender<Result<RealmEntry, LogError>>);

/// The task that owns the tails of all realms.
#[derive(Debug)]
pub struct Tails {
    node: Arc<Node>,
    starting: mpsc::Receiver<Starting>,
}

impl Tails {
    pub(super) fn new(node: Arc<Node>, starting: mpsc::Receiver<Starting>) -> Self {
        Self { node, starting }
    }

    /// Runs until `stop` is cancelled, or a tail fails.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future aborts all tails.
    pub async fn run(mut self, stop: CancellationToken) {
        let mut tails = JoinSet::new();
        loop {
            // Every arm is cancel safe; stop comes first.
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                Some(ended) = tails.join_next() => {
                    tracing::error!(?ended, "tail ended");
                    return;
                }
                Some((realm, answer)) = self.starting.recv() => {
                    let started = self.start(&realm, &mut tails, &stop).await;
                    if answer.send(started).is_err() {
                        tracing::debug!("who asked for a realm has gone");
                    }
                }
            }
        }
        while tails.join_next().await.is_some() {}
    }

    async fn start(
        &self,
        id: &RealmId,
        tails: &mut JoinSet<()>,
        stop: &CancellationToken,
    ) -> Result<RealmEntry, LogError> {
        // Two may have asked before the first tail ran.
        if let Some(entry) = self.node.realms.read().get(id) {
            return Ok(entry.clone());
        }
        let Tail { position, inbound, .. } = self.node.log.attach(id).await?;
        let entry = self.node.adopt(id, position.offset);
        let runner = Runner { node: Arc::clone(&self.node), entry: entry.clone() };
        tails.spawn(runner.run(inbound, stop.clone()));
        tracing::info!(realm = %id, "realm started");
        Ok(entry)
    }
}

/// The tail of one realm.
struct Runner {
    node: Arc<Node>,
    entry: RealmEntry,
}

impl Runner {
    async fn run(self, mut inbound: mpsc::Receiver<Inbound>, stop: CancellationToken) {
        let mut step = Vec::with_capacity(STEP_RECORDS);
        loop {
            // Cancel safe: records are taken only in the poll that returns them. On stop,
            // what the log handed over is still delivered.
            let count = tokio::select! {
                biased;
                () = stop.cancelled() => {
                    inbound.close();
                    inbound.recv_many(&mut step, STEP_RECORDS).await
                }
                count = inbound.recv_many(&mut step, STEP_RECORDS) => count,
            };
            if count == 0 {
                return;
            }
            let Some(records) = Self::records(&mut step) else { return };
            self.carry(records).await;
        }
    }

    /// The records of a step; `None` when the log has lost some.
    fn records(step: &mut Vec<Inbound>) -> Option<Vec<Arc<Record>>> {
        let mut records = Vec::with_capacity(step.len());
        for inbound in step.drain(..) {
            match inbound {
                Inbound::Record(record) => records.push(record),
                Inbound::Taken { .. } | Inbound::Recheck | Inbound::Question(_) => {}
                Inbound::Lost(loss) => {
                    tracing::error!(?loss, "the log has lost records");
                    return None;
                }
            }
        }
        Some(records)
    }

    /// Into the ring first, so that a resume finds whatever a hub has applied.
    async fn carry(&self, records: Vec<Arc<Record>>) {
        let node = &self.node;
        let (Some(oldest), Some(newest)) = (records.first(), records.last()) else { return };
        self.entry.progress.carrying(oldest);
        node.metrics.events_tailed_total.inc_by(records.len() as u64);
        for record in &records {
            self.entry.realm.ring.push(record);
            node.rooms.note(self.entry.key, record);
        }
        for hub in &node.hubs {
            for some in records.chunks(STEP_RECORDS.min(hub.records.max_capacity())) {
                // A full hub makes the tail wait; the hub never waits for a socket.
                let Ok(permits) = hub.records.reserve_many(some.len()).await else { return };
                for (permit, record) in permits.zip(some) {
                    permit.send(Parcel {
                        realm_key: self.entry.key,
                        realm: Arc::clone(&self.entry.realm),
                        record: Arc::clone(record),
                    });
                }
            }
        }
        self.entry.progress.carried(newest.position.offset, node.clock.now_us());
    }
}
