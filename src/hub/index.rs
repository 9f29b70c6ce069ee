//! Who of one realm is here, and which topics they listen to.
//!
//! Joining and leaving touch only the user concerned. A topic maps to the keys of
//! its connections, so that a publish costs what its local listeners cost and
//! nothing for members elsewhere.
//!
//! Invariants:
//! - a connection is under a topic exactly when its user's membership is open at the
//!   offset that the hub has reached;
//! - an entry that becomes empty is removed.

use std::collections::HashMap;

use indexmap::IndexSet;

use super::realm::Realm;
use crate::model::{ConnectionId, Scope, Topic, UserId};

/// The key of a connection in its hub's table.
pub(super) type Key = u32;
/// Keys are not chosen by clients, so a fixed hash is safe, and smaller.
pub(super) type Keys = IndexSet<Key, foldhash::fast::FixedState>;
type Map<K, V> = HashMap<K, V, foldhash::fast::RandomState>;

/// One realm's listeners in one hub.
#[derive(Debug)]
pub(super) struct RealmIndex {
    /// Offset of the last record that this hub has applied.
    pub(super) seen: u64,
    people: Map<UserId, Box<Person>>,
    topics: Map<Topic, Keys>,
    /// Connections that read the bus.
    bus: Keys,
    connections: Map<ConnectionId, Key>,
}

/// A user with at least one connection here.
#[derive(Debug)]
struct Person {
    /// Keys, rooms included; mostly one.
    connections: Vec<Key>,
    topics: Vec<Topic>,
}

impl RealmIndex {
    pub(super) fn new(shared: &Realm) -> Self {
        Self {
            seen: shared.began.offset,
            people: Map::default(),
            topics: Map::default(),
            bus: Keys::default(),
            connections: Map::default(),
        }
    }

    /// The key of a connection that is here.
    pub(super) fn key(&self, connection: ConnectionId) -> Option<Key> {
        self.connections.get(&connection).copied()
    }

    /// Keys of all connections of the realm.
    pub(super) fn everyone(&self) -> impl Iterator<Item = Key> + '_ {
        self.connections.values().copied()
    }

    /// Keys of all connections of `user`, rooms included.
    pub(super) fn of_user(&self, user: &UserId) -> &[Key] {
        self.people.get(user).map_or(&[], |person| &person.connections)
    }

    /// Keys of the connections that read the bus.
    pub(super) fn bus(&self) -> &Keys {
        &self.bus
    }

    /// Keys under `topic`.
    pub(super) fn of_topic(&self, topic: &Topic) -> Option<&Keys> {
        self.topics.get(topic)
    }

    /// True when `user` is here and a member of `topic`.
    pub(super) fn is_member(&self, user: &UserId, topic: &Topic) -> bool {
        self.people.get(user).is_some_and(|person| person.topics.contains(topic))
    }

    /// How many topics have a listener here.
    pub(super) fn topics_count(&self) -> usize {
        self.topics.len()
    }

    /// Adds a connection. `open` are its user's memberships after the record that this
    /// index has seen last; they count only when this is the user's first connection
    /// here, because the index keeps them right from then on.
    pub(super) fn add(
        &mut self,
        key: Key,
        connection: ConnectionId,
        (user, scope): (&UserId, &Scope),
        open: Vec<Topic>,
    ) {
        self.connections.insert(connection, key);
        let person = self
            .people
            .entry(user.clone())
            .or_insert_with(|| Box::new(Person { connections: Vec::new(), topics: open }));
        person.connections.reserve_exact(1);
        person.connections.push(key);
        match scope {
            Scope::Member | Scope::Bus(_) | Scope::Chat(_) => {
                for topic in person.topics.iter().filter(|topic| scope.follows(topic)) {
                    put(&mut self.topics, topic, key);
                }
                if matches!(scope, Scope::Bus(_)) {
                    self.bus.insert(key);
                }
            }
            Scope::Room(room) => put(&mut self.topics, &Topic::Room(room.clone()), key),
        }
    }

    /// Removes a connection and all that it listened to.
    pub(super) fn remove(
        &mut self,
        key: Key,
        connection: ConnectionId,
        (user, scope): (&UserId, &Scope),
        watches: &[Topic],
    ) {
        self.connections.remove(&connection);
        self.bus.swap_remove(&key);
        for watched in watches {
            self.take(watched, key);
        }
        if let Scope::Room(room) = scope {
            self.take(&Topic::Room(room.clone()), key);
        }
        let Some(mut person) = self.people.remove(user) else { return };
        person.connections.retain(|other| *other != key);
        for topic in person.topics.iter().filter(|topic| scope.follows(topic)) {
            self.take(topic, key);
        }
        if !person.connections.is_empty() {
            self.people.insert(user.clone(), person);
        }
    }

    /// Applies "`user` joined `topic`"; `follows` tells which keys read it.
    pub(super) fn join(&mut self, user: &UserId, topic: &Topic, follows: impl Fn(Key) -> bool) {
        let Some(person) = self.people.get_mut(user) else { return };
        if person.topics.contains(topic) {
            return;
        }
        person.topics.reserve_exact(1);
        person.topics.push(topic.clone());
        for key in person.connections.iter().filter(|key| follows(**key)) {
            put(&mut self.topics, topic, *key);
        }
    }

    /// Applies "`user` left `topic`".
    pub(super) fn leave(&mut self, user: &UserId, topic: &Topic) {
        let Some(person) = self.people.get_mut(user) else { return };
        let Some(index) = person.topics.iter().position(|known| known == topic) else { return };
        person.topics.swap_remove(index);
        for key in person.connections.clone() {
            self.take(topic, key);
        }
    }

    /// Lets a connection listen to what it subscribed to.
    pub(super) fn watch(&mut self, key: Key, topic: &Topic) {
        put(&mut self.topics, topic, key);
    }

    /// Ends [`RealmIndex::watch`].
    pub(super) fn unwatch(&mut self, key: Key, topic: &Topic) {
        self.take(topic, key);
    }

    fn take(&mut self, topic: &Topic, key: Key) {
        if let Some(keys) = self.topics.get_mut(topic) {
            keys.swap_remove(&key);
            if keys.is_empty() {
                self.topics.remove(topic);
            }
        }
    }
}

fn put(topics: &mut Map<Topic, Keys>, topic: &Topic, key: Key) {
    // Cloning the topic only where it is new saves two atomic operations per join.
    match topics.get_mut(topic) {
        Some(keys) => {
            keys.insert(key);
        }
        None => {
            topics.insert(topic.clone(), std::iter::once(key).collect());
        }
    }
}
