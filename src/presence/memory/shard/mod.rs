//! A part of the users behind one lock, and when each is looked at again.
//!
//! Invariants:
//! - `due` holds each entry with a due time exactly once; a due time is never after
//!   the moment at which time alone changes the status, and may be before it, so
//!   that activity does not have to move it;
//! - `idle` holds exactly the idle entries, and is bounded: who went longest ago is
//!   forgotten first;
//! - `counts` counts each entry once, under the status it was last told with.
//!
//! Not here: the rules (`merge`), the lock (the backend), what only a backend needs whose
//! users are on other nodes, too (`mirror`).

mod mirror;

use std::{
    collections::{BTreeSet, HashMap},
    mem,
    sync::Arc,
};

use foldhash::fast::RandomState;
use slab::Slab;

use super::{
    super::{
        Ending, Explanation, PresenceError, Rules, Transition, UserPresence,
        merge::{self, Choice, Overlay},
    },
    entry::Entry,
};
use crate::model::{ConnectionId, ManualStatus, RealmId, Status, StatusRecord, UserId};

/// How much a shard may remember.
#[derive(Debug, Clone, Copy)]
pub(in crate::presence) struct ShardBounds {
    /// Idle entries.
    pub(in crate::presence) idle: usize,
    /// Entries with a choice.
    pub(in crate::presence) chosen: usize,
}

/// A part of the users.
#[derive(Debug)]
pub(in crate::presence) struct Shard {
    rules: Rules,
    bounds: ShardBounds,
    node: Arc<str>,
    places: HashMap<RealmId, usize, RandomState>,
    realms: Slab<Realm>,
    entries: Slab<Entry>,
    due: BTreeSet<(u64, usize)>,
    idle: BTreeSet<(u64, usize)>,
    counts: [u64; Status::ALL.len()],
    chosen: usize,
    version: u64,
}

/// The users of one tenant in this shard.
#[derive(Debug)]
struct Realm {
    id: RealmId,
    users: HashMap<UserId, usize, RandomState>,
}

impl Shard {
    /// An empty shard of `node`.
    pub(in crate::presence) fn new(node: Arc<str>, rules: Rules, bounds: ShardBounds) -> Self {
        Self {
            rules,
            bounds,
            node,
            places: HashMap::default(),
            realms: Slab::new(),
            entries: Slab::new(),
            due: BTreeSet::new(),
            idle: BTreeSet::new(),
            counts: [0; Status::ALL.len()],
            chosen: 0,
            version: 0,
        }
    }

    /// How many entries were last told with each status.
    pub(in crate::presence) fn counts(&self) -> [u64; Status::ALL.len()] {
        self.counts
    }

    pub(in crate::presence) fn connected(
        &mut self,
        realm: &RealmId,
        user: &UserId,
        connection: ConnectionId,
        now_ms: u64,
    ) -> Option<Transition> {
        let slot = self.slot_or_new(realm, user);
        self.change(slot, now_ms, |entry| entry.connect(connection, now_ms))
    }

    pub(in crate::presence) fn active(
        &mut self,
        realm: &RealmId,
        user: &UserId,
        connection: ConnectionId,
        now_ms: u64,
    ) -> Option<Transition> {
        let slot = self.slot(realm, user)?;
        let rules = self.rules;
        let entry = self.entries.get_mut(slot)?;
        // The due time of a user who is online already may stay too early, and a
        // choice is not moved by activity: nothing else is to do then.
        let moves = entry.act(connection, now_ms, rules) && entry.shown == Status::Away;
        if moves { self.change(slot, now_ms, |_| ()) } else { None }
    }

    pub(in crate::presence) fn disconnected(
        &mut self,
        realm: &RealmId,
        user: &UserId,
        (connection, ending): (ConnectionId, Ending),
        now_ms: u64,
    ) -> Option<Transition> {
        let slot = self.slot(realm, user)?;
        self.change(slot, now_ms, |entry| {
            entry.disconnect(connection, ending, now_ms);
        })
    }

