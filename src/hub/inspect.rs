//! Small questions and notes about connections.
//!
//! Invariants: nothing here sends an event or changes who gets one, but for what a
//! client says it looks at.

use std::sync::Arc;

use super::{ConnectionInfo, HubInfo, PlaceOf, connection::Connection, link::Link, shard::Shard};
use crate::model::{CloseCode, ConnectionId, Topic, UserId, View};

impl Shard {
    /// Forgets a connection when `link` is still its socket.
    pub(super) fn detach(&mut self, realm: usize, id: ConnectionId, link: &Arc<Link>) {
        let Some(key) = self.known_realm(realm).and_then(|index| index.key(id)) else { return };
        let is_its = |one: &Connection| Arc::ptr_eq(&one.link, link);
        if self.connections.get(key as usize).is_some_and(is_its) {
            self.forget(key);
        }
    }

    /// Notes what a client looks at; places that it did not report stay.
    pub(super) fn view(&mut self, realm: usize, id: ConnectionId, reported: View) {
        let Some(key) = self.known_realm(realm).and_then(|index| index.key(id)) else { return };
        let Some(connection) = self.connections.get_mut(key as usize) else { return };
        let view = connection.view.get_or_insert_default();
        let View { channel, thread_at_side, thread_in_view } = reported;
        view.channel = channel.or(view.channel.take());
        view.thread_at_side = thread_at_side.or(view.thread_at_side.take());
        view.thread_in_view = thread_in_view.or(view.thread_in_view.take());
    }

    /// A connection that is here.
    pub(super) fn describe(&self, realm: usize, id: ConnectionId) -> Option<ConnectionInfo> {
        let index = self.known_realm(realm)?;
        let connection = self.connections.get(index.key(id)? as usize)?;
        let (outbox_events, outbox_bytes) = connection.link.fill();
        Some(ConnectionInfo {
            user: connection.user().clone(),
            dialect: connection.link.encoding().name,
            seq: connection.seq,
            cursor: connection.cursor.max(index.seen),
            outbox_events,
            outbox_bytes,
            since_ms: connection.opened_at_ms,
        })
    }

    /// The connections under a topic.
    pub(super) fn listeners(&self, realm: usize, topic: &Topic) -> Vec<(UserId, ConnectionId)> {
        let Some(keys) = self.known_realm(realm).and_then(|index| index.of_topic(topic)) else {
            return Vec::new();
        };
        let named = |key: &super::index::Key| {
            self.connections
                .get(*key as usize)
                .map(|connection| (connection.user().clone(), connection.id))
        };
        keys.iter().filter_map(named).collect()
    }

    /// The connections of a realm, and the fencing numbers of their sockets.
    pub(super) fn holders(&self, realm: usize) -> Vec<(ConnectionId, u64)> {
        let keys = self.known_realm(realm).into_iter().flat_map(|index| index.everyone());
        let live = keys.filter_map(|key| self.connections.get(key as usize));
        live.map(|connection| (connection.id, connection.fencing)).collect()
    }

    /// How far the connections of a realm have come; without `all` only those that are
    /// at another place than when they were last listed.
    pub(super) fn places(&mut self, realm: usize, all: bool) -> Vec<PlaceOf> {
        let Some(Some(index)) = self.realms.get(realm) else { return Vec::new() };
        let mut places = Vec::new();
        for key in index.everyone() {
            let Some(connection) = self.connections.get_mut(key as usize) else { continue };
            let cursor = connection.cursor.max(index.seen);
            if all || connection.listed_at != cursor {
                connection.listed_at = cursor;
                let Connection { id, seq, fencing, .. } = *connection;
                places.push(PlaceOf { connection: id, seq, cursor, fencing });
            }
        }
        places
    }

    /// Closes every connection: there is no log to serve it from.
    pub(super) fn shed(&mut self) {
        let keys: Vec<_> = self.connections.iter().map(|(key, _)| key).collect();
        for key in keys {
            self.dismiss(super::index::Key::try_from(key).unwrap_or(u32::MAX), |link| {
                link.close(CloseCode::TryLater.number(), "the log is away: try again later");
            });
        }
    }

    /// How much is here.
    pub(super) fn inspect(&self) -> HubInfo {
        let topics = self.realms.iter().flatten().map(|index| index.topics_count());
        HubInfo { connections: self.connections.len(), topics: topics.sum() }
    }
}
