//! What one turn delivered, counted without touching shared memory.
//!
//! Invariants: every frame of an event is counted once, when it is handed to the
//! socket; the shared metrics are touched once per turn, not once per delivery.

use std::sync::Arc;

use crate::{
    clock::Clock,
    metrics::{Class, DeliveryRecorder, DialectIndex, Metrics},
};

/// Deliveries that are timed together, at most.
const RUN_MAX: u32 = 64;

/// Counts what one task writes to sockets.
#[derive(Debug)]
pub struct Deliveries {
    recorder: DeliveryRecorder,
    clock: Clock,
    dialect: Option<DialectIndex>,
    run: Run,
}

/// Deliveries of one class that were accepted at one moment and written together:
/// they are timed once.
#[derive(Debug)]
struct Run {
    class: Class,
    accepted_at_us: u64,
    length: u32,
}

impl Deliveries {
    /// An empty count that flushes into `metrics`.
    #[must_use]
    pub fn new(metrics: &Arc<Metrics>, clock: Clock) -> Self {
        let run = Run { class: Class::Noop, accepted_at_us: 0, length: 0 };
        Self { recorder: DeliveryRecorder::new(metrics), clock, dialect: None, run }
    }

    /// Says whose deliveries follow.
    pub fn of(&mut self, dialect: Option<DialectIndex>) {
        self.dialect = dialect;
    }

    /// Counts one frame of `class` whose record was accepted at that moment.
    pub fn count(&mut self, class: Class, accepted_at_us: u64) {
        let Some(dialect) = self.dialect else { return };
        self.recorder.count(dialect, class, 1);
        let Run { length, .. } = self.run;
        let goes_on = self.run.accepted_at_us == accepted_at_us && self.run.class == class;
        if !goes_on || length >= RUN_MAX {
            self.time_run();
            self.run = Run { class, accepted_at_us, length: 0 };
        }
        self.run.length += 1;
    }

    fn time_run(&mut self) {
        let Run { class, accepted_at_us, length } = self.run;
        if length > 0 && class != Class::Noop {
            let delay_us = self.clock.now_us().saturating_sub(accepted_at_us);
            #[expect(clippy::cast_precision_loss, reason = "far below 2^53 microseconds")]
            self.recorder.observe(class, delay_us as f64 / 1e6, u64::from(length));
        }
        self.run.length = 0;
    }

    /// Adds everything to the shared metrics. Once in each turn.
    pub fn flush(&mut self) {
        self.time_run();
        self.recorder.flush();
    }
}