    pub(in crate::presence) fn set_manual(
        &mut self,
        realm: &RealmId,
        user: &UserId,
        chosen: ManualStatus,
        now_ms: u64,
    ) -> Result<Option<Transition>, PresenceError> {
        let found = self.slot(realm, user);
        let chose = found
            .and_then(|slot| self.entries.get(slot))
            .is_some_and(|entry| entry.choice() != Choice::Devices);
        if chosen != ManualStatus::Online && !chose && self.chosen >= self.bounds.chosen {
            return Err(PresenceError::Full { limit: self.bounds.chosen });
        }
        let slot = found.unwrap_or_else(|| self.slot_or_new(realm, user));
        Ok(self.change(slot, now_ms, |entry| entry.choose(chosen, now_ms)))
    }

    pub(in crate::presence) fn clear_manual(
        &mut self,
        realm: &RealmId,
        user: &UserId,
        now_ms: u64,
    ) -> Option<Transition> {
        let slot = self.slot(realm, user)?;
        self.change(slot, now_ms, |entry| entry.clear())
    }

    /// Does up to `limit` of what is due; false when more is due.
    pub(in crate::presence) fn sweep(
        &mut self,
        now_ms: u64,
        limit: usize,
        out: &mut Vec<Transition>,
    ) -> bool {
        for _ in 0..limit {
            let Some(&(due_ms, slot)) = self.due.first() else {
                return true;
            };
            if due_ms > now_ms {
                return true;
            }
            self.due.pop_first();
            if let Some(entry) = self.entries.get_mut(slot) {
                entry.due_ms = u64::MAX;
            }
            out.extend(self.change(slot, now_ms, |_| ()));
        }
        false
    }

    pub(in crate::presence) fn status(
        &self,
        realm: &RealmId,
        user: &UserId,
        now_ms: u64,
    ) -> StatusRecord {
        let derived = match self.entry(realm, user) {
            Some(entry) => entry.derive(now_ms, self.rules),
            None => merge::status(std::iter::empty(), Overlay::NONE, now_ms, self.rules),
        };
        derived.record(user.clone())
    }

    pub(in crate::presence) fn devices(
        &self,
        realm: &RealmId,
        user: &UserId,
        now_ms: u64,
    ) -> UserPresence {
        let devices = match self.entry(realm, user) {
            Some(entry) => entry.records(&self.node, now_ms, self.rules),
            None => Vec::new(),
        };
        UserPresence { record: self.status(realm, user, now_ms), devices }
    }

    pub(in crate::presence) fn explain(
        &self,
        realm: &RealmId,
        user: &UserId,
        now_ms: u64,
    ) -> Explanation {
        let (overlay, devices) = match self.entry(realm, user) {
            Some(entry) => (entry.overlay(), entry.records(&self.node, now_ms, self.rules)),
            None => (Overlay::NONE, Vec::new()),
        };
        let derived = merge::status(devices.iter().map(Into::into), overlay, now_ms, self.rules);
        Explanation {
            record: derived.record(user.clone()),
            rule: derived.rule,
            holds_until_ms: derived.holds_until_ms,
            now_ms,
            rules: self.rules,
            overlay,
            devices,
        }
    }

    /// Adds the users of `realm` that are not offline, until `out` has `limit`.
    pub(in crate::presence) fn statuses(
        &self,
        realm: &RealmId,
        now_ms: u64,
        limit: usize,
        out: &mut Vec<StatusRecord>,
    ) {
        let place = self.places.get(realm).and_then(|place| self.realms.get(*place));
        let slots = place.into_iter().flat_map(|realm| realm.users.values());
        for entry in slots.filter_map(|slot| self.entries.get(*slot)) {
            if out.len() >= limit {
                return;
            }
            let derived = entry.derive(now_ms, self.rules);
            if derived.status != Status::Offline {
                out.push(derived.record(entry.user.clone()));
            }
        }
    }

    /// Whether `transition` is the last one that was told of its user. Who was
    /// forgotten is offline.
    pub(in crate::presence) fn is_current(&self, transition: &Transition) -> bool {
        match self.entry(&transition.realm, &transition.record.user) {
            Some(entry) if entry.version > 0 => entry.version == transition.version,
            Some(_) | None => transition.record.status == Status::Offline,
        }
    }

