//! The WebSocket layer on real sockets: handshake, TLS, closing, conformance.
//!
//! Goal: what the layer promises holds between two TCP ends, with hyper between
//! the request and the frames.
//!
//! Method: an echo server made of this layer alone, and a client that writes raw
//! bytes and reads raw bytes.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by a panic"
)]

pub(crate) mod client;
mod closing;
mod echo;
mod handshake;
mod labels;
mod receiver;
mod tls;
