//! The jobs that wait for the publisher of one realm.
//!
//! Invariants: bounded; who publishes never waits to hand a job over; the publisher is
//! woken early only by as many as it said would be enough.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use tokio::{
    sync::{Notify, mpsc},
    time::{Instant, sleep_until},
};

use super::publisher::Job;

/// Jobs that may wait in front of one publisher.
const JOBS: usize = 4_096;

/// Where jobs are handed over.
#[derive(Debug, Clone)]
pub(super) struct Jobs {
    queue: mpsc::Sender<Job>,
    crowd: Arc<Crowd>,
}

/// Where the publisher takes them.
#[derive(Debug)]
pub(super) struct Waiting {
    queue: mpsc::Receiver<Job>,
    crowd: Arc<Crowd>,
}

#[derive(Debug)]
struct Crowd {
    /// How many have to wait before somebody says so.
    enough: AtomicUsize,
    has_come: Notify,
}

/// Nobody waits for a crowd.
const NEVER: usize = usize::MAX;

/// The queue is full, or its publisher has gone.
#[derive(Debug)]
pub(super) struct Refused;

pub(super) fn jobs() -> (Jobs, Waiting) {
    let (sender, receiver) = mpsc::channel(JOBS);
    let crowd = Arc::new(Crowd { enough: AtomicUsize::new(NEVER), has_come: Notify::new() });
    (Jobs { queue: sender, crowd: Arc::clone(&crowd) }, Waiting { queue: receiver, crowd })
}

impl Jobs {
    pub(super) fn offer(&self, job: Job) -> Result<(), Refused> {
        self.queue.try_send(job).map_err(|_job| Refused)?;
        let waiting = JOBS - self.queue.capacity();
        if waiting >= self.crowd.enough.load(Ordering::Relaxed) {
            self.crowd.has_come.notify_one();
        }
        Ok(())
    }
}

impl Waiting {
    /// The next one; `None` when nobody will hand one over any more.
    ///
    /// # Cancel safety
    ///
    /// Safe: nothing is lost.
    pub(super) async fn recv(&mut self) -> Option<Job> {
        self.queue.recv().await
    }

    pub(super) fn try_recv(&mut self) -> Option<Job> {
        self.queue.try_recv().ok()
    }

    /// Takes no more than what waits.
    pub(super) fn close(&mut self) {
        self.queue.close();
    }

    /// Waits until so many wait, but not beyond `deadline`.
    ///
    /// # Cancel safety
    ///
    /// Safe.
    pub(super) async fn gather(&self, enough: usize, deadline: Instant) {
        self.crowd.enough.store(enough, Ordering::Relaxed);
        if self.queue.len() < enough {
            tokio::select! {
                biased;
                () = self.crowd.has_come.notified() => {}
                () = sleep_until(deadline) => {}
            }
        }
        self.crowd.enough.store(NEVER, Ordering::Relaxed);
    }
}
