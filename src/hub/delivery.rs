//! One record on its way to the connections of a hub.
//!
//! Invariants: nothing at or before the place of a connection is noted for it.

use std::sync::Arc;

use slab::Slab;

use super::{
    addressed::omission, connection::Connection, index::Key, shard::is_member, turn::Turn,
};
use crate::model::{Event, Face, Record, Scope, Subject, UserId};

/// One event on its way to its connections.
pub(super) struct Delivery<'a> {
    pub(super) connections: &'a mut Slab<Connection>,
    pub(super) touched: &'a mut Vec<Key>,
    pub(super) turn: &'a mut Turn,
    pub(super) record: &'a Arc<Record>,
    pub(super) event: &'a Event,
}

impl Delivery<'_> {
    pub(super) fn send_all(&mut self, keys: impl Iterator<Item = Key>) {
        for key in keys {
            self.send(key);
        }
    }

    /// Those that read as members: rooms hear nothing of "everyone".
    pub(super) fn send_members(&mut self, keys: impl Iterator<Item = Key>) {
        for key in keys {
            if is_member(self.connections, key) {
                self.send(key);
            }
        }
    }

    /// Those that are not of `user`, who were served already.
    pub(super) fn send_others(&mut self, keys: impl Iterator<Item = Key>, user: &UserId) {
        for key in keys {
            if self.connections.get(key as usize).is_some_and(|one| one.user() != user) {
                self.send(key);
            }
        }
    }

    /// Whose a connection is that reads rooms, and what else decides about it.
    pub(super) fn chatter(&self, key: Key) -> Option<(&UserId, &Subject)> {
        let connection = self.connections.get(key as usize)?;
        let Scope::Chat(subject) = &connection.scope else { return None };
        Some((connection.user(), subject))
    }

    pub(super) fn send(&mut self, key: Key) {
        self.send_body(key, true);
    }

    /// Sends the event, or only its number when its body `is_theirs` not.
    pub(super) fn send_body(&mut self, key: Key, is_theirs: bool) {
        let Some(connection) = self.connections.get_mut(key as usize) else { return };
        if self.record.position.offset <= connection.cursor {
            return;
        }
        let has_omissions =
            !self.event.omit_users.is_empty() || self.event.omit_connection.is_some();
        if has_omissions && omission(self.event, connection.id, connection.user()).is_some() {
            return;
        }
        if is_theirs {
            connection.take(self.record, self.turn);
        } else {
            connection.withhold(self.record, self.turn);
        }
        if !connection.is_touched {
            connection.is_touched = true;
            self.touched.push(key);
        }
    }
}

/// One message of a bus event on its way to its connections.
pub(super) struct FaceDelivery<'a> {
    pub(super) connections: &'a mut Slab<Connection>,
    pub(super) touched: &'a mut Vec<Key>,
    pub(super) turn: &'a mut Turn,
    pub(super) face: &'a Face,
}

impl FaceDelivery<'_> {
    pub(super) fn send(&mut self, keys: impl Iterator<Item = Key>) {
        for key in keys {
            let Some(connection) = self.connections.get_mut(key as usize) else { continue };
            let Scope::Bus(subject) = &connection.scope else { continue };
            let is_served = self.face.record.position.offset <= connection.cursor;
            if is_served || !self.face.audience.admits(connection.user(), subject) {
                continue;
            }
            connection.take_face(self.turn);
            if !connection.is_touched {
                connection.is_touched = true;
                self.touched.push(key);
            }
        }
    }
}
