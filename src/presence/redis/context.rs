//! What every part of the Redis presence shares: how its scripts are called, and the
//! users of this node.
//!
//! Invariants: the locks here are leaves; nothing waits while it holds one.

use std::{fmt, hash::BuildHasher as _, sync::Arc, time::Duration};

use foldhash::fast::RandomState;
use parking_lot::{Mutex, MutexGuard};
use redis::Value;

use super::{realm::Realm, scripts::Own, wire};
use crate::{
    clock::Clock,
    config::LogProfile,
    log::Head,
    metrics::Metrics,
    model::{RealmId, Status, UserId},
    presence::{
        PresenceError, Rules,
        memory::{
            Bounds, SHARDS,
            shard::{Shard, ShardBounds},
        },
    },
    redis_client::{RedisClient, RedisError, Script},
};

/// What decides how presence behaves.
#[derive(Debug, Clone)]
pub struct RedisSettings {
    /// `<node>#<incarnation>`, as the log's lease names this node.
    pub me: Arc<str>,
    /// `status.*`
    pub rules: Rules,
    /// `cluster.lease`
    pub lease: Duration,
    /// `log.profile`
    pub profile: LogProfile,
    /// `log.retention_events`
    pub retention_events: usize,
    /// `log.retention_bytes`
    pub retention_bytes: usize,
    /// True in Redis Cluster, where channels belong to slots.
    pub is_sharded: bool,
    /// What is remembered of users without a device, over all nodes.
    pub bounds: Bounds,
}

/// Shared by all tasks and callers.
pub(super) struct Context {
    pub(super) client: RedisClient,
    pub(super) settings: RedisSettings,
    pub(super) clock: Clock,
    pub(super) metrics: Arc<Metrics>,
    hasher: RandomState,
    shards: [Mutex<Shard>; SHARDS],
}

impl fmt::Debug for Context {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Context").field("settings", &self.settings).finish_non_exhaustive()
    }
}

/// Why a script did nothing.
#[derive(Debug)]
pub(super) enum Refusal {
    /// The log is fenced for a moment, or other replicas follow than before, and nothing may
    /// be published.
    Fenced,
    /// Redis does not hold what this node wrote.
    Anew,
    /// Redis can't be asked, or answered nonsense.
    Failed(RedisError),
}

impl From<Refusal> for PresenceError {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Fenced => unavailable("the log is fenced"),
            Refusal::Anew => unavailable("this node has to write its users again"),
            Refusal::Failed(error) => Self::Unavailable { source: Box::new(error) },
        }
    }
}

/// The error of a call that gave up.
pub(super) fn unavailable(reason: &'static str) -> PresenceError {
    PresenceError::Unavailable { source: reason.into() }
}

impl Context {
    pub(super) fn new(
        client: RedisClient,
        settings: RedisSettings,
        clock: Clock,
        metrics: Arc<Metrics>,
    ) -> Self {
        let node = node_name(&settings.me);
        let bounds = ShardBounds {
            idle: settings.bounds.remembered.div_ceil(SHARDS),
            chosen: settings.bounds.chosen.div_ceil(SHARDS),
        };
        let rules = settings.rules;
        let shard = |_| Mutex::new(Shard::new(Arc::clone(&node), rules, bounds));
        let shards = std::array::from_fn(shard);
        let hasher = RandomState::default();
        Self { client, settings, clock, metrics, hasher, shards }
    }

