//! Who is connected, and what a connection reads.
//!
//! Invariants: an [`Identity`] was proved by a token, or is a named guest of the
//! rooms; a [`SessionRecord`] holds all that another node needs to go on.

use std::sync::Arc;

use super::{ConnectionId, Id, Position, RealmId, SessionId, Subject, Topic, UserId};

/// Seconds since 1970.
pub type UnixSeconds = u64;

/// What a token proved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The tenant.
    pub realm: RealmId,
    /// The user.
    pub user: UserId,
    /// The login session, when the token names one.
    pub session: Option<SessionId>,
    /// When the token was issued; `None` ends at any revocation of its user.
    pub issued_at: Option<UnixSeconds>,
    /// When the token ends, leeway included.
    pub expires_at: UnixSeconds,
    /// Roles, for dialects that ask.
    pub roles: Vec<Id>,
    /// Name to show; the user id when the token has none.
    pub name: Option<Arc<str>>,
    /// Profile, for dialects that ask.
    pub profile: Option<Arc<str>>,
    /// Memberships to add where the realm holds no record about them.
    pub seeds: Vec<Topic>,
}

/// What a connection reads from its realm's log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scope {
    /// Everything addressed to its user: user, channel, team, connection, everyone.
    Member,
    /// One room of the room dialect.
    Room(Id),
    /// What its user may see of Pydio's bus.
    Bus(Arc<Subject>),
    /// Pydio's chat rooms that it joined.
    Chat(Arc<Subject>),
}

impl Scope {
    /// True when memberships of `topic` decide what is read.
    #[must_use]
    pub fn follows(&self, topic: &Topic) -> bool {
        match self {
            Self::Member => topic.has_members(),
            Self::Bus(_) => matches!(topic, Topic::Workspace(_)),
            Self::Room(_) | Self::Chat(_) => false,
        }
    }
}

/// What the log keeps of a connection, so that any node can resume it.
#[derive(Debug, Clone)]
pub struct SessionRecord {
    /// Its name.
    pub connection: ConnectionId,
    /// Whose it is.
    pub user: UserId,
    /// The login session that made it.
    pub session: Option<SessionId>,
    /// What it reads.
    pub scope: Scope,
    /// Where its numbering begins: hello is `seq` 0 at this place.
    pub base: Position,
    /// Last known next `seq`.
    pub seq: u64,
    /// The offset up to which `seq` was counted.
    pub cursor: u64,
    /// Grows with each claim; a holder with a lower number is stale.
    pub fencing: u64,
    /// The node that holds it, or held it last; empty where there is only one.
    pub owner: Arc<str>,
}
