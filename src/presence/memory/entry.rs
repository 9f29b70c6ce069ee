//! What is kept of one user, as small as it gets: most have one device and chose
//! nothing.
//!
//! Invariants: what is rare is boxed and goes when it holds nothing; an entry that
//! is [idle](Entry::is_idle) shows what an unknown user shows, but for the date of
//! the last activity.
//!
//! Not here: finding the entry, and when it is looked at again (`shard`).

use std::{iter, num::NonZeroU16, sync::Arc};

use super::super::{
    Ending, Rules,
    merge::{self, Choice, Derived, DeviceRecord, Overlay, Sighting},
};
use crate::model::{ConnectionId, ManualStatus, Status, UserId};

/// More lost devices of one user than this are not told apart: the one that was
/// lost first is forgotten, and its activity counts for the one that was lost last.
/// The status does not change by that, because who was lost last counts longest.
const DROPPED_MAX: usize = 32;

/// A user.
#[derive(Debug)]
pub(super) struct Entry {
    /// Who.
    pub(super) user: UserId,
    /// The place of the realm in its table.
    pub(super) realm: usize,
    /// The last status that was told to a caller.
    pub(super) shown: Status,
    /// The version of that change.
    pub(super) version: u64,
    /// When the shard looks at it again; [`u64::MAX`] when it does not.
    pub(super) due_ms: u64,
    remembered_at_ms: u64,
    devices: Devices,
    rare: Option<Box<Rare>>,
}

/// A connection that sockets carry.
#[derive(Debug, Clone, Copy)]
struct Device {
    connection: ConnectionId,
    sockets: NonZeroU16,
    since_ms: u64,
    active_at_ms: u64,
}

/// Connections that sockets carry, without an allocation for the first.
#[derive(Debug)]
enum Devices {
    One(Device),
    Many(Vec<Device>),
}

/// A connection in its grace.
#[derive(Debug, Clone, Copy)]
struct Dropped {
    connection: ConnectionId,
    since_ms: u64,
    active_at_ms: u64,
    dropped_at_ms: u64,
}

#[derive(Debug)]
struct Rare {
    choice: Choice,
    touched_at_ms: u64,
    dropped: Vec<Dropped>,
}

impl Entry {
    /// A user of whom nothing is known.
    pub(super) fn new(realm: usize, user: UserId) -> Self {
        Self {
            user,
            realm,
            shown: Status::Offline,
            version: 0,
            due_ms: u64::MAX,
            remembered_at_ms: 0,
            devices: Devices::Many(Vec::new()),
            rare: None,
        }
    }

    /// One more socket carries `connection`.
    pub(super) fn connect(&mut self, connection: ConnectionId, now_ms: u64) {
        if let Some(device) = self.devices.find(connection) {
            device.sockets = device.sockets.saturating_add(1);
            return;
        }
        let back = self.rare.as_mut().and_then(|rare| rare.take_dropped(connection));
        let (since_ms, active_at_ms) =
            back.map_or((now_ms, now_ms), |device| (device.since_ms, device.active_at_ms));
        self.devices.add(Device { connection, sockets: NonZeroU16::MIN, since_ms, active_at_ms });
    }

    /// Records activity; false when there was nothing to record.
    pub(super) fn act(&mut self, connection: ConnectionId, now_ms: u64, rules: Rules) -> bool {
        match self.devices.find(connection) {
            Some(device) if rules.records_activity(device.active_at_ms, now_ms) => {
                device.active_at_ms = now_ms;
                true
            }
            Some(_) | None => false,
        }
    }

    /// Records activity; returns what was recorded before, when there was something to
    /// record.
    pub(super) fn act_after(
        &mut self,
        connection: ConnectionId,
        now_ms: u64,
        rules: Rules,
    ) -> Option<u64> {
        let before_ms = self.devices.find(connection)?.active_at_ms;
        self.act(connection, now_ms, rules).then_some(before_ms)
    }

