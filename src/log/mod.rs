//! The realm log: one total order of events and of who may see them.
//!
//! A log gives each record a [`Position`], keeps it for the retention, and hands
//! every record to each attached tail in that order. Memberships, revocations and
//! session records live in the log's store, because an answer about them must name
//! the position at which it was true.
//!
//! Invariants:
//! - offsets of one realm are dense: the tail sees 1, 2, 3, … without a hole;
//! - what [`RealmLog::append`] acknowledged is in the log, at that position;
//! - a snapshot and its position belong together: no record lies between them.
//!
//! Not here: who gets an event (`hub`), carrying records to hubs (`node`).

mod any;
mod bus;
mod chat;
#[cfg(test)]
mod contract;
pub mod course;
mod digest;
mod facts;
mod frame;
mod kept;
mod memory;
mod redis;
#[cfg(test)]
mod sim;
mod subscription;
mod tail;
mod types;
mod wire;

use std::{future::Future, sync::Arc, time::Duration};

pub use self::redis::{APPEND, Head, PRELUDE, RedisDriver, RedisLimits, RedisLog};
pub use any::AnyLog;
use bytes::Bytes;
pub use chat::{
    ChatDone, ChatError, ChatLimits, ChatOp, ChatOutcome, ChatRefusal, ChatStore, Page, PageQuery,
};
pub use facts::{ClusterNode, NodeFacts, ThisNode};
pub use memory::{MemoryLimits, MemoryLog};
pub use tail::{Hold, Inbound, Loss, Question, Tail};
pub use types::{AppendError, Appended, Checkpoint, Claim, Draft, LogError, Opening, Snapshot};

use crate::model::{
    ConnectionId, Identity, Memberships, Position, RealmId, Record, Revocations, SessionRecord,
    Topic, UserId,
};

/// The longest time that a backend that can be away goes without asking its server anything.
pub const ASKED_EVERY: Duration = Duration::from_millis(500);

/// Records, sessions and memberships of all realms.
///
/// Every method may be called from any task. None of them delivers anything by
/// its return value: records reach a node only through its tail.
pub trait RealmLog: Send + Sync {
    /// Appends `drafts` in order, as one step when the backend can.
    ///
    /// Returns one result per draft, in the same order. A draft with an id that the
    /// log remembers returns the first position with `duplicate` set.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future leaves it open whether the drafts were appended.
    fn append(
        &self,
        realm: &RealmId,
        drafts: Vec<Draft>,
    ) -> impl Future<Output = Vec<Result<Appended, AppendError>>> + Send;

    /// Begins a session at the log's end and returns what its user may see there.
    ///
    /// Seeds of the identity become records first, where the realm holds none.
    ///
    /// # Errors
    ///
    /// [`LogError`] when the log can't be asked.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future may leave a session record that ends by its lifetime.
    fn open(
        &self,
        identity: &Identity,
        opening: Opening,
    ) -> impl Future<Output = Result<Snapshot, LogError>> + Send;

    /// Takes over a session for a new socket, and raises its fencing number.
    ///
    /// # Errors
    ///
    /// [`LogError`] when the log can't be asked; an unknown or foreign session is
    /// a [`Claim`], not an error.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future may leave the session claimed: claiming again is right.
    fn claim(
        &self,
        identity: &Identity,
        connection: ConnectionId,
    ) -> impl Future<Output = Result<Claim, LogError>> + Send;

    /// Notes how far connections have come. Stale fencing numbers change nothing.
    ///
    /// # Errors
    ///
    /// [`LogError`] when the log can't be asked: a resume then walks farther.
    ///
    /// # Cancel safety
    ///
    /// Safe: an older checkpoint is as right as a newer one.
    fn checkpoint(
        &self,
        realm: &RealmId,
        checkpoints: Vec<Checkpoint>,
    ) -> impl Future<Output = Result<(), LogError>> + Send;

    /// A session record and its subscriptions, without claiming it.
    ///
    /// # Errors
    ///
    /// [`LogError`] when the log can't be asked.
    ///
    /// # Cancel safety
    ///
    /// Safe: it only reads.
    fn session(
        &self,
        realm: &RealmId,
        connection: ConnectionId,
    ) -> impl Future<Output = Result<Option<(SessionRecord, Memberships)>, LogError>> + Send;

    /// Deletes a session record, so that it can't be resumed; one that was claimed again
    /// after `fencing` stays as it is.
    ///
    /// # Errors
    ///
    /// [`LogError`] when the log can't be asked.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future leaves it open whether the record is gone.
    fn forget(
        &self,
        realm: &RealmId,
        connection: ConnectionId,
        fencing: Option<u64>,
    ) -> impl Future<Output = Result<(), LogError>> + Send;

