//! Presence of a cluster, in Redis.
//!
//! What happens on this node changes its own table at once, and is written by one task in
//! batches. A script merges it with the records of the other nodes, and publishes every
//! change of a status in the same step: whatever ends when, nothing is told twice, and
//! nothing that was decided is left untold. So no call returns a
//! [`Transition`].
//!
//! Invariants:
//! - if Redis can't be asked, nobody is set offline, and what happened is written later;
//! - a node counts until its lease has ended and a script has seen that, for all readers
//!   at the same moment;
//! - whatever Redis loses, every node writes its users again within seconds.
//!
//! Not here: the rules (`merge`, and the same in `lua/rules.lua`), the leases (`log`).

mod context;
mod queue;
mod read;
mod realm;
mod scripts;
mod sweep;
#[cfg(test)]
mod tests;
mod wire;
mod writer;

use std::{
    collections::HashMap,
    mem,
    sync::{Arc, atomic::Ordering::Relaxed},
};

use foldhash::fast::RandomState;
use parking_lot::Mutex;
use tokio::sync::{Notify, oneshot};

use self::{
    context::Context,
    queue::{Choosing, Pending, Written},
    realm::Realm,
};
use super::{Changed, Ending, Explanation, Presence, PresenceError, Transition, UserPresence};
use crate::{
    clock::Clock,
    metrics::Metrics,
    model::{ConnectionId, ManualStatus, RealmId, Status, StatusRecord, UserId},
    redis_client::RedisClient,
};

pub use context::RedisSettings;
pub use writer::RedisWriter;

/// How long an activity may stay unwritten that changes nothing that others see.
const LAZY_MS_MAX: u64 = 5_000;

/// How much earlier than it would be seen an activity must be written.
const MARGIN_MS: u64 = 2_000;

/// The backend of a node that is one of many.
#[derive(Debug)]
pub struct RedisPresence {
    context: Arc<Context>,
    realms: Mutex<HashMap<RealmId, Arc<Realm>, RandomState>>,
    newcomers: Arc<Newcomers>,
}

/// Realms that the writer has not heard of yet.
#[derive(Debug, Default)]
struct Newcomers {
    realms: Mutex<Vec<Arc<Realm>>>,
    came: Notify,
}

impl Newcomers {
    fn add(&self, realm: Arc<Realm>) {
        self.realms.lock().push(realm);
        self.came.notify_one();
    }

    fn take(&self) -> Vec<Arc<Realm>> {
        mem::take(&mut *self.realms.lock())
    }

    async fn wait(&self) {
        self.came.notified().await;
    }
}

impl RedisPresence {
    /// An empty presence of this node, and the task that must be run for it.
    #[must_use]
    pub fn new(
        client: RedisClient,
        settings: RedisSettings,
        clock: Clock,
        metrics: Arc<Metrics>,
    ) -> (Arc<Self>, RedisWriter) {
        let context = Arc::new(Context::new(client, settings, clock, metrics));
        let newcomers = Arc::new(Newcomers::default());
        let writer = RedisWriter::new(Arc::clone(&context), Arc::clone(&newcomers));
        (Arc::new(Self { context, realms: Mutex::default(), newcomers }), writer)
    }

    fn now_ms(&self) -> u64 {
        self.context.clock.now_ms()
    }

    /// The realm. From now on this node helps to look after it, even if it has no users.
    fn realm(&self, id: &RealmId) -> Arc<Realm> {
        let mut is_new = false;
        let realm = {
            let mut realms = self.realms.lock();
            let realm = realms.entry(id.clone()).or_insert_with(|| {
                is_new = true;
                Arc::new(Realm::new(id.clone(), self.context.key(id)))
            });
            Arc::clone(realm)
        };
        if is_new {
            self.newcomers.add(Arc::clone(&realm));
        }
        realm.touch(self.now_ms());
        realm
    }

    /// Has the record of `user` written, and waits for it.
    async fn write(
        &self,
        realm: &RealmId,
        user: &UserId,
        edit: impl FnOnce(&mut Pending),
    ) -> Changed {
        let realm = self.realm(realm);
        let (done, written) = oneshot::channel();
        {
            let mut queue = realm.queue.lock();
            let pending = queue.hurry(user);
            edit(pending);
            pending.waiting.push(done);
        }
        realm.wake.notify_one();
        realm.written(written).await?;
        Ok(None)
    }

