//! What is asked of a log, and what it answers.
//!
//! Invariants: an error says whether the record may be in the log.

use std::{sync::Arc, time::Duration};

use crate::model::{Body, ConnectionId, Memberships, Position, Revocations, Scope, SessionRecord};

/// A record that wants to enter the log.
#[derive(Debug, Clone)]
pub struct Draft {
    /// What it says.
    pub body: Body,
    /// The publisher's id of this request: repeating it is harmless.
    pub id: Option<Arc<str>>,
}

/// The answer to an append.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Appended {
    /// Where the record is.
    pub position: Position,
    /// True when an earlier request with this id put it there.
    pub duplicate: bool,
}

/// Why a record was not acknowledged.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AppendError {
    /// The id stands for another body. The publisher's fault; nothing was appended.
    #[error("this id was used with another body")]
    Conflict,
    /// A user would have too many memberships. The publisher's fault; nothing was appended.
    #[error("a user would be a member of more than {limit} topics")]
    TooManyMemberships {
        /// `limits.memberships_per_user`
        limit: usize,
    },
    /// Parts wait that must be merged before this record. Nothing was appended.
    #[error("parts wait that must be merged first")]
    Waiting {
        /// Offset of the first part that waits; 0 when none does.
        first: u64,
        /// Offset of the last one.
        last: u64,
    },
    /// The log can't be reached. The record may or may not be in it: retry with the same id.
    #[error("the log is unavailable")]
    Unavailable {
        /// When to try again.
        retry_after: Duration,
    },
}

/// The log could not be asked. Transient.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the log is unavailable")]
pub struct LogError {
    /// When to try again.
    pub retry_after: Duration,
}

/// A session that begins.
#[derive(Debug, Clone)]
pub struct Opening {
    /// Its name, made by the caller.
    pub connection: ConnectionId,
    /// What it reads.
    pub scope: Scope,
}

/// What a user may see, and where that was true.
#[derive(Debug, Clone)]
pub struct Snapshot {
    /// The log's end at that moment.
    pub position: Position,
    /// Offset of the oldest record that is kept: what ended before it may be missing
    /// in the memberships and the subscriptions.
    pub oldest: u64,
    /// The user's memberships.
    pub memberships: Memberships,
    /// The connection's own subscriptions: [`Topic::Status`] of watched users.
    ///
    /// [`Topic::Status`]: crate::model::Topic::Status
    pub watches: Memberships,
    /// What of the user's tokens has ended.
    pub revocations: Revocations,
}

/// The answer to a claim.
#[derive(Debug)]
pub enum Claim {
    /// The session is the caller's.
    Granted {
        /// Its record, with the raised fencing number.
        record: Box<SessionRecord>,
        /// What its user may see now.
        snapshot: Box<Snapshot>,
    },
    /// There is no such session: never was, or ended.
    Unknown,
    /// It belongs to another user, or to another login session.
    Forbidden,
    /// The log may have lost records since the session was last known to be intact.
    Stale,
}

/// How far a connection has come.
#[derive(Debug, Clone)]
pub struct Checkpoint {
    /// Whose.
    pub connection: ConnectionId,
    /// The next `seq` to give.
    pub seq: u64,
    /// The offset up to which `seq` was counted.
    pub cursor: u64,
    /// The fencing number of the holder.
    pub fencing: u64,
    /// True when the socket is gone and the lifetime of the record begins.
    pub ended: bool,
}
