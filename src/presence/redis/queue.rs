//! Users of one realm whose records have to be written, each once.
//!
//! Invariants:
//! - a user waits once, whatever happened to them, and who waits for them hears of the
//!   writing that has it all;
//! - urgent users are written in the order in which they came; what was not written goes
//!   back to the front;
//! - what only refreshes an activity waits until its time, or until something urgent
//!   happens to the user.
//!
//! The queue is bounded by the users of this node and by the calls that wait.

use std::collections::{HashMap, VecDeque, hash_map::Entry};

use foldhash::fast::RandomState;
use tokio::sync::oneshot;

use crate::model::{ConnectionId, ManualStatus, UserId};

/// How a writing went for who waits for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Written {
    /// It is in Redis, and every change that it made is published.
    Done,
    /// Too many users chose; nothing changed.
    Full,
}

/// A choice, or `None` for no choice any more, and who waits for it.
#[derive(Debug)]
pub(super) struct Choosing {
    pub(super) chosen: Option<ManualStatus>,
    pub(super) done: oneshot::Sender<Written>,
}

/// What is to be written of a user.
#[derive(Debug, Default)]
pub(super) struct Pending {
    /// Whether the record of their devices changed.
    pub(super) has_record: bool,
    /// Devices that are new to this node.
    pub(super) fresh: Vec<ConnectionId>,
    /// What they chose, in order; one in each writing.
    pub(super) choices: VecDeque<Choosing>,
    /// Who waits for the record.
    pub(super) waiting: Vec<oneshot::Sender<Written>>,
    /// When it is written at the latest, where that is not at once.
    lazy_until_ms: Option<u64>,
}

/// The users of one realm that wait.
#[derive(Debug, Default)]
pub(super) struct Queue {
    pending: HashMap<UserId, Pending, RandomState>,
    urgent: VecDeque<UserId>,
    lazy: VecDeque<(u64, UserId)>,
}

impl Queue {
    /// How many users wait.
    pub(super) fn len(&self) -> usize {
        self.pending.len()
    }

    /// Whether a user waits who must not.
    pub(super) fn is_urgent(&self) -> bool {
        !self.urgent.is_empty()
    }

    /// How many users wait who must not.
    pub(super) fn urgent(&self) -> usize {
        self.urgent.len()
    }

    /// The entry of a user who is written at once.
    pub(super) fn hurry(&mut self, user: &UserId) -> &mut Pending {
        let pending = match self.pending.entry(user.clone()) {
            Entry::Occupied(found) => {
                let found = found.into_mut();
                if found.lazy_until_ms.take().is_some() {
                    self.urgent.push_back(user.clone());
                }
                found
            }
            Entry::Vacant(vacant) => {
                self.urgent.push_back(user.clone());
                vacant.insert(Pending::default())
            }
        };
        pending.has_record = true;
        pending
    }

    /// The user chose. Their record is left as it is, unless it waits, too.
    pub(super) fn choose(&mut self, user: &UserId, choosing: Choosing) {
        let had_record = self.pending.get(user).is_some_and(|pending| pending.has_record);
        let pending = self.hurry(user);
        pending.has_record = had_record;
        pending.choices.push_back(choosing);
    }

    /// The record of a user is written by `until_ms`; calls come in the order of that.
    pub(super) fn delay(&mut self, user: &UserId, until_ms: u64) {
        if let Some(pending) = self.pending.get_mut(user) {
            pending.has_record = true;
            return;
        }
        let pending =
            Pending { has_record: true, lazy_until_ms: Some(until_ms), ..Pending::default() };
        self.pending.insert(user.clone(), pending);
        self.lazy.push_back((until_ms, user.clone()));
    }

    /// Makes urgent what has waited until `now_ms`. Returns who hears when the last of it
    /// is written; the others are by then.
    pub(super) fn promote(&mut self, now_ms: u64) -> Option<oneshot::Receiver<Written>> {
        let mut last = None;
        while let Some((until_ms, user)) = self.lazy.pop_front_if(|(until, _)| *until <= now_ms) {
            let waits =
                self.pending.get(&user).is_some_and(|it| it.lazy_until_ms == Some(until_ms));
            if waits {
                self.hurry(&user);
                last = Some(user);
            }
        }
        let (done, written) = oneshot::channel();
        self.pending.get_mut(&last?)?.waiting.push(done);
        Some(written)
    }

    /// Makes everything urgent.
    pub(super) fn promote_all(&mut self) {
        drop(self.promote(u64::MAX));
    }

    /// Takes up to `limit` urgent users.
    pub(super) fn take(&mut self, limit: usize) -> Vec<(UserId, Pending)> {
        let count = limit.min(self.urgent.len());
        let users = self.urgent.drain(..count);
        users.filter_map(|user| self.pending.remove_entry(&user)).collect()
    }

    /// Puts users back that were not written.
    pub(super) fn put_back(&mut self, batch: Vec<(UserId, Pending)>) {
        for (user, mut older) in batch.into_iter().rev() {
            // A choice that nobody waits for any more was reported as not made.
            older.choices.retain(|choosing| !choosing.done.is_closed());
            older.waiting.retain(|waiting| !waiting.is_closed());
            match self.pending.entry(user.clone()) {
                Entry::Vacant(vacant) => {
                    if older.has_record || !older.choices.is_empty() {
                        vacant.insert(Pending { lazy_until_ms: None, ..older });
                        self.urgent.push_front(user);
                    }
                }
                Entry::Occupied(mut found) => {
                    let newer = found.get_mut();
                    if newer.lazy_until_ms.take().is_some() {
                        self.urgent.push_front(user);
                    }
                    newer.has_record |= older.has_record;
                    newer.fresh.append(&mut older.fresh);
                    newer.waiting.append(&mut older.waiting);
                    older.choices.append(&mut newer.choices);
                    newer.choices = older.choices;
                }
            }
        }
    }
}
