//! What one turn delivered, counted without touching shared memory.
//!
//! Invariants: every frame of an event is counted once, when it is handed to the
//! socket; the shared metrics are touched once per turn, not once per delivery.

use std::sync::Arc;

use crate::{
    clock::Clock,
    metrics::{Class, DeliveryRecorder, DialectIndex, Metrics},
    model::{Body, Record},
};

/// Deliveries after which the date is read again within one turn.
const DATE_EVERY: u32 = 64;

/// Counts what one task writes to sockets.
#[derive(Debug)]
pub struct Deliveries {
    recorder: DeliveryRecorder,
    clock: Clock,
    now_us: u64,
    since_date: u32,
    dialect: Option<DialectIndex>,
}

impl Deliveries {
    /// An empty count that flushes into `metrics`.
    #[must_use]
    pub fn new(metrics: &Arc<Metrics>, clock: Clock) -> Self {
        let now_us = clock.now_us();
        let recorder = DeliveryRecorder::new(metrics);
        Self { recorder, clock, now_us, since_date: DATE_EVERY, dialect: None }
    }

    /// Says whose deliveries follow.
    pub fn of(&mut self, dialect: Option<DialectIndex>) {
        self.dialect = dialect;
    }

    /// Counts one frame of `record`, which is of `class`.
    pub fn event(&mut self, record: &Record, class: Class) {
        let Some(dialect) = self.dialect else { return };
        self.recorder.count(dialect, class, 1);
        if let Body::Event(event) = &record.body {
            self.recorder.written(dialect, &event.name);
        }
        if self.since_date >= DATE_EVERY {
            self.now_us = self.clock.now_us();
            self.since_date = 0;
        }
        self.since_date += 1;
        #[expect(clippy::cast_precision_loss, reason = "a delay far below 2^53 microseconds")]
        let seconds = self.now_us.saturating_sub(record.accepted_at_us) as f64 / 1e6;
        self.recorder.observe(class, seconds);
    }

    /// Counts one no-op.
    pub fn noop(&mut self) {
        let Some(dialect) = self.dialect else { return };
        self.recorder.count(dialect, Class::Noop, 1);
        self.recorder.written(dialect, "other");
    }

    /// Adds everything to the shared metrics. Once in each turn.
    pub fn flush(&mut self) {
        self.recorder.flush();
        self.since_date = DATE_EVERY;
    }
}
