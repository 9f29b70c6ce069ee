//! Publish ids that were used lately, so that a repeated request is harmless.
//!
//! Invariants: at most `capacity` ids, each for at least the window unless that
//! bound pushes it out, the one that was unused the longest first; an id never
//! stands for two bodies.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
    time::Duration,
};

use sha2::{Digest as _, Sha256};

use crate::model::{Body, Position, Topic, UserId};

/// A short, collision-resistant mark of a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Digest([u8; 16]);

/// What is known of an id.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Remembered {
    /// It was used for this body, which is at this position.
    Same(Position),
    /// It was used for another body.
    Other,
    /// It was not used lately.
    Nothing,
}

/// The ids of one realm.
#[derive(Debug)]
pub(super) struct RecentIds {
    window_ms: u64,
    capacity: usize,
    ids: HashMap<Arc<str>, (Digest, Position, u64), foldhash::fast::RandomState>,
    /// Ids in the order of use; an entry is stale when its id was used again.
    order: VecDeque<(u64, Arc<str>)>,
}

impl RecentIds {
    pub(super) fn new(window: Duration, capacity: usize) -> Self {
        let (ids, order) = (HashMap::default(), VecDeque::new());
        let mut new = Self { window_ms: 0, capacity, ids, order };
        new.apply_limits(window, capacity);
        new
    }

    /// Takes new bounds. What is over them leaves with the next use.
    pub(super) fn apply_limits(&mut self, window: Duration, capacity: usize) {
        self.window_ms = u64::try_from(window.as_millis()).unwrap_or(u64::MAX);
        self.capacity = capacity;
    }

    /// What `id` stands for. Repeating a request renews its window.
    pub(super) fn recall(&mut self, id: &Arc<str>, digest: Digest, now_ms: u64) -> Remembered {
        self.expire(now_ms);
        let Some((known, position, used_at_ms)) = self.ids.get_mut(id) else {
            return Remembered::Nothing;
        };
        if *known != digest {
            return Remembered::Other;
        }
        // One entry of the order per millisecond and id, so that a flood of repeats
        // does not grow it.
        if *used_at_ms != now_ms {
            *used_at_ms = now_ms;
            self.order.push_back((now_ms, Arc::clone(id)));
        }
        Remembered::Same(position.clone())
    }

    pub(super) fn remember(
        &mut self,
        id: Arc<str>,
        digest: Digest,
        position: Position,
        now_ms: u64,
    ) {
        self.order.push_back((now_ms, Arc::clone(&id)));
        self.ids.insert(id, (digest, position, now_ms));
        self.expire(now_ms);
    }

    fn expire(&mut self, now_ms: u64) {
        while let Some((used_at_ms, id)) = self.order.front() {
            let is_last_use = self.ids.get(id).is_some_and(|(_, _, at)| at == used_at_ms);
            if is_last_use {
                let is_over = used_at_ms.saturating_add(self.window_ms) <= now_ms;
                if !is_over && self.ids.len() <= self.capacity {
                    break;
                }
                self.ids.remove(id);
            }
            self.order.pop_front();
        }
        // Earlier uses of ids that are repeated often: looked through rarely.
        if self.order.len() > self.capacity.saturating_mul(2).saturating_add(64) {
            let ids = &self.ids;
            self.order
                .retain(|(used_at_ms, id)| ids.get(id).is_some_and(|(_, _, at)| at == used_at_ms));
        }
    }
}

impl Digest {
    /// Marks what a publisher said: not the made id of an event, and not the moment of a revocation.
    pub(super) fn of(body: &Body) -> Self {
        let mut hash = Hash(Sha256::new());
        match body {
            Body::Event(event) => {
                hash.text("event").text(&event.name).bytes(&event.data).topic(&event.to);
                hash.users(&event.omit_users);
                hash.text(event.omit_connection.as_ref().map_or("", |id| id.as_str()));
                hash.text(if event.ephemeral { "ephemeral" } else { "durable" });
                hash.text(if event.binary { "binary" } else { "text" });
                hash.text(event.sender.as_deref().unwrap_or_default());
            }
            Body::Members { topic, add, remove } => {
                hash.text("members").topic(topic).users(add).users(remove);
            }
            Body::Seeds { user, topics } => {
                hash.text("seeds").text(user.as_str());
                for topic in topics {
                    hash.topic(topic);
                }
            }
            Body::Watch { connection, add, remove } => {
                hash.text("watch").text(connection.as_str()).users(add).users(remove);
            }
            Body::Revocation(revocation) => {
                hash.text("revocation").text(&format!("{:?}", revocation.scope));
            }
            Body::Disconnect { target, code, reason } => {
                hash.text("disconnect").topic(target).bytes(&code.to_be_bytes()).text(reason);
            }
        }
        hash.finish()
    }
}

/// Feeds fields with their lengths, so that two bodies never run together.
struct Hash(Sha256);

impl Hash {
    fn bytes(&mut self, bytes: &[u8]) -> &mut Self {
        self.0.update(bytes.len().to_be_bytes());
        self.0.update(bytes);
        self
    }

    fn text(&mut self, text: &str) -> &mut Self {
        self.bytes(text.as_bytes())
    }

    fn topic(&mut self, topic: &Topic) -> &mut Self {
        self.text(topic.kind()).text(topic.id())
    }

    fn users(&mut self, users: &[UserId]) -> &mut Self {
        self.bytes(&users.len().to_be_bytes());
        for user in users {
            self.text(user.as_str());
        }
        self
    }

    fn finish(self) -> Digest {
        let full: [u8; 32] = self.0.finalize().into();
        let mut short = [0; 16];
        for (to, from) in short.iter_mut().zip(full) {
            *to = from;
        }
        Digest(short)
    }
}
