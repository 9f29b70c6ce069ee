//! What a course remembers beside its place: tags behind it, records ahead of it.
//!
//! Invariants: both are bounded; what does not fit is forgotten, and read from the
//! log when it is needed.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

use crate::model::{Body, Record, Tag};

/// Records that are remembered, in each direction.
pub(super) const RECORDS_MAX: u64 = 1_024;

/// Bytes of records ahead.
const AHEAD_BYTES_MAX: usize = 8 * 1_024 * 1_024;

/// Bytes that a record costs beside its data.
const RECORD_OVERHEAD_BYTES: usize = 256;

/// The tags of the newest records that were applied.
#[derive(Debug, Default)]
pub(super) struct Behind(VecDeque<(u64, Tag)>);

impl Behind {
    pub(super) fn note(&mut self, offset: u64, tag: Tag) {
        if self.0.len() as u64 >= RECORDS_MAX {
            self.0.pop_front();
        }
        self.0.push_back((offset, tag));
    }

    /// True when another record than `tag` is known to be at `offset`.
    pub(super) fn contradicts(&self, offset: u64, tag: Tag) -> bool {
        let Some((first, _)) = self.0.front() else { return false };
        let index = offset.checked_sub(*first).and_then(|index| usize::try_from(index).ok());
        index.and_then(|index| self.0.get(index)).is_some_and(|(_, known)| *known != tag)
    }
}

/// Records that came before the ones in front of them.
#[derive(Debug, Default)]
pub(super) struct Ahead {
    records: BTreeMap<u64, Arc<Record>>,
    bytes: usize,
}

impl Ahead {
    /// Keeps a record that is beyond `place`, if it fits.
    pub(super) fn keep(&mut self, place: u64, record: &Arc<Record>) {
        let offset = record.position.offset;
        let is_near = offset.saturating_sub(place) <= RECORDS_MAX;
        let bytes = weight(record);
        if is_near
            && self.bytes.saturating_add(bytes) <= AHEAD_BYTES_MAX
            && !self.records.contains_key(&offset)
        {
            self.bytes += bytes;
            self.records.insert(offset, Arc::clone(record));
        }
    }

    /// Takes the record at `offset`, and forgets all before it.
    pub(super) fn take(&mut self, offset: u64) -> Option<Arc<Record>> {
        while let Some(entry) = self.records.first_entry() {
            if *entry.key() > offset {
                return None;
            }
            let record = entry.remove();
            self.bytes = self.bytes.saturating_sub(weight(&record));
            if record.position.offset == offset {
                return Some(record);
            }
        }
        None
    }

    /// The offset of the last one.
    pub(super) fn last(&self) -> Option<u64> {
        self.records.last_key_value().map(|(offset, _)| *offset)
    }

    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.records.len()
    }
}

fn weight(record: &Record) -> usize {
    let data = match &record.body {
        Body::Event(event) => event.data.len(),
        Body::Bus(bus) => bus.data.len(),
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
