//! A shard as one node's part of the truth: what happened here, for a backend that merges
//! it with what happened on other nodes.
//!
//! Invariants: nothing here decides a status that others see; a choice is a copy, for
//! counting.

use super::Shard;
use crate::{
    model::{ConnectionId, ManualStatus, RealmId, UserId},
    presence::{DeviceRecord, Ending, merge::Choice},
};

/// What this node knows of a user.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(in crate::presence) struct Facts {
    /// The devices that count.
    pub(in crate::presence) devices: Vec<DeviceRecord>,
    /// The newest activity of devices that are gone, in milliseconds since 1970.
    pub(in crate::presence) past_ms: u64,
}

impl Shard {
    /// Whether a user of `realm` is known.
    pub(in crate::presence) fn knows(&self, realm: &RealmId) -> bool {
        self.places.contains_key(realm)
    }

    /// Records activity; returns what was recorded before, when there was something to
    /// record.
    pub(in crate::presence) fn acted(
        &mut self,
        realm: &RealmId,
        user: &UserId,
        connection: ConnectionId,
        now_ms: u64,
    ) -> Option<u64> {
        let slot = self.slot(realm, user)?;
        let (rules, mut before_ms) = (self.rules, None);
        self.change(slot, now_ms, |entry| before_ms = entry.act_after(connection, now_ms, rules));
        before_ms
    }

    /// A socket that carried `connection` is gone; false when none did.
    pub(in crate::presence) fn left(
        &mut self,
        realm: &RealmId,
        user: &UserId,
        (connection, ending): (ConnectionId, Ending),
        now_ms: u64,
    ) -> bool {
        let mut had_socket = false;
        if let Some(slot) = self.slot(realm, user) {
            self.change(slot, now_ms, |entry| {
                had_socket = entry.disconnect(connection, ending, now_ms);
            });
        }
        had_socket
    }

    /// What is known of a user.
    pub(in crate::presence) fn facts(
        &mut self,
        realm: &RealmId,
        user: &UserId,
        now_ms: u64,
    ) -> Facts {
        if let Some(slot) = self.slot(realm, user) {
            self.change(slot, now_ms, |_| ());
        }
        let Some(entry) = self.entry(realm, user) else {
            return Facts::default();
        };
        let overlay = entry.overlay();
        let past_ms = overlay.remembered_at_ms.max(overlay.touched_at_ms);
        Facts { devices: entry.records(&self.node, now_ms, self.rules), past_ms }
    }

    /// Adds the users of `realm` who have a device.
    pub(in crate::presence) fn present(&self, realm: &RealmId, out: &mut Vec<UserId>) {
        let place = self.places.get(realm).and_then(|place| self.realms.get(*place));
        let slots = place.into_iter().flat_map(|realm| realm.users.values());
        let entries = slots.filter_map(|slot| self.entries.get(*slot));
        out.extend(entries.filter(|entry| entry.has_device()).map(|entry| entry.user.clone()));
    }

    /// A device that was new here was known elsewhere: since when, and active when.
    pub(in crate::presence) fn inherit(
        &mut self,
        realm: &RealmId,
        user: &UserId,
        (connection, since_ms, active_at_ms): (ConnectionId, u64, u64),
        now_ms: u64,
    ) {
        if let Some(slot) = self.slot(realm, user) {
            self.change(slot, now_ms, |entry| entry.inherit(connection, since_ms, active_at_ms));
        }
    }

    /// What a known user chose, wherever they did; `says_online` when it was here, and
    /// was to be online.
    pub(in crate::presence) fn copy_choice(
        &mut self,
        realm: &RealmId,
        user: &UserId,
        (choice, says_online): (Choice, bool),
        now_ms: u64,
    ) {
        let Some(slot) = self.slot(realm, user) else {
            return;
        };
        if says_online {
            self.change(slot, now_ms, |entry| entry.choose(ManualStatus::Online, now_ms));
        } else if self.entries.get(slot).is_some_and(|entry| entry.choice() != choice) {
            self.change(slot, now_ms, |entry| entry.copy_choice(choice));
        }
    }
}
