//! Finds out whether the node still works, so that `/ready` tells the truth.
//!
//! A node whose log is away is not ready, and keeps its sockets for a while: they are
//! served when the log is back. If it stays away they are told to try another node.
//!
//! Invariants: a part that does not move for [`PATIENCE`] is a reason against the
//! node within a second; so is this task, when it does not get to run.

use std::{sync::Arc, time::Duration};

use tokio::{
    sync::watch,
    time::{MissedTickBehavior, interval},
};

use crate::{
    config::Limits,
    lifecycle::{CancellationToken, Readiness},
    node::{Node, Pulse, Stuck},
};

/// How long a part, or the whole runtime, may stand still.
const PATIENCE: Duration = Duration::from_secs(3);

/// How often is looked.
const PASS: Duration = Duration::from_millis(500);

/// Looks after one node.
#[derive(Debug)]
pub(super) struct Watchdog {
    pub(super) node: Arc<Node>,
    pub(super) readiness: Readiness,
    pub(super) limits: watch::Receiver<Arc<Limits>>,
}

impl Watchdog {
    /// Looks until `stop` is cancelled.
    pub(super) async fn run(self, stop: CancellationToken) {
        let mut pulse = Pulse::new(Arc::clone(&self.node), PATIENCE);
        let mut passes = interval(PASS);
        passes.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut known = Vec::new();
        loop {
            // Both are cancel safe, stop comes first.
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                _ = passes.tick() => {}
            }
            self.readiness.beat(PATIENCE);
            let mut stuck = pulse.feel().await;
            let away_for = pulse.log_away_for();
            // The next look may be too late.
            let not_ready = self.limits.borrow().log_not_ready_after;
            if !away_for.is_zero() && away_for >= not_ready.saturating_sub(PASS) {
                stuck.push(Stuck::Log);
            }
            if stuck != known {
                self.tell(&stuck);
                known = stuck;
            }
            self.keep_sockets(away_for).await;
        }
        self.readiness.rest();
    }

    /// Gives the sockets up when the log has been away for too long.
    async fn keep_sockets(&self, away_for: Duration) {
        let give_up = self.limits.borrow().log_close_after;
        if away_for >= give_up {
            if !self.node.is_cut_off() {
                tracing::error!(?away_for, "the log stays away, sockets are closed");
            }
            // Again in each pass: somebody may have been let in just before.
            self.node.cut_off().await;
        } else if self.node.is_cut_off() && away_for.is_zero() {
            tracing::warn!("the log is back, sockets are served");
            self.node.reconnected();
        }
    }

    fn tell(&self, stuck: &[Stuck]) {
        for part in Stuck::ALL {
            let reason = part.reason(self.node.log_name());
            if stuck.contains(&part) {
                self.readiness.block(reason);
            } else {
                self.readiness.clear(reason);
            }
        }
        if stuck.is_empty() {
            tracing::warn!("every part of the node moves again");
        } else {
            tracing::error!(?stuck, "a part of the node does not move");
        }
    }
}
