//! What a log keeps of a record, and what that weighs.
//!
//! Invariants: only the body of an ephemeral event is dropped.

use bytes::Bytes;

use crate::model::{Body, Event, Record, Topic, UserId, Workspace};

/// Bytes that a record costs beside its data.
const RECORD_OVERHEAD_BYTES: usize = 256;

/// Bytes that a path costs, with what stands beside it.
const PATH_BYTES: usize = 128;

/// An ephemeral event as it is kept: its header. Only live connections see the body.
pub(super) fn without_body(body: &Body) -> Option<Body> {
    match body {
        Body::Event(event) if event.ephemeral => {
            Some(Body::Event(Event { data: Bytes::new(), ..event.clone() }))
        }
        Body::Event(_)
        | Body::Members { .. }
        | Body::Seeds { .. }
        | Body::Watch { .. }
        | Body::Revocation(_)
        | Body::Disconnect { .. }
        | Body::Bus(_)
        | Body::Workspace { .. }
        | Body::Nodes(_)
        | Body::Unknown => None,
    }
}

/// What a record counts against `log.retention_bytes`.
pub(super) fn weight(record: &Record) -> usize {
    let payload = match &record.body {
        Body::Event(event) => event.data.len() + event.name.len(),
        Body::Members { add, remove, .. } => (add.len() + remove.len()) * size_of::<UserId>(),
        Body::Watch { add, remove, .. } => (add.len() + remove.len()) * size_of::<Topic>(),
        Body::Seeds { topics, .. } => topics.len() * size_of::<Topic>(),
        Body::Bus(bus) => bus.data.len(),
        Body::Workspace { is, was, .. } => {
            let weight = |one: &Workspace| (one.roots.len() + one.rules.len()) * PATH_BYTES;
            is.as_deref().map_or(0, weight) + was.as_deref().map_or(0, weight)
        }
        Body::Nodes(nodes) => (nodes.set.len() + nodes.remove.len()) * PATH_BYTES,
        Body::Revocation(_) | Body::Disconnect { .. } | Body::Unknown => 0,
    };
    payload + RECORD_OVERHEAD_BYTES
}

pub(super) fn millis(duration: std::time::Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
