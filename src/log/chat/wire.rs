//! What happens in rooms, as the data of events. Scripts write the same.

use serde::Serialize;

/// The data of a `chat_room`.
#[derive(Debug, Serialize)]
pub(super) struct RoomWire<'a> {
    pub(super) kind: u8,
    pub(super) object: &'a str,
    pub(super) uuid: &'a str,
    pub(super) label: &'a str,
    pub(super) users: Vec<&'a str>,
    pub(super) updated_at: u64,
}

/// The data of a `chat_message`.
#[derive(Debug, Serialize)]
pub(super) struct MessageWire<'a> {
    pub(super) kind: u8,
    pub(super) object: &'a str,
    pub(super) uuid: &'a str,
    pub(super) room: &'a str,
    pub(super) author: &'a str,
    pub(super) at: u64,
    pub(super) text: &'a str,
}

/// The data of a `chat_deleted`.
#[derive(Debug, Serialize)]
pub(super) struct DeletedWire<'a> {
    pub(super) kind: u8,
    pub(super) object: &'a str,
    pub(super) uuid: &'a str,
    pub(super) room: &'a str,
    pub(super) author: &'a str,
}
