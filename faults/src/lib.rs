//! Faults on real processes, and clients that see everything.
//!
//! A scenario starts Redis servers and nodes, puts load on them, breaks something,
//! and heals it. Every publisher, every client and every fault writes a history;
//! `hubbub-check` judges the histories, the scenario adds its own demands.
//!
//! Invariants:
//! - no code is shared with the server: what is tested is the wire;
//! - every wait has a deadline, every child dies with its owner;
//! - traffic stays on the loopback interface.
//!
//! Not here: what must hold in general (`hubbub-check`).

pub mod check;
pub mod history;
pub mod http;
pub mod jwt;
pub mod load;
pub mod node;
pub mod process;
pub mod proxy;
pub mod redis;
pub mod resp;
pub mod run;
pub mod scenario;
pub mod system;
pub mod ws;
