//! The recent records of a realm on this node: everybody's dead queue.
//!
//! The tail pushes, hubs and resumes read. A connection needs no copy of what it
//! was sent, because it can be read again from here.
//!
//! Invariants: offsets are dense from the first to the last record; bounded by
//! count and by bytes.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
};

use parking_lot::RwLock;

use crate::model::{Body, CHAT_DELETED, CHAT_MESSAGE, Event, Record, Tag, Topic};

/// Records that are shown under one lock.
const SHOWN_AT_ONCE: usize = 512;

/// Bytes that a record costs beside its data.
const RECORD_OVERHEAD_BYTES: usize = 256;

/// The recent records of one realm. Shared between its tail and the hubs.
#[derive(Debug)]
pub struct Ring {
    records_max: usize,
    bytes_max: usize,
    state: RwLock<State>,
}

#[derive(Debug, Default)]
struct State {
    records: VecDeque<Arc<Record>>,
    /// Messages of rooms that were deleted, and the offsets of the records that say so.
    deleted: HashMap<(Topic, Arc<str>), u64>,
    bytes: usize,
    /// Offset of the last record ever pushed, or where the ring began.
    last: u64,
}

/// How full a ring is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RingFill {
    /// Offset of the oldest record; one more than `last` when it is empty.
    pub first: u64,
    /// Offset of the newest record.
    pub last: u64,
    /// Records.
    pub records: usize,
    /// Bytes.
    pub bytes: usize,
}

impl Ring {
    /// An empty ring whose next record has the offset `after + 1`.
    #[must_use]
    pub fn new(after: u64, records_max: usize, bytes_max: usize) -> Self {
        let state = State { last: after, ..State::default() };
        Self { records_max, bytes_max, state: RwLock::new(state) }
    }

    /// Adds the next record and drops what is over the bounds.
    pub fn push(&self, record: &Arc<Record>) {
        let record = record.kept();
        let mut state = self.state.write();
        debug_assert_eq!(state.last + 1, record.position.offset, "offsets are dense");
        state.last = record.position.offset;
        state.bytes += weight(&record);
        if let Some(name) = deleted_by(&record) {
            state.deleted.insert(name, record.position.offset);
        }
        state.records.push_back(record);
        while state.records.len() > self.records_max || state.bytes > self.bytes_max {
            let Some(oldest) = state.records.pop_front() else { break };
            state.bytes -= weight(&oldest);
            // What it deleted was said before it, and is gone from here, too.
            if let Some(name) = deleted_by(&oldest)
                && state.deleted.get(&name) == Some(&oldest.position.offset)
            {
                state.deleted.remove(&name);
            }
        }
    }

    /// True for what was said in a room and is deleted by a later record that is here.
    #[must_use]
    pub fn was_deleted(&self, record: &Record) -> bool {
        match &record.body {
            Body::Event(event) if *event.name == *CHAT_MESSAGE => {
                self.state.read().deleted.contains_key(&name_of(event))
            }
            Body::Event(_)
            | Body::Members { .. }
            | Body::Seeds { .. }
            | Body::Watch { .. }
            | Body::Revocation(_)
            | Body::Disconnect { .. }
            | Body::Bus(_)
            | Body::Workspace { .. }
            | Body::Nodes(_)
            | Body::Unknown => false,
        }
    }

    /// How full it is.
    #[must_use]
    pub fn fill(&self) -> RingFill {
        let state = self.state.read();
        RingFill {
            first: state.first(),
            last: state.last,
            records: state.records.len(),
            bytes: state.bytes,
        }
    }

    /// The record at `offset`, when it is still here.
    #[must_use]
    pub fn get(&self, offset: u64) -> Option<Arc<Record>> {
        let state = self.state.read();
        state.records.get(state.index(offset)?).cloned()
    }

    /// The tag of the record at `offset`, when it or its successor is still here.
    #[must_use]
    pub fn tag_at(&self, offset: u64) -> Option<Tag> {
        let state = self.state.read();
        let at = |offset| state.index(offset).and_then(|index| state.records.get(index));
        let own = at(offset).map(|record| record.position.tag);
        own.or_else(|| at(offset + 1).map(|next| next.previous_tag))
    }

    /// Shows `see` the records from `from` to `to`, both included, oldest first. The tail can
    /// push meanwhile.
    ///
    /// `None` when one of them is gone, or not yet here; some may have been shown then.
    pub fn each(&self, from: u64, to: u64, mut see: impl FnMut(&Arc<Record>)) -> Option<()> {
        let mut next = from;
        while next <= to {
            let state = self.state.read();
            let first = state.index(next)?;
            let end = first.saturating_add(SHOWN_AT_ONCE).min(state.index(to)?.saturating_add(1));
            state.records.range(first..end).for_each(&mut see);
            next += u64::try_from(end - first).ok()?;
        }
        Some(())
    }
}

impl State {
    fn first(&self) -> u64 {
        self.records.front().map_or(self.last + 1, |record| record.position.offset)
    }

    fn index(&self, offset: u64) -> Option<usize> {
        let index = usize::try_from(offset.checked_sub(self.first())?).ok()?;
        (index < self.records.len()).then_some(index)
    }
}

/// The message of a room that a record deletes.
fn deleted_by(record: &Record) -> Option<(Topic, Arc<str>)> {
    let Body::Event(event) = &record.body else { return None };
    (*event.name == *CHAT_DELETED).then(|| name_of(event))
}

fn name_of(event: &Event) -> (Topic, Arc<str>) {
    (event.to.clone(), Arc::clone(&event.id))
}

fn weight(record: &Record) -> usize {
    let data = match &record.body {
        Body::Event(event) => event.data.len(),
        Body::Bus(bus) => {
            let faces = record.faces().iter().map(|face| weight(&face.record));
            bus.data.len() + faces.sum::<usize>()
        }
        Body::Members { .. }
        | Body::Seeds { .. }
        | Body::Watch { .. }
        | Body::Revocation(_)
        | Body::Disconnect { .. }
        | Body::Workspace { .. }
        | Body::Nodes(_)
        | Body::Unknown => 0,
    };
    data + RECORD_OVERHEAD_BYTES
}
