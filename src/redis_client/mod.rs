//! Connections to Redis: which server is in charge, scripts, subscriptions.
//!
//! One server, a primary under sentinels, or a cluster: each request asks for the
//! server that is in charge of its key now and speaks to it directly.
//!
//! Invariants:
//! - every wait has an end: 1 s to connect, 2 s for an answer;
//! - an error tells whether the request may have been carried out;
//! - an answer of a server that said it is no primary is never taken for one of the
//!   primary;
//! - what a subscription may have missed is announced before what comes after it.
//!
//! Bounds on what a server may send: an answer that takes longer than 2 s costs the
//! connection and what was read of it, nesting ends at 100 levels, and memory is
//! taken for what arrived, never for what was announced.
//!
//! Not here: what keys and scripts mean (`log`, `presence`).

mod backoff;
mod check;
mod connect;
mod dedicated;
mod error;
mod pool;
mod replicas;
mod reply;
mod rights;
mod roles;
mod script;
mod sentinels;
mod settings;
mod slots;
mod subscription;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
mod topology;

use std::{fmt, sync::Arc};

pub use redis::Value;
use redis::{Cmd, Pipeline};
use tokio::{
    sync::Notify,
    time::{Instant, sleep},
};

use crate::{config, metrics::Metrics};
use connect::{send, send_all};
pub use dedicated::Dedicated;
pub use error::{Blame, RedisError, StartError};
use pool::Pools;
pub use replicas::Replicas;
pub use reply::{Meaning, REPLIES, Reaction};
use roles::{Roles, Wanted};
pub use script::{NO_ARGS, Script};
use settings::{Address, COMMAND_TIMEOUT, Settings};
pub use subscription::{GapCause, Inbox, Kick, Pushed, Subscription};
use topology::Topology;

/// The servers of one deployment. Clones share everything.
#[derive(Clone)]
pub struct RedisClient(Arc<Inner>);

impl fmt::Debug for RedisClient {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("RedisClient").field(&self.0.settings).finish()
    }
}

struct Inner {
    settings: Arc<Settings>,
    topology: Topology,
    pools: Pools,
    roles: Arc<Roles>,
    /// Whether pooled requests reach their server.
    pool: Wanted,
    /// A right was missing.
    forbidden: Notify,
    metrics: Arc<Metrics>,
}

impl RedisClient {
    /// Reads the configuration. Connects when there is something to ask.
    ///
    /// # Errors
    ///
    /// [`RedisError::Settings`] names the key that cannot be used.
    pub fn new(config: &config::Redis, metrics: &Arc<Metrics>) -> Result<Self, RedisError> {
        let settings = Arc::new(Settings::new(config)?);
        let roles = Roles::new(metrics);
        Ok(Self(Arc::new(Inner {
            topology: Topology::new(Arc::clone(&settings)),
            pools: Pools::new(Arc::clone(&settings)),
            pool: roles.want("pool"),
            forbidden: Notify::new(),
            roles,
            metrics: Arc::clone(metrics),
            settings,
        })))
    }

    /// First part of every key name, such as `hb`.
    #[must_use]
    pub fn prefix(&self) -> &str {
        &self.0.settings.prefix
    }

    /// Checks that the primaries can hold the log: their version, that they evict
    /// nothing and, when `is_ha`, that they need replicas. Warns about what is unwise.
    ///
    /// # Errors
    ///
    /// [`StartError`]: the node must not start with them.
    ///
    /// # Cancel safety
    ///
    /// Safe: it only reads.
    pub async fn check(&self, is_ha: bool) -> Result<(), StartError> {
        check::run(self, is_ha).await
    }

    /// Waits until a server refuses something that the user may not do.
    ///
    /// # Cancel safety
    ///
    /// Safe.
    pub async fn is_refused_a_right(&self) {
        self.0.forbidden.notified().await;
    }

