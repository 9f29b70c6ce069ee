//! The texts that nodes keep of users in Redis; `lua/rules.lua` describes them.
//!
//! Invariants: what is not as described is an error or counts as nothing, and never
//! costs more than its user.

use std::{fmt::Write as _, sync::Arc};

use redis::Value;

use crate::{
    model::{ConnectionId, ManualStatus, Status, StatusRecord, UserId},
    presence::{
        DeviceRecord, Rules,
        merge::{self, Before, Choice, Overlay},
    },
};

/// What `st` keeps of a user.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Row {
    /// What was shown, and published, last.
    pub(super) shown: Status,
    /// What is known apart from the devices; the newest activity is that of all devices.
    pub(super) overlay: Overlay,
    /// Until then, in milliseconds since 1970, `shown` is what the rules say.
    pub(super) due_ms: u64,
}

impl Row {
    /// An unknown user.
    pub(super) const NONE: Self =
        Self { shown: Status::Offline, overlay: Overlay::NONE, due_ms: u64::MAX };

    /// Reads a row; what is not one is [`Row::NONE`], as the scripts have it.
    pub(super) fn parse(text: &str) -> Self {
        parse_row(text).unwrap_or(Self::NONE)
    }

    /// What `user` shows, while this row is not due.
    pub(super) fn record(&self, user: UserId, now_ms: u64) -> StatusRecord {
        let (manual, dnd_ends_at) = match self.overlay.choice.at(now_ms) {
            Choice::Devices => (false, 0),
            Choice::Away | Choice::Offline | Choice::Ooo | Choice::Dnd(_) => (true, 0),
            Choice::DndUntil(ends_at, _) => (true, ends_at),
        };
        let Overlay { touched_at_ms, remembered_at_ms, .. } = self.overlay;
        StatusRecord {
            user,
            status: self.shown,
            manual,
            last_activity_at_ms: remembered_at_ms.max(touched_at_ms),
            dnd_ends_at,
        }
    }
}

fn parse_row(text: &str) -> Option<Row> {
    let mut parts = text.split(':');
    let shown = letter_status(parts.next()?)?;
    let _version = parts.next()?;
    let choice = parse_choice([parts.next()?, parts.next()?, parts.next()?])?;
    let touched_at_ms = parts.next()?.parse().ok()?;
    let remembered_at_ms = parts.next()?.parse().ok()?;
    let due_ms = parts.next()?.parse().unwrap_or(u64::MAX);
    Some(Row { shown, overlay: Overlay { choice, touched_at_ms, remembered_at_ms }, due_ms })
}

fn letter_status(letter: &str) -> Option<Status> {
    Some(match letter {
        "n" => Status::Online,
        "a" => Status::Away,
        "d" => Status::Dnd,
        "f" => Status::Offline,
        "o" => Status::Ooo,
        _ => return None,
    })
}

fn parse_choice([choice, before, ends]: [&str; 3]) -> Option<Choice> {
    let before = match before {
        "-" => Before::Devices,
        "a" => Before::Away,
        "f" => Before::Offline,
        "o" => Before::Ooo,
        _ => return None,
    };
    Some(match (choice, ends) {
        ("-", _) => Choice::Devices,
        ("a", _) => Choice::Away,
        ("f", _) => Choice::Offline,
        ("o", _) => Choice::Ooo,
        ("d", "-") => Choice::Dnd(before),
        ("d", ends) => Choice::DndUntil(ends.parse().ok()?, before),
        _ => return None,
    })
}

/// A choice as the scripts take it: a letter, and its end.
pub(super) fn choice_args(chosen: Option<ManualStatus>) -> (&'static str, String) {
    let letter = match chosen {
        None => "-",
        Some(ManualStatus::Online) => "n",
        Some(ManualStatus::Away) => "a",
        Some(ManualStatus::Dnd | ManualStatus::DndUntil(_)) => "d",
        Some(ManualStatus::Offline) => "f",
        Some(ManualStatus::Ooo) => "o",
    };
    match chosen {
        Some(ManualStatus::DndUntil(ends_at)) => (letter, ends_at.to_string()),
        _ => (letter, "-".to_owned()),
    }
}

/// The record of a user's devices on this node; empty when there is none. Devices in
/// `fresh` take over what other nodes know of them, unless something happened on them.
pub(super) fn encode(
    devices: &[DeviceRecord],
    fresh: &[ConnectionId],
    epoch: &str,
    (now_ms, rules): (u64, Rules),
) -> String {
    let Some(since_ms) = devices.iter().map(|device| device.since_ms).min() else {
        return String::new();
    };
    let there = devices.iter().filter(|device| device.dropped_at_ms.is_none()).count();
    let alone = merge::status(devices.iter().map(Into::into), Overlay::NONE, now_ms, rules);
    let mut text = format!("{there}:{}:{since_ms}:{epoch}", alone.status.as_str());
    for DeviceRecord { connection, since_ms, active_at_ms, dropped_at_ms, .. } in devices {
        // Writing to a string never fails.
        let _infallible = write!(text, " {connection}:{since_ms}:{active_at_ms}:");
        match dropped_at_ms {
            Some(dropped_at_ms) => {
                let _infallible = write!(text, "{dropped_at_ms}");
            }
            None => {
                let is_fresh = active_at_ms == since_ms && fresh.contains(connection);
                text.push(if is_fresh { '+' } else { '-' });
            }
        }
    }
    text
}

/// The devices in a record of `node`.
pub(super) fn decode(record: &str, node: &Arc<str>) -> Vec<DeviceRecord> {
    let device = |text: &str| {
        let mut parts = text.split(':');
        Some(DeviceRecord {
            node: Arc::clone(node),
            connection: ConnectionId::parse(parts.next()?).ok()?,
            since_ms: parts.next()?.parse().ok()?,
            active_at_ms: parts.next()?.parse().ok()?,
            dropped_at_ms: parts.next()?.parse().ok(),
        })
    };
    record.split(' ').skip(1).filter_map(device).collect()
}

/// What the scripts tell of a device: the user's place in the batch, the connection,
/// since when, active when.
pub(super) fn parse_inherited(text: &str) -> Option<(usize, ConnectionId, (u64, u64))> {
    let mut parts = text.split(':');
    Some((
        parts.next()?.parse().ok()?,
        ConnectionId::parse(parts.next()?).ok()?,
        (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?),
    ))
}

/// What the scripts tell of a choice: the user's place in the batch, and the choice.
pub(super) fn parse_chosen(text: &str) -> Option<(usize, Choice)> {
    let mut parts = text.split(':');
    let place = parts.next()?.parse().ok()?;
    Some((place, parse_choice([parts.next()?, parts.next()?, parts.next()?])?))
}

/// The text in a value.
pub(super) fn text(value: &Value) -> Option<&str> {
    if let Value::BulkString(bytes) = value {
        std::str::from_utf8(bytes).ok()
    } else if let Value::SimpleString(text) = value {
        Some(text)
    } else {
        matches!(value, Value::Okay).then_some("OK")
    }
}

/// The number in a value.
pub(super) fn number(value: &Value) -> Option<u64> {
    if let Value::Int(number) = value {
        return u64::try_from(*number).ok();
    }
    // Scores are written as floating point numbers.
    text(value)?.split('.').next()?.parse().ok()
}

/// The parts of a list; a value that is none has none.
pub(super) fn list(value: &Value) -> &[Value] {
    value.as_sequence().unwrap_or_default()
}

/// The texts of a list.
pub(super) fn texts(value: &Value) -> impl Iterator<Item = &str> {
    list(value).iter().filter_map(text)
}
