//! Who is there, and what their status is.
//!
//! A user's status is a pure function of the records of their devices, of what
//! they chose, and of the time ([`merge`]). A backend keeps the records and tells
//! each change of a status to exactly one caller, who publishes it, or publishes it
//! itself.
//!
//! Invariants:
//! - a change of what a user shows is returned or published exactly once, whatever runs
//!   at the same time: the changes of one user, in the order of their versions, form a
//!   chain in which each begins where the one before ended;
//! - what the user chose wins over what their devices do, and `online` is never a
//!   choice that stays;
//! - a device that is not there can't keep a user online.
//!
//! Not here: who is told (`node`, `hub`), the words on the wire (`dialect`, `http`).

pub mod merge;

pub mod memory;
pub mod redis;

#[cfg(test)]
mod contract;
#[cfg(test)]
mod tests;

use std::{future::Future, sync::Arc};

use crate::model::{ConnectionId, ManualStatus, RealmId, Status, StatusRecord, UserId};

pub use self::redis::{RedisPresence, RedisSettings, RedisWriter};
pub use memory::MemoryPresence;
pub use merge::{DeviceRecord, Explanation, Rule, Rules};

/// How a connection went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// Its client said goodbye, or may not come back: it counts as gone at once.
    Closed,
    /// It was lost, or was closed by this node with the request to come back: it
    /// counts as there until `status.offline_after` has passed, so that a resume
    /// does not flicker.
    Dropped,
}

/// A change of what a user shows. It is for the caller to publish.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transition {
    /// The tenant.
    pub realm: RealmId,
    /// What the user shows now.
    pub record: StatusRecord,
    /// What the user showed before; never equal to `record.status`.
    pub previous: Status,
    /// Grows with each change of this user on this backend, so that of two changes
    /// in flight the newer one can be told. Means nothing between users.
    pub version: u64,
}

/// A user's status and the devices it comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserPresence {
    /// The status.
    pub record: StatusRecord,
    /// The devices that count, those in their grace after a drop included.
    pub devices: Vec<DeviceRecord>,
}

/// Why presence could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum PresenceError {
    /// The store can't be asked. Nothing is known to have changed, nobody was set
    /// offline, and a later attempt may succeed.
    #[error("presence store is unavailable")]
    Unavailable {
        /// What the client of the store said.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// Too many users chose a status. Nothing changed.
    #[error("presence holds its limit of {limit} chosen statuses")]
    Full {
        /// How many a backend, or the part of it that holds this user, may hold.
        limit: usize,
    },
}

impl PresenceError {
    /// The label in logs and metrics.
    #[must_use]
    pub fn label(&self) -> &'static str {
        match self {
            Self::Unavailable { .. } => "unavailable",
            Self::Full { .. } => "full",
        }
    }
}

/// What a caller gets from a call that changes something: the change of the
/// user's status that the call caused, if it caused one that is not published yet.
pub type Changed = Result<Option<Transition>, PresenceError>;

/// The contract that every backend fulfils. One value serves one node.
///
/// A backend whose users are on other nodes, too, publishes each change in the moment in
/// which it is decided, and returns none: the last call may be the last act of a node.
///
/// Each [`Transition`] of another backend is returned by exactly one call. Two calls for one user
/// that run at the same time may return in any order; whoever publishes does so
/// from one task and asks [`Presence::is_current`] first: what is not current has
/// a successor that was, or will be, returned to somebody.
///
/// # Errors
///
/// Every call fails with [`PresenceError::Unavailable`] when the store can't be
/// asked; whether it happened is then unknown, and repeating it is harmless
/// except where the call says otherwise.
///
/// # Cancel safety
///
/// No call that returns a [`Transition`] may be dropped before it ends: the change
/// may have happened, and nobody would publish it. Calls that only read are safe.
pub trait Presence: Send + Sync {
    /// A socket now carries `connection` of `user` on this node.
    ///
    /// A new connection counts as activity. One that comes back within its grace
    /// keeps its activity, so a network that flickers never makes an absent user
    /// look active. Each call is paired with exactly one
    /// [`disconnected`](Self::disconnected); two sockets may carry a connection
    /// for a moment, in any order of these calls, while one takes over from another.
    fn connected(
        &self,
        realm: &RealmId,
        user: &UserId,
        connection: ConnectionId,
    ) -> impl Future<Output = Changed> + Send;

    /// The user did something on `connection`.
    ///
    /// Cheap enough for every action of a client: what comes within
    /// [`Rules::activity_step_ms`] of the recorded activity is not recorded. Does
    /// nothing for a connection that no socket carries.
    fn active(
        &self,
        realm: &RealmId,
        user: &UserId,
        connection: ConnectionId,
    ) -> impl Future<Output = Changed> + Send;

    /// A socket that carried `connection` is gone. The last one takes the device
    /// with it, as `ending` says. Does nothing for an unknown connection.
    fn disconnected(
        &self,
        realm: &RealmId,
        user: &UserId,
        connection: ConnectionId,
        ending: Ending,
    ) -> impl Future<Output = Changed> + Send;

    /// The user chose a status. It stays until they choose another, whatever their
    /// devices do, with two exceptions: `Online` drops the choice and counts as
    /// activity of every device that is there, and a timed `dnd` ends by itself
    /// and shows again what the user had chosen before it, or what their devices
    /// do. An end in the past ends at once.
    ///
    /// # Errors
    ///
    /// [`PresenceError::Full`] when too many users chose; nothing changed.
    fn set_manual(
        &self,
        realm: &RealmId,
        user: &UserId,
        chosen: ManualStatus,
    ) -> impl Future<Output = Changed> + Send;

