//! A token bucket.
//!
//! Invariants: never more than `burst` tokens; time that runs backwards gives none.

use std::time::Duration;

use tokio::time::Instant;

/// How fast a bucket fills, and how much it holds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rate {
    /// Tokens per second. 0 means that the burst never comes back.
    pub per_second: f64,
    /// Tokens that a full bucket holds.
    pub burst: f64,
}

/// A bucket that starts full. Small, because every connection has some.
#[derive(Debug, Clone, Copy)]
pub struct Bucket {
    /// Tokens that are missing from a full bucket.
    missing: f32,
    at: Instant,
}

impl Bucket {
    /// A full bucket.
    #[must_use]
    pub fn new(now: Instant) -> Self {
        Self { missing: 0.0, at: now }
    }

    /// Takes `tokens`, or says after which time they would be there.
    ///
    /// # Errors
    ///
    /// How long to wait. More tokens than the bucket holds never come: then the time
    /// is that of a full bucket.
    pub fn take(&mut self, tokens: f64, rate: Rate, now: Instant) -> Result<(), Duration> {
        let missing = self.missing_at(rate, now);
        let wanted = missing + tokens;
        // A part in a million is lost to the small number type.
        if wanted <= rate.burst * (1.0 + 1e-6) {
            #[expect(clippy::cast_possible_truncation, reason = "a bucket holds far below 2^24")]
            {
                self.missing = wanted as f32;
            }
            self.at = now;
            return Ok(());
        }
        let seconds = (wanted - rate.burst).min(missing) / rate.per_second;
        let day = Duration::from_secs(86_400);
        Err(Duration::try_from_secs_f64(seconds).unwrap_or(day).clamp(Duration::ZERO, day))
    }

    /// True when nothing is missing: forgetting such a bucket changes nothing.
    #[must_use]
    pub fn is_full(&self, rate: Rate, now: Instant) -> bool {
        self.missing_at(rate, now) <= 0.0
    }

    fn missing_at(&self, rate: Rate, now: Instant) -> f64 {
        let passed = now.saturating_duration_since(self.at).as_secs_f64();
        (f64::from(self.missing) - passed * rate.per_second).max(0.0)
    }
}