    /// Checks that the primaries let the user do what is needed.
    ///
    /// # Errors
    ///
    /// [`StartError::Forbidden`] names the rights; [`StartError::Unreachable`].
    ///
    /// # Cancel safety
    ///
    /// Safe: nothing is written.
    pub async fn check_rights(&self, is_ha: bool) -> Result<(), StartError> {
        rights::check(self, is_ha).await
    }

    /// Runs `script` on the primary in charge of the first of `keys`, over a pooled
    /// connection, and returns what it returns.
    ///
    /// Repeats it once after a refusal that the next server, or the same one a moment
    /// later, may not give; after a connection that broke only when the script
    /// [may be repeated](Script::is_repeatable).
    ///
    /// # Errors
    ///
    /// [`RedisError`]; after [`RedisError::Indeterminate`] it may have run.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future is the same as [`RedisError::Indeterminate`].
    pub async fn run<A>(
        &self,
        script: &Script,
        keys: &[&str],
        args: &[A],
    ) -> Result<Value, RedisError>
    where
        A: AsRef<[u8]> + Sync,
    {
        let key = keys.first().copied().unwrap_or_default();
        let request = Request::Script {
            by_hash: script.by_hash(keys, args),
            by_text: &|| script.by_text(keys, args),
            is_repeatable: script.is_repeatable,
        };
        let values = self.request(script.name, key, &request).await?;
        values.into_iter().next().ok_or(RedisError::Unexpected { expected: "one value" })
    }

    /// Sends `commands`, which only read, to the primary in charge of `key`, over a
    /// pooled connection, and returns their answers in order. `name` is one of
    /// [`REDIS_COMMANDS`](crate::metrics::REDIS_COMMANDS).
    ///
    /// # Errors
    ///
    /// [`RedisError`], the first refusal of a command among them; never
    /// [`RedisError::Indeterminate`].
    ///
    /// # Cancel safety
    ///
    /// Safe: nothing is changed by it.
    pub async fn query(
        &self,
        name: &'static str,
        key: &str,
        commands: &Pipeline,
    ) -> Result<Vec<Value>, RedisError> {
        let request = Request::Commands { commands, is_repeatable: true };
        self.request(name, key, &request).await.map_err(RedisError::of_reading)
    }

    /// The same for commands that change something. They are repeated after a connection
    /// that broke only when that `is_repeatable`.
    ///
    /// # Errors
    ///
    /// [`RedisError`]; after [`RedisError::Indeterminate`] they may have been carried out.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future is the same as [`RedisError::Indeterminate`].
    pub async fn change(
        &self,
        name: &'static str,
        key: &str,
        commands: &Pipeline,
        is_repeatable: bool,
    ) -> Result<Vec<Value>, RedisError> {
        self.request(name, key, &Request::Commands { commands, is_repeatable }).await
    }

    /// Whether the primary in charge of `key` is the primary by the word of those who appoint
    /// primaries, and no other one is being appointed; `None` where nobody does.
    ///
    /// # Cancel safety
    ///
    /// Safe.
    pub async fn is_appointed(&self, key: &str) -> Option<bool> {
        match self.0.topology.primary(key).await {
            Ok(address) => self.0.topology.is_appointed(&address).await,
            Err(_) => Some(false),
        }
    }

    /// A connection of its own to the primary in charge of `key`, which opens itself
    /// again for as long as a clone of it lives. `role` is one of
    /// [`REDIS_ROLES`](crate::metrics::REDIS_ROLES).
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime.
    #[must_use]
    pub fn dedicated(&self, key: &str, role: &'static str) -> Dedicated {
        Dedicated::new(self.clone(), key, role)
    }

    /// Listens to `channel`, a shard channel where there is a cluster. The first part
    /// must be run; the second holds up to `capacity` messages.
    #[must_use]
    pub fn subscribe(&self, channel: &str, capacity: usize) -> (Subscription, Inbox) {
        Subscription::new(self.clone(), channel, capacity)
    }

