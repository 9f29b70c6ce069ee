//! Redis servers of our own: one, with replicas, watched by sentinels, or as a cluster.
//!
//! Invariants:
//! - every server listens on the loopback interface and keeps its files in its folder;
//! - every server has ended when its owner is dropped.

mod cluster;
mod sentinel;
mod server;

pub use self::{
    cluster::Cluster,
    sentinel::{Sentinels, WATCHED},
    server::{Options, Persistence, Server},
};
