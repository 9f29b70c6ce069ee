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

use crate::{log::digest::Digest, model::Position};

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
