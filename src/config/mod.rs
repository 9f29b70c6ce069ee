//! The configuration of a node, checked and typed.
//!
//! Invariants: only this module reads the environment; a [`Config`] that exists
//! is valid; every key has one row in the key table, which feeds the parser, the
//! commented default file and the documents.
//!
//! Not here: what the values do.

use std::{net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};

use ipnet::IpNet;

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

impl std::fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("(secret)")
    }
}

/// `node.*`
#[derive(Debug, Clone)]
pub struct Node {
    /// Label, lease name and `server_hostname`.
    pub id: String,
}

/// `public.*`
#[derive(Debug, Clone)]
pub struct Public {
    /// Address of the public listener.
    pub listen: SocketAddr,
    /// PEM files of certificate chain and key: both or none.
    pub tls: Option<TlsFiles>,
    /// Which `Origin` headers may open a socket.
    pub allowed_origins: AllowedOrigins,
    /// Peers whose `X-Forwarded-For` counts.
    pub trusted_proxies: Vec<IpNet>,
    /// Prefix of every public route; begins and ends with `/`.
    pub base_path: String,
}

/// Where a certificate is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFiles {
    /// PEM chain.
    pub certificate: PathBuf,
    /// PEM key.
    pub key: PathBuf,
}

/// `public.allowed_origins`
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AllowedOrigins {
    /// The origin's host and port must be the request's `Host`.
    SameOrigin,
    /// Exactly these origins (scheme, host and port).
    List(Vec<String>),
    /// Any origin: only without cookie authentication.
    Any,
}

/// `internal.*`
#[derive(Debug, Clone)]
pub struct Internal {
    /// Address of the internal listener.
    pub listen: SocketAddr,
    /// Keys of the server API; empty only in dev.
    pub api_keys: Vec<ApiKey>,
}

/// One key of the server API.
#[derive(Debug, Clone)]
pub struct ApiKey {
    /// For logs and limits.
    pub name: String,
    /// The key.
    pub key: Secret,
    /// Realms that it may use; empty means every realm.
    pub realms: Vec<String>,
}

/// `auth.*`
#[derive(Debug, Clone)]
pub struct Auth {
    /// Keys that sign tokens, in the order of the file.
    pub keys: Vec<AuthKey>,
    /// Where to fetch more keys.
    pub jwks_url: Option<String>,
    /// Required issuer.
    pub issuer: Option<String>,
    /// Required audience.
    pub audience: Option<String>,
    /// Name of the cookie that may carry a token; empty turns cookies off.
    pub cookie: String,
    /// Tolerance for clocks.
    pub leeway: Duration,
    /// Farthest `exp` that is accepted.
    pub max_lifetime: Duration,
}

/// One key that signs tokens.
#[derive(Debug, Clone)]
pub struct AuthKey {
    /// Tokens that name a `kid` are checked with the key of that name only.
    pub kid: Option<String>,
    /// Pinned algorithm, such as `HS256`.
    pub algorithm: String,
    /// The key.
    pub material: KeyMaterial,
}

/// What a signing key is made of.
#[derive(Debug, Clone)]
pub enum KeyMaterial {
    /// HMAC secret.
    Secret(Secret),
    /// PEM file of a public key.
    PublicKeyFile(PathBuf),
}

