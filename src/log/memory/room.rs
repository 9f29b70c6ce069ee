//! One chat room in memory.
//!
//! Invariants: messages are in the order of their numbers, and each name of a message
//! has one number.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    sync::Arc,
};

use indexmap::IndexMap;

use super::{super::chat::LISTED_USERS_MAX, realm::Hasher};
use crate::model::{ChatMessage, ChatRoom, ConnectionId, Id, RoomKey, UserId};

/// One room.
#[derive(Debug)]
pub(super) struct Room {
    pub(super) key: RoomKey,
    pub(super) label: Arc<str>,
    pub(super) updated_at: u64,
    pub(super) last_number: u64,
    pub(super) messages: VecDeque<(u64, ChatMessage)>,
    pub(super) numbers: HashMap<Id, u64, Hasher>,
    /// Names of deleted messages, and the numbers that they had.
    pub(super) deleted: IndexMap<Id, u64, Hasher>,
    pub(super) sockets: HashMap<ConnectionId, (UserId, u64), Hasher>,
    /// Who is there, in the order of coming, and with how many sockets.
    pub(super) users: IndexMap<UserId, usize, Hasher>,
    /// Whose sessions may hear it, as long as nothing was said.
    pub(super) hearers: HashSet<ConnectionId, Hasher>,
    /// Who made it, when that was in this life.
    pub(super) maker: Option<UserId>,
    /// When to look whether somebody needs it, as long as nothing was said.
    pub(super) look_at: u64,
}

impl Room {
    pub(super) fn new(key: RoomKey, label: Arc<str>, updated_at: u64) -> Self {
        Self {
            key,
            label,
            updated_at,
            last_number: 0,
            messages: VecDeque::new(),
            numbers: HashMap::default(),
            deleted: IndexMap::default(),
            sockets: HashMap::default(),
            users: IndexMap::default(),
            hearers: HashSet::default(),
            maker: None,
            look_at: 0,
        }
    }

    pub(super) fn shown(&self, uuid: &Id) -> ChatRoom {
        ChatRoom {
            uuid: uuid.clone(),
            key: self.key.clone(),
            label: Arc::clone(&self.label),
            users: self.users.keys().take(LISTED_USERS_MAX).cloned().collect(),
            updated_at: self.updated_at,
        }
    }

    pub(super) fn index(&self, name: &Id) -> Option<usize> {
        let number = *self.numbers.get(name)?;
        self.messages.binary_search_by_key(&number, |(number, _)| *number).ok()
    }

    pub(super) fn said_mut(&mut self, name: &Id) -> Option<&mut (u64, ChatMessage)> {
        let index = self.index(name)?;
        self.messages.get_mut(index)
    }

    pub(super) fn remove(&mut self, name: &Id) -> Option<(u64, ChatMessage)> {
        let index = self.index(name)?;
        self.numbers.remove(name);
        self.messages.remove(index)
    }

    /// Drops the oldest messages that are too many, and returns their numbers.
    pub(super) fn trim(&mut self, history: usize) -> Vec<u64> {
        let mut gone = Vec::new();
        while self.messages.len() > history.max(1) {
            let Some((number, message)) = self.messages.pop_front() else { break };
            self.numbers.remove(&message.uuid);
            gone.push(number);
        }
        gone
    }
}
