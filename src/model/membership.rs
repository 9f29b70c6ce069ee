//! Who belonged to what, and when, in offsets of the log.
//!
//! A membership is a list of intervals. It answers "was this user a member when
//! that record was written", which is what makes a resume exact.
//!
//! Invariants: the intervals of one topic are in order and do not overlap; at
//! most the last one is open.

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
///
/// One sorted list: most users have few, and every user has one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Memberships(Vec<Stretch>);

/// One interval of one topic. Sorted by topic, then by time.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Stretch {
    topic: Topic,
    interval: Interval,
}

/// Entries up to which the list grows one by one, so that nothing is wasted.
const SMALL: usize = 16;

impl Memberships {
    /// Opens a membership at `offset`. Returns false when it was open already.
    pub fn open(&mut self, topic: Topic, offset: u64) -> bool {
        if self.is_open(&topic) {
            return false;
        }
        self.restore(topic, Interval { from: offset, to: 0 });
        true
    }

    /// Closes a membership at `offset`. Returns false when it was not open.
    ///
    /// A topic that was never open gets a closed record (`from == to`), so that a
    /// later seed from a token does not open it.
    pub fn close(&mut self, topic: &Topic, offset: u64) -> bool {
        let end = self.end_of(topic);
        let last = end.checked_sub(1).and_then(|index| self.0.get_mut(index));
        match last.filter(|last| last.topic == *topic) {
            Some(last) if last.interval.to == 0 => {
                last.interval.to = offset;
                true
            }
            Some(_) => false,
            None => {
                self.restore(topic.clone(), Interval { from: offset, to: offset });
                false
            }
        }
    }

    /// True when there is any record about `topic`, open or closed.
    #[must_use]
    pub fn knows(&self, topic: &Topic) -> bool {
        self.last(topic).is_some()
    }

    /// True when a record at `offset` to `topic` is for this member.
    #[must_use]
    pub fn covers(&self, topic: &Topic, offset: u64) -> bool {
        self.intervals(topic).any(|interval| interval.covers(offset))
    }

    /// True when the membership of `topic` is open now.
    #[must_use]
    pub fn is_open(&self, topic: &Topic) -> bool {
        self.last(topic).is_some_and(|last| last.to == 0)
    }

    /// How many intervals are known, open and closed.
    #[must_use]
    pub fn stretches(&self) -> usize {
        self.0.len()
    }

    /// The topics that are open now, sorted.
    pub fn open_topics(&self) -> impl Iterator<Item = &Topic> {
        self.0.iter().filter(|stretch| stretch.interval.to == 0).map(|stretch| &stretch.topic)
    }

    /// The topics that were open after the record at `offset`.
    pub fn open_topics_at(&self, offset: u64) -> impl Iterator<Item = &Topic> {
        let was_open = move |interval: Interval| {
            interval.from <= offset && (interval.to == 0 || offset < interval.to)
        };
        let stretches = self.0.iter().filter(move |stretch| was_open(stretch.interval));
        stretches.map(|stretch| &stretch.topic)
    }

    /// The intervals of `topic`, oldest first.
    pub fn intervals(&self, topic: &Topic) -> impl Iterator<Item = Interval> {
        let begin = self.0.partition_point(|stretch| stretch.topic < *topic);
        let all = self.0.get(begin..).unwrap_or_default().iter();
        all.take_while(move |stretch| stretch.topic == *topic).map(|stretch| stretch.interval)
    }

    /// Adds the newest interval of `topic`, as read from a store.
    pub fn restore(&mut self, topic: Topic, interval: Interval) {
        if self.0.len() < SMALL {
            self.0.reserve_exact(1);
        }
        self.0.insert(self.end_of(&topic), Stretch { topic, interval });
    }

    /// Forgets closed stretches that ended at or before `offset`, but never the
    /// fact that a topic is known: the last interval of each topic stays.
    pub fn forget_before(&mut self, offset: u64) {
        let mut index = 0;
        while let (Some(stretch), Some(next)) = (self.0.get(index), self.0.get(index + 1)) {
            let Interval { to, .. } = stretch.interval;
            if next.topic == stretch.topic && to != 0 && to <= offset {
                self.0.remove(index);
            } else {
                index += 1;
            }
        }
    }

    /// Forgets whole topics that were closed at or before `offset`: for subscriptions,
    /// of which nobody asks whether they were ever known.
    pub fn forget_topics_before(&mut self, offset: u64) {
        self.0.retain(|stretch| stretch.interval.to == 0 || stretch.interval.to > offset);
    }

    fn last(&self, topic: &Topic) -> Option<Interval> {
        let last = self.0.get(self.end_of(topic).checked_sub(1)?)?;
        (last.topic == *topic).then_some(last.interval)
    }

    /// Where the next stretch of `topic` belongs.
    fn end_of(&self, topic: &Topic) -> usize {
        self.0.partition_point(|stretch| stretch.topic <= *topic)
    }
}
