//! The rooms of one realm, in memory.
//!
//! A plain data structure: its owner appends the records that it makes.
//!
//! Invariants:
//! - the messages of a room are in the order of their numbers, and each name of a
//!   message has one number;
//! - a user is listed in a room exactly as long as one of the user's sockets is there.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

use indexmap::IndexSet;

use super::{
    super::{
        ChatLimits, ChatOp, ChatOutcome, ChatRefusal, Page, PageQuery,
        chat::{DELETED_MAX, MADE_MAX, ROOMS_MAX, SWEPT_MAX, events},
        kept::millis,
    },
    realm::Hasher,
    room::Room,
    unused::Hears,
};
use crate::{
    model::{
        Body, ChatMessage, ChatRoom, ChatSeat, ConnectionId, Id, RealmId, RoomKey, Topic, UserId,
    },
    store::{Change, SavedRoom},
};

/// All rooms of a realm.
#[derive(Debug, Default)]
pub(super) struct Rooms {
    pub(super) rooms: HashMap<Id, Room, Hasher>,
    pub(super) by_key: HashMap<RoomKey, Id, Hasher>,
    /// When sockets that stay silent leave, in milliseconds since 1970.
    ends: BTreeSet<(u64, Id, ConnectionId)>,
    /// When to look whether somebody still needs a room in which nothing was said.
    pub(super) looks: BTreeSet<(u64, Id)>,
    /// How many rooms that there are each user made, in this life.
    pub(super) made: HashMap<UserId, usize, Hasher>,
}

/// What a step is told beside what is to be done.
#[derive(Debug, Clone, Copy)]
pub(super) struct Step<'a> {
    pub(super) realm: &'a RealmId,
    pub(super) now_ms: u64,
    pub(super) limits: ChatLimits,
    /// How long a session can be resumed.
    pub(super) session_ttl_ms: u64,
}

/// What a step did.
#[derive(Debug)]
pub(super) struct Done {
    pub(super) outcome: ChatOutcome,
    /// The records that tell of it.
    pub(super) bodies: Vec<Body>,
    /// What is to be saved.
    pub(super) changes: Vec<Change>,
}

impl Done {
    fn of(outcome: ChatOutcome) -> Self {
        Self { outcome, bodies: Vec::new(), changes: Vec::new() }
    }
}

impl Rooms {
    /// Those that were saved in an earlier life; nobody is in them.
    pub(super) fn restored(saved: &[SavedRoom]) -> Self {
        let mut rooms = Self::default();
        // Files of earlier releases have rooms in which nothing was said.
        for saved in saved.iter().filter(|saved| !saved.messages.is_empty()) {
            let mut room = Room::new(saved.key.clone(), Arc::clone(&saved.label), saved.updated_at);
            for (number, message, is_deleted) in &saved.messages {
                room.last_number = *number;
                if *is_deleted {
                    room.deleted.insert(message.uuid.clone(), *number);
                } else {
                    room.numbers.insert(message.uuid.clone(), *number);
                    room.messages.push_back((*number, message.clone()));
                }
            }
            rooms.by_key.insert(saved.key.clone(), saved.uuid.clone());
            rooms.rooms.insert(saved.uuid.clone(), room);
        }
        rooms
    }

    pub(super) fn find(&self, key: &RoomKey) -> Option<ChatRoom> {
        let uuid = self.by_key.get(key)?;
        Some(self.rooms.get(uuid)?.shown(uuid))
    }

    pub(super) fn key(&self, room: &Id) -> Option<RoomKey> {
        Some(self.rooms.get(room)?.key.clone())
    }

    pub(super) fn page(&self, room: &Id, query: PageQuery) -> Page {
        let Some(room) = self.rooms.get(room) else { return Page::default() };
        let end = match query.before {
            Some(before) => room.messages.partition_point(|(number, _)| *number < before),
            None => room.messages.len(),
        };
        let end = end.saturating_sub(query.skip);
        let begin = end.saturating_sub(query.limit);
        Page { messages: room.messages.range(begin..end).cloned().collect() }
    }

