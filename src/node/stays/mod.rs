//! Who is in rooms whose rights can change, and which records make them ask again.
//!
//! What a room is told is decided record by record (`hub`). This is the other half: a
//! session that may not be in a room any more leaves it and is told.
//!
//! Invariants:
//! - a right that ends after a session asked for it makes the session ask again;
//! - a record wakes those only whom it may concern.
//!
//! Not here: asking, leaving, telling (`session`).

#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    ops::Bound,
    sync::Arc,
};

use parking_lot::Mutex;
use tokio::sync::{Notify, Semaphore, SemaphorePermit};

use crate::model::{
    Body, Id, NodePlace, Record, RoomKey, RoomKind, Topic, UserId, Workspace, is_within,
};

/// Sessions that ask again at once.
const ASKING_MAX: usize = 16;

/// All stays in one realm on this node.
#[derive(Debug)]
pub(crate) struct Stays {
    table: Mutex<Table>,
    turns: Semaphore,
}

#[derive(Debug, Default)]
struct Table {
    guests: HashMap<u64, Guest>,
    /// The guests of each user who has any.
    users: HashMap<UserId, HashSet<u64>>,
    /// The number of the last one: a session may begin again before its old socket ended.
    last: u64,
    rooms: HashMap<RoomKey, Room>,
    /// Where the nodes are that rooms are about, as far as that is known.
    paths: BTreeMap<Arc<str>, HashSet<Id>>,
    /// Nodes of which it is not.
    lost: HashSet<Id>,
}

#[derive(Debug)]
struct Guest {
    user: UserId,
    rooms: HashSet<RoomKey>,
    stirred: HashSet<RoomKey>,
    bell: Arc<Notify>,
}

#[derive(Debug, Default)]
struct Room {
    guests: HashSet<u64>,
    path: Option<Arc<str>>,
    /// How often the node moved.
    moves: u64,
}

/// The stays of one session. They end with it.
#[derive(Debug)]
pub struct Stay {
    stays: Arc<Stays>,
    number: u64,
    bell: Arc<Notify>,
}

impl Default for Stays {
    fn default() -> Self {
        Self { table: Mutex::default(), turns: Semaphore::new(ASKING_MAX) }
    }
}

impl Stays {
    /// A session that is in no room yet.
    pub(super) fn begin(self: &Arc<Self>, user: &UserId) -> Stay {
        let (user, bell) = (user.clone(), Arc::new(Notify::new()));
        let (rooms, stirred) = (HashSet::new(), HashSet::new());
        let mut table = self.table.lock();
        table.last += 1;
        let number = table.last;
        table.users.entry(user.clone()).or_default().insert(number);
        let guest = Guest { user, rooms, stirred, bell: Arc::clone(&bell) };
        table.guests.insert(number, guest);
        Stay { stays: Arc::clone(self), number, bell }
    }

    /// A number that is another one when the node moved.
    pub(super) fn moves(&self, node: &Id) -> u64 {
        self.table.lock().rooms.get(&about(node)).map_or(0, |room| room.moves)
    }

    /// A node was found at `path`, if it did not move since it had this number of moves.
    pub(super) fn found(&self, node: &Id, path: Option<&Arc<str>>, moves: u64) {
        let mut table = self.table.lock();
        let is_news = |room: &Room| room.moves == moves && room.path.as_ref() != path;
        if table.rooms.get(&about(node)).is_some_and(is_news) {
            table.put(node, path);
        }
    }

    /// Wakes those whom a record may concern.
    pub(super) fn note(&self, record: &Record) {
        match &record.body {
            Body::Members { topic: Topic::Workspace(id), remove, .. } if !remove.is_empty() => {
                self.table.lock().removed(id, remove);
            }
            Body::Workspace { id, is, was } => {
                let changed = [is, was];
                self.table.lock().changed(id, changed.into_iter().flatten());
            }
            Body::Bus(bus) => {
                let Some(NodePlace { uuid, from, .. }) = &bus.place else { return };
                self.table.lock().moved([uuid], from);
            }
            Body::Nodes(nodes) => {
                let named = nodes.set.iter().map(|(uuid, _)| uuid).chain(&nodes.remove);
                self.table.lock().moved(named, nodes.moved.iter().map(|(from, _)| from));
            }
            Body::Event(_)
            | Body::Members { .. }
            | Body::Seeds { .. }
            | Body::Watch { .. }
            | Body::Revocation(_)
            | Body::Disconnect { .. }
            | Body::Unknown => {}
        }
    }
}

impl Table {
    fn put(&mut self, node: &Id, path: Option<&Arc<str>>) {
        let Some(room) = self.rooms.get_mut(&about(node)) else { return };
        let old = std::mem::replace(&mut room.path, path.cloned());
        self.forget(node, old.as_ref());
        match path {
            Some(path) => self.paths.entry(Arc::clone(path)).or_default().insert(node.clone()),
            None => self.lost.insert(node.clone()),
        };
    }

    fn forget(&mut self, node: &Id, path: Option<&Arc<str>>) {
        self.lost.remove(node);
        let Some(path) = path else { return };
        if let Some(nodes) = self.paths.get_mut(path) {
            nodes.remove(node);
            if nodes.is_empty() {
                self.paths.remove(path);
            }
        }
    }

