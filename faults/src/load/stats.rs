//! What the load counts and measures.

use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicU64, Ordering},
};

use parking_lot::Mutex;

/// Counters and samples of a run.
#[derive(Debug, Default)]
pub struct Stats {
    /// Events acknowledged.
    pub published: AtomicU64,
    /// Attempts that were answered with an error or not at all.
    pub attempts_failed: AtomicU64,
    /// Events that were refused for good.
    pub refused: AtomicU64,
    /// Events given up after a minute.
    pub given_up: AtomicU64,
    /// Acknowledgements that said `duplicate`.
    pub duplicates: AtomicU64,
    /// Changes of members acknowledged.
    pub changed: AtomicU64,
    /// Numbered messages received.
    pub delivered: AtomicU64,
    /// Sockets that continued a numbering.
    pub resumes: AtomicU64,
    /// Numberings that replaced another.
    pub resets: AtomicU64,
    /// Close codes; 1006 for a lost socket.
    pub closes: Mutex<BTreeMap<u16, u64>>,
    /// Close codes with reasons, those of an orderly end apart.
    pub reasons: Mutex<BTreeMap<String, u64>>,
    /// Refused or failed attempts to connect, by what was said.
    pub dials_failed: Mutex<BTreeMap<String, u64>>,
    /// Milliseconds from TCP connect to the first missed event, or to the 101.
    pub resume_ms: Mutex<Vec<f64>>,
    /// When an event was published (ms since 1970), and how long it took (ms).
    pub delivery_ms: Mutex<Vec<(f64, f64)>>,
    /// When sockets were opened (ms since 1970).
    pub opened_at: Mutex<Vec<f64>>,
    /// How long each acknowledged event took from its first attempt (ms).
    pub publish_ms: Mutex<Vec<(f64, f64)>>,
    /// What no client may ever see.
    pub violations: Mutex<Vec<String>>,
}

impl Stats {
    /// Counts one.
    pub fn count(counter: &AtomicU64) {
        counter.fetch_add(1, Ordering::Relaxed);
    }

    /// The value of a counter.
    #[must_use]
    pub fn of(counter: &AtomicU64) -> u64 {
        counter.load(Ordering::Relaxed)
    }

    /// Notes something that may never be seen.
    pub fn violation(&self, what: String) {
        self.violations.lock().push(what);
    }

    /// How often sockets were closed with `code`.
    #[must_use]
    pub fn closed(&self, code: u16) -> u64 {
        self.closes.lock().get(&code).copied().unwrap_or(0)
    }
}

/// The value below which this share (0 to 1) of the samples is; 0 without samples.
#[must_use]
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "a place in a list"
)]
pub fn percentile(samples: &[f64], share: f64) -> f64 {
    let mut sorted = samples.to_vec();
    sorted.sort_by(f64::total_cmp);
    let at = ((sorted.len().saturating_sub(1)) as f64 * share).ceil() as usize;
    sorted.get(at).copied().unwrap_or(0.0)
}