    /// The records after `after`, oldest first, at most `limit`.
    ///
    /// # Errors
    ///
    /// [`LogError`] when the log can't be asked.
    ///
    /// # Cancel safety
    ///
    /// Safe: it only reads.
    fn range(
        &self,
        realm: &RealmId,
        after: u64,
        limit: usize,
    ) -> impl Future<Output = Result<Vec<Arc<Record>>, LogError>> + Send;

    /// The memberships of `user`, and the position at which they were read.
    ///
    /// # Errors
    ///
    /// [`LogError`] when the log can't be asked.
    ///
    /// # Cancel safety
    ///
    /// Safe: it only reads.
    fn memberships(
        &self,
        realm: &RealmId,
        user: &UserId,
    ) -> impl Future<Output = Result<(Position, Memberships), LogError>> + Send;

    /// What of the tokens of `identity` has ended.
    ///
    /// # Errors
    ///
    /// [`LogError`] when the log can't be asked.
    ///
    /// # Cancel safety
    ///
    /// Safe: it only reads.
    fn revocations(
        &self,
        identity: &Identity,
    ) -> impl Future<Output = Result<Revocations, LogError>> + Send;

    /// The users who are members of `topic` now, in the order in which they joined.
    ///
    /// # Errors
    ///
    /// [`LogError`] when the log can't be asked.
    ///
    /// # Cancel safety
    ///
    /// Safe: it only reads.
    fn members(
        &self,
        realm: &RealmId,
        topic: &Topic,
    ) -> impl Future<Output = Result<Vec<UserId>, LogError>> + Send;

    /// Where a node of Pydio is: its full path.
    ///
    /// # Errors
    ///
    /// [`LogError`] when the log can't be asked.
    ///
    /// # Cancel safety
    ///
    /// Safe: it only reads.
    fn node_path(
        &self,
        realm: &RealmId,
        uuid: &str,
    ) -> impl Future<Output = Result<Option<Arc<str>>, LogError>> + Send;

    /// Starts a tail of `realm`: every record after the returned position arrives.
    ///
    /// # Errors
    ///
    /// [`LogError`] when the log can't be asked.
    ///
    /// # Cancel safety
    ///
    /// Safe: a tail whose receiver is dropped is forgotten.
    fn attach(&self, realm: &RealmId) -> impl Future<Output = Result<Tail, LogError>> + Send;

    /// Lengthens the lives of sessions whose sockets are on this node.
    ///
    /// # Errors
    ///
    /// [`LogError`] when the log can't be asked: the records live on for a while.
    ///
    /// # Cancel safety
    ///
    /// Safe: renewing again is harmless.
    fn renew(
        &self,
        realm: &RealmId,
        connections: Vec<ConnectionId>,
    ) -> impl Future<Output = Result<(), LogError>> + Send;

    /// Which of these sessions this node still holds. One answer each, in their order.
    ///
    /// # Errors
    ///
    /// [`LogError`] when the log can't be asked.
    ///
    /// # Cancel safety
    ///
    /// Safe: it only reads.
    fn holds(
        &self,
        realm: &RealmId,
        claims: Vec<(ConnectionId, u64)>,
    ) -> impl Future<Output = Result<Vec<Hold>, LogError>> + Send;

    /// Asks every other node of the cluster, and returns the answers that came within
    /// a second, in no order.
    ///
    /// # Errors
    ///
    /// [`LogError`] when nobody can be asked.
    ///
    /// # Cancel safety
    ///
    /// Safe: answers that come later are thrown away.
    fn ask(
        &self,
        realm: &RealmId,
        question: Bytes,
    ) -> impl Future<Output = Result<Vec<Bytes>, LogError>> + Send;

    /// Answers a [`Question`] that came through a tail.
    ///
    /// # Errors
    ///
    /// [`LogError`] when the asker can't be reached.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future may leave the question unanswered.
    fn answer(
        &self,
        realm: &RealmId,
        question: &Question,
        answer: Bytes,
    ) -> impl Future<Output = Result<(), LogError>> + Send;

    /// The live nodes that share this log, this one included, in no order.
    ///
    /// # Errors
    ///
    /// [`LogError`] when the log can't be asked.
    ///
    /// # Cancel safety
    ///
    /// Safe: it only reads.
    fn nodes(&self) -> impl Future<Output = Result<Vec<ClusterNode>, LogError>> + Send;

    /// How long the backend has not answered a question. `None` while all is answered, and
    /// for a backend that can't be away. Asking this costs nothing and asks nobody: a
    /// backend that can be away looks after itself, every [`ASKED_EVERY`] for each server.
    fn silent_for(&self) -> Option<Duration>;
}
