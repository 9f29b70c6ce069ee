//! The embedded log: one process, no server, gone with it.
//!
//! It keeps the contract exactly as a shared backend does, so that everything
//! above it runs the same code on a laptop and in a cluster.
//!
//! Invariants:
//! - room at every tail is reserved before a record gets its number, so records
//!   enter the tails in order and an append waits instead of losing one;
//! - the lock of a realm is a leaf and is never held across an await.

mod bus;
mod chat;
#[cfg(test)]
mod disk;
#[cfg(test)]
mod faults;
mod limits;
mod people;
mod realm;
mod recent_ids;
mod room;
mod saving;
mod sessions;
mod steps;
mod talking;
mod unused;

#[cfg(test)]
mod tests;

use std::{
    collections::HashMap,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use bytes::Bytes;
use parking_lot::{Mutex, RwLock};
use tokio::sync::mpsc;

pub use self::limits::MemoryLimits;
use self::{
    bus::BusState,
    chat::Rooms,
    people::People,
    realm::{Attached, RealmState},
    saving::is_saved,
    steps::Wait,
};
use super::{
    AppendError, Appended, Checkpoint, Claim, ClusterNode, Draft, Hold, Inbound, LogError, Opening,
    Question, RealmLog, Snapshot, Tail, ThisNode,
};
use crate::{
    clock::Clock,
    lifecycle::Gate,
    model::{
        ConnectionId, Identity, Memberships, Position, RealmId, Record, Revocations, SessionRecord,
        Topic, UserId,
    },
    store::{Journal, Saved},
};

/// Records that may wait in front of one tail; more make the publisher wait.
const TAIL_QUEUE: usize = 8_192;

/// Drafts that are appended in one step.
const STEP_DRAFTS_MAX: usize = 1_024;

/// When to try again after the store has failed: the node restarts.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// The embedded log of all realms.
#[derive(Debug)]
pub struct MemoryLog {
    limits: RwLock<MemoryLimits>,
    clock: Clock,
    realms: RwLock<HashMap<RealmId, Arc<Realm>>>,
    /// Where control records are saved, when `data.dir` is set.
    journal: Option<Journal>,
    /// What was saved of realms that nobody has asked for yet.
    saved: Mutex<Saved>,
    /// The node that it is a part of, and when it began, in microseconds since 1970.
    this: Option<(ThisNode, u64)>,
    /// What a test makes go wrong.
    #[cfg(test)]
    pub(crate) faults: faults::Faults,
}

/// One realm: its state, and the tails that hear of it.
#[derive(Debug)]
struct Realm {
    id: RealmId,
    state: Mutex<RealmState>,
}

impl MemoryLog {
    /// An empty log.
    #[must_use]
    pub fn new(limits: MemoryLimits, clock: Clock) -> Self {
        Self {
            limits: RwLock::new(limits),
            clock,
            realms: RwLock::default(),
            journal: None,
            saved: Mutex::default(),
            this: None,
            #[cfg(test)]
            faults: faults::Faults::default(),
        }
    }

    /// The same, as a part of the node that is to be listed.
    #[must_use]
    pub fn of_node(self, this: ThisNode) -> Self {
        let began_at_us = self.clock.now_us();
        Self { this: Some((this, began_at_us)), ..self }
    }

    /// The same, with the people that `saved` knows; changes of them are acknowledged
    /// when `journal` has saved them.
    #[must_use]
    pub fn saving(self, saved: Saved, journal: Journal) -> Self {
        Self { journal: Some(journal), saved: Mutex::new(saved), ..self }
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
        let realm = realms.entry(id.clone()).or_insert_with(|| {
            let saved = self.saved.lock().remove(id);
            let people = saved.as_ref().map(People::restored).unwrap_or_default();
            let bus = saved.as_ref().map(BusState::restored).unwrap_or_default();
            let rooms = saved.map(|saved| Rooms::restored(&saved.rooms)).unwrap_or_default();
            let state = RealmState::new(limits, (people, bus, rooms), self.clock.now_ms());
            let state = Mutex::new(state);
            Arc::new(Realm { id: id.clone(), state })
        });
        Arc::clone(realm)
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
            let has_saved = step.iter().any(|draft| is_saved(&draft.body));
            // A repeated draft waits, too: the first one may not be saved yet.
            let wait = if has_saved { Wait::Always } else { Wait::Never };
            let count = step.len();
            let some = self
                .with_room(&realm, (count, wait), |state, now_us, sequel| {
                    let append = |draft| state.append(draft, now_us, sequel);
                    step.into_iter().map(append).collect::<Vec<_>>()
                })
                .await;
            match some {
                Ok(some) => answers.extend(some),
                Err(_unsaved) => answers.extend(
                    (0..count).map(|_| Err(AppendError::Unavailable { retry_after: RETRY_AFTER })),
                ),
            }
        }
        answers
    }

    async fn open(&self, identity: &Identity, opening: Opening) -> Result<Snapshot, LogError> {
        #[cfg(test)]
        self.faults.check()?;
        let realm = self.realm(&identity.realm);
        // Seeds that are known already need no waiting: a token plants them again.
        let room = match identity.seeds.as_slice() {
            [] => (0, Wait::Never),
            [..] => (1, Wait::IfChanged),
        };
        let snapshot = self
            .with_room(&realm, room, |state, now_us, sequel| {
                state.plant_seeds(identity, now_us, sequel);
                state.open_session(identity, opening)
            })
            .await;
        snapshot.map_err(|_unsaved| LogError { retry_after: RETRY_AFTER })
    }

    async fn claim(
        &self,
        identity: &Identity,
        connection: ConnectionId,
    ) -> Result<Claim, LogError> {
        #[cfg(test)]
        self.faults.check()?;
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
        #[cfg(test)]
        self.faults.check()?;
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
        let now_ms = self.clock.now_ms();
        Ok(self.realm(realm).state.lock().session(connection, now_ms))
    }

    async fn forget(
        &self,
        realm: &RealmId,
        connection: ConnectionId,
        fencing: Option<u64>,
    ) -> Result<(), LogError> {
        self.realm(realm).state.lock().forget(connection, fencing);
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

    async fn node_path(&self, realm: &RealmId, uuid: &str) -> Result<Option<Arc<str>>, LogError> {
        Ok(self.realm(realm).state.lock().node_path(uuid))
    }

    async fn attach(&self, realm: &RealmId) -> Result<Tail, LogError> {
        #[cfg(test)]
        self.faults.check()?;
        let (sender, inbound) = mpsc::channel(TAIL_QUEUE);
        let Attached { position, backlog, workspaces } =
            self.realm(realm).state.lock().attach(sender);
        let workspaces = (position.offset, workspaces);
        let gate = Gate::always();
        #[cfg(test)]
        let gate = self.faults.gate().unwrap_or(gate);
        Ok(Tail { position, backlog, workspaces, inbound, gate })
    }

    async fn renew(&self, _: &RealmId, _: Vec<ConnectionId>) -> Result<(), LogError> {
        // A session lives here as long as a socket holds it.
        Ok(())
    }

    async fn holds(
        &self,
        realm: &RealmId,
        claims: Vec<(ConnectionId, u64)>,
    ) -> Result<Vec<Hold>, LogError> {
        #[cfg(test)]
        self.faults.check()?;
        let realm = self.realm(realm);
        let state = realm.state.lock();
        Ok(claims
            .into_iter()
            .map(|(connection, fencing)| state.holds(connection, fencing))
            .collect())
    }

    async fn ask(&self, _: &RealmId, _: Bytes) -> Result<Vec<Bytes>, LogError> {
        #[cfg(test)]
        return Ok(self.faults.others_answers());
        // There is no other node.
        #[cfg(not(test))]
        Ok(Vec::new())
    }

    async fn answer(&self, _: &RealmId, _: &Question, _answer: Bytes) -> Result<(), LogError> {
        #[cfg(test)]
        self.faults.answered(_answer);
        Ok(())
    }

    async fn nodes(&self) -> Result<Vec<ClusterNode>, LogError> {
        let alone = self.this.iter().map(|(this, began_at_us)| ClusterNode {
            id: Arc::clone(&this.id),
            incarnation: *began_at_us,
            lease_expires_at_ms: self
                .clock
                .now_ms()
                .saturating_add(super::kept::millis(this.lease)),
            connections: this.facts.connections.load(Ordering::Relaxed),
            is_draining: this.facts.is_draining.load(Ordering::Relaxed),
        });
        Ok(alone.collect())
    }

    fn silent_for(&self) -> Option<Duration> {
        #[cfg(test)]
        return self.faults.silent_for();
        #[cfg(not(test))]
        None
    }
}