    /// What was known of `connection` elsewhere, unless something happened since on it.
    pub(super) fn inherit(&mut self, connection: ConnectionId, since_ms: u64, active_at_ms: u64) {
        if let Some(device) = self.devices.find(connection)
            && device.active_at_ms == device.since_ms
        {
            device.since_ms = since_ms;
            device.active_at_ms = active_at_ms;
        }
    }

    /// One socket less carries `connection`; false when none did.
    pub(super) fn disconnect(
        &mut self,
        connection: ConnectionId,
        ending: Ending,
        now_ms: u64,
    ) -> bool {
        let Some(device) = self.devices.find(connection) else {
            return false;
        };
        if let Some(left) = NonZeroU16::new(device.sockets.get() - 1) {
            device.sockets = left;
            return true;
        }
        let device = *device;
        self.devices.remove(connection);
        match ending {
            Ending::Closed => self.remember(device.active_at_ms),
            Ending::Dropped => self.rare().drop_device(&device, now_ms),
        }
        true
    }

    /// What the user chose.
    pub(super) fn choice(&self) -> Choice {
        self.rare.as_ref().map_or(Choice::Devices, |rare| rare.choice)
    }

    /// The user chose a status.
    pub(super) fn choose(&mut self, chosen: ManualStatus, now_ms: u64) {
        let choice = self.choice().then(chosen, now_ms);
        let rare = self.rare();
        rare.choice = choice;
        if chosen == ManualStatus::Online {
            rare.touched_at_ms = rare.touched_at_ms.max(now_ms);
        }
    }

    /// What the user chose elsewhere.
    pub(super) fn copy_choice(&mut self, choice: Choice) {
        self.rare().choice = choice;
    }

    /// Whether a device is there, or was lost and not forgotten yet.
    pub(super) fn has_device(&self) -> bool {
        !(self.devices.is_empty() && self.dropped().is_empty())
    }

    /// Drops what the user chose.
    pub(super) fn clear(&mut self) {
        if let Some(rare) = &mut self.rare {
            rare.choice = Choice::Devices;
        }
    }

    /// What the rules say.
    pub(super) fn derive(&self, now_ms: u64, rules: Rules) -> Derived {
        let there = self
            .devices
            .iter()
            .map(|device| Sighting { active_at_ms: device.active_at_ms, dropped_at_ms: None });
        let dropped = self.dropped().iter().map(|device| Sighting {
            active_at_ms: device.active_at_ms,
            dropped_at_ms: Some(device.dropped_at_ms),
        });
        merge::status(there.chain(dropped), self.overlay(), now_ms, rules)
    }

    /// What is known apart from the devices.
    pub(super) fn overlay(&self) -> Overlay {
        let touched_at_ms = self.rare.as_ref().map_or(0, |rare| rare.touched_at_ms);
        Overlay { choice: self.choice(), touched_at_ms, remembered_at_ms: self.remembered_at_ms }
    }

    /// The devices that count at `now_ms`, as records of `node`.
    pub(super) fn records(&self, node: &Arc<str>, now_ms: u64, rules: Rules) -> Vec<DeviceRecord> {
        let there = self.devices.iter().map(|device| DeviceRecord {
            node: Arc::clone(node),
            connection: device.connection,
            since_ms: device.since_ms,
            active_at_ms: device.active_at_ms,
            dropped_at_ms: None,
        });
        let in_grace =
            self.dropped().iter().filter(|device| rules.gone_at(device.dropped_at_ms) > now_ms);
        let dropped = in_grace.map(|device| DeviceRecord {
            node: Arc::clone(node),
            connection: device.connection,
            since_ms: device.since_ms,
            active_at_ms: device.active_at_ms,
            dropped_at_ms: Some(device.dropped_at_ms),
        });
        there.chain(dropped).collect()
    }