    /// How many entries are kept, idle ones included.
    #[cfg(test)]
    pub(in crate::presence) fn len(&self) -> usize {
        self.entries.len()
    }

    fn entry(&self, realm: &RealmId, user: &UserId) -> Option<&Entry> {
        self.entries.get(self.slot(realm, user)?)
    }

    fn slot(&self, realm: &RealmId, user: &UserId) -> Option<usize> {
        self.realms.get(*self.places.get(realm)?)?.users.get(user).copied()
    }

    /// The slot of `user`. A new entry is not idle in the books until it changes.
    fn slot_or_new(&mut self, realm: &RealmId, user: &UserId) -> usize {
        if let Some(slot) = self.slot(realm, user) {
            return slot;
        }
        let (places, realms) = (&mut self.places, &mut self.realms);
        let place = *places.entry(realm.clone()).or_insert_with(|| {
            realms.insert(Realm { id: realm.clone(), users: HashMap::default() })
        });
        let slot = self.entries.insert(Entry::new(place, user.clone()));
        if let Some(realm) = self.realms.get_mut(place) {
            realm.users.insert(user.clone(), slot);
        }
        self.count(Status::Offline, 1);
        slot
    }

    /// Lets `edit` change an entry, then brings the books up to date and says what
    /// the user shows now, if that changed.
    fn change(
        &mut self,
        slot: usize,
        now_ms: u64,
        edit: impl FnOnce(&mut Entry),
    ) -> Option<Transition> {
        let rules = self.rules;
        let entry = self.entries.get_mut(slot)?;
        let was_idle = entry.is_idle();
        let chose = entry.choice() != Choice::Devices;
        entry.tidy(now_ms, rules);
        edit(entry);
        entry.tidy(now_ms, rules);
        let derived = entry.derive(now_ms, rules);

        let armed_ms = entry.due_ms;
        if armed_ms <= now_ms || derived.holds_until_ms < armed_ms {
            entry.due_ms = derived.holds_until_ms;
            self.due.remove(&(armed_ms, slot));
            if entry.due_ms != u64::MAX {
                self.due.insert((entry.due_ms, slot));
            }
        }
        let chooses = entry.choice() != Choice::Devices;
        self.chosen = (self.chosen + usize::from(chooses)).saturating_sub(usize::from(chose));

        let (user, place) = (entry.user.clone(), entry.realm);
        let old_version = entry.version;
        let previous = mem::replace(&mut entry.shown, derived.status);
        let changed = previous != derived.status;
        if changed {
            self.version += 1;
            entry.version = self.version;
            self.count(previous, -1);
            self.count(derived.status, 1);
        }
        let realm = self.realms.get(place).map(|realm| realm.id.clone());
        self.keep_idle(slot, was_idle.then_some(old_version));
        let (realm, version) = (realm?, self.version);
        changed.then(|| Transition { realm, record: derived.record(user), previous, version })
    }

    /// Keeps the book of idle entries after a change, within its bound.
    fn keep_idle(&mut self, slot: usize, was_idle_as: Option<u64>) {
        if let Some(version) = was_idle_as {
            self.idle.remove(&(version, slot));
        }
        let Some(entry) = self.entries.get(slot).filter(|entry| entry.is_idle()) else {
            return;
        };
        if !entry.was_active() {
            self.forget(slot);
            return;
        }
        self.idle.insert((entry.version, slot));
        if self.idle.len() > self.bounds.idle
            && let Some((_, oldest)) = self.idle.pop_first()
        {
            self.forget(oldest);
        }
    }

    fn forget(&mut self, slot: usize) {
        let Some(entry) = self.entries.try_remove(slot) else {
            return;
        };
        self.due.remove(&(entry.due_ms, slot));
        self.count(entry.shown, -1);
        let Some(realm) = self.realms.get_mut(entry.realm) else {
            return;
        };
        realm.users.remove(&entry.user);
        if realm.users.is_empty() {
            let realm = self.realms.remove(entry.realm);
            self.places.remove(&realm.id);
        }
    }

    fn count(&mut self, status: Status, by: i64) {
        if let Some(count) = self.counts.get_mut(status.index()) {
            *count = count.saturating_add_signed(by);
        }
    }
}
