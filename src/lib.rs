//! hubbub: a cluster-aware WebSocket server for chat-like applications.
//!
//! Every connection reads one totally ordered log, so what it was sent is a pure
//! function of that log, and it can be resumed without a gap. Modules are listed
//! from the words up to the composition root; `ARCHITECTURE.md` has the map.

// Futures of the log nest deeply: a backend inside its choice, inside a verb, inside a door.
#![recursion_limit = "256"]

pub mod clock;
pub mod lifecycle;
pub mod model;

pub mod bus;

pub mod config;
pub mod metrics;
pub mod telemetry;

pub mod auth;
pub mod dialect;
pub mod limits;
pub mod ws;

pub mod redis_client;
pub mod store;

pub mod log;
pub mod presence;

pub mod hub;
pub mod node;
pub mod session;

pub mod http;

pub mod app;

pub mod embed;
