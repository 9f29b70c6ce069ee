//! What a node says of itself, as a script writes it.
//!
//! Invariants: what can't be read is no node.

use std::sync::Arc;

use serde::Deserialize;

use crate::log::ClusterNode;

/// What a node says of itself, as `node.lua` writes it.
#[derive(Debug, Deserialize)]
struct NodeText {
    incarnation: u64,
    lease_expires_at: u64,
    connections: usize,
    draining: bool,
}

/// The node of that name, when the text can be read.
pub(super) fn node(id: &str, text: &str) -> Option<ClusterNode> {
    let node: NodeText = serde_json::from_str(text).ok()?;
    Some(ClusterNode {
        id: Arc::from(id),
        incarnation: node.incarnation,
        lease_expires_at_ms: node.lease_expires_at,
        connections: node.connections,
        is_draining: node.draining,
    })
}
