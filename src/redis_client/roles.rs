//! Whether the connections of each role are open, for the metrics.
//!
//! Invariants: a role is up when it has a connection and every one of them is open.

use std::{fmt, sync::Arc};

use parking_lot::Mutex;

use crate::metrics::{Metrics, REDIS_ROLES};

/// The counts of every role.
pub(super) struct Roles {
    metrics: Arc<Metrics>,
    counts: Mutex<[Count; REDIS_ROLES.len()]>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Count {
    wanted: usize,
    open: usize,
}

impl Roles {
    /// No connection yet.
    pub(super) fn new(metrics: &Arc<Metrics>) -> Arc<Self> {
        let counts = Mutex::new([Count::default(); REDIS_ROLES.len()]);
        Arc::new(Self { metrics: Arc::clone(metrics), counts })
    }

    /// One more connection is wanted in `role`, which is closed so far.
    pub(super) fn want(self: &Arc<Self>, role: &'static str) -> Wanted {
        self.change(role, |count| count.wanted += 1);
        let roles = Arc::clone(self);
        Wanted { roles, role, state: Mutex::new(State::default()) }
    }

    fn change(&self, role: &str, change: impl FnOnce(&mut Count)) {
        let mut counts = self.counts.lock();
        let place = REDIS_ROLES.iter().position(|known| *known == role);
        let Some(count) = counts.get_mut(place.unwrap_or(REDIS_ROLES.len() - 1)) else { return };
        change(count);
        let is_up = count.wanted > 0 && count.open == count.wanted;
        self.metrics.redis_up.with_label_values(&[role]).set(i64::from(is_up));
    }
}

/// A connection that should be open. Dropping it means that it is wanted no more.
pub(super) struct Wanted {
    roles: Arc<Roles>,
    role: &'static str,
    state: Mutex<State>,
}

#[derive(Debug, Clone, Copy, Default)]
struct State {
    is_open: bool,
    was_open: bool,
}

impl Wanted {
    /// It is open. Returns whether it was lost before, which is counted.
    pub(super) fn up(&self) -> bool {
        let mut state = self.state.lock();
        let before = std::mem::replace(&mut *state, State { is_open: true, was_open: true });
        drop(state);
        if before.is_open {
            return false;
        }
        if before.was_open {
            self.roles.metrics.redis_reconnects_total.with_label_values(&[self.role]).inc();
        }
        self.roles.change(self.role, |count| count.open += 1);
        before.was_open
    }

    /// It is closed. Returns whether it was open.
    pub(super) fn down(&self) -> bool {
        let mut state = self.state.lock();
        let was_open = std::mem::replace(&mut state.is_open, false);
        drop(state);
        if was_open {
            self.roles.change(self.role, |count| count.open -= 1);
        }
        was_open
    }
}

impl fmt::Debug for Wanted {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("Wanted").field(&self.role).finish()
    }
}

impl Drop for Wanted {
    fn drop(&mut self) {
        self.down();
        self.roles.change(self.role, |count| count.wanted -= 1);
    }
}
