//! Tasks that have an owner, and how they stop.
//!
//! Invariants:
//! - a core task that ends or panics stops the node: a node without its tail
//!   looks healthy and is deaf;
//! - a session task that panics costs its own socket only;
//! - a drain ends at its deadline, whatever the tasks do.
//!
//! Not here: what the phases of a drain do (`app`).

use std::{
    future::Future,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

mod gate;
mod readiness;

pub use gate::Gate;
pub use readiness::Readiness;
use tokio::task::JoinSet;
pub use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::Instrument as _;

#[cfg(test)]
mod tests;

/// How a drain ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Drained {
    /// Every task ended by itself.
    Clean,
    /// So many tasks had to be aborted at the deadline.
    Aborted(usize),
}

/// The core tasks of a node.
#[derive(Debug)]
pub struct Tasks {
    stop: CancellationToken,
    running: JoinSet<&'static str>,
}

impl Tasks {
    /// An owner without tasks. Cancelling `stop` asks all of them to end; any of
    /// them ending cancels `stop`.
    #[must_use]
    pub fn new(stop: CancellationToken) -> Self {
        Self { stop, running: JoinSet::new() }
    }

    /// Starts a task that must run until the node stops.
    ///
    /// `make` gets the token to obey. The task returning early, or panicking, stops
    /// the node.
    pub fn spawn<F>(&mut self, name: &'static str, make: impl FnOnce(CancellationToken) -> F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let stop_node = self.stop.clone().drop_guard();
        let future = make(self.stop.child_token()).instrument(tracing::info_span!("task", name));
        self.running.spawn(async move {
            let _stop_node_on_exit = stop_node;
            future.await;
            name
        });
    }

    /// Asks every task to stop and waits up to `grace`, then aborts what is left.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future aborts the tasks that still run.
    pub async fn drain(mut self, grace: Duration) -> Drained {
        self.stop.cancel();
        let all_ended = async {
            while let Some(ended) = self.running.join_next().await {
                if let Err(error) = ended {
                    tracing::error!(%error, "core task panicked");
                }
            }
        };
        if tokio::time::timeout(grace, all_ended).await.is_ok() {
            return Drained::Clean;
        }
        let left = self.running.len();
        self.running.shutdown().await;
        Drained::Aborted(left)
    }
}

/// The session tasks of a node: many, short, each on its own.
#[derive(Debug, Clone, Default)]
pub struct Sessions {
    tracker: TaskTracker,
    panics: Arc<AtomicU64>,
}

impl Sessions {
    /// Starts a task that owns one socket. A panic ends this task alone.
    pub fn spawn<F>(&self, future: F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let guard = PanicGuard(Arc::clone(&self.panics));
        // TaskTracker owns the task; the handle is not needed to keep it alive.
        drop(self.tracker.spawn(Guarded { future, _count_a_panic: guard }));
    }

    /// How many session tasks run now.
    #[must_use]
    pub fn len(&self) -> usize {
        self.tracker.len()
    }

    /// True when no session task runs.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.tracker.is_empty()
    }

    /// How many session tasks panicked since the start.
    #[must_use]
    pub fn panics(&self) -> u64 {
        self.panics.load(Ordering::Relaxed)
    }

    /// Waits until all session tasks have ended, at most `grace`. Returns how many
    /// were still running.
    ///
    /// # Cancel safety
    ///
    /// Safe: nothing is stopped by it.
    pub async fn drain(&self, grace: Duration) -> usize {
        self.tracker.close();
        match tokio::time::timeout(grace, self.tracker.wait()).await {
            Ok(()) => 0,
            Err(_elapsed) => self.tracker.len(),
        }
    }
}

pin_project_lite::pin_project! {
    /// A session's future and its guard. An async block would keep room for the future
    /// twice, and every idle connection is one of these.
    struct Guarded<F> {
        #[pin]
        future: F,
        _count_a_panic: PanicGuard,
    }
}

impl<F: Future<Output = ()>> Future for Guarded<F> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, ctx: &mut Context<'_>) -> Poll<()> {
        self.project().future.poll(ctx)
    }
}

/// Counts a session task that was left by a panic.
#[derive(Debug)]
struct PanicGuard(Arc<AtomicU64>);

impl Drop for PanicGuard {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }
}
