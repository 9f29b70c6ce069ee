//! The words of the domain: ids, topics, positions, records.
//!
//! Values are parsed once at the edge and never re-checked inside. Nothing here
//! is serialisable: wire shapes live in the `wire.rs` files of the doors.
//!
//! Invariants:
//! - an [`Id`] matches `^[A-Za-z0-9_.@-]{1,64}$`;
//! - a [`ConnectionId`] is 26 lower-case letters and digits;
//! - a [`Record`] never changes after the log gave it a [`Position`].
//!
//! Not here: who may see a record (`hub`), where records are kept (`log`).

mod bus;
mod chat;
mod close;
mod encoding;
mod id;
mod membership;
mod position;
mod record;
mod revocation;
mod session;
mod status;
mod topic;
mod view;

pub use bus::{
    Audience, Bus, BusStage, BusTopic, Face, NodePaths, NodePlace, Policy, Rights, Root, Rule,
    Sight, Subject, TaskMark, Who, Workspace, base_name, is_within,
};
pub use chat::{
    CHAT_DELETED, CHAT_MESSAGE, CHAT_ROOM, ChatMessage, ChatRoom, ChatSeat, RoomKey, RoomKind,
    chat_rest, chat_subject,
};
pub use close::{CloseCode, CloseRow};
pub use encoding::{Encoding, Tail};
pub use id::{ConnectionId, Id, IdError, RealmId, SessionId, UserId};
pub use membership::{Interval, Memberships};
pub use position::{Generation, Position, Tag};
pub use record::{
    Body, Event, Record, Rendering, RenderingSlot, Renderings, Revocation, RevocationScope,
    SharedText,
};
pub use revocation::Revocations;
pub use session::{Identity, Scope, SessionRecord, UnixSeconds};
pub use status::{ManualStatus, Status, StatusRecord};
pub use topic::{Topic, TopicError};
pub use view::View;
