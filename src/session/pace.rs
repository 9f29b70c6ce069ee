//! How fast one client may speak.
//!
//! Invariants: a message over the rate is refused and said so; who goes on for a
//! whole burst more is closed.

use tokio::time::Instant;

use crate::{
    config::Limits,
    limits::{Bucket, Rate},
};

/// What a message over the rate costs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Paced {
    /// It is in time.
    Fine,
    /// It is dropped, and the client is told.
    Dropped,
    /// The client was told often enough.
    Over,
}

/// The pace of one connection.
#[derive(Debug)]
pub(super) struct Pace {
    messages: Bucket,
    dropped: u32,
}

impl Pace {
    pub(super) fn new() -> Self {
        Self { messages: Bucket::new(Instant::now()), dropped: 0 }
    }

    /// Counts one message.
    pub(super) fn step(&mut self, limits: &Limits) -> Paced {
        let burst = f64::from(limits.commands_burst);
        let rate = Rate { per_second: limits.commands_per_second, burst };
        let now = Instant::now();
        if self.messages.is_full(rate, now) {
            self.dropped = 0;
        }
        if self.messages.take(1.0, rate, now).is_ok() {
            return Paced::Fine;
        }
        self.dropped += 1;
        if self.dropped > limits.commands_burst { Paced::Over } else { Paced::Dropped }
    }
}
