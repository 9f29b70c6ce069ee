//! The rows of every section but `limits`.

use super::{
    Key,
    Kind::{
        Address, Choice, Count, Duration, MaybeText, Networks, Path, Secret, Size, Switch, Text,
        Texts,
    },
    fixed, live, rules, seconds,
};

/// The HMAC algorithms.
const HMAC: &[&str] = &["HS256", "HS384", "HS512"];

pub(super) static ROWS: &[Key] = &[
    fixed(
        "node.id",
        Text(|d| &mut d.node_id, rules::id),
        "Name of this node: label, lease name, `server_hostname` in hello. Empty: the host name.",
    ),
    fixed(
        "public.listen",
        Address(|d| &mut d.config.public.listen),
        "Address of the public listener; port 0 takes any free port.",
    ),
    fixed(
        "public.tls_cert",
        Path(|d| &mut d.tls_certificate),
        "PEM file with the certificate chain; the file is read again on SIGHUP and when it changes.",
    ),
    fixed("public.tls_key", Path(|d| &mut d.tls_key), "PEM file with the key of the certificate."),
    fixed(
        "public.allowed_origins",
        Texts(|d| &mut d.allowed_origins, rules::origin),
        "Origins that may open a socket, exactly as browsers send them. Empty: the same origin \
         only. `*`: any, refused while `auth.cookie` is set.",
    ),
    fixed(
        "public.trusted_proxies",
        Networks(|d| &mut d.config.public.trusted_proxies),
        "Networks (CIDR) of proxies whose `X-Forwarded-For` is believed.",
    ),
    fixed(
        "public.base_path",
        Text(|d| &mut d.config.public.base_path, rules::route),
        "Prefix of every public route, for a proxy that routes by path.",
    ),
    fixed(
        "internal.listen",
        Address(|d| &mut d.config.internal.listen),
        "Address of the internal listener: metrics, health, server API.",
    ),
    live(
        "internal.api_key",
        Secret(|d| &mut d.api_key),
        "Key of the server API, good for every realm. Required, here or in \
         `[[internal.api_keys]]`, except with `--dev`.",
    ),
    live(
        "auth.secret",
        Secret(|d| &mut d.auth_secret),
        "HMAC secret that signs tokens, at least 32 bytes. A signing key is required, here, in \
         `[[auth.keys]]` or by `auth.jwks_url`, except with `--dev`.",
    ),
    live(
        "auth.algorithm",
        Choice(|d| &mut d.auth_algorithm, HMAC),
        "Algorithm of `auth.secret`; tokens that name another are refused.",
    ),
    live(
        "auth.jwks_url",
        MaybeText(|d| &mut d.config.auth.jwks_url, rules::jwks_url),
        "Where more public keys are fetched; `http://` only on loopback.",
    ),
    live(
        "auth.issuer",
        MaybeText(|d| &mut d.config.auth.issuer, rules::line),
        "Required `iss` of tokens. Empty: not checked.",
    ),
    live(
        "auth.audience",
        MaybeText(|d| &mut d.config.auth.audience, rules::line),
        "Required `aud` of tokens. Empty: not checked.",
    ),
    live(
        "auth.cookie",
        Text(|d| &mut d.config.auth.cookie, rules::cookie),
        "Cookie that may carry a token. Empty: no cookies.",
    ),
    live(
        "auth.leeway",
        Duration(|d| &mut d.config.auth.leeway, seconds(0), seconds(60)),
        "Tolerance for clocks that differ.",
    ),
    live(
        "auth.max_lifetime",
        Duration(|d| &mut d.config.auth.max_lifetime, seconds(60), seconds(10 * 365 * 86_400)),
        "A token whose `exp` is farther away is refused.",
    ),
    fixed(
        "redis.url",
        Secret(|d| &mut d.redis_url),
        "`redis://` or `rediss://`; a comma-separated list for Sentinel or Cluster. Empty: the \
         embedded log.",
    ),
    fixed(
        "redis.mode",
        Choice(|d| &mut d.redis_mode, &["standalone", "sentinel", "cluster"]),
        "How the servers of `redis.url` work together.",
    ),
    fixed(
        "redis.sentinel_master",
        MaybeText(|d| &mut d.config.redis.sentinel_master, rules::line),
        "Name of the primary at the sentinels; required with `sentinel`.",
    ),
    fixed(
        "redis.username",
        MaybeText(|d| &mut d.config.redis.username, rules::line),
        "ACL user that logs in with `redis.password`. Empty: the default user.",
    ),
    fixed(
        "redis.password",
        Secret(|d| &mut d.config.redis.password),
        "Password of the servers. With `sentinel`, a password in `redis.url` is the sentinels' \
         and, where this is empty, the servers', too.",
    ),
    fixed(
        "redis.tls_ca",
        Path(|d| &mut d.config.redis.tls_ca),
        "PEM file with the certificates that `rediss://` trusts. Empty: those of the system.",
    ),
    fixed(
        "redis.prefix",
        Text(|d| &mut d.config.redis.prefix, rules::prefix),
        "First part of every key name in Redis.",
    ),
    fixed(
        "data.dir",
        Path(|d| &mut d.config.data_dir),
        "Folder of the embedded store for what must survive a restart when no Redis is \
         configured. Empty: memory only.",
    ),
    fixed(
        "log.profile",
        Choice(|d| &mut d.log_profile, &["log", "ha"]),
        "What an acknowledgement means: `log`, the primary has it; `ha`, its good replicas, too.",
    ),
    fixed(
        "log.retention_events",
        Count(|d| &mut d.config.log.retention_events, 100, 10_000_000),
        "Events kept per realm; what is older cannot be resumed.",
    ),
    fixed(
        "log.retention_bytes",
        Size(|d| &mut d.config.log.retention_bytes, 1 << 20, 64 << 30),
        "Bytes kept per realm.",
    ),
    fixed(
        "hubs.count",
        Count(|d| &mut d.config.hubs.count, 0, 1_024),
        "Hubs of this node. 0: as many as processors.",
    ),
    fixed(
        "hubs.queue",
        Count(|d| &mut d.config.hubs.queue, 16, 1_048_576),
        "Records that may wait in front of one hub.",
    ),
    fixed(
        "status.away_after",
        Duration(|d| &mut d.config.status.away_after, seconds(1), seconds(86_400)),
        "A user without activity for so long is away.",
    ),
    fixed(
        "status.offline_after",
        Duration(|d| &mut d.config.status.offline_after, seconds(0), seconds(3_600)),
        "Grace after an unclean drop before the user is offline.",
    ),
    fixed(
        "cluster.lease",
        Duration(|d| &mut d.config.cluster.lease, seconds(1), seconds(300)),
        "A node that is silent for so long is dead.",
    ),
    fixed(
        "cluster.heartbeat",
        Duration(
            |d| &mut d.config.cluster.heartbeat,
            std::time::Duration::from_millis(100),
            seconds(100),
        ),
        "How often a node renews its lease; at most half of it.",
    ),
    fixed(
        "shutdown.drain",
        Duration(|d| &mut d.config.shutdown.drain, seconds(0), seconds(3_600)),
        "Window over which a stopping node closes its sockets.",
    ),
    fixed(
        "shutdown.ready_delay",
        Duration(|d| &mut d.config.shutdown.ready_delay, seconds(0), seconds(600)),
        "How long a stopping node says \"not ready\" before it drains.",
    ),
    fixed(
        "dialects.mattermost.enabled",
        Switch(|d| &mut d.config.dialects.mattermost.enabled),
        "The mattermost dialect and its REST twins.",
    ),
    fixed(
        "dialects.mattermost.server_version",
        Text(|d| &mut d.config.dialects.mattermost.server_version, rules::line),
        "`server_version` in hello.",
    ),
    fixed(
        "dialects.mattermost.typing",
        Switch(|d| &mut d.config.dialects.mattermost.typing),
        "Whether typing events are published.",
    ),
    fixed(
        "dialects.pydio.enabled",
        Switch(|d| &mut d.config.dialects.pydio.enabled),
        "The pydio dialect.",
    ),
    fixed(
        "dialects.pydio.event_path",
        Text(|d| &mut d.config.dialects.pydio.event_path, rules::route),
        "Route of bus events.",
    ),
    fixed(
        "dialects.pydio.chat_path",
        Text(|d| &mut d.config.dialects.pydio.chat_path, rules::route),
        "Route of chat.",
    ),
    fixed(
        "dialects.pydio.chat_alias",
        Text(|d| &mut d.config.dialects.pydio.chat_alias, rules::maybe_route),
        "Second route of chat. Empty: none.",
    ),
    fixed(
        "dialects.pydio.history",
        Count(|d| &mut d.config.dialects.pydio.history, 1, 1_000_000),
        "Messages that a chat room keeps, the newest.",
    ),
    fixed(
        "dialects.room.enabled",
        Switch(|d| &mut d.config.dialects.room.enabled),
        "The room dialect.",
    ),
    fixed(
        "dialects.room.anonymous",
        Switch(|d| &mut d.config.dialects.room.anonymous),
        "Whether guests without a token may enter rooms.",
    ),
    fixed(
        "dialects.room.max_message",
        Count(|d| &mut d.config.dialects.room.max_message_bytes, 1, 65_536),
        "Longest message of the room dialect, a number of bytes.",
    ),
    fixed(
        "dialects.echo.enabled",
        Switch(|d| &mut d.config.dialects.echo),
        "`/echo`, without authentication: sends every message back. For conformance suites.",
    ),
    fixed("demo.enabled", Switch(|d| &mut d.config.demo), "The pages at `/` and `/demo/`."),
    fixed(
        "metrics.mattermost_names",
        Switch(|d| &mut d.config.mattermost_metric_names),
        "Also exports the `mattermost_websocket_*` metrics, for Mattermost's own dashboards.",
    ),
    fixed(
        "telemetry.log_format",
        Choice(|d| &mut d.log_format, &["auto", "text", "json"]),
        "Form of the log lines. `auto`: text on a terminal, else JSON.",
    ),
    live(
        "telemetry.log_level",
        Text(|d| &mut d.config.telemetry.log_level, rules::log_level),
        "Least severe level that is written: `off`, `error`, `warn`, `info`, `debug`, `trace`, or \
         a list such as `info,hubbub::log=debug`.",
    ),
];
