//! The configuration of a node, checked and typed.
//!
//! Invariants: only this module reads the environment; a [`Config`] that exists
//! is valid; every key has one row in the key table, which feeds the parser, the
//! commented default file and the documents.
//!
//! Not here: what the values do.

mod draft;
mod machine;
mod types;

pub use machine::{Machine, raise_open_files};
pub use types::{
    AllowedOrigins, ApiKey, Auth, AuthKey, Cluster, Config, Dialects, Hubs, Internal, KeyMaterial,
    Limits, Log, LogFormat, LogProfile, Mattermost, Node, Public, Pydio, Redis, RedisMode, Room,
    Secret, Shutdown, Status, Telemetry, TlsFiles,
};
