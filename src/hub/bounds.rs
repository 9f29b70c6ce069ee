//! What bounds the links of a node, and the clock that they share.
//!
//! Invariants: a reload takes effect for open links; reading a bound costs one load.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::time::Instant;

use super::outbox::OutboxLimits;
use crate::metrics::Metrics;

/// What all links of a node share.
#[derive(Debug)]
pub struct LinkContext {
    limits: LiveLimits,
    /// The moment from which the link's small clocks count.
    epoch: Instant,
    /// Sums over all outboxes go here.
    metrics: Arc<Metrics>,
}

/// What bounds a link. Durations count in tenths of a second.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LinkLimits {
    /// The bounds of each outbox.
    pub outbox: OutboxLimits,
    /// Longest time that a waiting outbox makes no progress.
    pub stall: Duration,
    /// Quiet time after which the server pings.
    pub ping_interval: Duration,
    /// Time that a ping may stay unanswered.
    pub pong_timeout: Duration,
    /// Longest time from the first to the last byte of a message.
    pub message_timeout: Duration,
}

/// [`LinkLimits`] that a reload changes while hubs read them. Each value is right
/// by itself, so no order between them is needed.
#[derive(Debug, Default)]
struct LiveLimits {
    outbox_events: AtomicUsize,
    outbox_bytes: AtomicUsize,
    stall: AtomicU32,
    ping_interval: AtomicU32,
    pong_timeout: AtomicU32,
    message_timeout: AtomicU32,
}

impl LinkContext {
    /// What the links of a node share; its clock begins now.
    #[must_use]
    pub fn new(limits: LinkLimits, metrics: Arc<Metrics>) -> Self {
        let context = Self { limits: LiveLimits::default(), epoch: Instant::now(), metrics };
        context.apply_limits(limits);
        context
    }

    /// Changes the bounds of all links, open ones included.
    pub fn apply_limits(&self, limits: LinkLimits) {
        let LinkLimits { outbox, stall, ping_interval, pong_timeout, message_timeout } = limits;
        let live = &self.limits;
        live.outbox_events.store(outbox.events, Ordering::Relaxed);
        live.outbox_bytes.store(outbox.bytes, Ordering::Relaxed);
        live.stall.store(ticks(stall), Ordering::Relaxed);
        live.ping_interval.store(ticks(ping_interval), Ordering::Relaxed);
        live.pong_timeout.store(ticks(pong_timeout), Ordering::Relaxed);
        live.message_timeout.store(ticks(message_timeout), Ordering::Relaxed);
    }

    /// Tenths of a second since the epoch: enough for timers, and small.
    #[must_use]
    pub fn ticks(&self) -> u32 {
        ticks(self.epoch.elapsed())
    }

    /// The moment from which ticks count.
    pub(super) fn epoch(&self) -> Instant {
        self.epoch
    }

    /// Where the sums over all outboxes go.
    pub(super) fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// Longest time that a waiting outbox makes no progress, in ticks.
    pub(super) fn stall(&self) -> u32 {
        self.limits.stall.load(Ordering::Relaxed)
    }

    /// Longest time of one message, in ticks.
    pub(super) fn message_timeout(&self) -> u32 {
        self.limits.message_timeout.load(Ordering::Relaxed)
    }

    /// Quiet time after which the server pings, in ticks.
    pub(super) fn ping_interval(&self) -> u32 {
        self.limits.ping_interval.load(Ordering::Relaxed)
    }

    /// Time that a ping may stay unanswered, in ticks.
    pub(super) fn pong_timeout(&self) -> u32 {
        self.limits.pong_timeout.load(Ordering::Relaxed)
    }

    /// The bounds of each outbox.
    pub(super) fn outbox(&self) -> OutboxLimits {
        OutboxLimits {
            events: self.limits.outbox_events.load(Ordering::Relaxed),
            bytes: self.limits.outbox_bytes.load(Ordering::Relaxed),
        }
    }
}

/// A duration in tenths of a second.
pub(super) fn ticks(duration: Duration) -> u32 {
    u32::try_from(duration.as_millis() / 100).unwrap_or(u32::MAX)
}
