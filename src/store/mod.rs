//! What survives a restart of a node that has no Redis: memberships, revocations,
//! chosen statuses and chat rooms with their histories, in one file.
//!
//! Who changes something takes a slot, hands over the changes in the order in which
//! they happened, and waits until they are on the disk. Changes that come while the
//! disk is busy are written together.
//!
//! Invariants:
//! - what [`Saving::done`] acknowledged is read back by the next [`open`];
//! - changes are written in the order in which they were handed over;
//! - a change that can't be written ends the task, and with it the node: nothing is
//!   acknowledged after that.
//!
//! Not here: what the changes mean (`log`, `presence`).

mod file;
mod rooms;
#[cfg(test)]
mod tests;

use std::{collections::HashMap, path::PathBuf, sync::Arc};

use parking_lot::Mutex;
use tokio::{
    sync::{mpsc, oneshot},
    time::Instant,
};

pub use file::{File, open};

use crate::{
    lifecycle::CancellationToken,
    metrics::Metrics,
    model::{ChatMessage, Id, ManualStatus, RealmId, Revocation, RoomKey, Topic, UserId},
};

/// Entries that may wait for the disk; more make the changer wait.
const WAITING_ENTRIES: usize = 1_024;

/// Entries that are written together, at most.
const BATCH_ENTRIES: usize = 1_024;

/// One thing that changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// A user became, or ceased to be, a member.
    Member {
        /// The tenant.
        realm: RealmId,
        /// Who.
        user: UserId,
        /// Of what.
        topic: Topic,
        /// True for a member.
        open: bool,
    },
    /// Tokens ended.
    Revoked {
        /// The tenant.
        realm: RealmId,
        /// Whose, and when.
        revocation: Revocation,
    },
    /// A workspace of Pydio was defined, or ceased to be.
    Workspace {
        /// The tenant.
        realm: RealmId,
        /// Which.
        id: Id,
        /// What it is from now on, as the log writes it.
        text: Option<String>,
    },
    /// A node of Pydio has a place, or none any more.
    Node {
        /// The tenant.
        realm: RealmId,
        /// Its unique name.
        uuid: Arc<str>,
        /// Its full path.
        path: Option<Arc<str>>,
    },
    /// What is in a folder of Pydio has moved with it, or is gone with it.
    Folder {
        /// The tenant.
        realm: RealmId,
        /// The path that the folder had.
        from: Arc<str>,
        /// The path that it has.
        to: Option<Arc<str>>,
    },
    /// A user chose a status; `Online` is no choice.
    Chosen {
        /// The tenant.
        realm: RealmId,
        /// Who.
        user: UserId,
        /// What.
        chosen: ManualStatus,
    },
    /// A chat room began.
    Room {
        /// The tenant.
        realm: RealmId,
        /// Its name.
        uuid: Id,
        /// What it is about.
        key: RoomKey,
        /// What people call it.
        label: Arc<str>,
        /// When, in seconds since 1970.
        updated_at: u64,
    },
    /// Something was said in a room, was changed, or was taken back.
    Said {
        /// The tenant.
        realm: RealmId,
        /// Its number in its room.
        number: u64,
        /// What; without its text when it was taken back.
        message: ChatMessage,
        /// True when it was taken back: only its name is remembered.
        is_deleted: bool,
    },
    /// What was said under this number is not kept any longer.
    Unsaid {
        /// The tenant.
        realm: RealmId,
        /// The room.
        room: Id,
        /// The number.
        number: u64,
    },
}

/// What was saved of one realm.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SavedRealm {
    /// User, topic, and whether the membership is open; in the order of the changes.
    pub members: Vec<(UserId, Topic, bool)>,
    /// Revocations, in the order of the changes.
    pub revocations: Vec<Revocation>,
    /// Workspaces of Pydio.
    pub workspaces: Vec<(Id, String)>,
    /// Where nodes of Pydio are.
    pub nodes: Vec<(Arc<str>, Arc<str>)>,
    /// What users chose; a timed choice follows the one that it covers.
    pub chosen: Vec<(UserId, ManualStatus)>,
    /// Chat rooms, in no order.
    pub rooms: Vec<SavedRoom>,
}

/// What was saved of one chat room.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SavedRoom {
    /// Its name.
    pub uuid: Id,
    /// What it is about.
    pub key: RoomKey,
    /// What people call it.
    pub label: Arc<str>,
    /// When it began, in seconds since 1970.
    pub updated_at: u64,
    /// Numbers and messages, oldest first, and whether they were taken back.
    pub messages: Vec<(u64, ChatMessage, bool)>,
}

/// What was saved, by realm.
pub type Saved = HashMap<RealmId, SavedRealm>;

