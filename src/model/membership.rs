//! Who belonged to what, and when, in offsets of the log.
//!
//! A membership is a list of intervals. It answers "was this user a member when
//! that record was written", which is what makes a resume exact.
//!
//! Invariants: the intervals of one topic are in order and do not overlap; at
//! most the last one is open.

use indexmap::IndexMap;

use super::Topic;

/// One stretch of membership, both ends exclusive: a record at offset `o` is seen
/// when `from < o` and (`to` is 0 or `o < to`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Interval {
    /// Offset of the record that opened it; 0 means since ever.
    pub from: u64,
    /// Offset of the record that closed it; 0 means still open.
    pub to: u64,
}

impl Interval {
    /// True when a record at `offset` falls into this stretch.
    #[must_use]
    pub fn covers(self, offset: u64) -> bool {
        self.from < offset && (self.to == 0 || offset < self.to)
    }
}

/// All memberships of one user, or of one connection.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Memberships {
    topics: IndexMap<Topic, Vec<Interval>, foldhash::fast::FixedState>,
}

impl Memberships {
    /// Opens a membership at `offset`. Returns false when it was open already.
    pub fn open(&mut self, topic: Topic, offset: u64) -> bool {
        let intervals = self.topics.entry(topic).or_default();
        if intervals.last().is_some_and(|last| last.to == 0) {
            return false;
        }
        intervals.push(Interval { from: offset, to: 0 });
        true
    }

    /// Closes a membership at `offset`. Returns false when it was not open.
    ///
    /// A topic that was never open gets a closed record (`from == to`), so that a
    /// later seed from a token does not open it.
    pub fn close(&mut self, topic: &Topic, offset: u64) -> bool {
        let Some(intervals) = self.topics.get_mut(topic) else {
            self.topics.insert(topic.clone(), vec![Interval { from: offset, to: offset }]);
            return false;
        };
        match intervals.last_mut() {
            Some(last) if last.to == 0 => {
                last.to = offset;
                true
            }
            Some(_) | None => false,
        }
    }

    /// True when there is any record about `topic`, open or closed.
    #[must_use]
    pub fn knows(&self, topic: &Topic) -> bool {
        self.topics.contains_key(topic)
    }

    /// True when a record at `offset` to `topic` is for this member.
    #[must_use]
    pub fn covers(&self, topic: &Topic, offset: u64) -> bool {
        self.topics.get(topic).is_some_and(|all| all.iter().any(|one| one.covers(offset)))
    }

    /// True when the membership of `topic` is open now.
    #[must_use]
    pub fn is_open(&self, topic: &Topic) -> bool {
        self.topics.get(topic).and_then(|all| all.last()).is_some_and(|last| last.to == 0)
    }

    /// The topics that are open now.
    pub fn open_topics(&self) -> impl Iterator<Item = &Topic> {
        self.topics.keys().filter(|topic| self.is_open(topic))
    }

    /// The intervals of `topic`, oldest first.
    #[must_use]
    pub fn intervals(&self, topic: &Topic) -> &[Interval] {
        self.topics.get(topic).map_or(&[], Vec::as_slice)
    }

    /// Adds an interval as read from a store.
    pub fn restore(&mut self, topic: Topic, interval: Interval) {
        self.topics.entry(topic).or_default().push(interval);
    }

    /// Forgets closed stretches that ended at or before `offset`, but never the
    /// fact that a topic is known: the last interval of each topic stays.
    pub fn forget_before(&mut self, offset: u64) {
        for intervals in self.topics.values_mut() {
            while intervals.len() > 1
                && intervals.first().is_some_and(|first| first.to != 0 && first.to <= offset)
            {
                intervals.remove(0);
            }
        }
    }
}