    /// Has a choice of `user` written, and waits for it.
    async fn choose(
        &self,
        realm: &RealmId,
        user: &UserId,
        chosen: Option<ManualStatus>,
    ) -> Changed {
        let realm = self.realm(realm);
        let (done, written) = oneshot::channel();
        realm.queue.lock().choose(user, Choosing { chosen, done });
        realm.wake.notify_one();
        match realm.written(written).await? {
            Written::Done => Ok(None),
            Written::Full => {
                Err(PresenceError::Full { limit: self.context.settings.bounds.chosen })
            }
        }
    }
}

impl Presence for RedisPresence {
    async fn connected(&self, realm: &RealmId, user: &UserId, connection: ConnectionId) -> Changed {
        {
            // Here and below: what others see, a script decides.
            let mut local = self.context.local(user);
            drop(local.connected(realm, user, connection, self.now_ms()));
        }
        self.write(realm, user, |pending| {
            if !pending.fresh.contains(&connection) {
                pending.fresh.push(connection);
            }
        })
        .await
    }

    async fn active(&self, realm: &RealmId, user: &UserId, connection: ConnectionId) -> Changed {
        let (now_ms, before_ms) = {
            let mut local = self.context.local(user);
            let now_ms = self.now_ms();
            (now_ms, local.acted(realm, user, connection, now_ms))
        };
        let Some(before_ms) = before_ms else {
            return Ok(None);
        };
        let away_after_ms = self.context.settings.rules.away_after_ms;
        let lazy_ms = LAZY_MS_MAX.min(away_after_ms / 10);
        let away_at_ms = before_ms.saturating_add(away_after_ms);
        if away_at_ms > now_ms.saturating_add(lazy_ms + MARGIN_MS) {
            self.realm(realm).queue.lock().delay(user, now_ms.saturating_add(lazy_ms));
            return Ok(None);
        }
        let known = self.realm(realm);
        let may_be_away = away_at_ms <= now_ms;
        if may_be_away && !known.is_failing.load(Relaxed) {
            return self.write(realm, user, |_| ()).await;
        }
        known.queue.lock().hurry(user);
        known.wake.notify_one();
        Ok(None)
    }

    async fn disconnected(
        &self,
        realm: &RealmId,
        user: &UserId,
        connection: ConnectionId,
        ending: Ending,
    ) -> Changed {
        let had_socket = {
            let mut local = self.context.local(user);
            local.left(realm, user, (connection, ending), self.now_ms())
        };
        if had_socket { self.write(realm, user, |_| ()).await } else { Ok(None) }
    }

    async fn set_manual(&self, realm: &RealmId, user: &UserId, chosen: ManualStatus) -> Changed {
        self.choose(realm, user, Some(chosen)).await
    }

    async fn clear_manual(&self, realm: &RealmId, user: &UserId) -> Changed {
        self.choose(realm, user, None).await
    }

    async fn status(
        &self,
        realm: &RealmId,
        users: &[UserId],
    ) -> Result<Vec<StatusRecord>, PresenceError> {
        read::status(&self.context, &self.realm(realm), users).await
    }

    async fn devices(
        &self,
        realm: &RealmId,
        users: &[UserId],
    ) -> Result<Vec<UserPresence>, PresenceError> {
        read::devices(&self.context, &self.realm(realm), users).await
    }

    async fn explain(&self, realm: &RealmId, user: &UserId) -> Result<Explanation, PresenceError> {
        read::explain(&self.context, &self.realm(realm), user).await
    }

    async fn all_statuses(
        &self,
        realm: &RealmId,
        limit: usize,
    ) -> Result<Vec<StatusRecord>, PresenceError> {
        read::all(&self.context, &self.realm(realm), limit).await
    }

    async fn sweep(&self) -> Result<Vec<Transition>, PresenceError> {
        let realms: Vec<_> = self.realms.lock().values().cloned().collect();
        sweep::sweep(&self.context, &realms).await?;
        Ok(Vec::new())
    }

    async fn is_current(&self, _transition: &Transition) -> Result<bool, PresenceError> {
        // None was returned to anybody.
        Ok(false)
    }

    fn counts(&self) -> [u64; Status::ALL.len()] {
        self.context.counts()
    }
}
