//! Finds out whether the node still works, so that `/ready` tells the truth.
//!
//! A node whose log is away is not ready, and keeps its sockets for a while: they are
//! served when the log is back. If it stays away they are told to try another node.
//!
//! Invariants:
//! - a node is not ready before `limits.log_not_ready_after` has passed since the last
//!   answer of its log;
//! - a part that does not move for [`PATIENCE`] is a reason against the node within a
//!   second; so is this task, when it does not get to run;
//! - feeling the pulse, which may take as long as a slow log, delays no look.

use std::{sync::Arc, time::Duration};

use tokio::{
    sync::watch,
    time::{Instant, MissedTickBehavior, interval, sleep},
};

use crate::{
    config::Limits,
    lifecycle::{CancellationToken, Readiness},
    log::ASKED_EVERY,
    node::{Node, Pulse, Stuck},
};

/// How long a part, or the whole runtime, may stand still.
const PATIENCE: Duration = Duration::from_secs(3);

/// Time between two pulses.
const REST: Duration = Duration::from_millis(500);

/// How often it is looked whether the log answers.
const LOOK: Duration = Duration::from_millis(100);

/// How much earlier than it must a node says that it is not ready, so that a busy machine
/// is not too late.
const SPARE: Duration = Duration::from_millis(300);

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
        let pulse = Pulse::new(Arc::clone(&self.node), PATIENCE);
        let mut feeling = Box::pin(feel(pulse, Duration::ZERO));
        let mut looks = interval(LOOK);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (mut felt, mut fails_since) = (Vec::new(), None);
        let mut known = Vec::new();
        loop {
            // All are cancel safe, stop comes first.
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                (pulse, stuck) = &mut feeling => {
                    (felt, fails_since) = (stuck, pulse.log_fails_since());
                    feeling = Box::pin(feel(pulse, REST));
                }
                _ = looks.tick() => {}
            }
            self.readiness.beat(PATIENCE);
            let failing = fails_since.map(|since: Instant| since.elapsed());
            let away_for = self.node.log_silent_for().max(failing).unwrap_or_default();
            let mut stuck = felt.clone();
            if away_for >= unanswered(self.limits.borrow().log_not_ready_after) {
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

/// Feels the pulse after a `rest`.
async fn feel(mut pulse: Pulse, rest: Duration) -> (Pulse, Vec<Stuck>) {
    sleep(rest).await;
    let stuck = pulse.feel().await;
    (pulse, stuck)
}

/// How long a question may stay without an answer, for a node that must not be ready any
/// more `not_ready_after` the last answer: the log may have fallen silent directly after
/// it, and the next question and the next look take their time. A short limit would leave
/// nothing for the answer: it gets half of it.
fn unanswered(not_ready_after: Duration) -> Duration {
    not_ready_after.saturating_sub(ASKED_EVERY + LOOK + SPARE).max(not_ready_after / 2)
}
