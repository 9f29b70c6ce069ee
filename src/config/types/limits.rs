//! `limits.*`: what one peer may ask for.
//!
//! Not here: the buckets and counters that enforce it (`limits`).

use std::time::Duration;

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
    /// Users whose status one connection may watch, and chat rooms that it may be in.
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
    /// How long the log may be silent before the node is not ready.
    pub log_not_ready_after: Duration,
    /// How long the log may be silent before every socket closes with 1013.
    pub log_close_after: Duration,
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
            log_not_ready_after: Duration::from_secs(3),
            log_close_after: Duration::from_secs(60),
        }
    }
}
