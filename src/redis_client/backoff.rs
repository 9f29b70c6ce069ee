//! How long to wait between attempts to connect.
//!
//! Invariants: full jitter between 0 and a ceiling that doubles from 50 ms to 2 s, so
//! that the nodes of a cluster do not come back in step.

use std::time::Duration;

use crate::clock::random_below;

/// The first ceiling.
const FIRST: Duration = Duration::from_millis(50);

/// The last ceiling.
const LAST: Duration = Duration::from_secs(2);

/// The waits of one row of attempts.
#[derive(Debug)]
pub(super) struct Backoff {
    ceiling: Duration,
}

impl Backoff {
    /// The row begins.
    pub(super) fn new() -> Self {
        Self { ceiling: FIRST }
    }

    /// The next wait.
    pub(super) fn next(&mut self) -> Duration {
        let ceiling = self.ceiling;
        self.ceiling = (ceiling * 2).min(LAST);
        random_part(ceiling)
    }

    /// True before the first wait of a row.
    pub(super) fn is_first(&self) -> bool {
        self.ceiling == FIRST
    }

    /// What was tried went well for so long: when that was a while, a new row begins.
    pub(super) fn lasted(&mut self, time: Duration) {
        if time >= LAST {
            self.ceiling = FIRST;
        }
    }
}

/// The wait before a request is repeated once.
pub(super) fn moment() -> Duration {
    FIRST + random_part(FIRST)
}

fn random_part(of: Duration) -> Duration {
    let micros = u64::try_from(of.as_micros()).unwrap_or(u64::MAX);
    Duration::from_micros(random_below(micros.saturating_add(1)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Goal: waits spread over the whole range, and the range grows to its end.
    /// Method: the largest of many waits at each step.
    #[test]
    fn waits_are_spread_below_a_ceiling_that_doubles() {
        let mut ceilings = [0_u128; 8];
        for _ in 0..300 {
            let mut backoff = Backoff::new();
            for largest in &mut ceilings {
                *largest = (*largest).max(backoff.next().as_millis());
            }
            backoff.lasted(LAST / 2);
            assert!(!backoff.is_first());
            backoff.lasted(LAST);
            assert!(backoff.is_first() && backoff.next() <= FIRST);
        }
        for (largest, limit) in ceilings.iter().zip([50, 100, 200, 400, 800, 1600, 2000, 2000]) {
            assert!(*largest <= limit && *largest > limit / 2, "{ceilings:?}");
        }
        assert!((FIRST..=FIRST * 2).contains(&moment()));
    }
}
