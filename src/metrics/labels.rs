//! The closed sets that label values come from.
//!
//! Invariants: no value comes from a peer; a set that may meet something new
//! ends in `other`.

use super::family::{Labels, Values};

/// Dialects.
pub const DIALECTS: [&str; 5] = ["mattermost", "pydio", "room", "echo", "embedded"];
/// Classes of what is sent to sockets.
pub const CLASSES: [&str; 3] = ["durable", "ephemeral", "noop"];
/// Classes of events whose way is timed.
pub const TIMED_CLASSES: [&str; 2] = ["durable", "ephemeral"];

pub(super) const HUB: Labels = Labels::Product(&[("hub", Values::Hubs)]);
pub(super) const DIALECT: Labels = Labels::Product(&[("dialect", DIALECT_VALUES)]);
pub(super) const CLOSED: Labels =
    Labels::Product(&[("dialect", DIALECT_VALUES), ("code", Values::CloseCodes)]);
pub(super) const DELIVERED: Labels =
    Labels::Product(&[("dialect", DIALECT_VALUES), ("class", Values::Closed(&CLASSES))]);
pub(super) const TIMED: Labels = Labels::Product(&[("class", Values::Closed(&TIMED_CLASSES))]);
pub(super) const WITHHELD: Labels = one("reason", &["pressure", "scope", "replayed"]);
pub(super) const RESUME: Labels = one("result", &["replayed", "lossless", "reset", "forbidden"]);
pub(super) const RESET: Labels = one(
    "cause",
    &["unknown", "retention", "generation", "replay_limit", "ahead", "forbidden", "other"],
);
pub(super) const CHECKPOINT: Labels = one("result", &["written", "failed"]);
pub(super) const LOSS: Labels = one("cause", &["generation", "retention"]);
pub(super) const LEASE: Labels = one("result", &["renewed", "failed", "taken"]);
pub(super) const CATCHUP: Labels = one("cause", &["gap", "probe", "reconnect"]);
pub(super) const STATUS: Labels = one("status", &["online", "away", "dnd", "offline", "ooo"]);
pub(super) const PRESENCE_WRITE: Labels = one("result", &["written", "fenced", "anew", "failed"]);
pub(super) const PUBLISH_RESULT: Labels = one("result", &PUBLISH_RESULTS);
pub(super) const LISTENER: Labels = one("listener", &["public", "internal"]);
pub(super) const REDIS_COMMAND: Labels = one("command", &REDIS_COMMANDS);
pub(super) const REDIS_ROLE: Labels = one("role", &REDIS_ROLES);
pub(super) const PUBLISHED: Labels = Labels::Product(&[
    ("kind", Values::Closed(&["durable", "ephemeral", "control"])),
    ("result", Values::Closed(&PUBLISH_RESULTS)),
]);
pub(super) const REJECTED: Labels = Labels::Pairs("stage", "reason", &REASONS);
pub(super) const REQUEST: Labels = Labels::Pairs("route", "status", &ROUTES);

/// Scripts and commands that Redis is asked for.
pub const REDIS_COMMANDS: [&str; 20] = [
    "publish",
    "open",
    "claim",
    "session",
    "checkpoint",
    "memberships",
    "members",
    "workspaces",
    "node_path",
    "range",
    "beat",
    "confirm",
    "tell",
    "report",
    "nodes",
    "question",
    "chat",
    "presence",
    "status",
    "other",
];
/// What connections to Redis are for.
pub const REDIS_ROLES: [&str; 6] = ["pool", "lease", "publish", "claim", "subscribe", "other"];

const DIALECT_VALUES: Values = Values::Closed(&DIALECTS);
const PUBLISH_RESULTS: [&str; 6] =
    ["accepted", "duplicate", "conflict", "refused", "unavailable", "other"];

