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

    /// The place of this value in [`Status::ALL`].
    #[must_use]
    pub fn index(self) -> usize {
        match self {
            Self::Online => 0,
            Self::Away => 1,
            Self::Dnd => 2,
            Self::Offline => 3,
            Self::Ooo => 4,
        }
    }
}

/// What a user chose to show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ManualStatus {
    /// No choice of theirs any more, and a sign of life: online is never manual.
    Online,
    /// Away, whatever their devices do.
    Away,
    /// Not to be disturbed until they choose something else.
    Dnd,
    /// Not to be disturbed until that second since 1970; then what was before shows again.
    DndUntil(UnixSeconds),
    /// Invisible.
    Offline,
    /// Out of office.
    Ooo,
}

impl ManualStatus {
    /// The choice of `status`. `dnd_ends_at` counts for `dnd` only; 0 means that
    /// it does not end by itself.
    #[must_use]
    pub fn new(status: Status, dnd_ends_at: UnixSeconds) -> Self {
        match status {
            Status::Online => Self::Online,
            Status::Away => Self::Away,
            Status::Dnd if dnd_ends_at == 0 => Self::Dnd,
            Status::Dnd => Self::DndUntil(dnd_ends_at),
            Status::Offline => Self::Offline,
            Status::Ooo => Self::Ooo,
        }
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