/// Why the store can't be used.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The folder can't be made or read. The operator's fault.
    #[error("data.dir: {} can't be used", path.display())]
    Folder {
        /// Which.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// Another process has it open. It may end.
    #[error("data.dir: {} is in use by another process", path.display())]
    Locked {
        /// The file.
        path: PathBuf,
    },
    /// The file is not what this program wrote. The operator has to decide.
    #[error("data.dir: {} is damaged: restore it, or move it away to begin anew", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What the library said.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A newer program wrote it.
    #[error("data.dir: {} was written by a newer version", path.display())]
    Newer {
        /// The file.
        path: PathBuf,
    },
    /// The disk does not take it.
    #[error("changes can't be saved")]
    Write(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The store has stopped.
    #[error("the store has stopped")]
    Stopped,
}

impl StoreError {
    /// True when only a change by the operator helps.
    #[must_use]
    pub fn needs_operator(&self) -> bool {
        match self {
            Self::Folder { .. } | Self::Damaged { .. } | Self::Newer { .. } => true,
            Self::Locked { .. } | Self::Write(_) | Self::Stopped => false,
        }
    }
}

/// Some changes, and who waits for them.
#[derive(Debug)]
struct Entry {
    changes: Vec<Change>,
    done: oneshot::Sender<()>,
}

/// Where changes are handed over. Cloning shares it.
#[derive(Debug, Clone)]
pub struct Journal {
    entries: mpsc::Sender<Entry>,
    metrics: Arc<Metrics>,
}

/// Room for one entry.
#[derive(Debug)]
pub struct Slot<'a> {
    permit: mpsc::Permit<'a, Entry>,
    metrics: &'a Metrics,
}

/// Changes on their way to the disk.
#[derive(Debug)]
#[must_use = "nothing is saved before it is done"]
pub struct Saving(oneshot::Receiver<()>);

impl Journal {
    /// Waits for room.
    ///
    /// # Errors
    ///
    /// [`StoreError::Stopped`].
    ///
    /// # Cancel safety
    ///
    /// Safe: nothing was handed over.
    pub async fn slot(&self) -> Result<Slot<'_>, StoreError> {
        let permit = self.entries.reserve().await.map_err(|_closed| StoreError::Stopped)?;
        Ok(Slot { permit, metrics: &self.metrics })
    }
}

impl Slot<'_> {
    /// Hands over changes, in their order. Never waits, so that it can be called
    /// under the lock that orders them. Without changes it waits for earlier ones.
    pub fn save(self, changes: Vec<Change>) -> Saving {
        let (done, saved) = oneshot::channel();
        self.metrics.store_waiting_entries.inc();
        self.permit.send(Entry { changes, done });
        Saving(saved)
    }
}

impl Saving {
    /// Waits until the changes, and all before them, are on the disk.
    ///
    /// # Errors
    ///
    /// [`StoreError::Stopped`]: they may or may not be.
    ///
    /// # Cancel safety
    ///
    /// Safe: they are written all the same.
    pub async fn done(self) -> Result<(), StoreError> {
        self.0.await.map_err(|_dropped| StoreError::Stopped)
    }
}

/// Writes some changes as one step.
pub type Commit = Box<dyn FnMut(&[Change]) -> Result<(), StoreError> + Send>;

/// The task that writes.
pub struct Keeper {
    commit: Arc<Mutex<Commit>>,
    entries: mpsc::Receiver<Entry>,
    metrics: Arc<Metrics>,
}

impl std::fmt::Debug for Keeper {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Keeper").field("entries", &self.entries).finish_non_exhaustive()
    }
}

impl Keeper {
    /// A keeper that writes by `commit`, and where it gets its changes.
    #[must_use]
    pub fn new(commit: Commit, metrics: Arc<Metrics>) -> (Self, Journal) {
        let (sender, entries) = mpsc::channel(WAITING_ENTRIES);
        let journal = Journal { entries: sender, metrics: Arc::clone(&metrics) };
        (Self { commit: Arc::new(Mutex::new(commit)), entries, metrics }, journal)
    }

    /// Writes until `stop` is cancelled, then what waits; or until the disk fails.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future leaves it open whether the last changes were written.
    pub async fn run(mut self, stop: CancellationToken) {
        let mut batch = Vec::new();
        loop {
            // Both are cancel safe. What waits at the stop is written below.
            let count = tokio::select! {
                biased;
                () = stop.cancelled() => break,
                count = self.entries.recv_many(&mut batch, BATCH_ENTRIES) => count,
            };
            if count == 0 || !self.write(&mut batch).await {
                return;
            }
        }
        self.entries.close();
        while self.entries.recv_many(&mut batch, BATCH_ENTRIES).await > 0 {
            if !self.write(&mut batch).await {
                return;
            }
        }
    }

    /// Writes a batch and tells who waits. False when the disk failed.
    async fn write(&self, batch: &mut Vec<Entry>) -> bool {
        let began_at = Instant::now();
        let (mut changes, mut waiting) = (Vec::new(), Vec::with_capacity(batch.len()));
        for entry in batch.drain(..) {
            self.metrics.store_waiting_entries.dec();
            changes.extend(entry.changes);
            waiting.push(entry.done);
        }
        if !changes.is_empty() {
            let commit = Arc::clone(&self.commit);
            let written = tokio::task::spawn_blocking(move || commit.lock()(&changes)).await;
            let failed = match written {
                Ok(Ok(())) => None,
                Ok(Err(error)) => Some(Box::new(error) as Box<dyn std::error::Error>),
                Err(panicked) => Some(Box::new(panicked) as Box<dyn std::error::Error>),
            };
            if let Some(error) = failed {
                tracing::error!(error = error.as_ref(), "changes can't be saved, the node stops");
                return false;
            }
            self.metrics.store_commit_seconds.observe(began_at.elapsed().as_secs_f64());
        }
        for done in waiting {
            // Who gave up does not want to know.
            done.send(()).ok();
        }
        true
    }
}
