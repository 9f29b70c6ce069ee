//! One hub's data: its connections, and how a record reaches them.
//!
//! A record is applied in memory first; sockets are written once per turn, for all
//! records of the turn together.
//!
//! Invariants:
//! - records are applied in the order of the log, each exactly once;
//! - a connection that can't keep up is removed, never waited for.

use std::sync::Arc;

use slab::Slab;

use super::{
    addressed::admits,
    connection::Connection,
    deliveries::Deliveries,
    delivery::{Delivery, FaceDelivery},
    index::{Key, RealmIndex},
    link::{Link, Writer},
    realm::Realm,
    turn::Turn,
};
use crate::{
    clock::Clock,
    metrics::{HubMetrics, Metrics},
    model::{
        Audience, Body, CloseCode, ConnectionId, Event, Record, Revocation, RevocationScope, Scope,
        Topic,
    },
};

/// All that one hub owns.
#[derive(Debug)]
pub(super) struct Shard {
    pub(super) connections: Slab<Connection>,
    /// By key. The index of a life that is over is gone; its key stays unused.
    pub(super) realms: Vec<Option<Box<RealmIndex>>>,
    pub(super) metrics: Arc<Metrics>,
    pub(super) hub_metrics: HubMetrics,
    pub(super) clock: Clock,
    /// Connections with something to write in this turn.
    touched: Vec<Key>,
    turn: Turn,
    writer: Writer,
}

impl Shard {
    pub(super) fn new(metrics: &Arc<Metrics>, hub: usize, clock: Clock) -> Self {
        Self {
            connections: Slab::new(),
            realms: Vec::new(),
            metrics: Arc::clone(metrics),
            hub_metrics: metrics.hub(hub),
            writer: Writer {
                scratch: Vec::new(),
                deliveries: Deliveries::new(metrics, clock.clone()),
            },
            clock,
            touched: Vec::new(),
            turn: Turn::default(),
        }
    }

    /// The index of a realm, made on first use; `None` when its life is over.
    pub(super) fn realm(&mut self, key: usize, shared: &Realm) -> Option<&mut RealmIndex> {
        if shared.is_over() {
            return None;
        }
        if self.realms.len() <= key {
            self.realms.resize_with(key + 1, || None);
        }
        let slot = self.realms.get_mut(key)?;
        Some(slot.get_or_insert_with(|| Box::new(RealmIndex::new(shared))))
    }

    pub(super) fn known_realm(&self, key: usize) -> Option<&RealmIndex> {
        self.realms.get(key)?.as_deref()
    }

    /// Applies the next record of a realm.
    pub(super) fn apply(&mut self, realm: usize, record: &Arc<Record>) {
        let Some(Some(index)) = self.realms.get_mut(realm) else { return };
        debug_assert!(record.position.offset > index.seen, "records arrive in order");
        index.seen = record.position.offset;
        match &record.body {
            Body::Event(event) => self.deliver(realm, record, event),
            Body::Members { topic, add, remove } => {
                let connections = &self.connections;
                for user in add {
                    index.join(user, topic, |key| follows(connections, key, topic));
                }
                for user in remove {
                    index.leave(user, topic);
                }
            }
            Body::Seeds { user, topics } => {
                let connections = &self.connections;
                for topic in topics {
                    index.join(user, topic, |key| follows(connections, key, topic));
                }
            }
            Body::Watch { connection, add, remove } => {
                self.watch(realm, *connection, add, remove);
            }
            Body::Revocation(revocation) => self.revoke(realm, revocation),
            Body::Bus(_) => self.deliver_faces(realm, record),
            // The tail has said already what they come to.
            Body::Workspace { .. } | Body::Nodes(_) | Body::Unknown => {}
            Body::Disconnect { target, code, reason } => {
                for key in self.targets(realm, target) {
                    self.dismiss(key, |link| link.close(*code, reason));
                }
            }
        }
    }

    fn deliver(&mut self, realm: usize, record: &Arc<Record>, event: &Event) {
        let Some(Some(index)) = self.realms.get(realm) else { return };
        self.turn.begin(record);
        let mut out = Delivery {
            connections: &mut self.connections,
            touched: &mut self.touched,
            turn: &mut self.turn,
            record,
            event,
        };
        match &event.to {
            Topic::User(user) => out.send_members(index.of_user(user).iter().copied()),
            Topic::Connection(id) => out.send_all(index.key(*id).into_iter()),
            Topic::Everyone => out.send_members(index.everyone()),
            Topic::Status(user) => {
                out.send_members(index.of_user(user).iter().copied());
                if let Some(watchers) = index.of_topic(&event.to) {
                    out.send_others(watchers.iter().copied(), user);
                }
            }
            Topic::Chat(_) => {
                for key in index.of_topic(&event.to).iter().flat_map(|keys| keys.iter().copied()) {
                    let Some(reader) = out.chatter(key) else { continue };
                    let is_member = |topic: &Topic| index.is_member(reader.0, topic);
                    let is_theirs = admits(record, event, reader, is_member);
                    out.send_body(key, is_theirs);
                }
            }
            Topic::Channel(_) | Topic::Team(_) | Topic::Room(_) => {
                if let Some(keys) = index.of_topic(&event.to) {
                    out.send_all(keys.iter().copied());
                }
            }
            // Those who read the bus follow workspaces, too.
            Topic::Workspace(_) => {
                if let Some(keys) = index.of_topic(&event.to) {
                    out.send_members(keys.iter().copied());
                }
            }
        }
    }

