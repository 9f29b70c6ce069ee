//! How long to wait before the log is asked again.
//!
//! Invariants: waits grow up to the longest one, and are spread, so that nodes that
//! lost the log together do not come back together.

use std::time::Duration;

use crate::clock::random_below;

/// The first wait, at most.
const FIRST: Duration = Duration::from_millis(50);
/// Every wait, at most.
const LONGEST: Duration = Duration::from_secs(2);

/// The waits between attempts.
#[derive(Debug, Default)]
pub(super) struct Backoff {
    tries: u32,
}

impl Backoff {
    /// The next wait.
    pub(super) fn next(&mut self) -> Duration {
        let most = FIRST.saturating_mul(1 << self.tries.min(10)).min(LONGEST);
        self.tries = self.tries.saturating_add(1);
        // Never at once: an answer that comes quickly may be an error again.
        let most = u64::try_from(most.as_millis()).unwrap_or(u64::MAX);
        Duration::from_millis(most / 4 + random_below(most * 3 / 4 + 1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_up_to_the_longest() {
        let mut backoff = Backoff::default();
        let waits: Vec<Duration> = (0..40).map(|_| backoff.next()).collect();
        assert!(waits.iter().all(|wait| !wait.is_zero() && *wait <= LONGEST), "{waits:?}");
        assert!(waits[0] <= FIRST);
        assert!(waits[10..].iter().all(|wait| *wait >= LONGEST / 4));
        assert!(waits[10..].iter().any(|wait| *wait != waits[10]), "spread");
    }
}
