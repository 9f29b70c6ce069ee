//! Counts sockets: every opened one is closed exactly once.
//!
//! Invariants: a socket whose task is dropped or panics counts as closed with 1006.

use std::sync::Arc;

use super::context::Context;
use crate::{metrics::Metrics, model::CloseCode};

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

    /// The code as a label: peers may send codes that nobody knows.
    fn label(&self) -> String {
        let is_known = CloseCode::ALL.iter().any(|row| row.number == self.code);
        if is_known || matches!(self.code, 1005 | 1006) {
            self.code.to_string()
        } else {
            "other".to_owned()
        }
    }

    /// Counts the socket as closed with `code`.
    pub(super) fn close(mut self, code: u16) {
        self.code = code;
    }
}

impl Drop for Meter {
    fn drop(&mut self) {
        let code = self.label();
        self.metrics.connections.with_label_values(&[self.dialect]).dec();
        self.metrics.sockets_closed_total.with_label_values(&[self.dialect, &code]).inc();
    }
}