const fn one(name: &'static str, values: &'static [&'static str]) -> Labels {
    Labels::One(name, values)
}

/// Why something was refused, for each stage that can refuse.
pub const REASONS: [(&str, &[&str]); 7] = [
    (
        "http",
        &[
            "head_timeout",
            "head_too_large",
            "url_too_large",
            "malformed",
            "version",
            "host",
            "method",
            "not_found",
            "body_too_large",
            "media_type",
            "tls",
            "csrf",
            "other",
        ],
    ),
    (
        "handshake",
        &[
            "method",
            "http_version",
            "header_value",
            "host",
            "not_websocket",
            "connection_header",
            "websocket_key",
            "websocket_version",
            "body",
            "origin",
            "extensions",
            "query",
            "draining",
            "log_away",
            "other",
        ],
    ),
    (
        "frame",
        &[
            "unmasked",
            "reserved_bits",
            "reserved_opcode",
            "control_fragmented",
            "control_too_long",
            "length",
            "unexpected_continuation",
            "message_inside_message",
            "close_payload",
            "not_utf8",
            "too_big",
            "too_many_fragments",
            "control_flood",
            "message_timeout",
            "pong_timeout",
            "other",
        ],
    ),
    (
        "message",
        &[
            "json",
            "depth",
            "elements",
            "string_bytes",
            "duplicate_key",
            "shape",
            "seq",
            "binary",
            "action",
            "id",
            "not_member",
            "other",
        ],
    ),
    (
        "auth",
        &[
            "session_record",
            "missing",
            "token_too_long",
            "token_malformed",
            "token_encrypted",
            "token_critical",
            "token_algorithm",
            "token_unknown_key",
            "token_signature",
            "token_claims",
            "token_expired",
            "token_lifetime",
            "token_not_yet",
            "token_issuer",
            "token_audience",
            "timeout",
            "revoked",
            "api_key",
            "realm",
            "other_user",
            "other",
        ],
    ),
    (
        "api",
        &[
            "malformed",
            "field",
            "forbidden",
            "not_found",
            "conflict",
            "body_too_large",
            "event_too_large",
            "media_type",
            "method",
            "unavailable",
            "other",
        ],
    ),
    (
        "limit",
        &[
            "connections_per_ip",
            "connections_per_user",
            "connections",
            "handshakes",
            "auth_failures",
            "commands",
            "typing",
            "subscriptions",
            "api_events",
            "silent_events",
            "other",
        ],
    ),
];

const SOCKET: &[&str] =
    &["101", "400", "401", "403", "405", "408", "421", "426", "429", "503", "505", "other"];
const PAGE: &[&str] = &["200", "304", "308", "400", "405", "421", "other"];
const TWIN: &[&str] =
    &["200", "400", "401", "403", "404", "405", "408", "413", "415", "421", "429", "503", "other"];
const PROBE: &[&str] = &["200", "405", "503", "other"];
const CALL: &[&str] =
    &["200", "400", "401", "403", "404", "405", "408", "413", "415", "429", "503", "other"];
const DRAIN: &[&str] = &["202", "401", "403", "405", "421", "other"];
const PUBLISH: &[&str] =
    &["200", "400", "401", "403", "405", "408", "409", "413", "415", "429", "503", "other"];

/// The routes of both listeners and the statuses that each may answer.
pub const ROUTES: [(&str, &[&str]); 38] = [
    ("/api/v4/websocket", SOCKET),
    ("/ws", SOCKET),
    ("/ws/room/{name}", SOCKET),
    ("/ws/event", SOCKET),
    ("/ws/chat", SOCKET),
    ("/echo", SOCKET),
    // The root of an embedded server.
    ("embedded", SOCKET),
    ("/", PAGE),
    ("/demo/{file}", PAGE),
    ("/demo/posts", PUBLISH),
    ("/api/v4/system/ping", PAGE),
    ("/api/v4/users/{id}/status", TWIN),
    ("/api/v4/users/status/ids", TWIN),
    ("/api/v4/users/{id}/typing", TWIN),
    ("/metrics", PROBE),
    ("/live", PROBE),
    ("/ready", PROBE),
    ("/drain", DRAIN),
    ("/api/v1/openapi.json", CALL),
    ("/api/v1/publish", PUBLISH),
    ("/api/v1/publish/batch", PUBLISH),
    ("/api/v1/members", PUBLISH),
    ("/api/v1/users/{id}/memberships", CALL),
    ("/api/v1/pydio/workspaces/{id}", PUBLISH),
    ("/api/v1/pydio/nodes", PUBLISH),
    ("/api/v1/pydio/events", PUBLISH),
    ("/api/v1/revoke", PUBLISH),
    ("/api/v1/disconnect", CALL),
    ("/api/v1/presence", CALL),
    ("/api/v1/users/{id}/status", CALL),
    ("/api/v1/connections/{id}", CALL),
    ("/api/v1/explain/delivery", CALL),
    ("/api/v1/log", CALL),
    ("/api/v1/node", CALL),
    ("/api/v1/nodes", CALL),
    // A path that no route has.
    ("public_other", &["400", "404", "405", "408", "421", "other"]),
    ("internal_other", &["400", "401", "403", "404", "405", "408", "421", "other"]),
    // A head that never became a request.
    ("no_request", &["400", "405", "408", "414", "431", "505", "other"]),
];
