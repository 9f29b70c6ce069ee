//! Records that wait until the replicas have them: what is delivered before that may be lost
//! with its primary, and everybody who saw it would have to begin anew.
//!
//! Invariants: what is held is bounded like everything that came early, and read again when
//! it did not fit; who confirms says so in the feed, and when that is lost it is asked for.

use super::{
    Course, Effect, Mode,
    asking::{Asked, is_due, retry},
    words::Cause,
};
use crate::model::Position;

/// A record is held for so long before it is asked whether the replicas have it.
pub(super) const HELD_MS: u64 = 30;

/// And for so long when the log was found to end before it: somebody invented it.
const BEYOND_MS: u64 = 1_000;

/// What is known of the replicas.
#[derive(Debug)]
pub(super) struct Holding {
    /// They have everything up to this offset.
    confirmed: u64,
    /// When to ask, while a record is held.
    ask_at_ms: Option<u64>,
    /// The request.
    pub(super) asked: Asked,
}

impl Holding {
    pub(super) fn new(confirmed: u64) -> Self {
        Self { confirmed, ask_at_ms: None, asked: None }
    }

    pub(super) fn is_due(&self, now_ms: u64) -> bool {
        self.ask_at_ms.is_some_and(|at_ms| at_ms <= now_ms) && is_due(self.asked, now_ms)
    }
}

impl Course {
    /// True for what may be delivered.
    pub(super) fn is_confirmed(&self, offset: u64) -> bool {
        self.holding.as_ref().is_none_or(|holding| offset <= holding.confirmed)
    }

    /// The last offset that is here, delivered or held.
    pub(super) fn heard(&self) -> u64 {
        let held = self.holding.as_ref().and_then(|_| self.ahead.last());
        held.unwrap_or_default().max(self.at.offset)
    }

    /// Something is held: it is asked about after `patience_ms`, if not earlier.
    pub(super) fn hold_at_most(&mut self, now_ms: u64, patience_ms: u64) {
        if let Some(holding) = &mut self.holding {
            let at_ms = now_ms + patience_ms;
            holding.ask_at_ms = Some(holding.ask_at_ms.map_or(at_ms, |known| known.min(at_ms)));
        }
    }

    /// The replicas have everything up to `position`.
    pub(super) fn confirmed(
        &mut self,
        now_ms: u64,
        position: &Position,
        is_answer: bool,
        out: &mut Vec<Effect>,
    ) {
        let Some(holding) = &mut self.holding else { return };
        if is_answer && holding.asked.take().is_none() {
            return;
        }
        if self.mode == Mode::Doubting {
            return;
        }
        if self.is_older(&position.generation) {
            if is_answer {
                self.outdated(now_ms, out);
            }
            return;
        }
        let is_same = position.generation == self.at.generation;
        if !is_same || self.contradicts(position.offset, position.tag) {
            return self.doubt();
        }
        if is_answer {
            self.outdated_ms = None;
        } else {
            self.heard_ms = now_ms;
        }
        let Some(holding) = &mut self.holding else { return };
        let is_new = position.offset > holding.confirmed;
        if is_new {
            holding.confirmed = position.offset;
            self.release(out);
        }
        if is_new || is_answer {
            let is_held = self.ahead.last().is_some();
            let patience_ms = if is_new { HELD_MS } else { BEYOND_MS };
            if let Some(holding) = &mut self.holding {
                holding.ask_at_ms = is_held.then_some(now_ms + patience_ms);
            }
        }
    }

    /// Delivers what is held and confirmed.
    fn release(&mut self, out: &mut Vec<Effect>) {
        let mut next = Vec::new();
        self.drain(&mut next);
        if !next.is_empty() {
            out.push(Effect::Deliver(next));
        }
    }

    /// The log was found to end here: what is confirmed beyond is new, or was invented.
    pub(super) fn doubt_beyond(&mut self, now_ms: u64, end: u64) {
        if let Some(holding) = &mut self.holding {
            holding.confirmed = holding.confirmed.min(end.max(self.at.offset));
        }
        if self.ahead.last().is_some() {
            self.hold_at_most(now_ms, HELD_MS);
        }
    }

    /// What is confirmed and not here is read.
    pub(super) fn read_confirmed(&mut self) {
        if self.holding.as_ref().is_some_and(|holding| holding.confirmed > self.at.offset) {
            self.reading.cause.get_or_insert(Cause::Gap);
        }
    }

    pub(super) fn not_confirmed(&mut self, now_ms: u64) {
        if let Some(holding) = &mut self.holding {
            retry(&mut holding.asked, now_ms);
        }
    }
}
