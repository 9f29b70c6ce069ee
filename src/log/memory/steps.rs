//! One step of a realm: what it appends reaches every tail, and the disk where it must.
//!
//! Invariants: room at every tail is reserved before a record gets its number; the lock of
//! a realm is never held across an await.

use std::sync::Arc;

use super::{
    Inbound, MemoryLog, Realm,
    realm::{RealmState, Sequel},
    saving::changes,
};
use crate::store::StoreError;

/// Whether a step waits until it is saved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wait {
    /// It changes nothing that is saved.
    Never,
    /// When it changed something.
    IfChanged,
    /// Also for what was changed before it.
    Always,
}

impl MemoryLog {
    /// Runs `step` on the realm when every tail has room for the records it may append,
    /// and waits as `wait` says.
    ///
    /// `records_max` is how many those are at most. A tail that attaches in between
    /// makes it reserve again, so that no tail misses a record.
    ///
    /// The error means that the records are in the log, but may not outlive the process.
    pub(super) async fn with_room<T>(
        &self,
        realm: &Realm,
        (records_max, wait): (usize, Wait),
        step: impl FnOnce(&mut RealmState, u64, &mut Sequel) -> T,
    ) -> Result<T, StoreError> {
        let journal = self.journal.as_ref().filter(|_| wait != Wait::Never);
        loop {
            let slot = match journal {
                Some(journal) => Some(journal.slot().await?),
                None => None,
            };
            let (version, tails) = realm.state.lock().tails();
            let mut permits = Vec::with_capacity(tails.len());
            let mut closed = false;
            for tail in &tails {
                match tail.reserve_many(records_max).await {
                    Ok(reserved) => permits.push(reserved),
                    Err(_gone) => closed = true,
                }
            }
            let (answer, saving) = {
                let mut state = realm.state.lock();
                if closed {
                    state.forget_closed_tails();
                    continue;
                }
                if state.tails_version() != version {
                    continue;
                }
                let mut sequel = Sequel::default();
                let answer = step(&mut state, self.clock.now_us(), &mut sequel);
                for mut reserved in permits {
                    for record in sequel.records() {
                        if let Some(permit) = reserved.next() {
                            permit.send(Inbound::Record(Arc::clone(record)));
                        }
                    }
                }
                // Under the lock, so that changes are saved in the order of the log.
                let saving = slot.and_then(|slot| {
                    let changes = changes(&realm.id, sequel.records());
                    let is_needed = wait == Wait::Always || !changes.is_empty();
                    is_needed.then(|| slot.save(changes))
                });
                (answer, saving)
            };
            if let Some(saving) = saving {
                saving.done().await?;
            }
            return Ok(answer);
        }
    }
}
