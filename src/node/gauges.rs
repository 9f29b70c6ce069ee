//! The numbers that are read for a page of metrics instead of being kept up to date.
//!
//! Whoever moves a record only notes how far it is: the sums over realms and hubs
//! cost the one who asks for them, and are never stale when a part does not move.
//!
//! Invariants: reading waits for nobody; a tail that stands still shows a lag that
//! grows.

use std::sync::atomic::{AtomicU64, Ordering};

use super::Node;
use crate::{hub::HubHandle, model::Record};

/// How far the tail of one realm is.
#[derive(Debug)]
pub(super) struct Progress {
    /// The newest offset that this node has heard of.
    known: AtomicU64,
    /// The offset up to which every hub has the records.
    carried: AtomicU64,
    /// When the oldest record was accepted that is on its way to the hubs, in
    /// microseconds since 1970; 0 when none is.
    carrying_since_us: AtomicU64,
    /// The age of the oldest of the records that last reached the hubs.
    age_us: AtomicU64,
}

impl Progress {
    /// A tail that has nothing to do after `offset`.
    pub(super) fn new(offset: u64) -> Self {
        Self {
            known: AtomicU64::new(offset),
            carried: AtomicU64::new(offset),
            carrying_since_us: AtomicU64::new(0),
            age_us: AtomicU64::new(0),
        }
    }

    /// The log has a record at `offset`.
    pub(super) fn heard_of(&self, offset: u64) {
        self.known.fetch_max(offset, Ordering::Relaxed);
    }

    /// Records leave for the hubs, `oldest` first.
    pub(super) fn carrying(&self, oldest: &Record) {
        self.carrying_since_us.store(oldest.accepted_at_us, Ordering::Relaxed);
    }

    /// Every hub has everything up to `offset`.
    pub(super) fn carried(&self, offset: u64, now_us: u64) {
        self.heard_of(offset);
        self.age_us.store(self.age_us(now_us), Ordering::Relaxed);
        self.carrying_since_us.store(0, Ordering::Relaxed);
        self.carried.store(offset, Ordering::Relaxed);
    }

    /// The offset up to which every hub has the records.
    pub(super) fn carried_offset(&self) -> u64 {
        self.carried.load(Ordering::Relaxed)
    }

    /// Records that the log has and the hubs do not.
    fn lag(&self) -> u64 {
        let carried = self.carried.load(Ordering::Relaxed);
        self.known.load(Ordering::Relaxed).saturating_sub(carried)
    }

    /// The age of the oldest record that is on its way, or of the last that was.
    fn age_us(&self, now_us: u64) -> u64 {
        match self.carrying_since_us.load(Ordering::Relaxed) {
            0 => self.age_us.load(Ordering::Relaxed),
            since => now_us.saturating_sub(since),
        }
    }
}

impl Node {
    /// The page of metrics, with the numbers of now.
    #[must_use]
    pub fn metrics_page(&self) -> String {
        self.hubs.iter().for_each(HubHandle::show_queue);
        self.show_tails();
        self.metrics.render()
    }

    fn show_tails(&self) {
        let now_us = self.clock.now_us();
        let (mut records, mut bytes, mut lag, mut age_us) = (0, 0, 0, 0);
        for entry in self.realms.read().values() {
            let fill = entry.realm.ring.fill();
            records += fill.records;
            bytes += fill.bytes;
            lag += entry.progress.lag();
            age_us = age_us.max(entry.progress.age_us(now_us));
        }
        let metrics = &self.metrics;
        metrics.ring_events.set(i64::try_from(records).unwrap_or(i64::MAX));
        metrics.ring_bytes.set(i64::try_from(bytes).unwrap_or(i64::MAX));
        metrics.tail_lag_events.set(i64::try_from(lag).unwrap_or(i64::MAX));
        #[expect(clippy::cast_precision_loss, reason = "a delay far below 2^53 microseconds")]
        metrics.tail_lag_seconds.set(age_us as f64 / 1e6);
    }
}
