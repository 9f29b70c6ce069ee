//! The log and the presence that were configured: embedded, or in Redis.
//!
//! Invariants: a node that shares a log has its name in the cluster before it serves
//! anybody; servers that could lose what they acknowledge are refused.

use std::{sync::Arc, time::Duration};

use sha2::{Digest as _, Sha256};
use tokio::time::{Instant, sleep};

use super::AppError;
use crate::{
    clock::Clock,
    config::{Config, KeyMaterial, LogProfile, RedisMode},
    lifecycle::Tasks,
    log::{
        AnyLog, ChatLimits, MemoryLimits, MemoryLog, NodeFacts, RedisDriver, RedisLimits, RedisLog,
        ThisNode,
    },
    metrics::Metrics,
    presence::{AnyPresence, MemoryPresence, RedisPresence, RedisSettings, Rules, memory::Bounds},
    redis_client::{RedisClient, RedisError, StartError},
    store,
};

/// Sessions that ended and can still be resumed, over all realms.
const ENDED_SESSIONS_MAX: usize = 500_000;

/// How long a socket that sends nothing into a chat room counts as being there: clients
/// send something every 15 seconds.
const ROOM_SILENCE: Duration = Duration::from_secs(20);

/// How long a node waits for Redis at its start.
const START_PATIENCE: Duration = Duration::from_secs(30);

/// How often it looks meanwhile.
const START_PASS: Duration = Duration::from_millis(500);

/// What a node keeps its records and people in.
pub(super) struct Backends {
    pub(super) log: AnyLog,
    pub(super) presence: AnyPresence,
    pub(super) facts: Arc<NodeFacts>,
}

/// Opens what `config` names, and starts the tasks behind it.
pub(super) async fn open(
    config: &Config,
    metrics: &Arc<Metrics>,
    clock: &Clock,
    tasks: &mut Tasks,
) -> Result<Backends, AppError> {
    let facts = Arc::new(NodeFacts::default());
    let node = ThisNode {
        id: Arc::from(config.node.id.as_str()),
        lease: config.cluster.lease,
        facts: Arc::clone(&facts),
    };
    if config.redis.urls.is_empty() {
        return embedded(config, metrics, clock, (node, tasks));
    }
    let client = RedisClient::new(&config.redis, metrics)?;
    reach(&client, config.log.profile == LogProfile::Ha).await?;
    let (log, driver) = take_part(&client, config, node, (clock, metrics)).await?;
    tasks.spawn("log", |stop| driver.run(stop));
    let settings = RedisSettings {
        me: Arc::clone(log.me()),
        rules: Rules::new(&config.status),
        lease: config.cluster.lease,
        profile: config.log.profile,
        retention_events: config.log.retention_events,
        retention_bytes: config.log.retention_bytes,
        is_sharded: config.redis.mode == RedisMode::Cluster,
        bounds: Bounds::default(),
    };
    let (presence, writer) =
        RedisPresence::new(client, settings, clock.clone(), Arc::clone(metrics));
    tasks.spawn("presence", |stop| writer.run(stop));
    Ok(Backends { log: AnyLog::Redis(log), presence: AnyPresence::Redis(presence), facts })
}

/// Log and presence in memory, with what an earlier process saved.
fn embedded(
    config: &Config,
    metrics: &Arc<Metrics>,
    clock: &Clock,
    (node, tasks): (ThisNode, &mut Tasks),
) -> Result<Backends, AppError> {
    let facts = Arc::clone(&node.facts);
    let mut log = MemoryLog::new(memory_limits(config), clock.clone()).of_node(node);
    let rules = Rules::new(&config.status);
    let mut presence = MemoryPresence::new(&config.node.id, rules, clock.clone());
    if let Some(folder) = &config.data_dir {
        let (mut file, saved) = store::open(folder)?;
        let commit = Box::new(move |changes: &[store::Change]| file.commit(changes));
        let (keeper, journal) = store::Keeper::new(commit, Arc::clone(metrics));
        presence = presence.saving(&saved, journal.clone());
        log = log.saving(saved, journal);
        tasks.spawn("store", |stop| keeper.run(stop));
    }
    let log = AnyLog::Memory(Arc::new(log));
    let presence = AnyPresence::Memory(Arc::new(presence));
    Ok(Backends { log, presence, facts })
}

