//! Running until told to stop, and stopping in order.
//!
//! Not ready, then no new sockets, then every socket closed over the window, then
//! the ports and the core tasks.
//!
//! Invariants: each phase has a deadline; `hubbub_drain_phase` shows where it is;
//! while sockets are closed, those that knock are told to try another node.

use std::{sync::atomic::Ordering, time::Duration};

use tokio::time::sleep;

use super::{App, Stopped};
use crate::{lifecycle::Drained, ws::CLOSE_TIMEOUT};

/// How long sockets may take to say goodbye after the last was asked to.
const GOODBYE: Duration = CLOSE_TIMEOUT.saturating_add(Duration::from_secs(2));

/// How long it may take to write down where all connections are, before the first is
/// closed.
const WRITING: Duration = Duration::from_secs(2);

/// How often is looked whether sockets are left.
const PASS: Duration = Duration::from_millis(50);

/// How long the core tasks may take to end.
const END: Duration = Duration::from_secs(5);

/// How far a node is on its way out, as `hubbub_drain_phase` shows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// It serves, and wants no new connections.
    NotReady = 1,
    /// It closes its sockets.
    Draining = 2,
    /// Its parts end.
    Stopping = 3,
}

/// Serves until the stop is asked for, then drains.
pub(super) async fn run(app: App) -> Stopped {
    // A core task that ends cancels `end`: the node can't serve without it.
    tokio::select! {
        biased;
        () = app.tokens.end.cancelled() => {}
        () = app.tokens.stop.cancelled() => drain(&app).await,
    }
    let has_failed = app.tokens.end.is_cancelled();
    if has_failed {
        tracing::error!("a core task ended, the node stops");
        app.readiness.block("failed");
        app.tokens.draining.cancel();
    }
    enter(&app, Phase::Stopping);
    app.tokens.closing.cancel();
    let left = app.sessions.drain(GOODBYE).await;
    if left > 0 {
        tracing::warn!(left, "connections were cut");
    }
    let App { tasks, internal, .. } = app;
    let drained = tasks.drain(END).await;
    if let Some(internal) = internal {
        internal.stop().await;
    }
    tracing::info!(?drained, "stopped");
    if left == 0 && drained == Drained::Clean && !has_failed {
        Stopped::Clean
    } else {
        Stopped::CutShort
    }
}

/// Closes every socket. Returns early when a core task ends.
async fn drain(app: &App) {
    let shutdown = &app.config.shutdown;
    tracing::info!(window = ?shutdown.drain, "draining");
    app.readiness.block("draining");
    app.reloads.node.facts().is_draining.store(true, Ordering::Relaxed);
    enter(app, Phase::NotReady);
    let closing = async {
        sleep(shutdown.ready_delay).await;
        enter(app, Phase::Draining);
        app.tokens.draining.cancel();
        app.reloads.node.drain(shutdown.drain).await;
        while app.reloads.doorkeeper.sockets() > 0 {
            sleep(PASS).await;
        }
    };
    tokio::select! {
        biased;
        () = app.tokens.end.cancelled() => {}
        () = sleep(shutdown.ready_delay + WRITING + shutdown.drain + GOODBYE) => {}
        () = closing => {}
    }
}

fn enter(app: &App, phase: Phase) {
    app.metrics.drain_phase.set(phase as i64);
}
