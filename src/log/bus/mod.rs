//! Pydio's bus in the log: events, workspaces, and where nodes are.
//!
//! Invariants: a store knows of each workspace what the newest record says.

pub(super) mod wire;
