//! The hub against its laws: what a socket receives is a pure function of the log.
//!
//! Method: a hub without its task, so that each test decides how far it lags behind
//! the log; real loopback sockets, so that what counts is the bytes that arrive.
//!
//! Invariants: nothing here sleeps; a socket is read to its end, never for a while.

mod attach;
mod drain;
mod faces;
mod held;
mod laws;
mod stage;
mod units;
