//! The embedded log: one process, no server, gone with it.
//!
//! It keeps the contract exactly as a shared backend does, so that everything
//! above it runs the same code on a laptop and in a cluster.
//!
//! Invariants:
//! - room at every tail is reserved before a record gets its number, so records
//!   enter the tails in order and an append waits instead of losing one;
//! - the lock of a realm is a leaf and is never held across an await.

mod kept;
mod realm;
mod recent_ids;

use std::{collections::HashMap, sync::Arc, time::Duration};

use parking_lot::{Mutex, RwLock};
use tokio::sync::mpsc;

use self::realm::{RealmState, Sequel};
use super::{
    AppendError, Appended, Checkpoint, Claim, Draft, Inbound, LogError, Opening, RealmLog,
    Snapshot, Tail,
};
use crate::{
    clock::Clock,
    model::{
        ConnectionId, Identity, Memberships, Position, RealmId, Record, Revocations, SessionRecord,
        Topic, UserId,
    },
};

/// Records that may wait in front of one tail; more make the publisher wait.
const TAIL_QUEUE: usize = 8_192;

/// Drafts that are appended in one step.
const STEP_DRAFTS_MAX: usize = 1_024;

/// What bounds the embedded log.
#[derive(Debug, Clone)]
pub struct MemoryLimits {
    /// `log.retention_events`
    pub retention_events: usize,
    /// `log.retention_bytes`
    pub retention_bytes: usize,
    /// `limits.idempotency_window`
    pub idempotency_window: Duration,
    /// `limits.idempotency_ids`
    pub idempotency_ids: usize,
    /// `limits.memberships_per_user`
    pub memberships_per_user: usize,
    /// `limits.session_ttl`
    pub session_ttl: Duration,
    /// Ended sessions that are kept for a resume; the oldest go first.
    pub ended_sessions: usize,
}

/// The embedded log of all realms.
#[derive(Debug)]
pub struct MemoryLog {
    limits: RwLock<MemoryLimits>,
    clock: Clock,
    realms: RwLock<HashMap<RealmId, Arc<Realm>>>,
}

/// One realm: its state, and the tails that hear of it.
#[derive(Debug)]
struct Realm {
    state: Mutex<RealmState>,
}

impl MemoryLog {
    /// An empty log.
    #[must_use]
    pub fn new(limits: MemoryLimits, clock: Clock) -> Self {
        Self { limits: RwLock::new(limits), clock, realms: RwLock::default() }
    }

    /// Takes new bounds. What is over them leaves with the next record.
    pub fn apply_limits(&self, limits: &MemoryLimits) {
        *self.limits.write() = limits.clone();
        let realms: Vec<_> = self.realms.read().values().cloned().collect();
        for realm in realms {
            realm.state.lock().apply_limits(limits.clone());
        }
    }

    fn realm(&self, id: &RealmId) -> Arc<Realm> {
        if let Some(realm) = self.realms.read().get(id) {
            return Arc::clone(realm);
        }
        let mut realms = self.realms.write();
        // Read under the lock: a change of the limits meets this realm, or came before.
        let limits = self.limits.read().clone();
        let realm = realms
            .entry(id.clone())
            .or_insert_with(|| Arc::new(Realm { state: Mutex::new(RealmState::new(limits)) }));
        Arc::clone(realm)
    }

    /// Runs `step` on the realm when every tail has room for the records it may append.
    ///
    /// `records_max` is how many those are at most. A tail that attaches in between
    /// makes it reserve again, so that no tail misses a record.
    async fn with_room<T>(
        &self,
        realm: &Realm,
        records_max: usize,
        step: impl FnOnce(&mut RealmState, u64, &mut Sequel) -> T,
    ) -> T {
        loop {
            let (version, tails) = realm.state.lock().tails();
            let mut permits = Vec::with_capacity(tails.len());
            let mut closed = false;
            for tail in &tails {
                match tail.reserve_many(records_max).await {
                    Ok(reserved) => permits.push(reserved),
                    Err(_gone) => closed = true,
                }
            }
            let mut state = realm.state.lock();
            if closed {
                state.forget_closed_tails();
                continue;
            }
            if state.tails_version() != version {
                continue;
            }
            let mut sequel = Sequel::default();
            let answer = step(&mut state, self.clock.now_us(), &mut sequel);
            for mut reserved in permits {
                for record in sequel.records() {
                    if let Some(permit) = reserved.next() {
                        permit.send(Inbound::Record(Arc::clone(record)));
                    }
                }
            }
            return answer;
        }
    }
}