    /// The messages of a room after the one with number `after`.
    pub(super) fn after(&self, room: &Id, after: u64, limit: usize) -> Page {
        let Some(room) = self.rooms.get(room) else { return Page::default() };
        let begin = room.messages.partition_point(|(number, _)| *number <= after);
        Page { messages: room.messages.iter().skip(begin).take(limit).cloned().collect() }
    }

    /// Does something. `hears` tells whether a session hears a room already.
    pub(super) fn apply(
        &mut self,
        step: Step<'_>,
        op: ChatOp,
        hears: Hears<'_>,
    ) -> Result<Done, ChatRefusal> {
        match op {
            ChatOp::Join { key, label, uuid, creates, asks, seat } => {
                let mut done = Done::of(ChatOutcome::Done);
                let uuid = match self.by_key.get(&key) {
                    Some(known) => known.clone(),
                    None if creates => self.create(step, (key, label, uuid), &seat.user)?,
                    None => return Err(ChatRefusal::NoRoom),
                };
                let is_news = self.enter(step, &uuid, &seat);
                let is_subscribed = hears(seat.connection, &uuid);
                if let Some(room) = self.rooms.get_mut(&uuid).filter(|room| room.last_number == 0) {
                    room.hearers.insert(seat.connection);
                }
                self.tell_joiner(&uuid, &seat, (is_news, asks, is_subscribed), &mut done)?;
                Ok(done)
            }
            ChatOp::Leave { key, asks, seat } => {
                let uuid = self.by_key.get(&key).ok_or(ChatRefusal::NoRoom)?.clone();
                let mut done = Done::of(ChatOutcome::Done);
                let is_news = self.exit(step, &uuid, seat.connection);
                let to = is_news.then(|| Topic::Chat(uuid.clone()));
                let room = self.rooms.get(&uuid).ok_or(ChatRefusal::NoRoom)?.shown(&uuid);
                // Told first, so that whoever leaves hears of it, too.
                if let Some(to) = to.or_else(|| asks.then(|| own(&seat))) {
                    done.bodies.push(events::room(&room, to));
                }
                let remove = vec![Topic::Chat(uuid.clone())];
                let connection = seat.connection;
                done.bodies.push(Body::Watch { connection, add: Vec::new(), remove });
                // The record is not entered yet.
                self.forget_unused(&uuid, &|other, room| other != connection && hears(other, room));
                Ok(done)
            }
            ChatOp::Return { rooms, seat } => {
                let came = rooms.into_iter().filter(|uuid| self.enter(step, uuid, &seat));
                let came: Vec<Id> = came.collect();
                Ok(self.told(came))
            }
            ChatOp::End { rooms, seat } => {
                let left = rooms.into_iter().filter(|uuid| self.exit(step, uuid, seat.connection));
                let left: Vec<Id> = left.collect();
                Ok(self.told(left))
            }
            ChatOp::Post { room, uuid, text, seat } => self.post(step, &room, (uuid, text), &seat),
            ChatOp::Delete { room, uuid, seat } => self.delete(step, &room, &uuid, &seat),
            ChatOp::Sweep => {
                let mut done = self.sweep(step);
                if self.sweep_unused(step, hears) {
                    done.outcome = ChatOutcome::More;
                }
                Ok(done)
            }
        }
    }

    fn create(
        &mut self,
        step: Step<'_>,
        (key, label, uuid): (RoomKey, Arc<str>, Id),
        maker: &UserId,
    ) -> Result<Id, ChatRefusal> {
        let has_made = self.made.get(maker).copied().unwrap_or_default();
        if self.rooms.len() >= ROOMS_MAX || has_made >= MADE_MAX {
            return Err(ChatRefusal::TooManyRooms);
        }
        self.made.insert(maker.clone(), has_made + 1);
        let mut room = Room::new(key.clone(), label, step.now_ms / 1_000);
        room.maker = Some(maker.clone());
        self.rooms.insert(uuid.clone(), room);
        self.by_key.insert(key, uuid.clone());
        self.look_later(step, &uuid);
        Ok(uuid)
    }

