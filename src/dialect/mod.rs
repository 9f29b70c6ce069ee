//! Bytes to meaning and back: what each kind of client speaks.
//!
//! A dialect decodes a client's message into an action, encodes replies, and
//! renders records for the hub. It does no IO, reads no clock and spawns nothing.
//!
//! Invariants:
//! - no text that a peer can send makes a decoder panic or allocate more than a
//!   small multiple of its length;
//! - what a peer sent is refused as a whole or understood as a whole;
//! - a rendering followed by its tail is one valid message.
//!
//! Not here: whether a user may do what an action asks (`node`), sockets (`ws`).

pub mod echo;
pub mod json;
pub mod mattermost;
pub mod pydio;
pub mod room;

#[cfg(test)]
mod tests;
