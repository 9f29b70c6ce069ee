//! A configuration in the making, and the default of every key.
//!
//! Invariants: a draft begins with the defaults, so every key always has a value;
//! only [`Draft::finish`] makes a [`Config`] of it, after the checks.
//!
//! Not here: the limits' defaults (`types`), ranges and documents (`keys`).

use std::{
    net::{Ipv4Addr, SocketAddr},
    path::PathBuf,
    time::Duration,
};

use super::{
    machine::Machine,
    types::{
        AllowedOrigins, ApiKey, Auth, AuthKey, Cluster, Config, Dialects, Hubs, Internal,
        KeyMaterial, Limits, Log, LogFormat, LogProfile, Mattermost, Node, Public, Pydio, Redis,
        RedisMode, Room, Secret, Shutdown, Status, Telemetry, TlsFiles,
    },
};

/// Files and sockets that are not clients: logs, listeners, stores, the API.
const OPEN_FILES_RESERVE: usize = 512;

/// The fewest sockets that a node allows itself, however low its limits are.
const CONNECTIONS_MIN: usize = 64;

/// A [`Config`], and the keys that become a part of it only together with others.
#[derive(Debug, Clone)]
pub(super) struct Draft {
    /// Where most keys live.
    pub(super) config: Config,
    /// `node.id`; empty: host name.
    pub(super) node_id: String,
    /// `public.tls_cert`
    pub(super) tls_certificate: Option<PathBuf>,
    /// `public.tls_key`
    pub(super) tls_key: Option<PathBuf>,
    /// `public.allowed_origins`; empty: same origin.
    pub(super) allowed_origins: Vec<String>,
    /// `internal.api_key`
    pub(super) api_key: Option<Secret>,
    /// `auth.secret`
    pub(super) auth_secret: Option<Secret>,
    /// `auth.algorithm`
    pub(super) auth_algorithm: String,
    /// `redis.url`
    pub(super) redis_url: Option<Secret>,
    /// `redis.mode`
    pub(super) redis_mode: String,
    /// `log.profile`
    pub(super) log_profile: String,
    /// `telemetry.log_format`
    pub(super) log_format: String,
}

impl Draft {
    /// The defaults; `dev` turns on what a newcomer wants to see.
    pub(super) fn defaults(dev: bool) -> Self {
        Self {
            config: default_config(dev),
            node_id: String::new(),
            tls_certificate: None,
            tls_key: None,
            allowed_origins: Vec::new(),
            api_key: None,
            auth_secret: None,
            auth_algorithm: "HS256".to_owned(),
            redis_url: None,
            redis_mode: "standalone".to_owned(),
            log_profile: "log".to_owned(),
            log_format: "auto".to_owned(),
        }
    }

    /// Joins what belongs together and replaces "derived" by what `machine` tells.
    pub(super) fn finish(self, machine: &Machine) -> Config {
        let mut config = self.config;
        config.node.id =
            if self.node_id.is_empty() { machine.host_name.clone() } else { self.node_id };
        config.public.tls = self
            .tls_certificate
            .zip(self.tls_key)
            .map(|(certificate, key)| TlsFiles { certificate, key });
        config.public.allowed_origins = match self.allowed_origins.as_slice() {
            [] => AllowedOrigins::SameOrigin,
            [any] if any == "*" => AllowedOrigins::Any,
            _ => AllowedOrigins::List(self.allowed_origins),
        };
        if !config.public.base_path.ends_with('/') {
            config.public.base_path.push('/');
        }
        if let Some(key) = self.api_key {
            let key = ApiKey { name: "default".to_owned(), key, realms: Vec::new() };
            config.internal.api_keys.insert(0, key);
        }
        if let Some(secret) = self.auth_secret {
            let material = KeyMaterial::Secret(secret);
            let key = AuthKey { kid: None, algorithm: self.auth_algorithm, material };
            // Last, so that the numbers of `[[auth.keys]]` in errors are those of the file.
            config.auth.keys.push(key);
        }
        config.redis.urls = self.redis_url.as_ref().map(server_urls).unwrap_or_default();
        config.redis.mode = match self.redis_mode.as_str() {
            "sentinel" => RedisMode::Sentinel,
            "cluster" => RedisMode::Cluster,
            _ => RedisMode::Standalone,
        };
        config.log.profile =
            if self.log_profile == "ha" { LogProfile::Ha } else { LogProfile::Log };
        config.telemetry.log_format = match self.log_format.as_str() {
            "text" => LogFormat::Text,
            "json" => LogFormat::Json,
            _ => LogFormat::Auto,
        };
        if config.hubs.count == 0 {
            config.hubs.count = machine.processors;
        }
        if config.limits.connections == 0 {
            let free = machine.open_files.saturating_sub(OPEN_FILES_RESERVE);
            config.limits.connections = free.max(CONNECTIONS_MIN);
        }
        config
    }
}

