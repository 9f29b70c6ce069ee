//! The members of rooms and messages, and the data of the log's events about them.

use serde::Deserialize;

/// What a room may have in a message of a client.
pub(super) const ROOM_MEMBERS: [&str; 7] =
    ["Uuid", "Type", "RoomTypeObject", "RoomLabel", "Users", "LastUpdated", "Info"];

/// What a message may have in a message of a client.
pub(super) const MESSAGE_MEMBERS: [&str; 7] =
    ["Uuid", "RoomUuid", "Message", "Author", "Timestamp", "Activity", "Info"];

/// How a room is now.
#[derive(Debug, Deserialize)]
pub(super) struct RoomData {
    pub(super) kind: u64,
    pub(super) object: String,
    pub(super) uuid: String,
    pub(super) label: String,
    pub(super) users: Vec<String>,
    pub(super) updated_at: u64,
}

/// What was said.
#[derive(Debug, Deserialize)]
pub(super) struct MessageData {
    pub(super) uuid: String,
    pub(super) room: String,
    pub(super) author: String,
    pub(super) at: u64,
    pub(super) text: String,
}

/// What was taken back.
#[derive(Debug, Deserialize)]
pub(super) struct DeletedData {
    pub(super) uuid: String,
    pub(super) room: String,
    pub(super) author: String,
}
