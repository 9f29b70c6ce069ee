//! What one hub counts about deliveries, without atomics until its turn ends.
//!
//! Invariants: nothing recorded is lost or counted twice; the shared numbers
//! move only in [`DeliveryRecorder::flush`].

use std::sync::Arc;

use prometheus::local::{LocalHistogram, LocalIntCounter};

use super::{
    CLASSES, DIALECTS, MattermostMetrics, Metrics, TIMED_CLASSES, mattermost::WrittenNames,
};

/// What kind of event was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// An event that a replay repeats.
    Durable,
    /// An event that a replay replaces by a no-op.
    Ephemeral,
    /// A no-op in the place of an event.
    Noop,
}

impl Class {
    /// The value of the label.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Durable => "durable",
            Self::Ephemeral => "ephemeral",
            Self::Noop => "noop",
        }
    }

    fn index(self) -> usize {
        match self {
            Self::Durable => 0,
            Self::Ephemeral => 1,
            Self::Noop => 2,
        }
    }
}

/// A dialect in the tables of a [`DeliveryRecorder`], resolved once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DialectIndex(usize);

impl DialectIndex {
    /// Finds the dialect `name`; `None` when the table of metrics has no such dialect.
    #[must_use]
    pub fn of(name: &str) -> Option<Self> {
        DIALECTS.iter().position(|dialect| *dialect == name).map(Self)
    }

    fn is_mattermost(self) -> bool {
        DIALECTS.get(self.0) == Some(&"mattermost")
    }
}

/// The deliveries of one task since its last flush.
#[derive(Debug)]
pub struct DeliveryRecorder {
    counts: [[LocalIntCounter; CLASSES.len()]; DIALECTS.len()],
    seconds: [LocalHistogram; TIMED_CLASSES.len()],
    /// Messages under Mattermost's own names, when they are exported.
    names: Option<WrittenNames>,
}

impl DeliveryRecorder {
    /// An empty recorder that flushes into `metrics`.
    #[must_use]
    pub fn new(metrics: &Arc<Metrics>) -> Self {
        let count =
            |dialect, class| metrics.deliveries_total.with_label_values(&[dialect, class]).local();
        let counts = DIALECTS.map(|dialect| CLASSES.map(|class| count(dialect, class)));
        let seconds =
            TIMED_CLASSES.map(|class| metrics.delivery_seconds.with_label_values(&[class]).local());
        let names = metrics.mattermost.as_ref().map(MattermostMetrics::local);
        Self { counts, seconds, names }
    }

    /// Counts `times` events of `class` written to sockets of `dialect`.
    pub fn count(&mut self, dialect: DialectIndex, class: Class, times: u64) {
        if let Some(count) = self.counts.get(dialect.0).and_then(|row| row.get(class.index())) {
            count.inc_by(times);
        }
    }

    /// Counts a message to a socket of `dialect` under the event's `name`.
    pub fn written(&mut self, dialect: DialectIndex, name: &str) {
        if let (Some(names), true) = (&mut self.names, dialect.is_mattermost()) {
            names.count(name);
        }
    }

    /// Adds `times` deliveries that took `seconds` from the accepted publish to the
    /// written socket. No-ops are not timed.
    pub fn observe(&mut self, class: Class, seconds: f64, times: u64) {
        if let Some(histogram) = self.seconds.get(class.index()) {
            (0..times).for_each(|_| histogram.observe(seconds));
        }
    }

    /// Adds everything to the shared metrics. Once in each turn of the hub.
    pub fn flush(&mut self) {
        self.counts.iter().flatten().for_each(LocalIntCounter::flush);
        self.seconds.iter().for_each(LocalHistogram::flush);
        if let Some(names) = &self.names {
            names.flush();
        }
    }
}
