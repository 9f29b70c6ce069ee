//! The log that was configured, as one type.
//!
//! Invariants: callers never learn which backend answers.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;

use super::{
    AppendError, Appended, ChatDone, ChatError, ChatOp, ChatStore, Checkpoint, Claim, ClusterNode,
    Draft, Hold, LogError, MemoryLimits, MemoryLog, Opening, Page, PageQuery, Question, RealmLog,
    RedisLog, Snapshot, Tail,
};
use crate::model::{
    ChatRoom, ConnectionId, Id, Identity, Memberships, Position, RealmId, Record, Revocations,
    RoomKey, SessionRecord, Topic, UserId,
};

/// One of the backends. Cloning shares it.
#[derive(Debug, Clone)]
pub enum AnyLog {
    /// The embedded log.
    Memory(Arc<MemoryLog>),
    /// The log that nodes share.
    Redis(Arc<RedisLog>),
}

impl AnyLog {
    /// Takes new bounds.
    pub fn apply_limits(&self, limits: &MemoryLimits) {
        match self {
            Self::Memory(log) => log.apply_limits(limits),
            // Its bounds are those that the node began with.
            Self::Redis(_) => {}
        }
    }

    /// What an operator calls the backend when it does not answer.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Memory(_) => "log",
            Self::Redis(_) => "redis",
        }
    }
}

impl RealmLog for AnyLog {
    async fn append(
        &self,
        realm: &RealmId,
        drafts: Vec<Draft>,
    ) -> Vec<Result<Appended, AppendError>> {
        match self {
            Self::Memory(log) => log.append(realm, drafts).await,
            Self::Redis(log) => log.append(realm, drafts).await,
        }
    }

    async fn open(&self, identity: &Identity, opening: Opening) -> Result<Snapshot, LogError> {
        match self {
            Self::Memory(log) => log.open(identity, opening).await,
            Self::Redis(log) => log.open(identity, opening).await,
        }
    }

    async fn claim(
        &self,
        identity: &Identity,
        connection: ConnectionId,
    ) -> Result<Claim, LogError> {
        match self {
            Self::Memory(log) => log.claim(identity, connection).await,
            Self::Redis(log) => log.claim(identity, connection).await,
        }
    }

    async fn checkpoint(
        &self,
        realm: &RealmId,
        checkpoints: Vec<Checkpoint>,
    ) -> Result<(), LogError> {
        match self {
            Self::Memory(log) => log.checkpoint(realm, checkpoints).await,
            Self::Redis(log) => log.checkpoint(realm, checkpoints).await,
        }
    }

    async fn session(
        &self,
        realm: &RealmId,
        connection: ConnectionId,
    ) -> Result<Option<(SessionRecord, Memberships)>, LogError> {
        match self {
            Self::Memory(log) => log.session(realm, connection).await,
            Self::Redis(log) => log.session(realm, connection).await,
        }
    }

    async fn forget(
        &self,
        realm: &RealmId,
        connection: ConnectionId,
        fencing: Option<u64>,
    ) -> Result<(), LogError> {
        match self {
            Self::Memory(log) => log.forget(realm, connection, fencing).await,
            Self::Redis(log) => log.forget(realm, connection, fencing).await,
        }
    }

    async fn range(
        &self,
        realm: &RealmId,
        after: u64,
        limit: usize,
    ) -> Result<Vec<Arc<Record>>, LogError> {
        match self {
            Self::Memory(log) => log.range(realm, after, limit).await,
            Self::Redis(log) => log.range(realm, after, limit).await,
        }
    }

    async fn memberships(
        &self,
        realm: &RealmId,
        user: &UserId,
    ) -> Result<(Position, Memberships), LogError> {
        match self {
            Self::Memory(log) => log.memberships(realm, user).await,
            Self::Redis(log) => log.memberships(realm, user).await,
        }
    }

    async fn revocations(&self, identity: &Identity) -> Result<Revocations, LogError> {
        match self {
            Self::Memory(log) => log.revocations(identity).await,
            Self::Redis(log) => log.revocations(identity).await,
        }
    }

