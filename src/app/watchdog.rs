//! Finds out whether the node still works, so that `/ready` tells the truth.
//!
//! Invariants: a part that does not move for [`PATIENCE`] is a reason against the
//! node within a second; so is this task, when it does not get to run.

use std::{sync::Arc, time::Duration};

use tokio::time::{MissedTickBehavior, interval};

use crate::{
    lifecycle::{CancellationToken, Readiness, Sessions},
    metrics::Metrics,
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
    pub(super) sessions: Sessions,
    pub(super) metrics: Arc<Metrics>,
}

impl Watchdog {
    /// Looks until `stop` is cancelled.
    pub(super) async fn run(self, stop: CancellationToken) {
        let mut pulse = Pulse::new(Arc::clone(&self.node), PATIENCE);
        let mut passes = interval(PASS);
        passes.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut known = Vec::new();
        let mut panics = 0;
        loop {
            // Both are cancel safe, stop comes first.
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                _ = passes.tick() => {}
            }
            self.readiness.beat(PATIENCE);
            let stuck = pulse.feel().await;
            if stuck != known {
                self.tell(&stuck);
                known = stuck;
            }
            let panics_now = self.sessions.panics();
            self.metrics.session_panics_total.inc_by(panics_now.saturating_sub(panics));
            panics = panics_now;
        }
        self.readiness.rest();
    }

    fn tell(&self, stuck: &[Stuck]) {
        for part in Stuck::ALL {
            if stuck.contains(&part) {
                self.readiness.block(part.reason());
            } else {
                self.readiness.clear(part.reason());
            }
        }
        if stuck.is_empty() {
            tracing::warn!("every part of the node moves again");
        } else {
            tracing::error!(?stuck, "a part of the node does not move");
        }
    }
}
