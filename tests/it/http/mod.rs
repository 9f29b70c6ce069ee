//! The doors over real sockets: what is sent raw, and what comes back.

mod api;
pub(crate) mod client;
mod handshake;
mod internal;
mod raw;
mod slow;
mod twins;
