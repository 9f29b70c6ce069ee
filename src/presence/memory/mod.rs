//! Presence of one node, in memory.
//!
//! Users are spread over shards by a hash of their id; each shard has its own lock,
//! which no call holds while it waits. Only what users chose survives the process,
//! and that only with a store.
//!
//! Invariants:
//! - a user, whatever their realm, lives in one shard, whose lock orders all that
//!   happens to them;
//! - what is remembered is bounded by [`Bounds`] and by the connections of the node;
//! - a sweep looks at what is due, and at nothing else.
//!
//! Not here: the rules (`merge`).

mod entry;
pub(super) mod shard;

#[cfg(test)]
mod tests;

use std::{hash::BuildHasher as _, sync::Arc};

use foldhash::fast::RandomState;
use parking_lot::Mutex;

use shard::{Shard, ShardBounds};

use super::{
    Changed, Ending, Explanation, Presence, PresenceError, Rules, Transition, UserPresence,
};
use crate::{
    clock::Clock,
    model::{ConnectionId, ManualStatus, RealmId, Status, StatusRecord, UserId},
    store::{Change, Journal, Saved, StoreError},
};

/// Enough that two cores seldom meet, few enough that asking each is cheap.
pub(super) const SHARDS: usize = 8;

/// How many due users a sweep looks at before it lets others have the lock and
/// the thread.
const SWEEP_CHUNK: usize = 256;

/// How much is remembered of users who have no device.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// Users of whom only the date of the last activity is remembered. More than
    /// these: who went longest ago is forgotten, and counts as never active.
    pub remembered: usize,
    /// Users who chose a status. More are refused with [`PresenceError::Full`].
    pub chosen: usize,
}

impl Default for Bounds {
    /// 35,000 last activities, as many as Mattermost caches, and 1,000,000 choices.
    fn default() -> Self {
        Self { remembered: 35_000, chosen: 1_000_000 }
    }
}

/// The backend of a node that is alone.
#[derive(Debug)]
pub struct MemoryPresence {
    clock: Clock,
    hasher: RandomState,
    shards: [Mutex<Shard>; SHARDS],
    /// Where choices are saved, when `data.dir` is set.
    journal: Option<Journal>,
}

impl MemoryPresence {
    /// An empty presence of the node called `node`.
    #[must_use]
    pub fn new(node: &str, rules: Rules, clock: Clock) -> Self {
        Self::with_bounds(node, rules, clock, Bounds::default())
    }

    /// The same with other bounds. They are shared out evenly, so a shard may
    /// reach its part a little before the whole is reached.
    #[must_use]
    pub fn with_bounds(node: &str, rules: Rules, clock: Clock, bounds: Bounds) -> Self {
        let node = Arc::<str>::from(node);
        let bounds = ShardBounds {
            idle: bounds.remembered.div_ceil(SHARDS),
            chosen: bounds.chosen.div_ceil(SHARDS),
        };
        let shard = |_| Mutex::new(Shard::new(Arc::clone(&node), rules, bounds));
        let shards = std::array::from_fn(shard);
        Self { clock, hasher: RandomState::default(), shards, journal: None }
    }

    /// The same, with the choices that `saved` knows; new ones are acknowledged when
    /// `journal` has saved them.
    #[must_use]
    pub fn saving(self, saved: &Saved, journal: Journal) -> Self {
        for (realm, of_realm) in saved {
            for (user, chosen) in &of_realm.chosen {
                let now_ms = self.clock.now_ms();
                let restored = self.shard(user).lock().set_manual(realm, user, *chosen, now_ms);
                if let Err(error) = restored {
                    // More than may be chosen were chosen before the bound was lowered.
                    tracing::warn!(%error, "a chosen status was not restored");
                }
            }
        }
        Self { journal: Some(journal), ..self }
    }

    /// Changes a choice, and waits until it is saved.
    async fn choose(
        &self,
        realm: &RealmId,
        user: &UserId,
        chosen: ManualStatus,
        change: impl FnOnce(&mut Shard, u64) -> Changed,
    ) -> Changed {
        let slot = match &self.journal {
            Some(journal) => Some(journal.slot().await.map_err(unavailable)?),
            None => None,
        };
        let (changed, saving) = {
            let mut shard = self.shard(user).lock();
            let changed = change(&mut shard, self.clock.now_ms())?;
            let saved = Change::Chosen { realm: realm.clone(), user: user.clone(), chosen };
            // Under the lock, so that choices are saved in their order.
            (changed, slot.map(|slot| slot.save(vec![saved])))
        };
        if let Some(saving) = saving
            && let Err(error) = saving.done().await
        {
            // The node is about to end; the change counts until then.
            tracing::warn!(%error, "a chosen status may not be saved");
        }
        Ok(changed)
    }

