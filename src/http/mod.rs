//! The doors of a node: its listeners, and what is said over HTTP.
//!
//! The public listener leads to the dialects, the REST twins and the pages; the
//! internal one to metrics, probes and the server API. Both read requests through
//! the same strict gate, under the same deadlines.
//!
//! Invariants:
//! - no internal route exists on the public listener;
//! - the internal listener has its own thread: it answers when the node is stuck;
//! - of what a peer sent, an answer repeats at most the name of a field.
//!
//! Not here: frames and the WebSocket handshake (`ws`), connected clients (`session`).

mod answer;
mod api;
mod chunks;
mod connection;
pub mod demo;
mod gate;
mod head;
mod host;
mod internal;
mod listener;
mod peer;
mod public;
mod rest;
mod upgrade;

pub use answer::Answer;
pub use api::{Api, ApiParts, openapi};
pub use connection::Door;
pub use internal::{Internal, InternalParts};
pub use listener::{Listener, Shared};
pub use peer::Peer;
pub use public::{CookieName, PublicDoor, PublicRoutes, PublicSettings};
pub use rest::{DemoSession, Rest, RestParts};
pub use upgrade::UpgradeHandler;
