//! `redis.*`, `log.*`, `hubs.*`, `status.*`, `cluster.*`, `shutdown.*` and
//! `telemetry.*`: how the node works inside.
//!
//! Not here: the parts that obey these values.

use std::{path::PathBuf, time::Duration};

use super::Secret;

/// `redis.*`
#[derive(Debug, Clone)]
pub struct Redis {
    /// Servers; empty means the embedded log.
    pub urls: Vec<Secret>,
    /// How the servers work together.
    pub mode: RedisMode,
    /// Name of the primary at the sentinels.
    pub sentinel_master: Option<String>,
    /// Who logs in at the servers, unless their URL says it.
    pub username: Option<String>,
    /// The password of that user.
    pub password: Option<Secret>,
    /// The certificates that `rediss://` trusts instead of the system's.
    pub tls_ca: Option<PathBuf>,
    /// First part of every key name.
    pub prefix: String,
}

/// `redis.mode`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RedisMode {
    /// One server.
    Standalone,
    /// A primary that sentinels watch.
    Sentinel,
    /// Redis Cluster.
    Cluster,
}

/// `log.*`
#[derive(Debug, Clone)]
pub struct Log {
    /// What an acknowledgement means.
    pub profile: LogProfile,
    /// Records kept per realm.
    pub retention_events: usize,
    /// Bytes kept per realm.
    pub retention_bytes: usize,
}

/// `log.profile`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogProfile {
    /// Acknowledged when the primary has it.
    Log,
    /// Acknowledged when a replica has it, too.
    Ha,
}

/// `hubs.*`
#[derive(Debug, Clone)]
pub struct Hubs {
    /// How many hubs.
    pub count: usize,
    /// Records that may wait in front of one hub.
    pub queue: usize,
}

/// `status.*`
#[derive(Debug, Clone)]
pub struct Status {
    /// Inactivity after which a user is away.
    pub away_after: Duration,
    /// Grace after an unclean drop.
    pub offline_after: Duration,
}

/// `cluster.*`
#[derive(Debug, Clone)]
pub struct Cluster {
    /// How long a lease lives.
    pub lease: Duration,
    /// How often it is renewed.
    pub heartbeat: Duration,
}

/// `shutdown.*`
#[derive(Debug, Clone)]
pub struct Shutdown {
    /// Window over which sockets are closed.
    pub drain: Duration,
    /// How long the node says "not ready" before it drains.
    pub ready_delay: Duration,
}

/// `telemetry.*`
#[derive(Debug, Clone)]
pub struct Telemetry {
    /// Form of the log lines.
    pub log_format: LogFormat,
    /// Least severe level that is written, or a filter expression.
    pub log_level: String,
}

/// `telemetry.log_format`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// Text on a terminal, else JSON.
    Auto,
    /// Lines for people.
    Text,
    /// Lines for machines.
    Json,
}