    /// What this node knows of `user`, whatever their realm.
    pub(super) fn local(&self, user: &UserId) -> MutexGuard<'_, Shard> {
        let [first, ..] = &self.shards;
        // The middle bits: a shard's own tables use the ends.
        let place = usize::try_from((self.hasher.hash_one(user) >> 24) & 0xff).unwrap_or(0);
        self.shards.get(place % SHARDS).unwrap_or(first).lock()
    }

    /// The users of `realm` who have a device on this node.
    pub(super) fn present(&self, realm: &RealmId) -> Vec<UserId> {
        let mut users = Vec::new();
        for shard in &self.shards {
            shard.lock().present(realm, &mut users);
        }
        users
    }

    /// Whether this node knows a user of `realm`.
    pub(super) fn knows(&self, realm: &RealmId) -> bool {
        self.shards.iter().any(|shard| shard.lock().knows(realm))
    }

    /// Lets time work on what this node knows.
    pub(super) fn age(&self) {
        let mut unpublished = Vec::new();
        for shard in &self.shards {
            while !shard.lock().sweep(self.clock.now_ms(), 256, &mut unpublished) {
                // Whether others see these changes, a script decides.
                unpublished.clear();
            }
        }
    }

    /// How many users this node knows, by what its devices say and they chose.
    pub(super) fn counts(&self) -> [u64; Status::ALL.len()] {
        let mut total = [0; Status::ALL.len()];
        for shard in &self.shards {
            let counts = shard.lock().counts();
            for (sum, count) in total.iter_mut().zip(counts) {
                *sum += count;
            }
        }
        total
    }

    /// Counts the events that a script says it published.
    pub(super) fn published(&self, count: Option<&Value>) {
        if let Some(count) = count.and_then(wire::number).filter(|count| *count > 0) {
            let labels = ["ephemeral", "accepted"];
            self.metrics.events_published_total.with_label_values(&labels).inc_by(count);
        }
    }

    /// The realm's key that names its slot.
    pub(super) fn key(&self, realm: &RealmId) -> String {
        format!("{}:{{{realm}}}:m", self.client.prefix())
    }

    /// Runs a script that may change something; returns the parts of its answer.
    pub(super) async fn write(
        &self,
        realm: &Realm,
        script: &Script,
        own: Own,
    ) -> Result<Vec<Value>, Refusal> {
        let needed = match self.settings.profile {
            LogProfile::Log => None,
            LogProfile::Ha => Some(realm.replicas.needed()),
        };
        let answer = self.call(&realm.key, script, (needed, own)).await;
        let answer = answer.map_err(Refusal::Failed)?;
        match answer.first().and_then(wire::text) {
            Some("OK") => {
                realm.replicas.met();
                Ok(answer)
            }
            Some("FENCED") => Err(Refusal::Fenced),
            Some("REPLICAS") => {
                let follow = answer.get(2).and_then(wire::number).unwrap_or(0);
                let is_appointed = self.client.is_appointed(&realm.key);
                realm.replicas.follow(follow, is_appointed).await;
                Err(Refusal::Fenced)
            }
            Some("ANEW") => Err(Refusal::Anew),
            Some(_) | None => {
                let expected = "OK, FENCED, REPLICAS or ANEW";
                Err(Refusal::Failed(RedisError::Unexpected { expected }))
            }
        }
    }

    /// Runs a script that only reads; returns the parts of its answer.
    pub(super) async fn read(
        &self,
        key: &str,
        script: &Script,
        own: Own,
    ) -> Result<Vec<Value>, RedisError> {
        self.call(key, script, (None, own)).await
    }

    async fn call(
        &self,
        key: &str,
        script: &Script,
        (replicas, own): (Option<u32>, Own),
    ) -> Result<Vec<Value>, RedisError> {
        let RedisSettings { profile, retention_events, retention_bytes, is_sharded, .. } =
            self.settings;
        let me = &self.settings.me;
        let head = Head { profile, is_sharded, retention_events, retention_bytes, me, replicas };
        let mut args = head.args();
        args.extend(own.0);
        let answer = self.client.run(script, &[key], &args).await?;
        answer.into_sequence().map_err(|_| RedisError::Unexpected { expected: "a list" })
    }
}

/// The node in `<node>#<incarnation>`.
pub(super) fn node_name(me: &str) -> Arc<str> {
    Arc::from(me.rsplit_once('#').map_or(me, |(node, _)| node))
}
