//! What a node hears of a realm's log, in order.
//!
//! Invariants: what follows a word of a tail was sent after it.

use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::mpsc;

use crate::{
    lifecycle::Gate,
    model::{ConnectionId, Id, Position, Record, Workspace},
};

/// One node's view on the end of a log.
#[derive(Debug)]
pub struct Tail {
    /// Records after this place will arrive.
    pub position: Position,
    /// The records up to that place that are still kept, oldest first and without a
    /// hole; the last one is at the position. Empty when none is kept.
    pub backlog: Vec<Arc<Record>>,
    /// The workspaces at an offset, which is that place or in the backlog.
    pub workspaces: (u64, Vec<(Id, Arc<Workspace>)>),
    /// Where the next ones arrive, in order.
    pub inbound: mpsc::Receiver<Inbound>,
    /// Open while this node may speak for the connections of the realm. After it was
    /// closed nothing is sent before it was asked again which sessions are held, as
    /// after [`Inbound::Recheck`]. Tails may share one.
    pub gate: Gate,
}

/// What a tail hears.
#[derive(Debug)]
pub enum Inbound {
    /// The next record.
    Record(Arc<Record>),
    /// A session was claimed with this fencing number, by this node or another one:
    /// a socket that holds it with a lower number has to go.
    Taken {
        /// The session.
        connection: ConnectionId,
        /// The number of the new claim.
        fencing: u64,
    },
    /// Claims may have gone unheard, or this node was silent for longer than its
    /// lease: look which sessions it still holds before anything else is sent.
    Recheck,
    /// Another node wants to know something.
    Question(Question),
    /// The tail ends. What this node has sent may not be what the log holds, or what
    /// comes next is not kept any more: every connection of the realm must begin anew.
    Lost(Loss),
}

/// Why a tail could not go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Loss {
    /// The log began a new life, and records of the old one may be lost.
    Generation,
    /// What comes next is not there: trimmed, or removed, or it does not follow.
    Retention,
}

/// Whether a node holds a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hold {
    /// It does: nobody has claimed it since.
    Held,
    /// Somebody has claimed it since.
    Taken,
    /// There is no such session any more: it ended, or was lost.
    Gone,
}

/// What one node asks the others.
#[derive(Debug, Clone)]
pub struct Question {
    /// Names it, for the answer.
    pub id: Arc<str>,
    /// What is asked; the askers' and answerers' own business.
    pub text: Bytes,
}
