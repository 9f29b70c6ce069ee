//! Chat rooms with a history: what the log's store keeps of them beside its records.
//!
//! Every change of a room is one atomic step with the records that tell of it, so the
//! history of a room has the order of the log. Who may do what is decided here only as
//! far as the store knows it: by the stored author of a message, by the key of a room.
//!
//! Invariants:
//! - one room has one key, however many ask for it at once;
//! - a message that was acknowledged is in the history, and once;
//! - whoever is in a room is listed once, with however many sockets;
//! - a socket whose connection was claimed by another one takes nobody out of a room;
//! - a room keeps at most [`ChatLimits::history`] messages, the newest;
//! - a room in which nothing was said goes when no session hears it any more.
//!
//! Not here: who may enter a room (`session`), what clients are told (`dialect`).

#[cfg(test)]
pub(super) mod contract;
pub(super) mod events;
mod wire;

use std::{future::Future, sync::Arc, time::Duration};

use super::LogError;
use crate::model::{ChatMessage, ChatRoom, ChatSeat, Id, RealmId, RoomKey};

/// Users that a room lists, at most: an update has to fit into a frame.
pub(super) const LISTED_USERS_MAX: usize = 1_000;

/// Names of deleted messages that a room remembers, so that none comes back by a retry.
pub(super) const DELETED_MAX: usize = 1_000;

/// Rooms that one sweep looks at.
pub(super) const SWEPT_MAX: usize = 64;

/// Rooms of a realm: more are refused.
pub(super) const ROOMS_MAX: usize = 100_000;

/// Rooms of a realm that one user made: nobody alone uses them up.
pub(super) const MADE_MAX: usize = 10_000;

/// What bounds the rooms of a realm.
#[derive(Debug, Clone, Copy)]
pub struct ChatLimits {
    /// `dialects.pydio.history`: messages that a room keeps.
    pub history: usize,
    /// How long a socket that sends nothing into a room counts as being there.
    pub silence: Duration,
}

/// Something that a socket does in a room.
#[derive(Debug, Clone)]
pub enum ChatOp {
    /// It comes, or says that it is still there.
    Join {
        /// Which room.
        key: RoomKey,
        /// What a new room is called.
        label: Arc<str>,
        /// The name that a new room gets.
        uuid: Id,
        /// Whether a room that does not exist is made.
        creates: bool,
        /// Whether the socket is told about the room in any case.
        asks: bool,
        /// The socket.
        seat: ChatSeat,
    },
    /// It goes, and hears nothing of the room any more.
    Leave {
        /// Which room.
        key: RoomKey,
        /// Whether the socket is told about the room in any case.
        asks: bool,
        /// The socket.
        seat: ChatSeat,
    },
    /// It goes on after a resume: it is in these rooms again. Nothing happens when
    /// another socket has claimed its connection since.
    Return {
        /// Which rooms.
        rooms: Vec<Id>,
        /// The socket.
        seat: ChatSeat,
    },
    /// It ended. Its session may go on and stays in the rooms; nobody is there for it.
    /// Nothing happens when another socket has claimed its connection since: that one is
    /// there.
    End {
        /// Which rooms.
        rooms: Vec<Id>,
        /// The socket.
        seat: ChatSeat,
    },
    /// It says something, again when the name is known already.
    Post {
        /// Where.
        room: Id,
        /// The name of the message: the same for a retry and for an edit.
        uuid: Id,
        /// What.
        text: Arc<str>,
        /// The socket.
        seat: ChatSeat,
    },
    /// It takes back what its user said.
    Delete {
        /// Where.
        room: Id,
        /// Which message.
        uuid: Id,
        /// The socket.
        seat: ChatSeat,
    },
    /// Sockets that were silent for too long leave their rooms, and rooms go that nobody
    /// needs. Any node may do it.
    Sweep,
}

impl ChatOp {
    /// The socket that does it; `None` when nobody in particular does.
    #[must_use]
    pub fn seat(&self) -> Option<&ChatSeat> {
        match self {
            Self::Join { seat, .. }
            | Self::Leave { seat, .. }
            | Self::Return { seat, .. }
            | Self::End { seat, .. }
            | Self::Post { seat, .. }
            | Self::Delete { seat, .. } => Some(seat),
            Self::Sweep => None,
        }
    }
}

