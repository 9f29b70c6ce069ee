//! Questions of operators: what is where, and why.
//!
//! Invariants: nothing here changes anything.

use std::sync::Arc;

use super::Node;
use crate::{
    hub::{Command, HubInfo, Reader, RingFill, Verdict},
    log::{LogError, RealmLog as _},
    model::{
        Body, ConnectionId, Identity, Memberships, Position, RealmId, Record, SessionRecord, Topic,
        UserId,
    },
};

/// Why a connection got an event, or did not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Delivery {
    /// The record is before the connection's beginning.
    BeforeHello,
    /// The record is no longer kept, or not yet written.
    NotKept,
    /// The function that decides about every connection said this.
    Decided(Verdict),
}

/// One realm on this node.
#[derive(Debug, Clone)]
pub struct RealmInfo {
    /// Its name.
    pub id: RealmId,
    /// How full its ring is.
    pub ring: RingFill,
    /// The last place that the tail has carried, when the ring holds it.
    pub position: Option<Position>,
}

/// This node.
#[derive(Debug, Clone)]
pub struct NodeInfo {
    /// Its name.
    pub id: Arc<str>,
    /// Its realms.
    pub realms: Vec<RealmInfo>,
    /// Its hubs, and how many records wait in front of each.
    pub hubs: Vec<(HubInfo, usize)>,
}

impl Node {
    /// The users who are members of `topic`.
    ///
    /// # Errors
    ///
    /// [`LogError`] when the log can't be asked.
    ///
    /// # Cancel safety
    ///
    /// Safe: it only reads.
    pub async fn members(&self, realm: &RealmId, topic: &Topic) -> Result<Vec<UserId>, LogError> {
        self.log.members(realm, topic).await
    }

    /// The memberships of `user`.
    ///
    /// # Errors
    ///
    /// [`LogError`] when the log can't be asked.
    ///
    /// # Cancel safety
    ///
    /// Safe: it only reads.
    pub async fn memberships(
        &self,
        realm: &RealmId,
        user: &UserId,
    ) -> Result<(Position, Memberships), LogError> {
        self.log.memberships(realm, user).await
    }

    /// True when a revocation has ended the token of `identity`.
    ///
    /// # Errors
    ///
    /// [`LogError`] when the log can't be asked.
    ///
    /// # Cancel safety
    ///
    /// Safe: it only reads.
    pub async fn is_revoked(&self, identity: &Identity) -> Result<bool, LogError> {
        Ok(self.log.revocations(identity).await?.ends(identity))
    }

    /// Records after `after`, oldest first.
    ///
    /// # Errors
    ///
    /// [`LogError`] when the log can't be asked.
    ///
    /// # Cancel safety
    ///
    /// Safe: it only reads.
    pub async fn log_range(
        &self,
        realm: &RealmId,
        after: u64,
        limit: usize,
    ) -> Result<Vec<Arc<Record>>, LogError> {
        self.log.range(realm, after, limit).await
    }

    /// Why `connection` got the record at `offset`, or did not; `None` when there is
    /// no such session.
    ///
    /// # Errors
    ///
    /// [`LogError`] when the log can't be asked.
    ///
    /// # Cancel safety
    ///
    /// Safe: it only reads.
    pub async fn explain_delivery(
        &self,
        realm: &RealmId,
        connection: ConnectionId,
        offset: u64,
    ) -> Result<Option<Delivery>, LogError> {
        let Some((session, watches)) = self.log.session(realm, connection).await? else {
            return Ok(None);
        };
        if offset <= session.base.offset {
            return Ok(Some(Delivery::BeforeHello));
        }
        let before = offset.saturating_sub(1);
        let record = self.log.range(realm, before, 1).await?.pop();
        let Some(record) = record.filter(|record| record.position.offset == offset) else {
            return Ok(Some(Delivery::NotKept));
        };
        // What a bus event comes to is known where its tail has carried it.
        let known = match matches!(record.body, Body::Bus(_)) {
            true => self.realm(realm).await?.realm.ring.get(offset),
            false => Some(record),
        };
        let Some(record) = known else { return Ok(Some(Delivery::NotKept)) };
        let (position, memberships) = self.log.memberships(realm, &session.user).await?;
        let SessionRecord { user, scope, .. } = session;
        let known_up_to = position.offset;
        // The record is kept, so what is known reaches back to it.
        let known_from = offset;
        let reader =
            Reader { connection, user, scope, memberships, watches, known_from, known_up_to };
        Ok(Some(Delivery::Decided(reader.verdict(&record))))
    }

    /// What this node is doing.
    ///
    /// # Cancel safety
    ///
    /// Safe: it only reads.
    pub async fn describe(&self) -> NodeInfo {
        let entries: Vec<_> = self.realms.read().values().cloned().collect();
        let describe = |entry: super::RealmEntry| {
            let ring = entry.realm.ring.fill();
            let position = entry.realm.ring.get(ring.last).map(|record| record.position.clone());
            RealmInfo { id: entry.realm.id.clone(), ring, position }
        };
        let mut hubs = Vec::with_capacity(self.hubs.len());
        for hub in &self.hubs {
            let info = Self::ask(hub, |answer| Command::Inspect { answer }).await;
            let waiting = hub.records.max_capacity() - hub.records.capacity();
            hubs.push((info.unwrap_or_default(), waiting));
        }
        let realms = entries.into_iter().map(describe).collect();
        NodeInfo { id: Arc::clone(&self.id), realms, hubs }
    }
}
