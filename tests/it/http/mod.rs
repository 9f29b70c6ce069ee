//! The doors over real sockets: what is sent raw, and what comes back.

mod api;
mod bodies;
pub(crate) mod client;
mod document;
mod handshake;
mod internal;
mod raw;
mod slow;
mod twins;
