//! What bounds the embedded log.
//!
//! Invariants: new bounds count from the next record on.

use std::time::Duration;

use super::super::ChatLimits;

/// What bounds the embedded log.
#[derive(Debug, Clone)]
pub struct MemoryLimits {
    /// `log.retention_events`
    pub retention_events: usize,
    /// `log.retention_bytes`
    pub retention_bytes: usize,
    /// `limits.idempotency_window`
    pub idempotency_window: Duration,
    /// `limits.idempotency_ids`
    pub idempotency_ids: usize,
    /// `limits.memberships_per_user`
    pub memberships_per_user: usize,
    /// `limits.session_ttl`
    pub session_ttl: Duration,
    /// Ended sessions that are kept for a resume; the oldest go first.
    pub ended_sessions: usize,
    /// What bounds chat rooms.
    pub chat: ChatLimits,
}
