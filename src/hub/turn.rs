//! One turn of a hub: the records it took, and who gets which.
//!
//! Applying a record only notes steps; the sockets are written afterwards, one
//! connection after the other, all its events in one write. A connection that can
//! be written at once never holds a record: no reference is counted per delivery.
//!
//! Invariants: the steps of a connection are in the order of the records; when a
//! turn ends, no connection has steps.

use std::sync::Arc;

use crate::model::Record;

/// No step.
const NONE: u32 = u32::MAX;

/// The records of a turn and the steps of all connections.
#[derive(Debug, Default)]
pub(super) struct Turn {
    records: Vec<Arc<Record>>,
    steps: Vec<Step>,
}

/// One record for one connection.
#[derive(Debug, Clone, Copy)]
struct Step {
    record: u32,
    /// The connection's next step.
    next: u32,
    is_withheld: bool,
}

/// The steps of one connection: a list inside the turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Chain {
    first: u32,
    last: u32,
}

impl Default for Chain {
    fn default() -> Self {
        Self { first: NONE, last: NONE }
    }
}

impl Chain {
    pub(super) fn is_empty(self) -> bool {
        self.first == NONE
    }
}

impl Turn {
    /// Says which record the following steps are about.
    pub(super) fn begin(&mut self, record: &Arc<Record>) {
        self.records.push(Arc::clone(record));
    }

    /// Notes the current record for the connection of `chain`.
    pub(super) fn add(&mut self, chain: &mut Chain, is_withheld: bool) {
        let record = index(self.records.len()).saturating_sub(1);
        let this = index(self.steps.len());
        self.steps.push(Step { record, next: NONE, is_withheld });
        match self.steps.get_mut(chain.last as usize) {
            Some(last) if !chain.is_empty() => last.next = this,
            Some(_) | None => chain.first = this,
        }
        chain.last = this;
    }

    /// The steps of `chain`: each record, and whether its body is withheld.
    pub(super) fn steps(&self, chain: Chain) -> impl Iterator<Item = (&Arc<Record>, bool)> {
        let mut next = chain.first;
        std::iter::from_fn(move || {
            let step = self.steps.get(next as usize)?;
            next = step.next;
            Some((self.records.get(step.record as usize)?, step.is_withheld))
        })
    }

    /// Forgets everything.
    pub(super) fn clear(&mut self) {
        self.records.clear();
        self.steps.clear();
    }
}

fn index(length: usize) -> u32 {
    // A turn has at most a few records for at most some ten thousand connections.
    u32::try_from(length).unwrap_or(NONE)
}
