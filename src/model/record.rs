//! What a log holds.
//!
//! A record is an event, or a change of who may see events. Both are in one
//! order, so a removed user can never receive a later event.
//!
//! Invariants: bodies are complete JSON values; a rendering is made once for
//! each encoding and shared by all connections.

use std::sync::{Arc, OnceLock};

use bytes::Bytes;

use super::{
    Audience, Bus, ConnectionId, Face, Id, NodePaths, Position, SessionId, Tag, Topic, UserId,
    Workspace,
};

/// The encodings that differ in their shared part: each has a cell in every record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RenderingSlot {
    /// Mattermost's events.
    Mattermost,
    /// A room's plain text.
    RoomPlain,
    /// A room's numbered JSON.
    RoomJson,
    /// Pydio's messages.
    Pydio,
}

/// One entry of a realm's log.
#[derive(Debug)]
pub struct Record {
    /// Where it is.
    pub position: Position,
    /// The tag of the record before it: two neighbours prove that nothing is missing.
    pub previous_tag: Tag,
    /// When the log accepted it, in microseconds since 1970.
    pub accepted_at_us: u64,
    /// What it says.
    pub body: Body,
    /// Filled on first use by each encoding.
    pub renderings: Renderings,
    /// What is kept in its place once it was delivered: an ephemeral event without
    /// its body. `None` when the record itself is kept.
    pub kept: Option<Arc<Self>>,
}

impl Record {
    /// What a bus event comes to; nothing before that was found out.
    #[must_use]
    pub fn faces(&self) -> &[Face] {
        match self.renderings.shown.get().map(|shown| &**shown) {
            Some(Shown::Faces(faces)) => faces,
            Some(Shown::Readers(_)) | None => &[],
        }
    }

    /// Says what a bus event comes to. The first word counts.
    pub fn set_faces(&self, faces: impl FnOnce() -> Box<[Face]>) {
        self.renderings.shown.get_or_init(|| Box::new(Shown::Faces(faces())));
    }

    /// Members of which workspaces may see what happened in a room, when that decides.
    #[must_use]
    pub fn readers(&self) -> Option<&[Audience]> {
        match self.renderings.shown.get().map(|shown| &**shown) {
            Some(Shown::Readers(readers)) => Some(readers),
            Some(Shown::Faces(_)) | None => None,
        }
    }

    /// Says who may see what happened in a room. The first word counts.
    pub fn set_readers(&self, readers: impl FnOnce() -> Box<[Audience]>) {
        self.renderings.shown.get_or_init(|| Box::new(Shown::Readers(readers())));
    }

    /// What logs and rings keep of this record.
    #[must_use]
    pub fn kept(self: &Arc<Self>) -> Arc<Self> {
        Arc::clone(self.kept.as_ref().unwrap_or(self))
    }
}

/// The cells for the renderings of one record.
#[derive(Debug, Default)]
pub struct Renderings {
    /// Made with the first rendering: most records of a log are never rendered again.
    cells: OnceLock<Box<Cells>>,
    /// Filled by whoever knows the workspaces.
    shown: OnceLock<Box<Shown>>,
}

/// What the workspaces at the place of a record make of it.
#[derive(Debug)]
enum Shown {
    /// What a bus event comes to.
    Faces(Box<[Face]>),
    /// Who may see what happened in a room.
    Readers(Box<[Audience]>),
}

#[derive(Debug, Default)]
struct Cells {
    mattermost: OnceLock<Rendering>,
    room_plain: OnceLock<Rendering>,
    room_json: OnceLock<Rendering>,
    pydio: OnceLock<Rendering>,
}

/// An event in the form of one encoding, without what differs per connection.
#[derive(Debug, Clone)]
pub struct Rendering {
    /// The payload up to the place of the `seq`.
    pub payload: Bytes,
    /// True for a binary frame, false for text.
    pub binary: bool,
}

