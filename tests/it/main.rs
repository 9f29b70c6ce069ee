//! The promises of the server, one file each, in one binary.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that panics has failed, also in its helpers"
)]

mod badinput;
mod cli;
mod embed;
mod http;
mod lifecycle;
mod metrics;
mod persistence;
mod promises;
mod pydio;
mod rest;
mod rights;
mod support;
mod tidy;
mod ws;
