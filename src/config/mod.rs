//! The configuration of a node, checked and typed.
//!
//! Invariants: only this module reads the environment; a [`Config`] that [`load()`]
//! returned is valid; every key has one row in the key table, which feeds the
//! parser, the commented default file and the documents.
//!
//! Not here: what the values do.

mod args;
mod checks;
mod document;
mod draft;
mod error;
mod gather;
mod keys;
mod load;
mod machine;
mod redis_urls;
mod source;
mod tables;
mod types;
mod units;
mod value;

#[cfg(test)]
mod tests;

pub use args::{Cli, Command, ConfigArgs, HealthcheckArgs, ServeArgs, TokenArgs};
pub use document::{default_file, key_names, page, variable};
pub use error::{ConfigError, ConfigErrors, Problem};
pub use load::{LoadArgs, Loaded, Mode, Purpose, Reloaded, load, reload};
pub use machine::{Machine, raise_open_files};
pub use source::{FileContent, Map, Source, System, cargo_runs_it};
pub use types::{
    AllowedOrigins, ApiKey, Auth, AuthKey, Cluster, Config, Dialects, Hubs, Internal, KeyMaterial,
    Limits, Log, LogFormat, LogProfile, Mattermost, Node, Public, Pydio, Redis, RedisMode, Room,
    Secret, Shutdown, Status, Telemetry, TlsFiles,
};
pub use units::parse_duration;
