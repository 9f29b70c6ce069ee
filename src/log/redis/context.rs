//! What every part of the Redis log shares: the client, the names of keys, and the
//! arguments that every script begins with.
//!
//! Invariants: every key of a realm has the realm as its hash tag, so that all of them
//! are in one slot.

use std::{fmt, sync::Arc, time::Duration};

use super::{
    super::{ChatLimits, LogError},
    reply::{Reply, unexpected},
};
use crate::{
    clock::{Clock, random_below, random_bytes},
    config::LogProfile,
    metrics::Metrics,
    model::RealmId,
    redis_client::{Dedicated, RedisClient, RedisError, Script},
};
use bytes::Bytes;

/// When to try again what can't be done now.
pub(super) const RETRY_AFTER: Duration = Duration::from_secs(1);

/// How long a request is held while the log is fenced, or a connection comes back.
pub(super) const HOLD: Duration = Duration::from_secs(3);

/// How long a replica may take to confirm, in the `ha` profile.
pub(super) const CONFIRM: Duration = Duration::from_millis(200);

/// How long a connection of one's own may take to open.
const READY: Duration = Duration::from_secs(1);

/// What decides how the log behaves.
#[derive(Clone)]
pub struct RedisLimits {
    /// `log.profile`
    pub profile: LogProfile,
    /// `log.retention_events`
    pub retention_events: usize,
    /// `log.retention_bytes`
    pub retention_bytes: usize,
    /// `limits.idempotency_window`
    pub idempotency_window: Duration,
    /// `limits.memberships_per_user`
    pub memberships_per_user: usize,
    /// `limits.session_ttl`
    pub session_ttl: Duration,
    /// `cluster.lease`
    pub lease: Duration,
    /// `cluster.heartbeat`
    pub heartbeat: Duration,
    /// What session records are signed with, the first one, and what else a signature may
    /// be made with: the same on every node, but for a rotation.
    pub session_keys: Vec<[u8; 32]>,
    /// True in Redis Cluster, where channels belong to slots.
    pub is_sharded: bool,
    /// What bounds chat rooms.
    pub chat: ChatLimits,
}

impl fmt::Debug for RedisLimits {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = formatter.debug_struct("RedisLimits");
        text.field("profile", &self.profile).finish_non_exhaustive()
    }
}

/// Shared by all tasks and callers of one node's log.
#[derive(Debug)]
pub(super) struct Context {
    pub(super) client: RedisClient,
    pub(super) limits: RedisLimits,
    pub(super) clock: Clock,
    pub(super) metrics: Arc<Metrics>,
    /// `<node>#<incarnation>`
    pub(super) me: Arc<str>,
}

impl Context {
    /// The name of a key of `realm`.
    pub(super) fn key(&self, realm: &RealmId, rest: &str) -> String {
        format!("{}:{{{realm}}}:{rest}", self.client.prefix())
    }

    /// The arguments that every script begins with.
    pub(super) fn args(&self) -> Vec<Bytes> {
        let nonce = format!("{:016x}", u64::from_le_bytes(random_bytes()));
        let limits = &self.limits;
        vec![
            Bytes::from(nonce),
            Bytes::from_static(match limits.profile {
                LogProfile::Log => b"log",
                LogProfile::Ha => b"ha",
            }),
            Bytes::from_static(if limits.is_sharded { b"SPUBLISH" } else { b"PUBLISH" }),
            arg(limits.retention_events),
            arg(limits.retention_bytes),
            Bytes::copy_from_slice(self.me.as_bytes()),
        ]
    }

    /// Runs a script of `realm` with its own arguments.
    pub(super) async fn run(
        &self,
        realm: &RealmId,
        script: &Script,
        own: impl IntoIterator<Item = Bytes>,
    ) -> Result<Reply, RedisError> {
        let mut args = self.args();
        args.extend(own);
        let head = self.key(realm, "m");
        Ok(Reply::new(self.client.run(script, &[&head], &args).await?))
    }

    /// The same, and again while the log is fenced.
    ///
    /// The answer begins with a word; what follows is the caller's.
    pub(super) async fn run_unfenced(
        &self,
        realm: &RealmId,
        script: &Script,
        own: Vec<Bytes>,
    ) -> Result<Reply, LogError> {
        self.run_confirmed(realm, script, own, None).await
    }

    /// The same over a connection of its own; with the `ha` profile only when a replica
    /// has it, too.
    pub(super) async fn run_confirmed(
        &self,
        realm: &RealmId,
        script: &Script,
        own: Vec<Bytes>,
        over: Option<&Dedicated>,
    ) -> Result<Reply, LogError> {
        let deadline = tokio::time::Instant::now() + HOLD;
        loop {
            let reply = match over {
                None => self.run(realm, script, own.clone()).await,
                Some(connection) => self.confirm(realm, script, own.clone(), connection).await,
            };
            let reply = reply.map_err(|error| unavailable(script.name, &error))?;
            if reply.word() != Some("FENCED") {
                return Ok(reply);
            }
            if tokio::time::Instant::now() >= deadline {
                return Err(LogError { retry_after: RETRY_AFTER });
            }
            tokio::time::sleep(Duration::from_millis(40 + random_below(20))).await;
        }
    }
}

impl Context {
    /// Runs a script, and waits until a replica has what it wrote where that is wanted.
    async fn confirm(
        &self,
        realm: &RealmId,
        script: &Script,
        own: Vec<Bytes>,
        connection: &Dedicated,
    ) -> Result<Reply, RedisError> {
        let mut args = self.args();
        args.extend(own);
        let head = self.key(realm, "m");
        // A connection that has just been asked for may not be open yet.
        if tokio::time::timeout(READY, connection.ready()).await.is_err() {
            tracing::debug!("the connection for claims is not open");
        }
        let wait = match self.limits.profile {
            LogProfile::Log => None,
            LogProfile::Ha => Some((1, CONFIRM)),
        };
        let (value, replicas) = connection.run(script, &[&head], &args, wait).await?;
        let reply = Reply::new(value);
        let is_confirmed = wait.is_none() || replicas.is_some_and(|count| count >= 1);
        if reply.word() == Some("OK") && !is_confirmed {
            let reason = "no replica has confirmed it";
            return Err(RedisError::Indeterminate { reason, source: None });
        }
        Ok(reply)
    }
}

/// A number as an argument.
pub(super) fn arg(number: impl fmt::Display) -> Bytes {
    Bytes::from(number.to_string())
}

/// A text as an argument.
pub(super) fn text(text: &str) -> Bytes {
    Bytes::copy_from_slice(text.as_bytes())
}

/// A duration as an argument, in milliseconds.
pub(super) fn millis(duration: Duration) -> Bytes {
    arg(duration.as_millis())
}

/// Says in the log why a question was not answered.
pub(super) fn unavailable(what: &'static str, error: &RedisError) -> LogError {
    use std::error::Error as _;
    let cause = error.source().map(ToString::to_string).unwrap_or_default();
    tracing::debug!(what, %error, cause, "redis did not answer");
    LogError { retry_after: RETRY_AFTER }
}

/// An answer that makes no sense: an older or newer node wrote it, or somebody else.
pub(super) fn nonsense(what: &'static str) -> LogError {
    unavailable(what, &unexpected(what))
}
