//! Whether a node should get new connections, and why not.
//!
//! Invariants: a node is ready when nobody has a reason against it; a reason that
//! is given twice is withdrawn once; a node whose beats are late is not ready, and
//! whoever asks finds out by itself.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use parking_lot::Mutex;
use tokio::time::Instant;

/// The reason of a node that does not get to beat in time.
const STUCK: &str = "stuck";

/// The reasons against giving new connections to this node. Cloning shares them.
#[derive(Debug, Clone)]
pub struct Readiness(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    reasons: BTreeSet<&'static str>,
    /// How long a beat lasts, and when the last one came.
    beats: Option<(Duration, Instant)>,
}

impl Readiness {
    /// A node that is not ready, for the `first` reason.
    #[must_use]
    pub fn blocked(first: &'static str) -> Self {
        Self(Arc::new(Mutex::new(State { reasons: BTreeSet::from([first]), beats: None })))
    }

    /// Gives a reason: one word in `snake_case`.
    pub fn block(&self, reason: &'static str) {
        self.0.lock().reasons.insert(reason);
    }

    /// Withdraws a reason.
    pub fn clear(&self, reason: &'static str) {
        self.0.lock().reasons.remove(reason);
    }

    /// Says that the node's runtime got to run. It is `stuck` when no other beat
    /// comes within `lasts`.
    pub fn beat(&self, lasts: Duration) {
        self.0.lock().beats = Some((lasts, Instant::now()));
    }

    /// Expects no more beats: who stops on purpose is not stuck.
    pub fn rest(&self) {
        self.0.lock().beats = None;
    }

    /// The reasons of now, in order; none when the node is ready.
    #[must_use]
    pub fn reasons(&self) -> Vec<&'static str> {
        let state = self.0.lock();
        let is_late = state.beats.is_some_and(|(lasts, at)| at.elapsed() > lasts);
        let mut reasons: Vec<_> = state.reasons.iter().copied().collect();
        if is_late {
            reasons.push(STUCK);
        }
        reasons.sort_unstable();
        reasons
    }
}
