//! Running until told to stop, and stopping in order.
//!
//! Not ready, then no new sockets, then every socket closed over the window, then
//! the core tasks.
//!
//! Invariants: each phase has a deadline; `hubbub_drain_phase` shows where it is.

use std::time::Duration;

use super::{App, Stopped};
use crate::lifecycle::Drained;

/// How long sockets may take to say goodbye after the last was asked to.
const GOODBYE: Duration = Duration::from_secs(5);

/// How long the core tasks may take to end.
const END: Duration = Duration::from_secs(5);

/// Serves until the stop is asked for, then drains.
pub(super) async fn run(app: App) -> Stopped {
    // A core task that ends cancels `end`: the node can't serve without it.
    let has_failed = tokio::select! {
        biased;
        () = app.end.cancelled() => true,
        () = app.stop.cancelled() => false,
    };
    if has_failed {
        tracing::error!("a core task ended, the node stops");
    }
    tracing::info!("stopping");
    app.readiness.block("draining");
    app.metrics.ready.set(0);
    app.metrics.drain_phase.set(1);
    let shutdown = app.config.shutdown.clone();
    if !has_failed {
        tokio::time::sleep(shutdown.ready_delay).await;
    }
    app.metrics.drain_phase.set(2);
    app.draining.cancel();
    app.node.drain(shutdown.drain).await;
    let left = app.sessions.drain(shutdown.drain + GOODBYE).await;
    if left > 0 {
        tracing::warn!(left, "sockets were cut");
    }
    app.metrics.drain_phase.set(3);
    let drained = app.tasks.drain(END).await;
    app.internal.stop().await;
    tracing::info!(?drained, "stopped");
    if left == 0 && drained == Drained::Clean && !has_failed {
        Stopped::Clean
    } else {
        Stopped::CutShort
    }
}
