//! The chat rooms in the file of the store: two of its tables.
//!
//! Invariants: messages are read back in the order of their numbers.

use std::{collections::HashMap, sync::Arc};

use redb::{ReadTransaction, ReadableTable as _, Table, TableDefinition, WriteTransaction};

use super::{Change, Saved, SavedRoom, file::Failure};
use crate::model::{ChatMessage, Id, RoomKey, RoomKind};

/// Realm and name; kind, object or nothing, label, and when it began.
const ROOMS: TableDefinition<'_, RoomRow, (u8, &str, &str, u64)> = TableDefinition::new("rooms");

/// Realm, room and number; name, author, text, moment, and 1 when it was taken back.
const MESSAGES: TableDefinition<'_, MessageRow, (&str, &str, &str, u64, u8)> =
    TableDefinition::new("messages");

type RoomRow = (&'static str, &'static str);
type MessageRow = (&'static str, &'static str, u64);

/// Numbers and messages, and whether they were taken back.
type Messages = Vec<(u64, ChatMessage, bool)>;

/// The tables of one step.
pub(super) struct RoomTables<'a> {
    rooms: Table<'a, RoomRow, (u8, &'static str, &'static str, u64)>,
    messages: Table<'a, MessageRow, (&'static str, &'static str, &'static str, u64, u8)>,
}

impl<'a> RoomTables<'a> {
    pub(super) fn open(writing: &'a WriteTransaction) -> Result<Self, Failure> {
        Ok(Self { rooms: writing.open_table(ROOMS)?, messages: writing.open_table(MESSAGES)? })
    }

    pub(super) fn apply(&mut self, change: &Change) -> Result<(), Failure> {
        match change {
            Change::Room { realm, uuid, key, label, updated_at } => {
                let row = (key.kind.number(), key.object(), &**label, *updated_at);
                self.rooms.insert((realm.as_str(), uuid.as_str()), row)?;
            }
            Change::Said { realm, number, message, is_deleted } => {
                let ChatMessage { uuid, room, text, author, at } = message;
                let row = (uuid.as_str(), author.as_str(), &**text, *at, u8::from(*is_deleted));
                self.messages.insert((realm.as_str(), room.as_str(), *number), row)?;
            }
            Change::Unsaid { realm, room, number } => {
                self.messages.remove((realm.as_str(), room.as_str(), *number))?;
            }
            Change::Member { .. }
            | Change::Revoked { .. }
            | Change::Chosen { .. }
            | Change::Workspace { .. }
            | Change::Node { .. }
            | Change::Folder { .. } => {}
        }
        Ok(())
    }
}

/// Adds all rooms and their messages to `saved`.
pub(super) fn read(reading: &ReadTransaction, saved: &mut Saved) -> Result<(), Failure> {
    let mut messages: HashMap<(Id, Id), Messages> = HashMap::new();
    for row in reading.open_table(MESSAGES)?.iter()? {
        let (key, value) = row?;
        let ((realm, room, number), (uuid, author, text, at, is_deleted)) =
            (key.value(), value.value());
        let (realm, room) = (Id::parse(realm)?, Id::parse(room)?);
        let (uuid, author) = (Id::parse(uuid)?, Id::parse(author)?);
        let message = ChatMessage { uuid, room: room.clone(), text: Arc::from(text), author, at };
        messages.entry((realm, room)).or_default().push((number, message, is_deleted != 0));
    }
    for row in reading.open_table(ROOMS)?.iter()? {
        let (key, value) = row?;
        let ((realm, uuid), (kind, object, label, updated_at)) = (key.value(), value.value());
        let (realm, uuid) = (Id::parse(realm)?, Id::parse(uuid)?);
        let kind = RoomKind::of_number(u64::from(kind)).ok_or("no kind of room")?;
        let object = if object.is_empty() { None } else { Some(Id::parse(object)?) };
        let messages = messages.remove(&(realm.clone(), uuid.clone())).unwrap_or_default();
        saved.entry(realm).or_default().rooms.push(SavedRoom {
            uuid,
            key: RoomKey { kind, object },
            label: Arc::from(label),
            updated_at,
            messages,
        });
    }
    Ok(())
}
