//! What Mattermost's clients speak on `/api/v4/websocket`.
//!
//! Requests carry the client's own `seq` and get one reply each; events carry the
//! connection's `seq`, which begins with hello at 0 and never skips a number. The
//! shapes are those of `@mattermost/client` 11.9, which must work unmodified.
//!
//! Invariants:
//! - every reply has a non-zero `seq_reply`: a client takes one without for an event;
//! - every event has exactly the keys event, data, broadcast and seq, a withheld one
//!   event and seq;
//! - a token is never in a `Debug` output.
//!
//! Not here: who gets an event (`hub`), what an action does (`node`), the numbering
//! (`session`).

mod action;
mod codec;
mod refusal;
mod render;
mod reply;
mod wire;

#[cfg(test)]
mod tests;

pub use action::{ACTIONS, Action, ActionRow, Presence, Request, Token};
pub use codec::{DecodeError, decode};
pub use refusal::{ErrorRow, Refusal};
pub use render::{ENCODING, SCOPED_EVENTS, withheld};
pub use reply::{
    Hello, Pong, hello, reply_fail, reply_ok, reply_ok_with, status_change_data, status_record,
    status_records, statuses, typing_data,
};