    /// Notes that a socket is in a room. True when its user was not there before.
    fn enter(&mut self, step: Step<'_>, uuid: &Id, seat: &ChatSeat) -> bool {
        let Some(room) = self.rooms.get_mut(uuid) else { return false };
        let ends_at = step.now_ms.saturating_add(millis(step.limits.silence));
        let socket = (seat.user.clone(), ends_at);
        let before = room.sockets.insert(seat.connection, socket);
        if let Some((_, ended_at)) = &before {
            self.ends.remove(&(*ended_at, uuid.clone(), seat.connection));
        }
        self.ends.insert((ends_at, uuid.clone(), seat.connection));
        if before.is_some() {
            return false;
        }
        let count = room.users.entry(seat.user.clone()).or_default();
        *count += 1;
        let is_news = *count == 1;
        if is_news {
            room.updated_at = step.now_ms / 1_000;
        }
        is_news
    }

    /// Lengthens the stay of a socket that is in a room.
    fn touch(&mut self, step: Step<'_>, uuid: &Id, seat: &ChatSeat) {
        let is_there = |room: &Room| room.sockets.contains_key(&seat.connection);
        if self.rooms.get(uuid).is_some_and(is_there) {
            self.enter(step, uuid, seat);
        }
    }

    /// Notes that a socket is gone. True when its user is gone with it.
    fn exit(&mut self, step: Step<'_>, uuid: &Id, connection: ConnectionId) -> bool {
        let Some(room) = self.rooms.get_mut(uuid) else { return false };
        let Some((user, ends_at)) = room.sockets.remove(&connection) else { return false };
        self.ends.remove(&(ends_at, uuid.clone(), connection));
        let Some(count) = room.users.get_mut(&user) else { return false };
        *count -= 1;
        if *count > 0 {
            return false;
        }
        room.users.shift_remove(&user);
        room.updated_at = step.now_ms / 1_000;
        true
    }

    /// The records for whoever joined a room, and for those who are there.
    fn tell_joiner(
        &self,
        uuid: &Id,
        seat: &ChatSeat,
        (is_news, asks, is_subscribed): (bool, bool, bool),
        done: &mut Done,
    ) -> Result<(), ChatRefusal> {
        let room = self.rooms.get(uuid).ok_or(ChatRefusal::NoRoom)?.shown(uuid);
        if !is_subscribed {
            let add = vec![Topic::Chat(uuid.clone())];
            let connection = seat.connection;
            done.bodies.push(Body::Watch { connection, add, remove: Vec::new() });
        }
        if is_news {
            done.bodies.push(events::room(&room, Topic::Chat(uuid.clone())));
        } else if asks || !is_subscribed {
            done.bodies.push(events::room(&room, own(seat)));
        }
        done.outcome = ChatOutcome::Joined(room);
        Ok(())
    }

    /// A record for each of these rooms.
    fn told(&self, rooms: impl IntoIterator<Item = Id>) -> Done {
        let mut done = Done::of(ChatOutcome::Done);
        for uuid in rooms {
            if let Some(room) = self.rooms.get(&uuid) {
                done.bodies.push(events::room(&room.shown(&uuid), Topic::Chat(uuid.clone())));
            }
        }
        done
    }

