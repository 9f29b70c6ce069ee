//! One realm of this node: whose records wait, and when it is looked at again.

use std::{
    sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    time::Duration,
};

use parking_lot::Mutex;
use tokio::{
    sync::{Notify, oneshot},
    time::{Instant, timeout},
};

use super::{
    context::unavailable,
    queue::{Queue, Written},
};
use crate::{
    clock::random_below,
    model::{RealmId, StatusRecord},
    presence::PresenceError,
    redis_client::Replicas,
};

/// How long a call waits until what it changed is written. It is written later then.
const WRITE_WAIT: Duration = Duration::from_secs(2);

/// How long a realm without users here is looked at after somebody asked for it.
const SLEEP_MS: u64 = 600_000;

/// How long a list of statuses serves those who ask for all.
const LIST_LIFE: Duration = Duration::from_secs(1);

/// A realm that this node has had to do with.
#[derive(Debug)]
pub(super) struct Realm {
    pub(super) id: RealmId,
    /// The key that its scripts are called with.
    pub(super) key: String,
    /// How many replicas its writings count on.
    pub(super) replicas: Replicas,
    pub(super) queue: Mutex<Queue>,
    /// Wakes the task that writes.
    pub(super) wake: Notify,
    /// True while the last writing failed.
    pub(super) is_failing: AtomicBool,
    /// When the first user of the realm is due, as far as this node knows.
    next_due_ms: AtomicU64,
    /// When it is looked for what this node does not know.
    next_look_ms: AtomicU64,
    touched_ms: AtomicU64,
    /// What [`list`](Self::list) remembers.
    listed: Mutex<Option<Listed>>,
}

impl Realm {
    pub(super) fn new(id: RealmId, key: String) -> Self {
        Self {
            id,
            key,
            replicas: Replicas::default(),
            queue: Mutex::default(),
            wake: Notify::new(),
            is_failing: AtomicBool::new(false),
            next_due_ms: AtomicU64::new(u64::MAX),
            next_look_ms: AtomicU64::new(0),
            touched_ms: AtomicU64::new(0),
            listed: Mutex::new(None),
        }
    }

    /// Whether it is time to sweep. A realm that `is_asleep` is not looked at for what is
    /// not known to be due.
    pub(super) fn is_due(&self, now_ms: u64, is_asleep: impl FnOnce() -> bool) -> bool {
        self.next_due_ms.load(Relaxed) <= now_ms
            || (self.next_look_ms.load(Relaxed) <= now_ms && !is_asleep())
    }

    /// Somebody has to do with this realm.
    pub(super) fn touch(&self, now_ms: u64) {
        self.touched_ms.store(now_ms, Relaxed);
    }

    /// Whether nobody has had to do with it for long.
    pub(super) fn is_asleep(&self, now_ms: u64) -> bool {
        self.touched_ms.load(Relaxed).saturating_add(SLEEP_MS) < now_ms
    }

    /// Notes when the first user is due.
    pub(super) fn due_at(&self, due_ms: Option<u64>) {
        self.next_due_ms.store(due_ms.unwrap_or(u64::MAX), Relaxed);
    }

    /// Looks again after about `every_ms`, not at the same moment as other nodes.
    pub(super) fn look_after(&self, now_ms: u64, every_ms: u64) {
        let jitter_ms = random_below(every_ms / 4 + 1);
        let wait_ms = every_ms.saturating_sub(every_ms / 8) + jitter_ms;
        self.next_look_ms.store(now_ms.saturating_add(wait_ms), Relaxed);
    }

    /// Looks again as soon as possible.
    pub(super) fn look_at_once(&self) {
        self.next_look_ms.store(0, Relaxed);
    }

    /// Waits for a writing.
    ///
    /// # Cancel safety
    ///
    /// Safe: it only waits.
    pub(super) async fn written(
        &self,
        written: oneshot::Receiver<Written>,
    ) -> Result<Written, PresenceError> {
        match timeout(WRITE_WAIT, written).await {
            Ok(Ok(written)) => Ok(written),
            Ok(Err(_closed)) => Err(unavailable("presence has stopped")),
            Err(_elapsed) => Err(unavailable("presence was not written in time")),
        }
    }

    /// Up to `limit` of a list that was made less than a moment ago.
    pub(super) fn list(&self, limit: usize) -> Option<Vec<StatusRecord>> {
        let listed = self.listed.lock();
        let listed = listed.as_ref()?;
        let serves = listed.limit >= limit && listed.made_at.elapsed() < LIST_LIFE;
        serves.then(|| listed.records.iter().take(limit).cloned().collect())
    }

    /// Remembers a list of at most `limit` for a moment.
    pub(super) fn remember_list(&self, limit: usize, records: &[StatusRecord]) {
        let records = records.to_vec();
        *self.listed.lock() = Some(Listed { made_at: Instant::now(), limit, records });
    }
}

/// Who was not offline a moment ago.
#[derive(Debug)]
struct Listed {
    made_at: Instant,
    limit: usize,
    records: Vec<StatusRecord>,
}
