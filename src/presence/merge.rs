//! The status rules: one pure function of devices, choice and time.
//!
//! Invariants:
//! - the order of the records does not matter;
//! - what the user chose wins, until a timed `dnd` ends, to the millisecond;
//! - `online` and, without a choice, `away` need a device that is there, or that
//!   was dropped less than `status.offline_after` ago.
//!
//! Not here: keeping the records, and telling changes (the backends).

use std::sync::Arc;

use crate::{
    config,
    model::{ConnectionId, ManualStatus, Status, StatusRecord, UnixSeconds, UserId},
};

/// The longest time in which repeated activity of a device is recorded once.
const ACTIVITY_STEP_MS_MAX: u64 = 1_000;

/// The times that the rules depend on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rules {
    /// Inactivity of every device after which a user is away.
    pub away_after_ms: u64,
    /// How long a dropped device still counts.
    pub offline_after_ms: u64,
}

impl Rules {
    /// The rules that were configured.
    #[must_use]
    pub fn new(configured: &config::Status) -> Self {
        let ms =
            |duration: std::time::Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        Self {
            away_after_ms: ms(configured.away_after),
            offline_after_ms: ms(configured.offline_after),
        }
    }

    /// Activity of a device within so many milliseconds of what is recorded is not
    /// recorded: one second, less where users turn away after less than ten. A
    /// user may turn away earlier by at most this.
    #[must_use]
    pub fn activity_step_ms(self) -> u64 {
        ACTIVITY_STEP_MS_MAX.min(self.away_after_ms / 10)
    }

    /// Whether activity at `now_ms` is recorded over activity at `recorded_ms`.
    #[must_use]
    pub fn records_activity(self, recorded_ms: u64, now_ms: u64) -> bool {
        now_ms > recorded_ms && now_ms - recorded_ms >= self.activity_step_ms()
    }

    fn away_at(self, active_at_ms: u64) -> u64 {
        active_at_ms.saturating_add(self.away_after_ms)
    }

    /// When a device that was dropped at `dropped_at_ms` stops to count.
    #[must_use]
    pub fn gone_at(self, dropped_at_ms: u64) -> u64 {
        dropped_at_ms.saturating_add(self.offline_after_ms)
    }
}

/// One device of a user: a connection and the node that holds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceRecord {
    /// The node that it is, or was, connected to.
    pub node: Arc<str>,
    /// Its connection.
    pub connection: ConnectionId,
    /// When the connection began, in milliseconds since 1970.
    pub since_ms: u64,
    /// When the user last did something on it, in milliseconds since 1970.
    pub active_at_ms: u64,
    /// When it was lost, in milliseconds since 1970; `None` while it is there.
    pub dropped_at_ms: Option<u64>,
}

/// What the rules look at in a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sighting {
    /// When the user last did something on it, in milliseconds since 1970.
    pub active_at_ms: u64,
    /// When it was lost, in milliseconds since 1970; `None` while it is there.
    pub dropped_at_ms: Option<u64>,
}

impl From<&DeviceRecord> for Sighting {
    fn from(device: &DeviceRecord) -> Self {
        Self { active_at_ms: device.active_at_ms, dropped_at_ms: device.dropped_at_ms }
    }
}

/// What shows again when a timed `dnd` ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Before {
    /// What the devices do.
    Devices,
    /// Away, by choice.
    Away,
    /// Offline, by choice.
    Offline,
    /// Out of office.
    Ooo,
}

/// The status that a user chose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Choice {
    /// Nothing.
    Devices,
    /// Away.
    Away,
    /// Offline.
    Offline,
    /// Out of office.
    Ooo,
    /// Not to be disturbed. What was before is kept for a timed `dnd` that follows.
    Dnd(Before),
    /// Not to be disturbed until that second since 1970.
    DndUntil(UnixSeconds, Before),
}

impl Choice {
    /// The choice that holds at `now_ms`: a timed `dnd` that ended gives way.
    #[must_use]
    pub fn at(self, now_ms: u64) -> Self {
        match self {
            Self::DndUntil(ends_at, before) if ends_at.saturating_mul(1_000) <= now_ms => {
                match before {
                    Before::Devices => Self::Devices,
                    Before::Away => Self::Away,
                    Before::Offline => Self::Offline,
                    Before::Ooo => Self::Ooo,
                }
            }
            Self::Devices
            | Self::Away
            | Self::Offline
            | Self::Ooo
            | Self::Dnd(_)
            | Self::DndUntil(..) => self,
        }
    }

    /// The choice after the user chose `chosen` at `now_ms`.
    #[must_use]
    pub fn then(self, chosen: ManualStatus, now_ms: u64) -> Self {
        let before = match self.at(now_ms) {
            Self::Devices => Before::Devices,
            Self::Away => Before::Away,
            Self::Offline => Before::Offline,
            Self::Ooo => Before::Ooo,
            Self::Dnd(before) | Self::DndUntil(_, before) => before,
        };
        match chosen {
            ManualStatus::Online => Self::Devices,
            ManualStatus::Away => Self::Away,
            ManualStatus::Offline => Self::Offline,
            ManualStatus::Ooo => Self::Ooo,
            ManualStatus::Dnd => Self::Dnd(before),
            ManualStatus::DndUntil(ends_at) => Self::DndUntil(ends_at, before),
        }
    }
}

/// What is known of a user apart from their devices.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Overlay {
    /// What they chose.
    pub choice: Choice,
    /// When they last said that they are online, in milliseconds since 1970: it
    /// counts as activity of the devices that are there. 0: never.
    pub touched_at_ms: u64,
    /// The newest activity of devices that are gone, in milliseconds since 1970. It
    /// is shown, and decides nothing. 0: none.
    pub remembered_at_ms: u64,
}

