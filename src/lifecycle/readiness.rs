//! Whether a node should get new connections, and why not.
//!
//! Invariants: a node is ready when nobody has a reason against it; a reason that
//! is given twice is withdrawn once.

use std::{collections::BTreeSet, sync::Arc};

use tokio::sync::watch;

/// The reasons against giving new connections to this node. Cloning shares them.
#[derive(Debug, Clone)]
pub struct Readiness(Arc<watch::Sender<BTreeSet<&'static str>>>);

impl Readiness {
    /// A node that is not ready, for the `first` reason.
    #[must_use]
    pub fn blocked(first: &'static str) -> Self {
        Self(Arc::new(watch::Sender::new(BTreeSet::from([first]))))
    }

    /// Gives a reason: one word in `snake_case`.
    pub fn block(&self, reason: &'static str) {
        self.0.send_if_modified(|reasons| reasons.insert(reason));
    }

    /// Withdraws a reason.
    pub fn clear(&self, reason: &'static str) {
        self.0.send_if_modified(|reasons| reasons.remove(reason));
    }

    /// The reasons of now, in order; none when the node is ready.
    #[must_use]
    pub fn reasons(&self) -> Vec<&'static str> {
        self.0.borrow().iter().copied().collect()
    }

    /// Tells each change of the reasons.
    #[must_use]
    pub fn changes(&self) -> watch::Receiver<BTreeSet<&'static str>> {
        self.0.subscribe()
    }
}
