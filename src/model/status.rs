//! What a user shows to others.

use super::{UnixSeconds, UserId};

/// The five values of a status.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Status {
    /// Connected and active.
    Online,
    /// Connected, but without activity for a while.
    Away,
    /// Does not want to be disturbed.
    Dnd,
    /// Not connected.
    Offline,
    /// Out of office.
    Ooo,
}

impl Status {
    /// All values, in the order of the documents.
    pub const ALL: [Self; 5] = [Self::Online, Self::Away, Self::Dnd, Self::Offline, Self::Ooo];

    /// The word on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Online => "online",
            Self::Away => "away",
            Self::Dnd => "dnd",
            Self::Offline => "offline",
            Self::Ooo => "ooo",
        }
    }

    /// Parses the word on the wire.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.as_str() == text)
    }
}

/// A user's status as clients see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StatusRecord {
    /// Whose status.
    pub user: UserId,
    /// What is shown.
    pub status: Status,
    /// True when the user chose it.
    pub manual: bool,
    /// Milliseconds since 1970; 0 when never active.
    pub last_activity_at_ms: u64,
    /// When a timed `dnd` ends, in seconds since 1970; 0 when it does not.
    pub dnd_ends_at: UnixSeconds,
}
