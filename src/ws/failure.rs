//! Why a peer's bytes end the conversation: one table of reasons.
//!
//! Invariants: every failure has a close code, a text for the close frame and a
//! label for metrics; none of them holds a byte of the peer.

use crate::model::CloseCode;

/// What the peer did wrong on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
#[error("{}", self.reason())]
pub enum Failure {
    /// A frame without a mask.
    Unmasked,
    /// A reserved bit is set and no extension gives it a meaning.
    ReservedBits,
    /// An opcode without a meaning.
    ReservedOpcode,
    /// A control frame that is not final.
    ControlFragmented,
    /// A control frame of more than 125 bytes.
    ControlTooLong,
    /// A length that has a shorter form, or its top bit set.
    Length,
    /// A continuation while no message is open.
    UnexpectedContinuation,
    /// A new message inside an open one.
    MessageInsideMessage,
    /// A close frame with half a code, or a code that must not be on the wire.
    ClosePayload,
    /// Text or a close reason that is not UTF-8.
    NotUtf8,
    /// A message of more bytes than allowed.
    TooBig,
    /// A message of more frames than allowed.
    TooManyFragments,
    /// More pings and pongs than allowed.
    ControlFlood,
    /// A message that took too long to arrive.
    MessageTimeout,
}

impl Failure {
    /// Every failure.
    pub const ALL: [Self; 14] = [
        Self::Unmasked,
        Self::ReservedBits,
        Self::ReservedOpcode,
        Self::ControlFragmented,
        Self::ControlTooLong,
        Self::Length,
        Self::UnexpectedContinuation,
        Self::MessageInsideMessage,
        Self::ClosePayload,
        Self::NotUtf8,
        Self::TooBig,
        Self::TooManyFragments,
        Self::ControlFlood,
        Self::MessageTimeout,
    ];

    /// The close code to send.
    #[must_use]
    pub fn close(self) -> CloseCode {
        match self {
            Self::Unmasked
            | Self::ReservedBits
            | Self::ReservedOpcode
            | Self::ControlFragmented
            | Self::ControlTooLong
            | Self::Length
            | Self::UnexpectedContinuation
            | Self::MessageInsideMessage
            | Self::ClosePayload => CloseCode::Protocol,
            Self::NotUtf8 => CloseCode::InvalidData,
            Self::TooBig => CloseCode::TooBig,
            Self::TooManyFragments | Self::ControlFlood | Self::MessageTimeout => CloseCode::Policy,
        }
    }

    /// The text of the close frame.
    #[must_use]
    pub fn reason(self) -> &'static str {
        match self {
            Self::Unmasked => "frame is not masked",
            Self::ReservedBits => "reserved bit is set",
            Self::ReservedOpcode => "reserved opcode",
            Self::ControlFragmented => "control frame is fragmented",
            Self::ControlTooLong => "control frame is too long",
            Self::Length => "length is not in its shortest form",
            Self::UnexpectedContinuation => "continuation without a message",
            Self::MessageInsideMessage => "new message inside a message",
            Self::ClosePayload => "close frame without a valid code",
            Self::NotUtf8 => "text is not UTF-8",
            Self::TooBig => "message is too big",
            Self::TooManyFragments => "message has too many fragments",
            Self::ControlFlood => "too many control frames",
            Self::MessageTimeout => "message took too long",
        }
    }

    /// The label in metrics, of the stage `frame`.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Unmasked => "unmasked",
            Self::ReservedBits => "reserved_bits",
            Self::ReservedOpcode => "reserved_opcode",
            Self::ControlFragmented => "control_fragmented",
            Self::ControlTooLong => "control_too_long",
            Self::Length => "length",
            Self::UnexpectedContinuation => "unexpected_continuation",
            Self::MessageInsideMessage => "message_inside_message",
            Self::ClosePayload => "close_payload",
            Self::NotUtf8 => "not_utf8",
            Self::TooBig => "too_big",
            Self::TooManyFragments => "too_many_fragments",
            Self::ControlFlood => "control_flood",
            Self::MessageTimeout => "message_timeout",
        }
    }
}