    /// Drops what the user chose, without counting as activity.
    fn clear_manual(&self, realm: &RealmId, user: &UserId) -> impl Future<Output = Changed> + Send;

    /// The statuses of `users`, in their order. Who is unknown is offline.
    fn status(
        &self,
        realm: &RealmId,
        users: &[UserId],
    ) -> impl Future<Output = Result<Vec<StatusRecord>, PresenceError>> + Send;

    /// The statuses and devices of `users`, in their order.
    fn devices(
        &self,
        realm: &RealmId,
        users: &[UserId],
    ) -> impl Future<Output = Result<Vec<UserPresence>, PresenceError>> + Send;

    /// The status of `user`, the rule that decided it, and all it was decided from.
    fn explain(
        &self,
        realm: &RealmId,
        user: &UserId,
    ) -> impl Future<Output = Result<Explanation, PresenceError>> + Send;

    /// Up to `limit` users of `realm` that this node knows and that are not
    /// offline, in no order.
    fn all_statuses(
        &self,
        realm: &RealmId,
        limit: usize,
    ) -> impl Future<Output = Result<Vec<StatusRecord>, PresenceError>> + Send;

    /// Does all that is due by now: users turn away, graces and timed `dnd` end.
    ///
    /// Costs what is due, not what is known, so it can be called four times a
    /// second; a change is late by at most the time between two calls.
    fn sweep(&self) -> impl Future<Output = Result<Vec<Transition>, PresenceError>> + Send;

    /// Whether no later change of this user has been returned to anybody.
    fn is_current(
        &self,
        transition: &Transition,
    ) -> impl Future<Output = Result<bool, PresenceError>> + Send;

    /// How many users this node knows, by status, in the order of [`Status::ALL`].
    /// `offline` counts those whose last activity is still remembered.
    fn counts(&self) -> [u64; Status::ALL.len()];
}

/// The backend that was configured. Cloning shares it.
#[derive(Debug, Clone)]
pub enum AnyPresence {
    /// One node, in memory.
    Memory(Arc<MemoryPresence>),
    /// One of many nodes, in Redis.
    Redis(Arc<RedisPresence>),
}

impl Presence for AnyPresence {
    async fn connected(&self, realm: &RealmId, user: &UserId, connection: ConnectionId) -> Changed {
        match self {
            Self::Memory(memory) => memory.connected(realm, user, connection).await,
            Self::Redis(redis) => redis.connected(realm, user, connection).await,
        }
    }

    async fn active(&self, realm: &RealmId, user: &UserId, connection: ConnectionId) -> Changed {
        match self {
            Self::Memory(memory) => memory.active(realm, user, connection).await,
            Self::Redis(redis) => redis.active(realm, user, connection).await,
        }
    }

    async fn disconnected(
        &self,
        realm: &RealmId,
        user: &UserId,
        connection: ConnectionId,
        ending: Ending,
    ) -> Changed {
        match self {
            Self::Memory(memory) => memory.disconnected(realm, user, connection, ending).await,
            Self::Redis(redis) => redis.disconnected(realm, user, connection, ending).await,
        }
    }

    async fn set_manual(&self, realm: &RealmId, user: &UserId, chosen: ManualStatus) -> Changed {
        match self {
            Self::Memory(memory) => memory.set_manual(realm, user, chosen).await,
            Self::Redis(redis) => redis.set_manual(realm, user, chosen).await,
        }
    }

    async fn clear_manual(&self, realm: &RealmId, user: &UserId) -> Changed {
        match self {
            Self::Memory(memory) => memory.clear_manual(realm, user).await,
            Self::Redis(redis) => redis.clear_manual(realm, user).await,
        }
    }

    async fn status(
        &self,
        realm: &RealmId,
        users: &[UserId],
    ) -> Result<Vec<StatusRecord>, PresenceError> {
        match self {
            Self::Memory(memory) => memory.status(realm, users).await,
            Self::Redis(redis) => redis.status(realm, users).await,
        }
    }

    async fn devices(
        &self,
        realm: &RealmId,
        users: &[UserId],
    ) -> Result<Vec<UserPresence>, PresenceError> {
        match self {
            Self::Memory(memory) => memory.devices(realm, users).await,
            Self::Redis(redis) => redis.devices(realm, users).await,
        }
    }

    async fn explain(&self, realm: &RealmId, user: &UserId) -> Result<Explanation, PresenceError> {
        match self {
            Self::Memory(memory) => memory.explain(realm, user).await,
            Self::Redis(redis) => redis.explain(realm, user).await,
        }
    }

    async fn all_statuses(
        &self,
        realm: &RealmId,
        limit: usize,
    ) -> Result<Vec<StatusRecord>, PresenceError> {
        match self {
            Self::Memory(memory) => memory.all_statuses(realm, limit).await,
            Self::Redis(redis) => redis.all_statuses(realm, limit).await,
        }
    }

    async fn sweep(&self) -> Result<Vec<Transition>, PresenceError> {
        match self {
            Self::Memory(memory) => memory.sweep().await,
            Self::Redis(redis) => redis.sweep().await,
        }
    }

    async fn is_current(&self, transition: &Transition) -> Result<bool, PresenceError> {
        match self {
            Self::Memory(memory) => memory.is_current(transition).await,
            Self::Redis(redis) => redis.is_current(transition).await,
        }
    }

    fn counts(&self) -> [u64; Status::ALL.len()] {
        match self {
            Self::Memory(memory) => memory.counts(),
            Self::Redis(redis) => redis.counts(),
        }
    }
}