/// `redis.*`
#[derive(Debug, Clone)]
pub struct Redis {
    /// Servers; empty means the embedded log.
    pub urls: Vec<Secret>,
    /// How the servers work together.
    pub mode: RedisMode,
    /// Name of the primary at the sentinels.
    pub sentinel_master: Option<String>,
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

/// `dialects.*`
#[derive(Debug, Clone)]
pub struct Dialects {
    /// `dialects.mattermost.*`
    pub mattermost: Mattermost,
    /// `dialects.pydio.*`
    pub pydio: Pydio,
    /// `dialects.room.*`
    pub room: Room,
    /// `dialects.echo.enabled`
    pub echo: bool,
}

/// `dialects.mattermost.*`
#[derive(Debug, Clone)]
pub struct Mattermost {
    /// Whether its routes exist.
    pub enabled: bool,
    /// `server_version` in hello.
    pub server_version: String,
    /// Whether typing events are published.
    pub typing: bool,
}

/// `dialects.pydio.*`
#[derive(Debug, Clone)]
pub struct Pydio {
    /// Whether its routes exist.
    pub enabled: bool,
    /// Route of bus events.
    pub event_path: String,
    /// Route of chat.
    pub chat_path: String,
    /// Second route of chat.
    pub chat_alias: String,
}

/// `dialects.room.*`
#[derive(Debug, Clone)]
pub struct Room {
    /// Whether its routes exist.
    pub enabled: bool,
    /// Whether guests without a token may enter.
    pub anonymous: bool,
    /// Longest message in bytes.
    pub max_message_bytes: usize,
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

/// `limits.*`: what one peer may ask for. Reloaded on SIGHUP.
#[derive(Debug, Clone, PartialEq)]
pub struct Limits {
    /// From accept to a complete request head, TLS included.
    pub head_timeout: Duration,
    /// Bytes of a request head.
    pub head_bytes: usize,
    /// Header lines of a request.
    pub headers: usize,
    /// Bytes of a request target.
    pub url_bytes: usize,
    /// From upgrade to a successful authentication.
    pub auth_timeout: Duration,
    /// Bytes of an inbound message before authentication.
    pub message_bytes_unauthenticated: usize,
    /// Bytes of an inbound message.
    pub message_bytes: usize,
    /// Frames of one inbound message.
    pub message_fragments: usize,
    /// From the first to the last byte of one inbound message.
    pub message_timeout: Duration,
    /// Nesting of inbound JSON.
    pub json_depth: usize,
    /// Elements of one inbound array or object.
    pub json_elements: usize,
    /// Bytes of one inbound string.
    pub json_string_bytes: usize,
    /// Bytes of the data of one published event.
    pub event_bytes: usize,
    /// Events that may wait in front of one socket.
    pub outbox_events: usize,
    /// Bytes that may wait in front of one socket.
    pub outbox_bytes: usize,
    /// Longest time that a waiting outbox makes no progress.
    pub outbox_stall: Duration,
    /// Quiet time after which the server pings; jittered by 20 %.
    pub ping_interval: Duration,
    /// Time that a ping may stay unanswered.
    pub pong_timeout: Duration,
    /// Messages of one client per second.
    pub commands_per_second: f64,
    /// Messages of one client at once.
    pub commands_burst: u32,
    /// Typing notices of one client per second.
    pub typing_per_second: f64,
    /// Control frames of one client per second.
    pub control_frames_per_second: f64,
    /// Sockets of one address; 0 means no limit.
    pub connections_per_ip: usize,
    /// Sockets of one user; 0 means no limit.
    pub connections_per_user: usize,
    /// Sockets of this node; 0 means derived from the file descriptor limit.
    pub connections: usize,
    /// Failed authentications of one address per second.
    pub auth_failures_per_second: f64,
    /// Failed authentications of one address at once.
    pub auth_failures_burst: u32,
    /// Handshakes of this node per second.
    pub handshakes_per_second: f64,
    /// Handshakes of this node at once.
    pub handshakes_burst: u32,
    /// Resumes of one user per second; more wait.
    pub resumes_per_second: f64,
    /// Resumes of one user at once.
    pub resumes_burst: u32,
    /// Memberships of one user.
    pub memberships_per_user: usize,
    /// Users that one connection may watch.
    pub subscriptions_per_connection: usize,
    /// Bytes of a server API request.
    pub api_body_bytes: usize,
    /// Events of one batch.
    pub api_batch_events: usize,
    /// Events of one API key per second; the burst is five seconds of them.
    pub api_events_per_second: f64,
    /// How long a publish id is remembered.
    pub idempotency_window: Duration,
    /// How many publish ids are remembered.
    pub idempotency_ids: usize,
    /// Events that one resume may replay.
    pub resume_replay_events: usize,
    /// Bytes that one resume may replay.
    pub resume_replay_bytes: usize,
    /// How long a session can be resumed after its socket ended.
    pub session_ttl: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            head_timeout: Duration::from_secs(10),
            head_bytes: 16 * 1024,
            headers: 64,
            url_bytes: 4 * 1024,
            auth_timeout: Duration::from_secs(10),
            message_bytes_unauthenticated: 12 * 1024,
            message_bytes: 64 * 1024,
            message_fragments: 64,
            message_timeout: Duration::from_secs(30),
            json_depth: 32,
            json_elements: 256,
            json_string_bytes: 32 * 1024,
            event_bytes: 256 * 1024,
            outbox_events: 256,
            outbox_bytes: 256 * 1024,
            outbox_stall: Duration::from_secs(15),
            ping_interval: Duration::from_secs(25),
            pong_timeout: Duration::from_secs(10),
            commands_per_second: 20.0,
            commands_burst: 40,
            typing_per_second: 2.0,
            control_frames_per_second: 10.0,
            connections_per_ip: 100,
            connections_per_user: 20,
            connections: 0,
            auth_failures_per_second: 1.0,
            auth_failures_burst: 100,
            handshakes_per_second: 500.0,
            handshakes_burst: 2_000,
            resumes_per_second: 1.0,
            resumes_burst: 10,
            memberships_per_user: 2_000,
            subscriptions_per_connection: 512,
            api_body_bytes: 1024 * 1024,
            api_batch_events: 256,
            api_events_per_second: 1_000.0,
            idempotency_window: Duration::from_secs(300),
            idempotency_ids: 1_000_000,
            resume_replay_events: 5_000,
            resume_replay_bytes: 1024 * 1024,
            session_ttl: Duration::from_secs(900),
        }
    }
}
