//! The doors over real sockets: what is sent raw, and what comes back.

mod handshake;
mod raw;
mod slow;
