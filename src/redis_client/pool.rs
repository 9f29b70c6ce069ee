//! Connections for requests that wait for their answer, a pool for each server.
//!
//! Invariants: a server has at most [`POOL_SIZE`] pooled connections; a connection
//! that broke, or did not answer in time, does not go back.

use std::{collections::HashMap, sync::Arc, time::Duration};

use deadpool_redis::{
    Connection, Hook, HookError, Manager, Pool, PoolError, Runtime, TimeoutType, Timeouts,
};
use parking_lot::Mutex;

use super::{
    connect::{config, not_connected, require_primary},
    error::RedisError,
    settings::{Address, CONNECT_TIMEOUT, Peer, Settings},
};

/// Most pooled connections to one server.
const POOL_SIZE: usize = 16;

/// Longest wait for a connection that is in use: whoever comes back in a storm waits
/// rather than being sent away.
const TURN_TIMEOUT: Duration = Duration::from_secs(3);

/// The pools of a client.
#[derive(Debug)]
pub(super) struct Pools {
    settings: Arc<Settings>,
    pools: Mutex<HashMap<Address, Pool>>,
}

impl Pools {
    pub(super) fn new(settings: Arc<Settings>) -> Self {
        Self { settings, pools: Mutex::new(HashMap::new()) }
    }

    /// A connection to the primary at `address`.
    ///
    /// # Cancel safety
    ///
    /// Safe: the connection goes back.
    pub(super) async fn connection(&self, address: &Address) -> Result<Connection, RedisError> {
        let pool = self.pool(address)?;
        pool.get().await.map_err(|error| match error {
            PoolError::Timeout(TimeoutType::Wait) => RedisError::Busy,
            PoolError::Timeout(TimeoutType::Create | TimeoutType::Recycle) => {
                RedisError::unavailable("no connection within 1 s")
            }
            PoolError::Backend(error) => not_connected(error),
            error @ (PoolError::Closed
            | PoolError::NoRuntimeSpecified
            | PoolError::PostCreateHook(_)) => {
                let source = Some(error.into());
                RedisError::Unavailable { reason: "no pooled connection", source }
            }
        })
    }

    /// Nothing more goes to `address`; connections in use end with their request.
    pub(super) fn forget(&self, address: &Address) {
        let pool = self.pools.lock().remove(address);
        if let Some(pool) = pool {
            pool.close();
        }
    }

    fn pool(&self, address: &Address) -> Result<Pool, RedisError> {
        if let Some(pool) = self.pools.lock().get(address) {
            return Ok(pool.clone());
        }
        let pool = self.made(address)?;
        Ok(self.pools.lock().entry(address.clone()).or_insert(pool).clone())
    }

    fn made(&self, address: &Address) -> Result<Pool, RedisError> {
        let unusable = |reason: String| RedisError::settings("url", reason);
        let info = self.settings.connection(address, Peer::Server);
        let manager = Manager::new_with_config(info, config());
        let manager = manager.map_err(|error| unusable(error.to_string()))?;
        let is_primary = Hook::async_fn(|connection, _| {
            Box::pin(async move {
                let checked = require_primary(connection).await;
                checked.map_err(|error| HookError::message(error.to_string()))
            })
        });
        let timeouts = Timeouts {
            wait: Some(TURN_TIMEOUT),
            create: Some(CONNECT_TIMEOUT),
            recycle: Some(CONNECT_TIMEOUT),
        };
        Pool::builder(manager)
            .max_size(POOL_SIZE)
            .timeouts(timeouts)
            .runtime(Runtime::Tokio1)
            .post_create(is_primary)
            .build()
            .map_err(|error| unusable(error.to_string()))
    }
}