    async fn request(
        &self,
        name: &'static str,
        key: &str,
        request: &Request<'_>,
    ) -> Result<Vec<Value>, RedisError> {
        let began = Instant::now();
        let mut result = self.attempt(key, request).await;
        if let Err(error) = &result
            && request.may_repeat_after(error)
        {
            if error.reaction() == Reaction::Wait {
                sleep(backoff::moment()).await;
            }
            result = self.attempt(key, request).await;
        }
        let seconds = began.elapsed().as_secs_f64();
        self.0.metrics.redis_command_seconds.with_label_values(&[name]).observe(seconds);
        result
    }

    async fn attempt(&self, key: &str, request: &Request<'_>) -> Result<Vec<Value>, RedisError> {
        let address = self.0.topology.primary(key).await?;
        let result = async {
            let mut connection = self.0.pools.connection(&address).await?;
            let result = request.send(&mut connection).await;
            if let Err(RedisError::Indeterminate { .. }) = &result {
                // Neither a broken connection nor a deaf one goes back to the pool.
                drop(deadpool_redis::Connection::take(connection));
            }
            result
        }
        .await;
        match &result {
            Ok(_) => {
                self.0.pool.up();
            }
            Err(error) => {
                if matches!(
                    error,
                    RedisError::Unavailable { .. } | RedisError::Indeterminate { .. }
                ) {
                    self.0.pool.down();
                }
                self.learn_from(&address, error);
            }
        }
        result
    }

    /// False when another server has taken the place of the one at `address`; then no pooled
    /// request goes there any more, either.
    async fn is_in_charge(&self, address: &Address) -> bool {
        let is_in_charge = self.0.topology.is_in_charge(address).await;
        if !is_in_charge {
            self.0.pools.forget(address);
        }
        is_in_charge
    }

    /// Tells of a missing right when `error` says so.
    fn note_right(&self, error: &RedisError) {
        if error.is_forbidden() {
            self.0.forbidden.notify_one();
        }
    }

    /// Doubts that `address` is in charge when `error` says so, and tells of a missing right.
    fn learn_from(&self, address: &Address, error: &RedisError) {
        self.note_right(error);
        if error.reaction() != Reaction::Resolve {
            return;
        }
        self.0.topology.forget(address, moved_to(error));
        self.0.pools.forget(address);
    }
}

/// What is sent over a pooled connection.
enum Request<'a> {
    /// A script, which may change something.
    Script {
        by_hash: Cmd,
        by_text: &'a (dyn Fn() -> Cmd + Sync),
        is_repeatable: bool,
    },
    Commands {
        commands: &'a Pipeline,
        is_repeatable: bool,
    },
}

impl Request<'_> {
    fn may_repeat_after(&self, error: &RedisError) -> bool {
        let is_harmless = match self {
            Self::Script { is_repeatable, .. } | Self::Commands { is_repeatable, .. } => {
                *is_repeatable
            }
        };
        error.is_passing(is_harmless)
    }

    async fn send(
        &self,
        connection: &mut redis::aio::MultiplexedConnection,
    ) -> Result<Vec<Value>, RedisError> {
        match self {
            Self::Script { by_hash, by_text, .. } => {
                let mut result = send(connection, by_hash).await;
                if result.as_ref().is_err_and(|error| error.reaction() == Reaction::SendText) {
                    result = send(connection, &by_text()).await;
                }
                Ok(vec![result?])
            }
            Self::Commands { commands, .. } => {
                let answers = send_all(connection, commands, COMMAND_TIMEOUT).await?;
                answers.into_iter().map(reply::accepted).collect()
            }
        }
    }
}

/// The server that a refusal names: `MOVED 3999 127.0.0.1:6381`.
fn moved_to(error: &RedisError) -> Option<Address> {
    let RedisError::Server { code, message } = error else { return None };
    let place = message.split_whitespace().nth(1).filter(|_| code == "MOVED");
    place.and_then(Address::parse).filter(|address| !address.host.is_empty())
}
