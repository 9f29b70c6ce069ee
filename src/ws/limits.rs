//! What one peer may send: sizes, counts, rates and times of its frames.

use std::time::Duration;

use super::control::Rate;
use crate::config::Limits;

/// The limits of a reader. They may change between two frames, as they do when a
/// client has authenticated.
#[derive(Debug, Clone, Copy)]
pub struct FrameLimits {
    /// Payload bytes of one message, over all its frames.
    pub message_bytes: usize,
    /// Frames of one message, empty ones included.
    pub fragments: usize,
    /// Pings and pongs.
    pub control: Rate,
    /// From the first to the last byte of one message. The reader only says when a
    /// message began; its owner has the timer.
    pub message_timeout: Duration,
}

impl FrameLimits {
    /// For a client that has not authenticated: never more than afterwards.
    #[must_use]
    pub fn unauthenticated(limits: &Limits) -> Self {
        let message_bytes = limits.message_bytes_unauthenticated.min(limits.message_bytes);
        Self { message_bytes, ..Self::authenticated(limits) }
    }

    /// For a client that has authenticated, or need not.
    #[must_use]
    pub fn authenticated(limits: &Limits) -> Self {
        Self {
            message_bytes: limits.message_bytes,
            fragments: limits.message_fragments,
            control: Rate::per_second(limits.control_frames_per_second),
            message_timeout: limits.message_timeout,
        }
    }

    /// For conformance suites, which send big messages in tiny pieces and pings
    /// without a pause.
    #[must_use]
    pub const fn echo() -> Self {
        Self {
            message_bytes: 32 * 1024 * 1024,
            fragments: 1_000_000,
            control: Rate::UNLIMITED,
            message_timeout: Duration::from_secs(60),
        }
    }
}