impl Overlay {
    /// Nothing is known.
    pub const NONE: Self = Self { choice: Choice::Devices, touched_at_ms: 0, remembered_at_ms: 0 };
}

/// The rule that decided a status.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rule {
    /// The user chose it.
    Chosen,
    /// The user chose `dnd` with an end that has not come.
    TimedDnd,
    /// No device is there, and none was dropped within the grace.
    NoDevice,
    /// A device was active lately.
    Active,
    /// No device was active lately.
    Inactive,
    /// No device is there, but one that was active lately is in its grace.
    ActiveInGrace,
    /// No device is there, but one that was not active lately is in its grace.
    InactiveInGrace,
}

impl Rule {
    /// The name for people.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Chosen => "chosen",
            Self::TimedDnd => "timed_dnd",
            Self::NoDevice => "no_device",
            Self::Active => "active",
            Self::Inactive => "inactive",
            Self::ActiveInGrace => "active_in_grace",
            Self::InactiveInGrace => "inactive_in_grace",
        }
    }
}

/// What the rules say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Derived {
    /// What is shown.
    pub status: Status,
    /// True when the user chose it.
    pub manual: bool,
    /// The newest activity known, in milliseconds since 1970; 0 when none is.
    pub last_activity_at_ms: u64,
    /// When a timed `dnd` ends, in seconds since 1970; 0 when it does not.
    pub dnd_ends_at: UnixSeconds,
    /// Why.
    pub rule: Rule,
    /// Until then, in milliseconds since 1970, only new facts can change this;
    /// `u64::MAX` when time alone never does.
    pub holds_until_ms: u64,
}

impl Derived {
    /// This as the status of `user`.
    #[must_use]
    pub fn record(self, user: UserId) -> StatusRecord {
        StatusRecord {
            user,
            status: self.status,
            manual: self.manual,
            last_activity_at_ms: self.last_activity_at_ms,
            dnd_ends_at: self.dnd_ends_at,
        }
    }
}

/// A status with all that it was decided from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explanation {
    /// The status.
    pub record: StatusRecord,
    /// The rule that decided it.
    pub rule: Rule,
    /// Until then, in milliseconds since 1970, only new facts can change it;
    /// `u64::MAX` when time alone never does.
    pub holds_until_ms: u64,
    /// When it was decided, in milliseconds since 1970.
    pub now_ms: u64,
    /// The times the rules used.
    pub rules: Rules,
    /// What was known apart from the devices.
    pub overlay: Overlay,
    /// The records of the devices of live nodes.
    pub devices: Vec<DeviceRecord>,
}

/// Decides a status from the `devices` of live nodes, in any order.
#[must_use]
pub fn status(
    devices: impl Iterator<Item = Sighting>,
    overlay: Overlay,
    now_ms: u64,
    rules: Rules,
) -> Derived {
    let mut seen = Seen::default();
    let mut holds_until_ms = u64::MAX;
    let mut newest_ms = overlay.remembered_at_ms.max(overlay.touched_at_ms);
    for device in devices {
        newest_ms = newest_ms.max(device.active_at_ms);
        if let Some(dropped_at_ms) = device.dropped_at_ms {
            let gone_at_ms = rules.gone_at(dropped_at_ms);
            if gone_at_ms <= now_ms {
                continue;
            }
            holds_until_ms = holds_until_ms.min(gone_at_ms);
            seen.in_grace = true;
        } else {
            seen.there = true;
        }
        seen.active_at_ms = seen.active_at_ms.max(device.active_at_ms);
    }
    let away_at_ms = rules.away_at(seen.active_at_ms.max(overlay.touched_at_ms));
    let (status, rule, dnd_ends_at) = match overlay.choice.at(now_ms) {
        Choice::Away => (Status::Away, Rule::Chosen, 0),
        Choice::Offline => (Status::Offline, Rule::Chosen, 0),
        Choice::Ooo => (Status::Ooo, Rule::Chosen, 0),
        Choice::Dnd(_) => (Status::Dnd, Rule::Chosen, 0),
        Choice::DndUntil(ends_at, _) => {
            holds_until_ms = holds_until_ms.min(ends_at.saturating_mul(1_000));
            (Status::Dnd, Rule::TimedDnd, ends_at)
        }
        Choice::Devices => {
            let (status, rule) = seen.decide(now_ms < away_at_ms);
            if status == Status::Online {
                holds_until_ms = holds_until_ms.min(away_at_ms);
            }
            (status, rule, 0)
        }
    };
    let manual = matches!(rule, Rule::Chosen | Rule::TimedDnd);
    Derived { status, manual, last_activity_at_ms: newest_ms, dnd_ends_at, rule, holds_until_ms }
}

/// What the devices of a user come to.
#[derive(Debug, Default)]
struct Seen {
    there: bool,
    in_grace: bool,
    active_at_ms: u64,
}

impl Seen {
    fn decide(&self, active_lately: bool) -> (Status, Rule) {
        match (self.there, self.in_grace, active_lately) {
            (true, _, true) => (Status::Online, Rule::Active),
            (true, _, false) => (Status::Away, Rule::Inactive),
            (false, true, true) => (Status::Online, Rule::ActiveInGrace),
            (false, true, false) => (Status::Away, Rule::InactiveInGrace),
            (false, false, _) => (Status::Offline, Rule::NoDevice),
        }
    }
}
