//! Buffers for tasks that write a socket themselves: replies, blocked sockets, TLS.
//!
//! Invariants: a writer belongs to one caller at a time and for one call without
//! an await; as many exist as were ever used at once, which the worker threads bound.

use std::sync::Arc;

use parking_lot::Mutex;

use crate::{
    clock::Clock,
    hub::{Deliveries, Writer},
    metrics::Metrics,
};

/// Bytes that an idle buffer keeps, at most.
const SCRATCH_BYTES_MAX: usize = 1024 * 1024;

/// The writers of a node.
#[derive(Debug)]
pub(super) struct Writers {
    idle: Mutex<Vec<Writer>>,
    metrics: Arc<Metrics>,
    clock: Clock,
}

impl Writers {
    pub(super) fn new(metrics: &Arc<Metrics>, clock: Clock) -> Self {
        Self { idle: Mutex::default(), metrics: Arc::clone(metrics), clock }
    }

    /// Lends a writer to `work`.
    pub(super) fn with<T>(&self, work: impl FnOnce(&mut Writer) -> T) -> T {
        let idle = self.idle.lock().pop();
        let mut writer = idle.unwrap_or_else(|| {
            let deliveries = Deliveries::new(&self.metrics, self.clock.clone());
            Writer { scratch: Vec::new(), deliveries }
        });
        let result = work(&mut writer);
        writer.deliveries.flush();
        if writer.scratch.capacity() > SCRATCH_BYTES_MAX {
            writer.scratch = Vec::new();
        }
        self.idle.lock().push(writer);
        result
    }
}
