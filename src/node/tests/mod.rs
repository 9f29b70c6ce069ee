//! A node on a log that others share: lives of realms, claims, leases, places.
//!
//! Goal: whatever happens to the log, to other nodes or to the process, nobody is sent
//! what is not theirs, and nobody goes on with a number that is not right.
//!
//! Method: one or two nodes on one embedded log, which tests make fall silent, lose its
//! place or say what a shared log says; clients without sockets, whose outboxes are read.
//! Time is paused.

mod away;
mod chat;
mod claims;
mod lives;
mod places;
mod resumes;
mod stage;