/// What became of a [`ChatOp`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChatDone {
    /// What it did.
    pub outcome: ChatOutcome,
    /// A place in the log at or after the records that tell of it.
    pub offset: u64,
}

/// What a [`ChatOp`] did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ChatOutcome {
    /// The socket is in this room.
    Joined(ChatRoom),
    /// This was said: a new message, or an edited one.
    Said(ChatMessage),
    /// It had been said already, word for word: nothing changed, and nobody was told.
    Known(ChatMessage),
    /// It is done.
    Done,
    /// It is done as far as one step goes: do it again.
    More,
}

/// Why a [`ChatOp`] was not done. The client's fault; nothing changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ChatRefusal {
    /// There is no such room.
    #[error("there is no such room")]
    NoRoom,
    /// There is no such message in that room.
    #[error("there is no such message")]
    NoMessage,
    /// Somebody else said it.
    #[error("only its author may change a message")]
    NotAuthor,
    /// It was said, and taken back.
    #[error("the message was deleted")]
    Deleted,
    /// The realm has too many rooms, or this user made too many of them.
    #[error("there are too many rooms")]
    TooManyRooms,
}

/// Why a [`ChatOp`] was not acknowledged.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ChatError {
    /// It was refused; nothing changed.
    #[error(transparent)]
    Refused(#[from] ChatRefusal),
    /// The store can't be asked. It may or may not be done: do it again.
    #[error(transparent)]
    Unavailable(#[from] LogError),
}

/// Which part of a history is wanted. It counts back from the newest message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PageQuery {
    /// Only messages before the one with this number; `None` for all.
    pub before: Option<u64>,
    /// How many of those, the newest, are left out.
    pub skip: usize,
    /// How many are wanted.
    pub limit: usize,
}

/// A part of a history.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Page {
    /// Messages with their numbers, oldest first. Numbers grow and are not dense.
    pub messages: Vec<(u64, ChatMessage)>,
}

/// The rooms of all realms.
pub trait ChatStore: Send + Sync {
    /// Does something, and appends the records that tell of it, as one step.
    ///
    /// # Errors
    ///
    /// [`ChatError`].
    ///
    /// # Cancel safety
    ///
    /// Dropping the future leaves it open whether it is done.
    fn chat(
        &self,
        realm: &RealmId,
        op: ChatOp,
    ) -> impl Future<Output = Result<ChatDone, ChatError>> + Send;

    /// The room with this key.
    ///
    /// # Errors
    ///
    /// [`LogError`] when the store can't be asked.
    ///
    /// # Cancel safety
    ///
    /// Safe: it only reads.
    fn chat_room(
        &self,
        realm: &RealmId,
        key: &RoomKey,
    ) -> impl Future<Output = Result<Option<ChatRoom>, LogError>> + Send;

    /// The keys of these rooms, in their order; `None` for what is no room.
    ///
    /// # Errors
    ///
    /// [`LogError`] when the store can't be asked.
    ///
    /// # Cancel safety
    ///
    /// Safe: it only reads.
    fn chat_keys(
        &self,
        realm: &RealmId,
        rooms: &[Id],
    ) -> impl Future<Output = Result<Vec<Option<RoomKey>>, LogError>> + Send;

    /// A part of the history of a room; an empty one where there is none. Everything in
    /// it survives what the store survives.
    ///
    /// # Errors
    ///
    /// [`LogError`] when the store can't be asked.
    ///
    /// # Cancel safety
    ///
    /// Safe: it only reads.
    fn chat_page(
        &self,
        realm: &RealmId,
        room: &Id,
        query: PageQuery,
    ) -> impl Future<Output = Result<Page, LogError>> + Send;

    /// The messages of a room after the one with number `after`, oldest first, `limit` at
    /// most. Otherwise as [`ChatStore::chat_page`].
    ///
    /// # Errors
    ///
    /// [`LogError`] when the store can't be asked.
    ///
    /// # Cancel safety
    ///
    /// Safe: it only reads.
    fn chat_after(
        &self,
        realm: &RealmId,
        room: &Id,
        after: u64,
        limit: usize,
    ) -> impl Future<Output = Result<Page, LogError>> + Send;
}
