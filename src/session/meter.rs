//! Counts sockets: every opened one is closed exactly once.
//!
//! Invariants: a socket whose task is dropped or panics counts as closed with 1006.

use std::sync::Arc;

use super::context::Context;
use crate::metrics::Metrics;

/// One open socket in the metrics.
#[derive(Debug)]
pub(super) struct Meter {
    metrics: Arc<Metrics>,
    dialect: &'static str,
    code: u16,
}

impl Meter {
    /// Counts an opened socket.
    pub(super) fn open(context: &Context, dialect: &'static str) -> Self {
        let metrics = Arc::clone(context.node.metrics());
        metrics.sockets_opened_total.with_label_values(&[dialect]).inc();
        metrics.connections.with_label_values(&[dialect]).inc();
        Self { metrics, dialect, code: 1006 }
    }

    /// Counts the socket as closed with `code`.
    pub(super) fn close(mut self, code: u16) {
        self.code = code;
    }
}

impl Drop for Meter {
    fn drop(&mut self) {
        self.metrics.connections.with_label_values(&[self.dialect]).dec();
        self.metrics.socket_closed(self.dialect, self.code);
    }
}