    async fn members(&self, realm: &RealmId, topic: &Topic) -> Result<Vec<UserId>, LogError> {
        match self {
            Self::Memory(log) => log.members(realm, topic).await,
            Self::Redis(log) => log.members(realm, topic).await,
        }
    }

    async fn node_path(&self, realm: &RealmId, uuid: &str) -> Result<Option<Arc<str>>, LogError> {
        match self {
            Self::Memory(log) => log.node_path(realm, uuid).await,
            Self::Redis(log) => log.node_path(realm, uuid).await,
        }
    }

    async fn attach(&self, realm: &RealmId) -> Result<Tail, LogError> {
        match self {
            Self::Memory(log) => log.attach(realm).await,
            Self::Redis(log) => log.attach(realm).await,
        }
    }

    async fn renew(&self, realm: &RealmId, connections: Vec<ConnectionId>) -> Result<(), LogError> {
        match self {
            Self::Memory(log) => log.renew(realm, connections).await,
            Self::Redis(log) => log.renew(realm, connections).await,
        }
    }

    async fn holds(
        &self,
        realm: &RealmId,
        claims: Vec<(ConnectionId, u64)>,
    ) -> Result<Vec<Hold>, LogError> {
        match self {
            Self::Memory(log) => log.holds(realm, claims).await,
            Self::Redis(log) => log.holds(realm, claims).await,
        }
    }

    async fn ask(&self, realm: &RealmId, question: Bytes) -> Result<Vec<Bytes>, LogError> {
        match self {
            Self::Memory(log) => log.ask(realm, question).await,
            Self::Redis(log) => log.ask(realm, question).await,
        }
    }

    async fn answer(
        &self,
        realm: &RealmId,
        question: &Question,
        answer: Bytes,
    ) -> Result<(), LogError> {
        match self {
            Self::Memory(log) => log.answer(realm, question, answer).await,
            Self::Redis(log) => log.answer(realm, question, answer).await,
        }
    }

    async fn nodes(&self) -> Result<Vec<ClusterNode>, LogError> {
        match self {
            Self::Memory(log) => log.nodes().await,
            Self::Redis(log) => log.nodes().await,
        }
    }

    fn silent_for(&self) -> Option<Duration> {
        match self {
            Self::Memory(log) => log.silent_for(),
            Self::Redis(log) => log.silent_for(),
        }
    }
}

impl ChatStore for AnyLog {
    async fn chat(&self, realm: &RealmId, op: ChatOp) -> Result<ChatDone, ChatError> {
        match self {
            Self::Memory(log) => log.chat(realm, op).await,
            Self::Redis(log) => log.chat(realm, op).await,
        }
    }

    async fn chat_room(
        &self,
        realm: &RealmId,
        key: &RoomKey,
    ) -> Result<Option<ChatRoom>, LogError> {
        match self {
            Self::Memory(log) => log.chat_room(realm, key).await,
            Self::Redis(log) => log.chat_room(realm, key).await,
        }
    }

    async fn chat_keys(
        &self,
        realm: &RealmId,
        rooms: &[Id],
    ) -> Result<Vec<Option<RoomKey>>, LogError> {
        match self {
            Self::Memory(log) => log.chat_keys(realm, rooms).await,
            Self::Redis(log) => log.chat_keys(realm, rooms).await,
        }
    }

    async fn chat_page(
        &self,
        realm: &RealmId,
        room: &Id,
        query: PageQuery,
    ) -> Result<Page, LogError> {
        match self {
            Self::Memory(log) => log.chat_page(realm, room, query).await,
            Self::Redis(log) => log.chat_page(realm, room, query).await,
        }
    }

    async fn chat_after(
        &self,
        realm: &RealmId,
        room: &Id,
        after: u64,
        limit: usize,
    ) -> Result<Page, LogError> {
        match self {
            Self::Memory(log) => log.chat_after(realm, room, after, limit).await,
            Self::Redis(log) => log.chat_after(realm, room, after, limit).await,
        }
    }
}