impl Renderings {
    /// The rendering in `slot`, made by `render` on first use.
    pub fn get(&self, slot: RenderingSlot, render: impl FnOnce() -> Rendering) -> &Rendering {
        let cells = self.cells.get_or_init(Box::default);
        let cell = match slot {
            RenderingSlot::Mattermost => &cells.mattermost,
            RenderingSlot::RoomPlain => &cells.room_plain,
            RenderingSlot::RoomJson => &cells.room_json,
            RenderingSlot::Pydio => &cells.pydio,
        };
        cell.get_or_init(render)
    }
}

/// What a record says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Body {
    /// Something happened that connections may be told.
    Event(Event),
    /// Users became or ceased to be members of a topic.
    Members {
        /// A channel, team or workspace.
        topic: Topic,
        /// Who joins.
        add: Vec<UserId>,
        /// Who leaves.
        remove: Vec<UserId>,
    },
    /// A user became a member of topics that the user's token names.
    Seeds {
        /// Who joins.
        user: UserId,
        /// Channels, teams and workspaces.
        topics: Vec<Topic>,
    },
    /// A connection subscribed to topics of its own choice, or ceased to.
    Watch {
        /// The connection.
        connection: ConnectionId,
        /// What it wants: [`Topic::Status`] of users, [`Topic::Chat`] of rooms.
        add: Vec<Topic>,
        /// What it no longer wants.
        remove: Vec<Topic>,
    },
    /// Tokens ended.
    Revocation(Revocation),
    /// An operator closes sockets.
    Disconnect {
        /// [`Topic::User`] or [`Topic::Connection`].
        target: Topic,
        /// Close code to send.
        code: u16,
        /// Close reason to send.
        reason: Arc<str>,
    },
    /// Something happened in Pydio; [`Record::faces`] says who is told what.
    Bus(Bus),
    /// A workspace was defined anew, or ceased to be.
    Workspace {
        /// Which.
        id: Id,
        /// What it is from here on.
        is: Option<Arc<Workspace>>,
        /// What it was up to here. The log fills it in.
        was: Option<Arc<Workspace>>,
    },
    /// Where nodes are.
    Nodes(NodePaths),
    /// Something that this version can't read. It has a place and says nothing.
    Unknown,
}

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// Name on the wire, such as `posted`.
    pub name: Arc<str>,
    /// A JSON object, as published.
    pub data: Bytes,
    /// Who gets it.
    pub to: Topic,
    /// Members who do not get it.
    pub omit_users: Vec<UserId>,
    /// A connection that does not get it.
    pub omit_connection: Option<ConnectionId>,
    /// Its body is not kept: a replay sends a no-op in its place.
    pub ephemeral: bool,
    /// `data` is raw bytes for a binary frame, not JSON (plain rooms only).
    pub binary: bool,
    /// The id that the publisher gave it, or a made one.
    pub id: Arc<str>,
    /// Who caused it, when a user did.
    pub sender: Option<Arc<str>>,
}

/// A text that many records share, such as the name of an event that the server makes.
#[derive(Debug)]
pub struct SharedText(OnceLock<Arc<str>>, &'static str);

impl SharedText {
    /// For a static: the text is put on the heap at its first use.
    #[must_use]
    pub const fn new(text: &'static str) -> Self {
        Self(OnceLock::new(), text)
    }

    /// The shared text.
    #[must_use]
    pub fn get(&self) -> Arc<str> {
        Arc::clone(self.0.get_or_init(|| Arc::from(self.1)))
    }
}

/// The end of tokens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Revocation {
    /// Whose tokens.
    pub scope: RevocationScope,
    /// Tokens issued before this moment end, in milliseconds since 1970.
    pub at_ms: u64,
}

/// Whose tokens a revocation ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RevocationScope {
    /// Those of one user, issued before the moment.
    User(UserId),
    /// Those of one login session, for good.
    Session(SessionId),
    /// Everybody's, issued before the moment.
    Everyone,
}
