//! Whether a node may still speak for what it holds: a lease as its parts see it.
//!
//! A process that was paused does not notice it. What it finds in its queues then may
//! belong to somebody else, so whoever is about to send looks here first.
//!
//! Invariants:
//! - a gate is open until the moment that was named last, and not a moment longer;
//! - each time that it was closed, however shortly, is counted before it opens again.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::{sync::watch, time::Instant};

/// A gate that is open while a lease lasts. Cloning shares it.
#[derive(Debug, Clone)]
pub struct Gate(Arc<State>);

#[derive(Debug)]
struct State {
    /// The moment from which `until_us` counts.
    began_at: Instant,
    /// When the gate closes; the maximum for one that never does.
    until_us: AtomicU64,
    /// How often it has been closed and opened again.
    lapses: watch::Sender<u64>,
}

impl Gate {
    /// A gate that never closes: for a log that nobody shares.
    #[must_use]
    pub fn always() -> Self {
        Self::ending_at(Instant::now(), u64::MAX)
    }

    /// A gate that is open up to `until`.
    #[must_use]
    pub fn until(until: Instant) -> Self {
        let now = Instant::now();
        Self::ending_at(now, micros(until.saturating_duration_since(now)))
    }

    fn ending_at(began_at: Instant, until_us: u64) -> Self {
        let until_us = AtomicU64::new(until_us);
        Self(Arc::new(State { began_at, until_us, lapses: watch::Sender::new(0) }))
    }

    /// Keeps the gate open up to `until`, which never moves back.
    ///
    /// `until` counts from before the lease was asked for: the time that the answer took
    /// is a part of the lease. For one owner, who renews the lease.
    pub fn extend(&self, until: Instant) {
        let State { began_at, until_us, lapses } = &*self.0;
        if !self.is_open() {
            // Counted first: who finds it open finds the count, too.
            lapses.send_modify(|count| *count += 1);
        }
        until_us.fetch_max(micros(until.saturating_duration_since(*began_at)), Ordering::Release);
    }

    /// True while the lease lasts.
    #[must_use]
    pub fn is_open(&self) -> bool {
        let until_us = self.0.until_us.load(Ordering::Acquire);
        until_us == u64::MAX || micros(self.0.began_at.elapsed()) < until_us
    }

    /// How often the gate has been closed and opened again. Ask after
    /// [`Gate::is_open`], never before.
    #[must_use]
    pub fn lapses(&self) -> u64 {
        *self.0.lapses.borrow()
    }

    /// Waits until there are more lapses than `known`.
    ///
    /// # Cancel safety
    ///
    /// Safe: it only waits.
    pub async fn lapsed_since(&self, known: u64) {
        if self.0.until_us.load(Ordering::Acquire) == u64::MAX {
            return std::future::pending().await;
        }
        let mut lapses = self.0.lapses.subscribe();
        // The sender lives as long as this gate.
        if lapses.wait_for(|count| *count > known).await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}