    fn post(
        &mut self,
        step: Step<'_>,
        uuid: &Id,
        (name, text): (Id, Arc<str>),
        seat: &ChatSeat,
    ) -> Result<Done, ChatRefusal> {
        let room = self.rooms.get_mut(uuid).ok_or(ChatRefusal::NoRoom)?;
        if room.deleted.contains_key(&name) {
            return Err(ChatRefusal::Deleted);
        }
        let mut done = Done::of(ChatOutcome::Done);
        let (number, message) = match room.said_mut(&name) {
            Some((_, known)) if known.author != seat.user => return Err(ChatRefusal::NotAuthor),
            Some((_, known)) if known.text == text => {
                done.outcome = ChatOutcome::Known(known.clone());
                self.touch(step, uuid, seat);
                return Ok(done);
            }
            Some((number, known)) => {
                known.text = text;
                (*number, known.clone())
            }
            None => {
                let (author, at) = (seat.user.clone(), step.now_ms / 1_000);
                let message =
                    ChatMessage { uuid: name.clone(), room: uuid.clone(), text, author, at };
                room.last_number += 1;
                let number = room.last_number;
                if number == 1 {
                    // From now on it outlives whoever is in it.
                    done.changes.push(Change::Room {
                        realm: step.realm.clone(),
                        uuid: uuid.clone(),
                        key: room.key.clone(),
                        label: Arc::clone(&room.label),
                        updated_at: room.updated_at,
                    });
                }
                room.numbers.insert(name, number);
                room.messages.push_back((number, message.clone()));
                for gone in room.trim(step.limits.history) {
                    let (realm, room) = (step.realm.clone(), uuid.clone());
                    done.changes.push(Change::Unsaid { realm, room, number: gone });
                }
                (number, message)
            }
        };
        done.bodies.push(events::message(&message, &room.key));
        done.changes.push(said(step, number, message.clone(), false));
        done.outcome = ChatOutcome::Said(message);
        self.keep(uuid);
        self.touch(step, uuid, seat);
        Ok(done)
    }

    fn delete(
        &mut self,
        step: Step<'_>,
        uuid: &Id,
        name: &Id,
        seat: &ChatSeat,
    ) -> Result<Done, ChatRefusal> {
        let room = self.rooms.get_mut(uuid).ok_or(ChatRefusal::NoRoom)?;
        if room.deleted.contains_key(name) {
            return Ok(Done::of(ChatOutcome::Done));
        }
        let (_, known) = room.said_mut(name).ok_or(ChatRefusal::NoMessage)?;
        if known.author != seat.user {
            return Err(ChatRefusal::NotAuthor);
        }
        let mut done = Done::of(ChatOutcome::Done);
        let Some((number, mut message)) = room.remove(name) else {
            return Err(ChatRefusal::NoMessage);
        };
        done.bodies.push(events::deleted(&message, &room.key));
        message.text = Arc::from("");
        done.changes.push(said(step, number, message, true));
        room.deleted.insert(name.clone(), number);
        if room.deleted.len() > DELETED_MAX
            && let Some((_, number)) = room.deleted.shift_remove_index(0)
        {
            let (realm, room) = (step.realm.clone(), uuid.clone());
            done.changes.push(Change::Unsaid { realm, room, number });
        }
        self.touch(step, uuid, seat);
        Ok(done)
    }

    fn sweep(&mut self, step: Step<'_>) -> Done {
        let mut changed = IndexSet::<Id>::new();
        let silent = self.ends.iter().take_while(|(ends_at, ..)| *ends_at <= step.now_ms);
        let silent: Vec<_> = silent.take(SWEPT_MAX).cloned().collect();
        let is_full = silent.len() == SWEPT_MAX;
        for (_, uuid, connection) in silent {
            if self.exit(step, &uuid, connection) {
                changed.insert(uuid);
            }
        }
        let outcome = if is_full { ChatOutcome::More } else { ChatOutcome::Done };
        Done { outcome, ..self.told(changed) }
    }
}

fn own(seat: &ChatSeat) -> Topic {
    Topic::Connection(seat.connection)
}

fn said(step: Step<'_>, number: u64, message: ChatMessage, is_deleted: bool) -> Change {
    Change::Said { realm: step.realm.clone(), number, message, is_deleted }
}