/// The URLs of a list.
pub(super) fn server_urls(list: &Secret) -> Vec<Secret> {
    list.reveal().split(',').map(str::trim).filter(|url| !url.is_empty()).map(Secret::new).collect()
}

fn default_config(dev: bool) -> Config {
    Config {
        dev,
        node: Node { id: String::new() },
        public: Public {
            listen: loopback(8065),
            tls: None,
            allowed_origins: AllowedOrigins::SameOrigin,
            trusted_proxies: Vec::new(),
            base_path: "/".to_owned(),
        },
        internal: Internal { listen: loopback(8067), api_keys: Vec::new() },
        auth: Auth {
            keys: Vec::new(),
            jwks_url: None,
            issuer: None,
            audience: None,
            cookie: "MMAUTHTOKEN".to_owned(),
            leeway: Duration::from_secs(30),
            max_lifetime: Duration::from_secs(24 * 3_600),
        },
        redis: Redis {
            urls: Vec::new(),
            mode: RedisMode::Standalone,
            sentinel_master: None,
            username: None,
            password: None,
            tls_ca: None,
            prefix: "hb".to_owned(),
        },
        data_dir: None,
        log: Log {
            profile: LogProfile::Log,
            retention_events: 100_000,
            retention_bytes: 256 * 1024 * 1024,
        },
        hubs: Hubs { count: 0, queue: 4_096 },
        status: Status {
            away_after: Duration::from_secs(300),
            offline_after: Duration::from_secs(5),
        },
        cluster: Cluster { lease: Duration::from_secs(10), heartbeat: Duration::from_secs(2) },
        shutdown: Shutdown { drain: Duration::from_secs(30), ready_delay: Duration::ZERO },
        dialects: default_dialects(dev),
        demo: dev,
        mattermost_metric_names: false,
        telemetry: Telemetry { log_format: LogFormat::Auto, log_level: "info".to_owned() },
        limits: Limits::default(),
    }
}

fn default_dialects(dev: bool) -> Dialects {
    Dialects {
        mattermost: Mattermost {
            enabled: true,
            server_version: "11.9.0.hubbub".to_owned(),
            typing: true,
        },
        pydio: Pydio {
            enabled: true,
            event_path: "/ws/event".to_owned(),
            chat_path: "/ws/chat".to_owned(),
            chat_alias: "/chat".to_owned(),
            history: 1_000,
        },
        room: Room { enabled: dev, anonymous: dev, max_message_bytes: 512 },
        // For conformance suites only: never on by itself, and "every dialect on"
        // in dev means it, too.
        echo: dev,
    }
}

fn loopback(port: u16) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, port))
}

impl Config {
    /// What `serve --dev` uses, with `secret` as the key that signs tokens. The
    /// listeners get any free port of the loopback interface.
    #[must_use]
    pub fn dev(secret: Secret) -> Self {
        let mut draft = Draft::defaults(true);
        draft.auth_secret = Some(secret);
        draft.config.public.listen = loopback(0);
        draft.config.internal.listen = loopback(0);
        draft.finish(&Machine::here())
    }

    /// What an embedded server uses: no dialect of ours, no key, little memory for
    /// what was sent, and room for clients that talk much.
    #[must_use]
    pub fn embedded(listen: SocketAddr) -> Self {
        let mut config = Draft::defaults(false).finish(&Machine::here());
        config.public.listen = listen;
        config.dialects.mattermost.enabled = false;
        config.dialects.pydio.enabled = false;
        config.log.retention_events = 16_384;
        config.log.retention_bytes = 32 * 1024 * 1024;
        config.shutdown.drain = Duration::from_secs(1);
        config.limits.commands_per_second = 1_000.0;
        config.limits.commands_burst = 2_000;
        config.limits.session_ttl = Duration::from_secs(1);
        config
    }

    /// [`Config::dev`] with a known secret, one hub per processor of a small
    /// machine and a known node id. For tests only: everybody knows the secret.
    #[must_use]
    pub fn for_tests() -> Self {
        let mut draft = Draft::defaults(true);
        draft.auth_secret = Some(Secret::new("for-tests-only-for-tests-only-for-tests"));
        draft.config.public.listen = loopback(0);
        draft.config.internal.listen = loopback(0);
        draft.finish(&Machine::for_tests())
    }
}
