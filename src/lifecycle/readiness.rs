//! Whether this node should get new connections, and why not.
//!
//! Invariants: a node is ready exactly when nobody has a reason against it.

use std::{collections::BTreeSet, sync::Arc};

use parking_lot::Mutex;

/// The reasons against being ready. Cloning shares them.
#[derive(Debug, Clone, Default)]
pub struct Readiness(Arc<Mutex<BTreeSet<&'static str>>>);

impl Readiness {
    /// Not ready, for one reason.
    #[must_use]
    pub fn blocked_by(reason: &'static str) -> Self {
        let readiness = Self::default();
        readiness.block(reason);
        readiness
    }

    /// Adds a reason, a short name in lower case such as `draining`.
    pub fn block(&self, reason: &'static str) {
        self.0.lock().insert(reason);
    }

    /// Takes a reason back.
    pub fn clear(&self, reason: &'static str) {
        self.0.lock().remove(reason);
    }

    /// The reasons, in alphabetical order.
    #[must_use]
    pub fn reasons(&self) -> Vec<&'static str> {
        self.0.lock().iter().copied().collect()
    }

    /// True when there is no reason.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.0.lock().is_empty()
    }
}