impl RealmLog for MemoryLog {
    async fn append(
        &self,
        realm: &RealmId,
        mut drafts: Vec<Draft>,
    ) -> Vec<Result<Appended, AppendError>> {
        let realm = self.realm(realm);
        let mut answers = Vec::with_capacity(drafts.len());
        while !drafts.is_empty() {
            let rest = drafts.split_off(drafts.len().min(STEP_DRAFTS_MAX));
            let step = std::mem::replace(&mut drafts, rest);
            let some = self
                .with_room(&realm, step.len(), |state, now_us, sequel| {
                    let append = |draft| state.append(draft, now_us, sequel);
                    step.into_iter().map(append).collect::<Vec<_>>()
                })
                .await;
            answers.extend(some);
        }
        answers
    }

    async fn open(&self, identity: &Identity, opening: Opening) -> Result<Snapshot, LogError> {
        let realm = self.realm(&identity.realm);
        Ok(self
            .with_room(&realm, usize::from(!identity.seeds.is_empty()), |state, now_us, sequel| {
                state.plant_seeds(identity, now_us, sequel);
                state.open_session(identity, opening)
            })
            .await)
    }

    async fn claim(
        &self,
        identity: &Identity,
        connection: ConnectionId,
    ) -> Result<Claim, LogError> {
        let realm = self.realm(&identity.realm);
        let now_ms = self.clock.now_ms();
        let claim = realm.state.lock().claim(identity, connection, now_ms);
        Ok(claim)
    }

    async fn checkpoint(
        &self,
        realm: &RealmId,
        checkpoints: Vec<Checkpoint>,
    ) -> Result<(), LogError> {
        let realm = self.realm(realm);
        let now_ms = self.clock.now_ms();
        let mut state = realm.state.lock();
        for checkpoint in checkpoints {
            state.checkpoint(&checkpoint, now_ms);
        }
        Ok(())
    }

    async fn session(
        &self,
        realm: &RealmId,
        connection: ConnectionId,
    ) -> Result<Option<(SessionRecord, Memberships)>, LogError> {
        Ok(self.realm(realm).state.lock().session(connection))
    }

    async fn forget(&self, realm: &RealmId, connection: ConnectionId) -> Result<(), LogError> {
        self.realm(realm).state.lock().forget(connection);
        Ok(())
    }

    async fn range(
        &self,
        realm: &RealmId,
        after: u64,
        limit: usize,
    ) -> Result<Vec<Arc<Record>>, LogError> {
        Ok(self.realm(realm).state.lock().range(after, limit))
    }

    async fn memberships(
        &self,
        realm: &RealmId,
        user: &UserId,
    ) -> Result<(Position, Memberships), LogError> {
        Ok(self.realm(realm).state.lock().memberships(user))
    }

    async fn revocations(&self, identity: &Identity) -> Result<Revocations, LogError> {
        Ok(self.realm(&identity.realm).state.lock().revocations(identity))
    }

    async fn members(&self, realm: &RealmId, topic: &Topic) -> Result<Vec<UserId>, LogError> {
        Ok(self.realm(realm).state.lock().members(topic))
    }

    async fn attach(&self, realm: &RealmId) -> Result<Tail, LogError> {
        let (sender, inbound) = mpsc::channel(TAIL_QUEUE);
        let position = self.realm(realm).state.lock().attach(sender);
        Ok(Tail { position, inbound })
    }
}
