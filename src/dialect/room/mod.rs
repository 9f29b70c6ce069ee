//! The chat rooms on `/ws` and `/ws/room/{name}`, in two forms.
//!
//! Plain: what a client sends is what everybody in the room gets, the sender
//! included, one message per frame. With subprotocol [`SUBPROTOCOL`]: JSON with
//! names, ids, times, history and a `seq` that makes resume possible. Clients of
//! both forms share rooms.
//!
//! Invariants:
//! - text is passed on as it was sent, line feeds included, or not at all;
//! - a guest's shown name begins with `~`, which no user id can.
//!
//! Not here: who is in a room (`hub`), the order of messages (`log`).

mod codec;
mod names;
mod render;
mod wire;

#[cfg(test)]
mod tests;

pub use codec::{
    DecodeError, Refusal, Request, Said, decode, decode_binary, decode_plain, event_id,
    reply_error, said_data,
};
pub use names::{DEFAULT_ROOM, EVENT_NAME, SUBPROTOCOL, guest_name, room_name};
pub use render::{HISTORY_BYTES_MAX, HISTORY_EVENTS_MAX, Hello, ROOM_JSON, ROOM_PLAIN, hello};
