//! Connections whose writes replicas confirm, where the profile wants it.
//!
//! Invariants: the script itself compares how many replicas follow with how many are
//! counted on, and writes nothing when those differ.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;

use super::reply::Reply;
use crate::{
    config::LogProfile,
    redis_client::{Dedicated, RedisError, Replicas, Script},
};

/// How long replicas may take to confirm.
const CONFIRM: Duration = Duration::from_millis(200);

/// A connection whose writes are confirmed where the profile wants it. Clones share
/// everything.
#[derive(Debug, Clone)]
pub(super) struct Confirming {
    connection: Dedicated,
    /// `None` where nobody is waited for.
    replicas: Option<Arc<Replicas>>,
}

/// How far what a script writes has to come before it is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Until {
    /// The primary has it: what is lost will be found out.
    Written,
    /// The replicas have it, too, where the profile says so.
    Confirmed,
}

impl Confirming {
    pub(super) fn new(connection: Dedicated, profile: LogProfile) -> Self {
        let replicas = match profile {
            LogProfile::Log => None,
            LogProfile::Ha => Some(Arc::default()),
        };
        Self { connection, replicas }
    }

    /// Waits until the connection is open.
    ///
    /// # Cancel safety
    ///
    /// Safe.
    pub(super) async fn ready(&self) {
        self.connection.ready().await;
    }

    /// How many replicas are counted on: for the arguments of the script.
    pub(super) fn needed(&self) -> Option<u32> {
        self.replicas.as_ref().map(|replicas| replicas.needed())
    }

    /// So many replicas follow the server that is in charge.
    pub(super) fn raise(&self, follow: u64) {
        if let Some(replicas) = &self.replicas {
            replicas.raise(follow);
        }
    }

    /// Runs `script`, of a realm, with arguments that count on `needed` replicas; `None` when
    /// it wrote nothing because the log is fenced, or because other replicas follow. Then it
    /// is to be tried again.
    ///
    /// # Errors
    ///
    /// [`RedisError`]; [`RedisError::Indeterminate`] when it was written and not confirmed.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future is the same as [`RedisError::Indeterminate`].
    pub(super) async fn run(
        &self,
        script: &Script,
        head: &str,
        args: &[Bytes],
        (needed, until): (Option<u32>, Until),
    ) -> Result<Option<Reply>, RedisError> {
        let needed = needed.filter(|_| until == Until::Confirmed);
        let wait = needed.map(|needed| (needed.max(1), CONFIRM));
        let (value, confirmed) = self.connection.run(script, &[head], args, wait).await?;
        let reply = Reply::new(value);
        match reply.word() {
            Some("FENCED") => return Ok(None),
            Some("REPLICAS") => {
                if let (Some(replicas), Some(follow)) = (&self.replicas, reply.number(2)) {
                    replicas.follow(follow, self.connection.is_appointed()).await;
                }
                return Ok(None);
            }
            Some("OK") => {
                if let Some(replicas) = &self.replicas {
                    replicas.met();
                }
            }
            // Nothing was written.
            Some(_) | None => return Ok(Some(reply)),
        }
        if let Some(needed) = needed
            && confirmed.is_none_or(|count| count < i64::from(needed))
        {
            // It is in the log, and a failover may lose it: nobody is told that it is safe.
            let reason = "not every replica has confirmed it";
            return Err(RedisError::Indeterminate { reason, source: None });
        }
        Ok(Some(reply))
    }
}
