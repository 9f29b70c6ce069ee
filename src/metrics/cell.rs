//! The numbers behind the metrics: counters, gauges, histograms.
//!
//! Cloning shares the number, so that a part of the server resolves its labels
//! once and then pays one atomic addition.
//!
//! Invariants: a counter and a histogram never go down; a histogram's bounds
//! ascend.

use std::sync::{
    Arc,
    atomic::{AtomicI64, AtomicU64, Ordering},
};

/// A number that only grows.
#[derive(Debug, Clone, Default)]
pub struct Counter(Arc<AtomicU64>);

impl Counter {
    /// Adds one.
    pub fn inc(&self) {
        self.inc_by(1);
    }

    /// Adds `amount`.
    pub fn inc_by(&self, amount: u64) {
        self.0.fetch_add(amount, Ordering::Relaxed);
    }

    /// The number now.
    #[must_use]
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// A whole number that goes up and down.
#[derive(Debug, Clone, Default)]
pub struct Gauge(Arc<AtomicI64>);

impl Gauge {
    /// Sets it to `value`.
    pub fn set(&self, value: i64) {
        self.0.store(value, Ordering::Relaxed);
    }

    /// Adds `amount`, which may be negative.
    pub fn add(&self, amount: i64) {
        self.0.fetch_add(amount, Ordering::Relaxed);
    }

    /// Adds one.
    pub fn inc(&self) {
        self.add(1);
    }

    /// Takes one away.
    pub fn dec(&self) {
        self.add(-1);
    }

    /// The number now.
    #[must_use]
    pub fn get(&self) -> i64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// A number with a fraction that goes up and down.
#[derive(Debug, Clone, Default)]
pub struct FloatGauge(Arc<AtomicU64>);

impl FloatGauge {
    /// Sets it to `value`.
    pub fn set(&self, value: f64) {
        self.0.store(value.to_bits(), Ordering::Relaxed);
    }

    /// The number now.
    #[must_use]
    pub fn get(&self) -> f64 {
        f64::from_bits(self.0.load(Ordering::Relaxed))
    }
}

/// How many observations fell below each bound, and their sum.
#[derive(Debug, Clone)]
pub struct Histogram(Arc<Buckets>);

#[derive(Debug)]
struct Buckets {
    bounds: &'static [f64],
    /// One for each bound, and one for what lies above the last.
    counts: Vec<AtomicU64>,
    /// The bits of an `f64`.
    sum: AtomicU64,
}

/// What a histogram holds at one moment.
#[derive(Debug, Clone, PartialEq)]
pub struct HistogramValue {
    /// Bound and number of observations at or below it, ascending.
    pub buckets: Vec<(f64, u64)>,
    /// Number of observations.
    pub count: u64,
    /// Sum of the observations.
    pub sum: f64,
}

impl Histogram {
    /// An empty histogram with `bounds`, which must ascend.
    #[must_use]
    pub fn new(bounds: &'static [f64]) -> Self {
        let counts = (0..=bounds.len()).map(|_| AtomicU64::new(0)).collect();
        Self(Arc::new(Buckets { bounds, counts, sum: AtomicU64::new(0) }))
    }

    /// Adds one observation.
    pub fn observe(&self, value: f64) {
        self.observe_many(value, 1);
    }

    /// Adds `times` observations of the same `value`.
    pub fn observe_many(&self, value: f64, times: u64) {
        let place = self.place(value);
        if let Some(count) = self.0.counts.get(place) {
            count.fetch_add(times, Ordering::Relaxed);
        }
        self.add_to_sum(value * as_float(times));
    }

    /// An empty histogram of one task that is added to this one by
    /// [`LocalHistogram::flush`].
    #[must_use]
    pub fn local(&self) -> LocalHistogram {
        LocalHistogram { shared: self.clone(), counts: vec![0; self.0.counts.len()], sum: 0.0 }
    }

    /// What it holds now.
    #[must_use]
    pub fn get(&self) -> HistogramValue {
        let mut below = 0;
        let mut counts = self.0.counts.iter().map(|count| count.load(Ordering::Relaxed));
        let mut buckets = Vec::with_capacity(self.0.bounds.len());
        for (bound, count) in self.0.bounds.iter().zip(counts.by_ref()) {
            below += count;
            buckets.push((*bound, below));
        }
        let count = below + counts.next().unwrap_or(0);
        HistogramValue { buckets, count, sum: f64::from_bits(self.0.sum.load(Ordering::Relaxed)) }
    }

    fn place(&self, value: f64) -> usize {
        self.0.bounds.partition_point(|bound| *bound < value)
    }

    fn add_to_sum(&self, amount: f64) {
        let added = |bits| Some((f64::from_bits(bits) + amount).to_bits());
        // The closure never declines, so there is no error to look at.
        self.0.sum.fetch_update(Ordering::Relaxed, Ordering::Relaxed, added).ok();
    }
}

/// Observations of one task, without atomics, until they are flushed.
#[derive(Debug)]
pub struct LocalHistogram {
    shared: Histogram,
    counts: Vec<u64>,
    sum: f64,
}

impl LocalHistogram {
    /// Adds `times` observations of the same `value`.
    pub fn observe_many(&mut self, value: f64, times: u64) {
        let place = self.shared.place(value);
        if let Some(count) = self.counts.get_mut(place) {
            *count += times;
        }
        self.sum += value * as_float(times);
    }

    /// Adds what was observed since the last flush to the shared histogram.
    pub fn flush(&mut self) {
        let mut any = false;
        for (local, shared) in self.counts.iter_mut().zip(&self.shared.0.counts) {
            if *local > 0 {
                shared.fetch_add(std::mem::take(local), Ordering::Relaxed);
                any = true;
            }
        }
        if any {
            self.shared.add_to_sum(std::mem::take(&mut self.sum));
        }
    }
}

/// Counts are far below 2^52, where every whole number has its float.
#[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^52")]
fn as_float(count: u64) -> f64 {
    count as f64
}
