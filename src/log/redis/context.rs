//! What every part of the Redis log shares: the client, the names of keys, and the
//! arguments that every script begins with.
//!
//! Invariants: every key of a realm has the realm as its hash tag, so that all of them
//! are in one slot.

use std::{fmt, sync::Arc, time::Duration};

use super::{
    super::{ChatLimits, LogError},
    replicas::{Confirming, Until},
    reply::{Reply, unexpected},
    scripts::Head,
};
use crate::{
    clock::{Clock, random_below},
    config::LogProfile,
    metrics::Metrics,
    model::RealmId,
    redis_client::{RedisClient, RedisError, Script},
};
use bytes::Bytes;
use tokio::time::{Instant, sleep, timeout_at};

/// When to try again what can't be done now.
pub(super) const RETRY_AFTER: Duration = Duration::from_secs(1);

/// How long a request is held while the log is fenced, or a connection comes back.
pub(super) const HOLD: Duration = Duration::from_secs(3);

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

    /// The arguments that every script begins with, for one that counts on so many replicas.
    pub(super) fn args(&self, replicas: Option<u32>) -> Vec<Bytes> {
        let RedisLimits { profile, is_sharded, retention_events, retention_bytes, .. } =
            self.limits;
        let me = &self.me;
        Head { profile, is_sharded, retention_events, retention_bytes, me, replicas }.args()
    }

    /// Runs a script of `realm` with its own arguments.
    pub(super) async fn run(
        &self,
        realm: &RealmId,
        script: &Script,
        own: impl IntoIterator<Item = Bytes>,
    ) -> Result<Reply, RedisError> {
        self.run_counting(realm, script, own, None).await
    }

    /// The same, for a script that counts replicas when there is a number.
    pub(super) async fn run_counting(
        &self,
        realm: &RealmId,
        script: &Script,
        own: impl IntoIterator<Item = Bytes>,
        replicas: Option<u32>,
    ) -> Result<Reply, RedisError> {
        let mut args = self.args(replicas);
        args.extend(own);
        let head = self.key(realm, "m");
        Ok(Reply::new(self.client.run(script, &[&head], &args).await?))
    }

    /// The same over a connection of its own, and again while the log may not be written.
    ///
    /// The answer begins with a word; what follows is the caller's.
    pub(super) async fn write(
        &self,
        realm: &RealmId,
        script: &Script,
        own: Vec<Bytes>,
        (over, until): (&Confirming, Until),
    ) -> Result<Reply, LogError> {
        let began = Instant::now();
        // A connection that has just been asked for may not be open yet.
        if timeout_at(began + READY, over.ready()).await.is_err() {
            tracing::debug!("the connection for claims is not open");
        }
        let head = self.key(realm, "m");
        loop {
            let needed = over.needed();
            let mut args = self.args(needed);
            args.extend(own.iter().cloned());
            let patience = match over.run(script, &head, &args, (needed, until)).await {
                Ok(Some(reply)) => return Ok(reply),
                Ok(None) => HOLD,
                Err(error) if error.is_passing(script.is_repeatable) => READY,
                Err(error) => return Err(unavailable(script.name, &error)),
            };
            if began.elapsed() >= patience {
                return Err(LogError { retry_after: RETRY_AFTER });
            }
            sleep(Duration::from_millis(40 + random_below(20))).await;
        }
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