    fn enter(&mut self, number: u64, key: &RoomKey) {
        let Some(guest) = self.guests.get_mut(&number) else { return };
        guest.rooms.insert(key.clone());
        let room = self.rooms.entry(key.clone()).or_default();
        let is_new = room.guests.is_empty();
        room.guests.insert(number);
        if let (true, RoomKind::Node, Some(node)) = (is_new, key.kind, &key.object) {
            self.lost.insert(node.clone());
        }
    }

    fn leave(&mut self, number: u64, key: &RoomKey) {
        if let Some(guest) = self.guests.get_mut(&number) {
            guest.rooms.remove(key);
            guest.stirred.remove(key);
        }
        let Some(room) = self.rooms.get_mut(key) else { return };
        room.guests.remove(&number);
        if room.guests.is_empty() {
            let path = room.path.take();
            if let (RoomKind::Node, Some(node)) = (key.kind, &key.object) {
                self.forget(node, path.as_ref());
            }
            self.rooms.remove(key);
        }
    }

    fn stir(&mut self, key: &RoomKey) {
        let guests = self.rooms.get(key).map(|room| &room.guests);
        for number in guests.into_iter().flatten() {
            if let Some(guest) = self.guests.get_mut(number) {
                guest.stir(key);
            }
        }
    }

    fn removed(&mut self, id: &Id, users: &[UserId]) {
        let numbers = users.iter().filter_map(|user| self.users.get(user)).flatten();
        for number in numbers {
            let Some(guest) = self.guests.get_mut(number) else { continue };
            let is_concerned =
                |key: &&RoomKey| key.kind == RoomKind::Node || key.object.as_ref() == Some(id);
            let rooms: Vec<RoomKey> = guest.rooms.iter().filter(is_concerned).cloned().collect();
            rooms.iter().for_each(|key| guest.stir(key));
        }
    }

    fn changed<'a>(&mut self, id: &Id, definitions: impl Iterator<Item = &'a Arc<Workspace>>) {
        let mut nodes: HashSet<Id> = self.lost.clone();
        for root in definitions.flat_map(|workspace| &workspace.roots) {
            nodes.extend(self.within(&root.path));
        }
        nodes.iter().for_each(|node| self.stir(&about(node)));
        self.stir(&RoomKey { kind: RoomKind::Workspace, object: Some(id.clone()) });
    }

    /// These nodes have other places, and whatever was in these folders.
    fn moved<'a>(
        &mut self,
        named: impl IntoIterator<Item = &'a Arc<str>>,
        folders: impl IntoIterator<Item = &'a Arc<str>>,
    ) {
        if self.rooms.is_empty() {
            return;
        }
        let mut nodes: HashSet<Id> = HashSet::new();
        nodes.extend(named.into_iter().filter_map(|uuid| Id::parse(uuid).ok()));
        for folder in folders {
            nodes.extend(self.within(folder));
            nodes.extend(self.lost.iter().cloned());
        }
        for node in &nodes {
            let key = about(node);
            let Some(room) = self.rooms.get_mut(&key) else { continue };
            room.moves += 1;
            self.put(node, None);
            self.stir(&key);
        }
    }

    /// The nodes of rooms that are in a folder, or are it.
    fn within(&self, folder: &str) -> Vec<Id> {
        let begin = self.paths.range::<str, _>((Bound::Included(folder), Bound::Unbounded));
        let near = begin.take_while(|(path, _)| path.starts_with(folder));
        let inside = near.filter(|(path, _)| is_within(path, folder));
        inside.flat_map(|(_, nodes)| nodes.iter().cloned()).collect()
    }
}

impl Guest {
    fn stir(&mut self, key: &RoomKey) {
        self.stirred.insert(key.clone());
        self.bell.notify_one();
    }
}

fn about(node: &Id) -> RoomKey {
    RoomKey { kind: RoomKind::Node, object: Some(node.clone()) }
}

impl Stay {
    /// From now on changes of the rights in a room are told, until the session leaves it.
    pub fn enter(&self, key: &RoomKey) {
        if matches!(key.kind, RoomKind::Workspace | RoomKind::Node) && key.object.is_some() {
            self.stays.table.lock().enter(self.number, key);
        }
    }

    /// The session is not in this room.
    pub fn leave(&self, key: &RoomKey) {
        self.stays.table.lock().leave(self.number, key);
    }

    /// Waits for rooms whose rights may have changed.
    ///
    /// # Cancel safety
    ///
    /// Safe: what is not returned is returned by the next call.
    pub async fn stirred(&self) -> Vec<RoomKey> {
        loop {
            let stirred = match self.stays.table.lock().guests.get_mut(&self.number) {
                Some(guest) => std::mem::take(&mut guest.stirred),
                None => HashSet::new(),
            };
            if !stirred.is_empty() {
                return stirred.into_iter().collect();
            }
            self.bell.notified().await;
        }
    }

    /// Waits until it is this session's turn to ask: a change may concern thousands.
    ///
    /// # Cancel safety
    ///
    /// Safe.
    pub async fn turn(&self) -> Option<SemaphorePermit<'_>> {
        self.stays.turns.acquire().await.ok()
    }
}

impl Drop for Stay {
    fn drop(&mut self) {
        let mut table = self.stays.table.lock();
        let rooms = table.guests.get(&self.number).map(|guest| guest.rooms.clone());
        for key in rooms.unwrap_or_default() {
            table.leave(self.number, &key);
        }
        let Some(Guest { user, .. }) = table.guests.remove(&self.number) else { return };
        if let Some(numbers) = table.users.get_mut(&user) {
            numbers.remove(&self.number);
            if numbers.is_empty() {
                table.users.remove(&user);
            }
        }
    }
}