/// Waits until Redis answers, and checks that it is fit.
async fn reach(client: &RedisClient, is_ha: bool) -> Result<(), StartError> {
    let deadline = Instant::now() + START_PATIENCE;
    loop {
        match client.check(is_ha).await {
            Err(StartError::Unreachable(error)) if Instant::now() < deadline => {
                tracing::warn!(%error, "waits for redis");
                sleep(START_PASS).await;
            }
            result => return result,
        }
    }
}

/// Takes this node's name in the cluster; waits while Redis can't be written, as when a
/// replica of the profile `ha` is still being filled.
async fn take_part(
    client: &RedisClient,
    config: &Config,
    node: ThisNode,
    (clock, metrics): (&Clock, &Arc<Metrics>),
) -> Result<(Arc<RedisLog>, RedisDriver), RedisError> {
    let deadline = Instant::now() + START_PATIENCE;
    loop {
        let (client, node, clock) = (client.clone(), node.clone(), clock.clone());
        let opened =
            RedisLog::open(client, redis_limits(config), node, clock, Arc::clone(metrics)).await;
        match opened {
            Err(error) if error.is_retryable() && Instant::now() < deadline => {
                tracing::warn!(%error, "waits until redis can be written");
                sleep(START_PASS).await;
            }
            result => return result,
        }
    }
}

/// What bounds the log in Redis.
fn redis_limits(config: &Config) -> RedisLimits {
    RedisLimits {
        profile: config.log.profile,
        retention_events: config.log.retention_events,
        retention_bytes: config.log.retention_bytes,
        idempotency_window: config.limits.idempotency_window,
        memberships_per_user: config.limits.memberships_per_user,
        session_ttl: config.limits.session_ttl,
        lease: config.cluster.lease,
        heartbeat: config.cluster.heartbeat,
        session_keys: session_keys(config),
        is_sharded: config.redis.mode == RedisMode::Cluster,
        chat: chat_limits(config),
    }
}

/// What bounds chat rooms.
fn chat_limits(config: &Config) -> ChatLimits {
    ChatLimits { history: config.dialects.pydio.history, silence: ROOM_SILENCE }
}

/// The keys of session records, from secrets that all nodes share: the keys of the server
/// API, the first of which signs, or the one that tokens are signed with. With neither, as
/// in development, a constant: whoever can write to that Redis is trusted there.
fn session_keys(config: &Config) -> Vec<[u8; 32]> {
    let mut secrets: Vec<&str> = Vec::new();
    secrets.extend(config.internal.api_keys.iter().map(|key| key.key.reveal()));
    if secrets.is_empty() {
        let signing = config.auth.signing_key().and_then(|key| match &key.material {
            KeyMaterial::Secret(secret) => Some(secret.reveal()),
            KeyMaterial::PublicKeyFile(_) => None,
        });
        secrets.push(signing.unwrap_or_default());
    }
    let derived = |secret: &str| {
        let mut hash = Sha256::new();
        hash.update(b"hubbub session records\n");
        hash.update(secret.as_bytes());
        hash.finalize().into()
    };
    secrets.into_iter().map(derived).collect()
}

/// What bounds the embedded log.
pub(super) fn memory_limits(config: &Config) -> MemoryLimits {
    let limits = &config.limits;
    MemoryLimits {
        retention_events: config.log.retention_events,
        retention_bytes: config.log.retention_bytes,
        idempotency_window: limits.idempotency_window,
        idempotency_ids: limits.idempotency_ids,
        memberships_per_user: limits.memberships_per_user,
        session_ttl: limits.session_ttl,
        ended_sessions: ENDED_SESSIONS_MAX,
        chat: chat_limits(config),
    }
}
