//! The addresses that events go to.
//!
//! Invariants: a topic's id was parsed; [`Topic::Connection`] addresses one
//! connection whatever its user belongs to.

use super::{ConnectionId, Id, IdError};

/// What an event is addressed to.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Topic {
    /// Every connection of one user.
    User(Id),
    /// The members of a channel.
    Channel(Id),
    /// The members of a team.
    Team(Id),
    /// The members of a workspace.
    Workspace(Id),
    /// The connections that are in a room of the room dialect.
    Room(Id),
    /// The connections that have joined a chat room with a history.
    Chat(Id),
    /// The user's own connections and those that watch this user's status.
    Status(Id),
    /// One connection.
    Connection(ConnectionId),
    /// Every connection of the realm.
    Everyone,
}

/// Why a pair of kind and id is not a topic. The sender's fault.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TopicError {
    /// The id is malformed.
    #[error("id of the topic is malformed")]
    Id(#[from] IdError),
}

impl Topic {
    /// The kind of this topic as one word, for logs and answers.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::User(_) => "user",
            Self::Channel(_) => "channel",
            Self::Team(_) => "team",
            Self::Workspace(_) => "workspace",
            Self::Room(_) => "room",
            Self::Chat(_) => "chat",
            Self::Status(_) => "status",
            Self::Connection(_) => "connection",
            Self::Everyone => "everyone",
        }
    }

    /// The id of this topic; empty for [`Topic::Everyone`].
    #[must_use]
    pub fn id(&self) -> &str {
        match self {
            Self::User(id)
            | Self::Channel(id)
            | Self::Team(id)
            | Self::Workspace(id)
            | Self::Room(id)
            | Self::Chat(id)
            | Self::Status(id) => id.as_str(),
            Self::Connection(id) => id.as_str(),
            Self::Everyone => "",
        }
    }

    /// True for the topics that users are members of by log records.
    #[must_use]
    pub fn has_members(&self) -> bool {
        matches!(self, Self::Channel(_) | Self::Team(_) | Self::Workspace(_))
    }
}
