//! Shapes of what nodes ask each other.
//!
//! Nodes of different versions talk while they are updated: what is not understood is
//! answered with nothing.

use serde::{Deserialize, Serialize};

/// A question to all nodes.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "ask", rename_all = "snake_case")]
pub(super) enum Question {
    /// Has one of you this connection? The answer is a [`Found`], or null.
    Connection {
        /// Its name.
        id: String,
    },
    /// Who is in this room with you? The answer is an [`Inside`].
    Room {
        /// Its name.
        name: String,
    },
}

/// A connection that has its socket on the node that answers.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Found {
    /// The name of the node.
    pub(super) node: String,
    /// Whose it is.
    pub(super) user: String,
    /// What it speaks.
    pub(super) dialect: String,
    /// The next number.
    pub(super) seq: u64,
    /// The offset up to which it was served.
    pub(super) cursor: u64,
    /// Events that wait in its outbox.
    pub(super) outbox_events: usize,
    /// Bytes that wait in its outbox.
    pub(super) outbox_bytes: usize,
    /// When its socket began, in milliseconds since 1970.
    pub(super) since_ms: u64,
}

/// Who is in a room on the node that answers: users and connections.
pub(super) type Inside = Vec<(String, String)>;