    // Callers read the clock after they hold the lock, so that what happens to a
    // user happens in the order of time.
    fn shard(&self, user: &UserId) -> &Mutex<Shard> {
        let [first, ..] = &self.shards;
        // The middle bits: a shard's own tables use the ends.
        let place = usize::try_from((self.hasher.hash_one(user) >> 24) & 0xff).unwrap_or(0);
        self.shards.get(place % SHARDS).unwrap_or(first)
    }
}

fn unavailable(error: StoreError) -> PresenceError {
    PresenceError::Unavailable { source: Box::new(error) }
}

impl Presence for MemoryPresence {
    async fn connected(&self, realm: &RealmId, user: &UserId, connection: ConnectionId) -> Changed {
        Ok(self.shard(user).lock().connected(realm, user, connection, self.clock.now_ms()))
    }

    async fn active(&self, realm: &RealmId, user: &UserId, connection: ConnectionId) -> Changed {
        Ok(self.shard(user).lock().active(realm, user, connection, self.clock.now_ms()))
    }

    async fn disconnected(
        &self,
        realm: &RealmId,
        user: &UserId,
        connection: ConnectionId,
        ending: Ending,
    ) -> Changed {
        Ok(self.shard(user).lock().disconnected(
            realm,
            user,
            (connection, ending),
            self.clock.now_ms(),
        ))
    }

    async fn set_manual(&self, realm: &RealmId, user: &UserId, chosen: ManualStatus) -> Changed {
        let change = |shard: &mut Shard, now_ms| shard.set_manual(realm, user, chosen, now_ms);
        self.choose(realm, user, chosen, change).await
    }

    async fn clear_manual(&self, realm: &RealmId, user: &UserId) -> Changed {
        let change = |shard: &mut Shard, now_ms| Ok(shard.clear_manual(realm, user, now_ms));
        self.choose(realm, user, ManualStatus::Online, change).await
    }

    async fn status(
        &self,
        realm: &RealmId,
        users: &[UserId],
    ) -> Result<Vec<StatusRecord>, PresenceError> {
        let now_ms = self.clock.now_ms();
        let status = |user| self.shard(user).lock().status(realm, user, now_ms);
        Ok(users.iter().map(status).collect())
    }

    async fn devices(
        &self,
        realm: &RealmId,
        users: &[UserId],
    ) -> Result<Vec<UserPresence>, PresenceError> {
        let now_ms = self.clock.now_ms();
        let devices = |user| self.shard(user).lock().devices(realm, user, now_ms);
        Ok(users.iter().map(devices).collect())
    }

    async fn explain(&self, realm: &RealmId, user: &UserId) -> Result<Explanation, PresenceError> {
        let now_ms = self.clock.now_ms();
        Ok(self.shard(user).lock().explain(realm, user, now_ms))
    }

    async fn all_statuses(
        &self,
        realm: &RealmId,
        limit: usize,
    ) -> Result<Vec<StatusRecord>, PresenceError> {
        let now_ms = self.clock.now_ms();
        let mut found = Vec::new();
        for shard in &self.shards {
            shard.lock().statuses(realm, now_ms, limit, &mut found);
        }
        Ok(found)
    }

    async fn sweep(&self) -> Result<Vec<Transition>, PresenceError> {
        let now_ms = self.clock.now_ms();
        let mut changed = Vec::new();
        for shard in &self.shards {
            while !shard.lock().sweep(now_ms, SWEEP_CHUNK, &mut changed) {
                tokio::task::yield_now().await;
            }
        }
        Ok(changed)
    }

    async fn is_current(&self, transition: &Transition) -> Result<bool, PresenceError> {
        Ok(self.shard(&transition.record.user).lock().is_current(transition))
    }

    fn counts(&self) -> [u64; Status::ALL.len()] {
        let mut total = [0; Status::ALL.len()];
        for shard in &self.shards {
            let counts = shard.lock().counts();
            for (sum, count) in total.iter_mut().zip(counts) {
                *sum += count;
            }
        }
        total
    }
}
