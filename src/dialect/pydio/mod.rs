//! Pydio's two sockets: bus events on `/ws/event`, chat on `/ws/chat`.
//!
//! A socket is nobody's until its first message, `subscribe`, proves a user. What both
//! routes share is here: that message, its opposite, errors, and how pushes are written.
//!
//! Invariants:
//! - every error is a text message, and has the three members of the original's;
//! - a push is the same with and without a number, which comes last.
//!
//! Not here: what an event comes to (`bus`), whether a token is good (`auth`).

pub mod chat;
mod control;
mod render;

#[cfg(test)]
mod tests;

pub use control::{Control, Refusal, Subscribe, decode, hello, reply_error};
pub use render::{ENCODING, NUMBERED};
