//! Chat rooms that are about something, and what was said in them.
//!
//! Invariants: a room is named by what it is about, and only one room has that name;
//! nothing here is serialised.

use std::sync::Arc;

use super::{ConnectionId, Id, UserId};

/// What kind of thing a room is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum RoomKind {
    /// The realm.
    Global,
    /// A workspace.
    Workspace,
    /// A user.
    User,
    /// A node: a file or a folder.
    Node,
}

impl RoomKind {
    /// Every kind, in the order of their numbers.
    pub const ALL: [Self; 4] = [Self::Global, Self::Workspace, Self::User, Self::Node];

    /// Its number, as clients and stores know it.
    #[must_use]
    pub fn number(self) -> u8 {
        match self {
            Self::Global => 0,
            Self::Workspace => 1,
            Self::User => 2,
            Self::Node => 3,
        }
    }

    /// The kind with this number.
    #[must_use]
    pub fn of_number(number: u64) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| u64::from(kind.number()) == number)
    }
}

/// What a room is about: its only name that people know.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RoomKey {
    /// The kind of thing.
    pub kind: RoomKind,
    /// Which one; `None` for the realm itself.
    pub object: Option<Id>,
}

impl RoomKey {
    /// The key as one text.
    #[must_use]
    pub fn text(&self) -> String {
        format!("{}:{}", self.kind.number(), self.object())
    }

    /// The object, empty when there is none.
    #[must_use]
    pub fn object(&self) -> &str {
        self.object.as_ref().map_or("", Id::as_str)
    }
}

/// A room and who is in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChatRoom {
    /// Its name among rooms.
    pub uuid: Id,
    /// What it is about.
    pub key: RoomKey,
    /// What people call it.
    pub label: Arc<str>,
    /// Who is there, in the order of coming; not all of them in a very full room.
    pub users: Vec<UserId>,
    /// When somebody came or went last, in seconds since 1970.
    pub updated_at: u64,
}

/// Something that was said in a room.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChatMessage {
    /// Its name: unique in its room.
    pub uuid: Id,
    /// Where.
    pub room: Id,
    /// What.
    pub text: Arc<str>,
    /// By whom, for good.
    pub author: UserId,
    /// When, in seconds since 1970, for good.
    pub at: u64,
}

/// A socket in a room.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChatSeat {
    /// The connection.
    pub connection: ConnectionId,
    /// Its user.
    pub user: UserId,
    /// The number of the claim under which the socket holds the connection.
    pub fencing: u64,
}

/// Name of the events that tell how a room is now.
pub const CHAT_ROOM: &str = "chat_room";

/// Name of the events that tell what was said, or says something else now.
pub const CHAT_MESSAGE: &str = "chat_message";

/// Name of the events that tell what was taken back.
pub const CHAT_DELETED: &str = "chat_deleted";

/// The kind and the object of the room that the data of an event of a room begins with,
/// without reading the rest; `None` for other data.
#[must_use]
pub fn chat_subject(data: &[u8]) -> Option<(RoomKind, &str)> {
    let (kind, object, _) = split_subject(data)?;
    Some((kind, object))
}

/// Where the data of an event of a room goes on behind what [`chat_subject`] finds.
#[must_use]
pub fn chat_rest(data: &[u8]) -> Option<&[u8]> {
    let (_, _, rest) = split_subject(data)?;
    Some(rest)
}

fn split_subject(data: &[u8]) -> Option<(RoomKind, &str, &[u8])> {
    let rest = data.strip_prefix(br#"{"kind":"#)?;
    let (number, rest) = rest.split_first()?;
    let kind = RoomKind::of_number(u64::from(number.checked_sub(b'0')?))?;
    let rest = rest.strip_prefix(br#","object":""#)?;
    let end = rest.iter().position(|byte| *byte == b'"')?;
    Some((kind, std::str::from_utf8(rest.get(..end)?).ok()?, rest.get(end + 1..)?))
}