    /// Delivers the messages that a bus event comes to.
    fn deliver_faces(&mut self, realm: usize, record: &Arc<Record>) {
        let Some(Some(index)) = self.realms.get(realm) else { return };
        for face in record.faces() {
            self.turn.begin(&face.record);
            let mut out = FaceDelivery {
                connections: &mut self.connections,
                touched: &mut self.touched,
                turn: &mut self.turn,
                face,
            };
            match &face.audience {
                Audience::Members { .. } => {
                    if let Some(keys) = index.of_topic(&face.audience.topic()) {
                        out.send(keys.iter().copied());
                    }
                }
                Audience::User(user) => out.send(index.of_user(user).iter().copied()),
                Audience::Role(_) | Audience::Admins => out.send(index.bus().iter().copied()),
            }
        }
    }

    fn watch(&mut self, realm: usize, id: ConnectionId, add: &[Topic], remove: &[Topic]) {
        let Some(Some(index)) = self.realms.get_mut(realm) else { return };
        let Some(key) = index.key(id) else { return };
        let Some(connection) = self.connections.get_mut(key as usize) else { return };
        if !matches!(connection.scope, Scope::Member | Scope::Chat(_)) {
            return;
        }
        let watches = &mut connection.watches;
        for topic in add {
            if !watches.contains(topic) {
                watches.push(topic.clone());
                index.watch(key, topic);
            }
        }
        for topic in remove {
            watches.retain(|watched| watched != topic);
            index.unwatch(key, topic);
        }
    }

    fn revoke(&mut self, realm: usize, revocation: &Revocation) {
        let Some(Some(index)) = self.realms.get(realm) else { return };
        let keys: Vec<Key> = match &revocation.scope {
            RevocationScope::User(user) => index.of_user(user).to_vec(),
            RevocationScope::Everyone | RevocationScope::Session(_) => index.everyone().collect(),
        };
        for key in keys {
            if self.connections.get(key as usize).is_some_and(|one| one.is_ended_by(revocation)) {
                self.dismiss(key, session_ended);
            }
        }
    }

    /// Keys that an operator's disconnect means.
    fn targets(&self, realm: usize, target: &Topic) -> Vec<Key> {
        let Some(index) = self.known_realm(realm) else { return Vec::new() };
        match target {
            Topic::User(user) => index.of_user(user).to_vec(),
            Topic::Connection(id) => index.key(*id).into_iter().collect(),
            Topic::Channel(_)
            | Topic::Team(_)
            | Topic::Workspace(_)
            | Topic::Room(_)
            | Topic::Chat(_)
            | Topic::Status(_)
            | Topic::Everyone => Vec::new(),
        }
    }

    /// Closes a connection's link in the given manner and forgets the connection.
    pub(super) fn dismiss(&mut self, key: Key, close: impl FnOnce(&Link)) {
        if let Some(link) = self.forget(key) {
            close(&link);
        }
    }

    /// Closes every connection of a realm and drops its index: that life is over.
    pub(super) fn end(&mut self, realm: usize) {
        let index = self.realms.get_mut(realm).and_then(Option::take);
        for key in index.iter().flat_map(|index| index.everyone()) {
            // Without its index no place stays on the link: it may be one of records that
            // the log does not hold.
            self.dismiss(key, |link| {
                link.abandon(CloseCode::Restart, "the log begins anew: reconnect at once");
            });
        }
    }

    /// Takes a connection out of the index. Its place in the log stays on its link.
    pub(super) fn forget(&mut self, key: Key) -> Option<Arc<Link>> {
        let mut connection = self.connections.try_remove(key as usize)?;
        // What this turn has for it goes out before whatever ends it.
        connection.settle(&self.turn, &mut self.writer, &self.metrics);
        if let Some(Some(index)) = self.realms.get_mut(connection.realm) {
            let served_up_to = connection.cursor.max(index.seen);
            let cursor = connection.behind_at.unwrap_or(served_up_to);
            connection.link.leave_at(connection.seq, cursor);
            let who = (connection.user(), &connection.scope);
            index.remove(key, connection.id, who, &connection.watches);
        }
        self.hub_metrics.connections.dec();
        Some(connection.link)
    }

    /// Marks a connection as having something to write in this turn.
    pub(super) fn touch(&mut self, key: Key) {
        if let Some(connection) = self.connections.get_mut(key as usize)
            && !connection.is_touched
        {
            connection.is_touched = true;
            self.touched.push(key);
        }
    }

    /// Writes to every touched connection once, and ends the turn.
    pub(super) fn flush(&mut self) {
        let mut touched = std::mem::take(&mut self.touched);
        for key in touched.drain(..) {
            let Some(connection) = self.connections.get_mut(key as usize) else { continue };
            connection.is_touched = false;
            if !connection.settle(&self.turn, &mut self.writer, &self.metrics) {
                self.dismiss(key, slow_reader);
            }
        }
        self.touched = touched;
        self.turn.clear();
        self.writer.deliveries.flush();
    }

    /// For writing one link outside of a turn.
    pub(super) fn writer(&mut self) -> &mut Writer {
        &mut self.writer
    }
}

/// True for a connection that reads `topic` when its user is a member of it.
fn follows(connections: &Slab<Connection>, key: Key, topic: &Topic) -> bool {
    connections.get(key as usize).is_some_and(|one| one.scope.follows(topic))
}

/// True for a connection that reads as a member, and not as somebody in a room.
pub(super) fn is_member(connections: &Slab<Connection>, key: Key) -> bool {
    connections.get(key as usize).is_some_and(|one| matches!(one.scope, Scope::Member))
}

pub(super) fn slow_reader(link: &Link) {
    link.abandon(CloseCode::SlowReader, "the client does not read fast enough");
}

pub(super) fn session_ended(link: &Link) {
    link.close(CloseCode::SessionEnded.number(), "the token expired or was revoked");
}
