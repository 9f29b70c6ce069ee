//! What the nodes of a cluster tell each other about themselves.
//!
//! Invariants: what this node says of itself is read when it is told, never kept up to
//! date by whoever tells it.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize},
    },
    time::Duration,
};

/// What changes of this node while it runs: its owner writes, the log's lease reads.
#[derive(Debug, Default)]
pub struct NodeFacts {
    /// Sockets that it serves.
    pub connections: AtomicUsize,
    /// True from the moment on in which it gives its connections away.
    pub is_draining: AtomicBool,
}

/// This node as its log knows it.
#[derive(Debug, Clone)]
pub struct ThisNode {
    /// Its name.
    pub id: Arc<str>,
    /// How long it counts as alive after it was heard of.
    pub lease: Duration,
    /// What changes of it.
    pub facts: Arc<NodeFacts>,
}

/// A node of the cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClusterNode {
    /// Its name.
    pub id: Arc<str>,
    /// Counts the starts under this name.
    pub incarnation: u64,
    /// When it counts as dead unless it is heard of before, in milliseconds since 1970.
    pub lease_expires_at_ms: u64,
    /// Sockets that it serves.
    pub connections: usize,
    /// True when it gives its connections away.
    pub is_draining: bool,
}
