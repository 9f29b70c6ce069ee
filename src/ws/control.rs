//! How many pings and pongs a peer may send.
//!
//! Every ping is answered while the peer stays within its rate, so a suite that
//! sends ten at once gets ten pongs; a flood ends the conversation instead of
//! filling a queue.

use std::time::Duration;

use tokio::time::Instant;

/// A rate with a burst.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rate {
    per_second: f64,
    burst: f64,
}

impl Rate {
    /// No limit.
    pub const UNLIMITED: Self = Self { per_second: f64::INFINITY, burst: f64::INFINITY };

    /// Seconds of the sustained rate that may come at once.
    const BURST_SECONDS: f64 = 4.0;

    /// `per_second` sustained, four seconds of it at once.
    #[must_use]
    pub fn per_second(per_second: f64) -> Self {
        Self { per_second, burst: (per_second * Self::BURST_SECONDS).max(1.0) }
    }
}

/// A leaky bucket: every frame adds one, time empties it.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Bucket {
    level: f32,
    counted_at: Option<Instant>,
}

impl Bucket {
    /// Counts one frame at `now`. False when it is one too many.
    pub(super) fn admit(&mut self, rate: Rate, now: Instant) -> bool {
        let quiet = match self.counted_at {
            Some(at) => now.saturating_duration_since(at),
            None => Duration::ZERO,
        };
        self.counted_at = Some(now);
        let level = (f64::from(self.level) - quiet.as_secs_f64() * rate.per_second).max(0.0) + 1.0;
        #[expect(clippy::cast_possible_truncation, reason = "a small count; precision is enough")]
        let stored = level as f32;
        self.level = stored;
        level <= rate.burst
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Goal: bursts pass, floods do not, and quiet time pays back.
    #[test]
    fn w11_a_burst_passes_and_a_flood_does_not() {
        let rate = Rate::per_second(10.0);
        let mut bucket = Bucket::default();
        let mut now = Instant::now();
        assert_eq!((0..1_000).filter(|_| bucket.admit(rate, now)).count(), 40);

        let mut bucket = Bucket::default();
        for _ in 0..10_000 {
            assert!(bucket.admit(rate, now), "ten a second for ever");
            now += Duration::from_millis(100);
        }
        let mut bucket = Bucket::default();
        assert!((0..1_000_000).all(|_| bucket.admit(Rate::UNLIMITED, now)));
    }
}
