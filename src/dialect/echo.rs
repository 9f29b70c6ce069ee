//! The dialect of `/echo`: the answer to a message is the message.
//!
//! There is nothing to decode. The route is for conformance suites, which send
//! messages far bigger than a chat does, so its limits are its own.

/// Bytes of one message.
pub const MESSAGE_BYTES_MAX: usize = 32 * 1024 * 1024;

/// Frames of one message.
pub const MESSAGE_FRAMES_MAX: usize = 1_000_000;
