//! The rows of `limits`: what one peer may ask for.

use super::{
    Key,
    Kind::{Burst, Count, Duration, Rate, Size},
    live, seconds,
};

pub(super) static ROWS: &[Key] = &[
    live(
        "limits.head_timeout",
        Duration(|d| &mut d.config.limits.head_timeout, seconds(1), seconds(120)),
        "From accept to a complete request head, TLS included.",
    ),
    live(
        "limits.head_bytes",
        Size(|d| &mut d.config.limits.head_bytes, 8_192, 1 << 20),
        "Longest request head.",
    ),
    live(
        "limits.headers",
        Count(|d| &mut d.config.limits.headers, 16, 1_024),
        "Most header lines of a request.",
    ),
    live(
        "limits.url_bytes",
        Size(|d| &mut d.config.limits.url_bytes, 256, 65_534),
        "Longest request target.",
    ),
    live(
        "limits.auth_timeout",
        Duration(|d| &mut d.config.limits.auth_timeout, seconds(1), seconds(300)),
        "From upgrade to a successful authentication; then the socket closes with 4401.",
    ),
    live(
        "limits.message_bytes_unauthenticated",
        Size(|d| &mut d.config.limits.message_bytes_unauthenticated, 1_024, 1 << 20),
        "Longest inbound message before authentication; `limits.message_bytes` bounds it, too.",
    ),
    live(
        "limits.message_bytes",
        Size(|d| &mut d.config.limits.message_bytes, 1_024, 1 << 20),
        "Longest inbound message; a longer one closes the socket with 1009.",
    ),
    live(
        "limits.message_fragments",
        Count(|d| &mut d.config.limits.message_fragments, 1, 65_536),
        "Most frames of one inbound message.",
    ),
    live(
        "limits.message_timeout",
        Duration(|d| &mut d.config.limits.message_timeout, seconds(1), seconds(600)),
        "From the first to the last byte of one inbound message.",
    ),
    live(
        "limits.json_depth",
        Count(|d| &mut d.config.limits.json_depth, 4, 128),
        "Deepest nesting of inbound JSON.",
    ),
    live(
        "limits.json_elements",
        Count(|d| &mut d.config.limits.json_elements, 16, 65_536),
        "Most elements of one inbound array or object.",
    ),
    live(
        "limits.json_string_bytes",
        Size(|d| &mut d.config.limits.json_string_bytes, 256, 1 << 20),
        "Longest inbound string.",
    ),
    live(
        "limits.event_bytes",
        Size(|d| &mut d.config.limits.event_bytes, 1_024, 16 << 20),
        "Longest data of one published event; a longer one is answered with 413.",
    ),
    live(
        "limits.outbox_events",
        Count(|d| &mut d.config.limits.outbox_events, 8, 65_536),
        "Events that may wait in front of one socket; one more closes it with 4431.",
    ),
    live(
        "limits.outbox_bytes",
        Size(|d| &mut d.config.limits.outbox_bytes, 4_096, 64 << 20),
        "Bytes that may wait in front of one socket.",
    ),
    live(
        "limits.outbox_stall",
        Duration(|d| &mut d.config.limits.outbox_stall, seconds(1), seconds(600)),
        "Longest time that a waiting outbox makes no progress.",
    ),
    live(
        "limits.ping_interval",
        Duration(|d| &mut d.config.limits.ping_interval, seconds(1), seconds(3_600)),
        "Quiet time after which the server pings, 20 % more or less.",
    ),
    live(
        "limits.pong_timeout",
        Duration(|d| &mut d.config.limits.pong_timeout, seconds(1), seconds(600)),
        "How long a ping may stay unanswered.",
    ),
    live(
        "limits.commands_per_second",
        Rate(|d| &mut d.config.limits.commands_per_second, 0.1, 1_000_000.0),
        "Messages of one client per second; more are dropped, then the socket closes with 4429.",
    ),
    live(
        "limits.commands_burst",
        Burst(|d| &mut d.config.limits.commands_burst, 1, 1_000_000),
        "Messages of one client at once.",
    ),
    live(
        "limits.typing_per_second",
        Rate(|d| &mut d.config.limits.typing_per_second, 0.1, 1_000_000.0),
        "Typing notices of one client per second.",
    ),
    live(
        "limits.control_frames_per_second",
        Rate(|d| &mut d.config.limits.control_frames_per_second, 1.0, 1_000_000.0),
        "Control frames of one client per second.",
    ),
    live(
        "limits.connections_per_ip",
        Count(|d| &mut d.config.limits.connections_per_ip, 0, 10_000_000),
        "Sockets of one address; trusted proxies themselves do not count. 0: no limit.",
    ),
    live(
        "limits.connections_per_user",
        Count(|d| &mut d.config.limits.connections_per_user, 0, 10_000_000),
        "Sockets of one user on this node. 0: no limit.",
    ),
    live(
        "limits.connections",
        Count(|d| &mut d.config.limits.connections, 0, 10_000_000),
        "Sockets of this node. 0: as many as files may be open, less 512.",
    ),
    live(
        "limits.auth_failures_per_second",
        Rate(|d| &mut d.config.limits.auth_failures_per_second, 0.01, 1_000_000.0),
        "Failed authentications of one address per second.",
    ),
    live(
        "limits.auth_failures_burst",
        Burst(|d| &mut d.config.limits.auth_failures_burst, 1, 1_000_000),
        "Failed authentications of one address at once.",
    ),
    live(
        "limits.handshakes_per_second",
        Rate(|d| &mut d.config.limits.handshakes_per_second, 1.0, 1_000_000.0),
        "Handshakes of this node per second; more are answered with 503 and `Retry-After`.",
    ),
    live(
        "limits.handshakes_burst",
        Burst(|d| &mut d.config.limits.handshakes_burst, 1, 1_000_000),
        "Handshakes of this node at once.",
    ),
    live(
        "limits.resumes_per_second",
        Rate(|d| &mut d.config.limits.resumes_per_second, 0.01, 1_000_000.0),
        "Resumes of one user per second; more wait.",
    ),
    live(
        "limits.resumes_burst",
        Burst(|d| &mut d.config.limits.resumes_burst, 1, 1_000_000),
        "Resumes of one user at once.",
    ),
    live(
        "limits.memberships_per_user",
        Count(|d| &mut d.config.limits.memberships_per_user, 1, 1_000_000),
        "Most channels, teams and workspaces of one user.",
    ),
    live(
        "limits.subscriptions_per_connection",
        Count(|d| &mut d.config.limits.subscriptions_per_connection, 1, 65_536),
        "Most users whose status one connection may watch, and most chat rooms that it may be in.",
    ),
    live(
        "limits.api_body_bytes",
        Size(|d| &mut d.config.limits.api_body_bytes, 1_024, 64 << 20),
        "Longest request of the server API.",
    ),
    live(
        "limits.api_batch_events",
        Count(|d| &mut d.config.limits.api_batch_events, 1, 65_536),
        "Most events of one batch.",
    ),
    live(
        "limits.api_events_per_second",
        Rate(|d| &mut d.config.limits.api_events_per_second, 0.1, 10_000_000.0),
        "Events of one API key per second; the burst is five seconds of them.",
    ),
    live(
        "limits.idempotency_window",
        Duration(|d| &mut d.config.limits.idempotency_window, seconds(1), seconds(86_400)),
        "How long the id of a publish is remembered.",
    ),
    live(
        "limits.idempotency_ids",
        Count(|d| &mut d.config.limits.idempotency_ids, 1, 100_000_000),
        "How many ids of publishes are remembered.",
    ),
    live(
        "limits.resume_replay_events",
        Count(|d| &mut d.config.limits.resume_replay_events, 1, 1_000_000),
        "Most events that one resume replays; more end in a reset.",
    ),
    live(
        "limits.resume_replay_bytes",
        Size(|d| &mut d.config.limits.resume_replay_bytes, 1_024, 1 << 30),
        "Most bytes that one resume replays.",
    ),
    live(
        "limits.session_ttl",
        Duration(|d| &mut d.config.limits.session_ttl, seconds(1), seconds(7 * 86_400)),
        "How long a connection can be resumed after its socket ended.",
    ),
    live(
        "limits.log_not_ready_after",
        Duration(|d| &mut d.config.limits.log_not_ready_after, seconds(1), seconds(60)),
        "How long the log may be silent before the node is not ready.",
    ),
    live(
        "limits.log_close_after",
        Duration(|d| &mut d.config.limits.log_close_after, seconds(2), seconds(86_400)),
        "How long the log may be silent before every socket closes with 1013.",
    ),
];
