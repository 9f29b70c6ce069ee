//! What is said on the chat route: rooms, messages, pages of a history.
//!
//! Two vocabularies, both of which work: the one that is deployed (`JOIN`, `POST`, …) and
//! the one that was documented (`join`, `leave`, `msg`).
//!
//! Invariants:
//! - who says something is never read from what a client sends;
//! - text leaves as it was cleaned on its way in, so nobody is sent a script.
//!
//! Not here: who may do what (`session`), where messages are kept (`log`).

mod codec;
mod render;
mod wire;

#[cfg(test)]
mod tests;

pub use codec::{Paging, RoomRef, Saying, TEXT_BYTES_MAX, Wish, decode};
pub(super) use render::render;
pub use render::{may_have_more, message, room_update};