    /// Forgets what time has made meaningless.
    pub(super) fn tidy(&mut self, now_ms: u64, rules: Rules) {
        let Some(mut rare) = self.rare.take() else {
            return;
        };
        rare.choice = rare.choice.at(now_ms);
        let mut newest_ms = 0;
        rare.dropped.retain(|device| {
            let counts = rules.gone_at(device.dropped_at_ms) > now_ms;
            if !counts {
                newest_ms = newest_ms.max(device.active_at_ms);
            }
            counts
        });
        let alone = self.devices.is_empty() && rare.dropped.is_empty();
        if alone || rare.touched_at_ms.saturating_add(rules.away_after_ms) <= now_ms {
            newest_ms = newest_ms.max(std::mem::take(&mut rare.touched_at_ms));
        }
        self.remember(newest_ms);
        if !rare.is_empty() {
            self.rare = Some(rare);
        }
    }

    /// Whether nothing is known but the last activity.
    pub(super) fn is_idle(&self) -> bool {
        self.devices.is_empty() && self.rare.is_none()
    }

    /// Whether a last activity is known.
    pub(super) fn was_active(&self) -> bool {
        self.remembered_at_ms > 0
    }

    fn remember(&mut self, active_at_ms: u64) {
        self.remembered_at_ms = self.remembered_at_ms.max(active_at_ms);
    }

    fn dropped(&self) -> &[Dropped] {
        self.rare.as_ref().map_or(&[], |rare| &rare.dropped)
    }

    fn rare(&mut self) -> &mut Rare {
        self.rare.get_or_insert_with(|| {
            Box::new(Rare { choice: Choice::Devices, touched_at_ms: 0, dropped: Vec::new() })
        })
    }
}

impl Devices {
    fn iter(&self) -> impl Iterator<Item = &Device> {
        let (one, many) = match self {
            Self::One(device) => (Some(device), [].as_slice()),
            Self::Many(devices) => (None, devices.as_slice()),
        };
        one.into_iter().chain(many)
    }

    fn is_empty(&self) -> bool {
        matches!(self, Self::Many(devices) if devices.is_empty())
    }

    fn find(&mut self, connection: ConnectionId) -> Option<&mut Device> {
        match self {
            Self::One(device) => iter::once(device).find(|device| device.connection == connection),
            Self::Many(devices) => {
                devices.iter_mut().find(|device| device.connection == connection)
            }
        }
    }

    fn add(&mut self, device: Device) {
        match self {
            Self::Many(devices) if devices.is_empty() => *self = Self::One(device),
            Self::Many(devices) => devices.push(device),
            Self::One(first) => *self = Self::Many(vec![*first, device]),
        }
    }

    fn remove(&mut self, connection: ConnectionId) {
        match self {
            Self::One(device) if device.connection == connection => {
                *self = Self::Many(Vec::new());
            }
            Self::One(_) => {}
            Self::Many(devices) => {
                devices.retain(|device| device.connection != connection);
                if let [device] = devices.as_slice() {
                    *self = Self::One(*device);
                }
            }
        }
    }
}

impl Rare {
    fn is_empty(&self) -> bool {
        self.choice == Choice::Devices && self.touched_at_ms == 0 && self.dropped.is_empty()
    }

    fn take_dropped(&mut self, connection: ConnectionId) -> Option<Dropped> {
        let place = self.dropped.iter().position(|device| device.connection == connection)?;
        Some(self.dropped.remove(place))
    }

    /// Begins the grace of `device`.
    fn drop_device(&mut self, device: &Device, now_ms: u64) {
        let mut active_at_ms = device.active_at_ms;
        if self.dropped.len() >= DROPPED_MAX {
            // The first that was lost is the first in the list.
            active_at_ms = active_at_ms.max(self.dropped.remove(0).active_at_ms);
        }
        self.dropped.push(Dropped {
            connection: device.connection,
            since_ms: device.since_ms,
            active_at_ms,
            dropped_at_ms: now_ms,
        });
    }
}
