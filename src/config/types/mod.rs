//! The typed configuration, one struct per section of the file.
//!
//! Invariants: a [`Config`] that [`load`](super::load()) returned is valid; a
//! [`Secret`] is never printed.
//!
//! Not here: where the values come from, and what they do.

mod auth;
mod dialects;
mod limits;
mod listen;
mod runtime;

use std::{fmt, path::PathBuf, sync::Arc};

pub use auth::{Auth, AuthKey, KeyMaterial};
pub use dialects::{Dialects, Mattermost, Pydio, Room};
pub use limits::Limits;
pub use listen::{AllowedOrigins, ApiKey, Internal, Node, Public, TlsFiles};
pub use runtime::{
    Cluster, Hubs, Log, LogFormat, LogProfile, Redis, RedisMode, Shutdown, Status, Telemetry,
};

/// The whole configuration of a node.
#[derive(Debug, Clone)]
pub struct Config {
    /// `--dev`: loopback only, embedded log, pages on, no API key needed.
    pub dev: bool,
    /// `node.*`
    pub node: Node,
    /// `public.*`
    pub public: Public,
    /// `internal.*`
    pub internal: Internal,
    /// `auth.*`
    pub auth: Auth,
    /// `redis.*`
    pub redis: Redis,
    /// `data.dir`: folder of the embedded store.
    pub data_dir: Option<PathBuf>,
    /// `log.*`
    pub log: Log,
    /// `hubs.*`
    pub hubs: Hubs,
    /// `status.*`
    pub status: Status,
    /// `cluster.*`
    pub cluster: Cluster,
    /// `shutdown.*`
    pub shutdown: Shutdown,
    /// `dialects.*`
    pub dialects: Dialects,
    /// `demo.enabled`
    pub demo: bool,
    /// `metrics.mattermost_names`
    pub mattermost_metric_names: bool,
    /// `telemetry.*`
    pub telemetry: Telemetry,
    /// `limits.*`
    pub limits: Limits,
}

/// A secret text. `Debug` and `Display` never show it.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Arc<str>);

impl Secret {
    /// Wraps `text`.
    #[must_use]
    pub fn new(text: &str) -> Self {
        Self(Arc::from(text))
    }

    /// The text. Only for the code that signs, verifies or connects.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("(secret)")
    }
}
