//! The last messages of each chat room, for those who join.
//!
//! Invariants: at most [`HISTORY_MAX`] messages of a room and [`ROOMS_MAX`] rooms;
//! the rooms that were quiet the longest go first.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
};

use parking_lot::Mutex;

use crate::model::{Body, Id, Record, Topic};

/// Messages of a room that someone who joins is shown.
pub const HISTORY_MAX: usize = 50;

/// Rooms whose messages are kept.
const ROOMS_MAX: usize = 10_000;

/// Messages kept beyond the history, because a joiner's place may lag behind.
const SPARE: usize = 16;

/// The messages of each room: realm and name, then records, oldest first.
type Messages = HashMap<(usize, Id), VecDeque<Arc<Record>>>;

/// The recent messages of all rooms.
#[derive(Debug, Default)]
pub(super) struct Rooms(Mutex<Messages>);

impl Rooms {
    /// Keeps `record` when it is a message to a room.
    pub(super) fn note(&self, realm: usize, record: &Arc<Record>) {
        let Body::Event(event) = &record.body else { return };
        let Topic::Room(room) = &event.to else { return };
        if event.ephemeral {
            return;
        }
        let mut rooms = self.0.lock();
        let messages = rooms.entry((realm, room.clone())).or_default();
        messages.push_back(Arc::clone(record));
        if messages.len() > HISTORY_MAX + SPARE {
            messages.pop_front();
        }
        if rooms.len() > ROOMS_MAX {
            forget_quiet_rooms(&mut rooms);
        }
    }

    /// Forgets all rooms of a realm.
    pub(super) fn forget(&self, realm: usize) {
        self.0.lock().retain(|(key, _), _| *key != realm);
    }

    /// The last messages of a room at or before `offset`, oldest first.
    pub(super) fn history(&self, realm: usize, room: &Id, offset: u64) -> Vec<Arc<Record>> {
        let rooms = self.0.lock();
        let Some(messages) = rooms.get(&(realm, room.clone())) else { return Vec::new() };
        let known: Vec<_> =
            messages.iter().filter(|record| record.position.offset <= offset).cloned().collect();
        known.into_iter().rev().take(HISTORY_MAX).rev().collect()
    }
}

/// Forgets a tenth of the rooms at once, so that the search for them is rare.
fn forget_quiet_rooms(rooms: &mut Messages) {
    let last_offset =
        |messages: &VecDeque<Arc<Record>>| messages.back().map_or(0, |last| last.accepted_at_us);
    let mut moments: Vec<u64> = rooms.values().map(last_offset).collect();
    moments.sort_unstable();
    let cut = moments.get(ROOMS_MAX / 10).copied().unwrap_or(u64::MAX);
    rooms.retain(|_, messages| last_offset(messages) > cut);
}
