//! The tail of one realm's log as a pure state machine: order, gaps, generations.
//!
//! A driver feeds it what it hears and does what it wants done. The feed is fast and
//! may lose, repeat or invent; the log is asked whenever the feed is not enough. A log
//! that may have lost records goes on in another generation, and only after the log
//! itself has said that it holds everything which this node has seen or promised.
//!
//! Invariants:
//! - records are delivered in order, each once, each right after the one whose tag it
//!   names, whatever the feed said;
//! - between the first sign of another generation and a clean verdict nothing is
//!   delivered and nothing is vouched for;
//! - at most one request of each kind is under way, and a lost one is repeated;
//! - memory is bounded; after [`Effect::Lost`] nothing more comes.
//!
//! Not here: sockets, bytes and scripts (the driver), who gets a record (`hub`).

mod asking;
#[cfg(test)]
mod tests;
mod trail;
mod words;

use std::{mem, sync::Arc};

pub use words::{Cause, Effect, Input, Range, Request, Verdict, Vouched, counter};

use self::{
    asking::{Asked, PENDING_MS, Reading, SLEPT_MS, retry},
    trail::{Ahead, Behind},
};
use super::Loss;
use crate::model::{Generation, Position, Record, Tag};

/// The tail of one realm.
#[derive(Debug)]
pub struct Course {
    /// The last record that was delivered; its generation is the one that is followed.
    at: Position,
    /// The highest place of this generation that anybody was told of by this node.
    highest: (u64, Tag),
    behind: Behind,
    ahead: Ahead,
    mode: Mode,
    /// Counts the times that a verdict was needed.
    round: u64,
    /// The newest generation that a verdict named: what an older one says later is the
    /// word of an old primary.
    newest: u64,
    stepped_ms: u64,
    /// When the feed last said something of this generation.
    heard_ms: u64,
    probed_ms: u64,
    /// What was delivered when the last probe was made.
    probed_at: u64,
    kicked_ms: u64,
    /// Since when the log is known to end at an offset that the feed has not told.
    starving: Option<(u64, u64)>,
    /// Where the log went on from another record than the one here, when it said so last.
    broken_at: Option<u64>,
    /// Since when all that answers is of an older generation.
    outdated_ms: Option<u64>,
    probe: Asked,
    report: Asked,
    reading: Reading,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    Following,
    /// Waits for a verdict.
    Doubting,
    Ended,
}

impl Course {
    /// A course that goes on after `start`, at the moment `now_ms` of a clock that
    /// only goes forward.
    #[must_use]
    pub fn new(start: Position, now_ms: u64) -> Self {
        let mut behind = Behind::default();
        behind.note(start.offset, start.tag);
        Self {
            highest: (start.offset, start.tag),
            at: start,
            behind,
            ahead: Ahead::default(),
            mode: Mode::Following,
            round: 0,
            newest: 0,
            stepped_ms: now_ms,
            heard_ms: now_ms,
            probed_ms: now_ms,
            probed_at: 0,
            kicked_ms: 0,
            starving: None,
            broken_at: None,
            outdated_ms: None,
            probe: None,
            report: None,
            reading: Reading::default(),
        }
    }

    /// The last record that was delivered, in the generation that is followed.
    #[must_use]
    pub fn at(&self) -> &Position {
        &self.at
    }

    /// True when the log is known to go on from here.
    #[must_use]
    pub fn is_following(&self) -> bool {
        self.mode == Mode::Following
    }

    /// Whether an answer of the log may be believed: the answer to an append, an
    /// opening or a claim, given in `generation`, that named the record `offset` with
    /// `tag`. To be asked before anybody is told of it.
    pub fn vouch(&mut self, generation: &Generation, offset: u64, tag: Tag) -> Vouched {
        if self.mode == Mode::Ended || self.is_older(generation) {
            return Vouched::Never;
        }
        if *generation != self.at.generation || self.contradicts(offset, tag) {
            self.doubt();
        }
        if self.mode == Mode::Doubting {
            return Vouched::NotYet;
        }
        if offset > self.highest.0 {
            self.highest = (offset, tag);
        }
        Vouched::Yes
    }

    /// Takes one input and appends to `out` what is to be done, in order.
    ///
    /// To be called at least every 100 ms, with [`Input::Tick`] when there is nothing else.
    pub fn step(&mut self, now_ms: u64, input: Input, out: &mut Vec<Effect>) {
        if self.mode == Mode::Ended {
            return;
        }
        let slept = now_ms.saturating_sub(mem::replace(&mut self.stepped_ms, now_ms)) >= SLEPT_MS;
        if slept {
            out.push(Effect::Recheck);
        }
        match input {
            Input::Frame { generation, records } => self.frame(now_ms, &generation, records, out),
            Input::Subscribed => self.missed(Cause::Reconnect, out),
            Input::Gap => self.missed(Cause::Gap, out),
            Input::GenerationSeen(generation) => {
                if !self.is_older(&generation) && generation != self.at.generation {
                    self.doubt();
                }
            }
            Input::Range(range) => self.range(now_ms, range, out),
            Input::Meta(end) => self.meta(now_ms, end, out),
            Input::Verdict { round, generation, verdict } => {
                if round == self.round && self.mode == Mode::Doubting {
                    self.verdict(now_ms, generation, verdict, out);
                }
            }
            Input::Failed(Request::Read) => retry(&mut self.reading.asked, now_ms),
            Input::Failed(Request::Probe) => retry(&mut self.probe, now_ms),
            Input::Failed(Request::Report) => retry(&mut self.report, now_ms),
            Input::Tick => {}
        }
        self.ask(now_ms, out);
    }

    fn frame(
        &mut self,
        now_ms: u64,
        generation: &Generation,
        records: Vec<Arc<Record>>,
        out: &mut Vec<Effect>,
    ) {
        if self.mode == Mode::Doubting || self.is_older(generation) {
            return;
        }
        if *generation != self.at.generation {
            return self.doubt();
        }
        self.heard_ms = now_ms;
        let mut next = Vec::with_capacity(records.len());
        for record in records {
            let Position { offset, tag, .. } = record.position;
            if offset <= self.at.offset {
                if self.contradicts(offset, tag) {
                    self.doubt();
                    break;
                }
            } else if self.follows(&record) {
                self.apply(record, &mut next);
            } else {
                // A record in its place with a wrong tag is no use later, either.
                if offset != self.at.offset + 1 {
                    self.ahead.keep(self.at.offset, &record);
                }
                self.read(Cause::Gap);
            }
        }
        self.drain(&mut next);
        if !next.is_empty() {
            out.push(Effect::Deliver(next));
        }
    }

    /// Something may have been missed: claims and records.
    fn missed(&mut self, cause: Cause, out: &mut Vec<Effect>) {
        out.push(Effect::Recheck);
        if self.mode == Mode::Following {
            self.read(cause);
        }
    }

    fn range(&mut self, now_ms: u64, range: Range, out: &mut Vec<Effect>) {
        if self.mode == Mode::Doubting || self.reading.asked.is_none() {
            return;
        }
        self.reading.asked = None;
        let Some(end) = range.end else { return self.doubt() };
        if !self.is_current(now_ms, &end, range.asked_after, out) {
            return;
        }
        let is_behind = end.offset > self.at.offset;
        if is_behind && (range.first_kept == 0 || range.first_kept > self.at.offset + 1) {
            return self.lose(Loss::Retention, out);
        }
        let mut next = Vec::with_capacity(range.records.len());
        let mut is_foreign = false;
        let mut has_hole = range.records.is_empty();
        for record in range.records {
            let Position { offset, tag, .. } = record.position;
            if offset <= self.at.offset {
                is_foreign = self.contradicts(offset, tag);
            } else if self.follows(&record) {
                self.apply(record, &mut next);
            } else {
                // The log itself goes on from another record than the one here.
                is_foreign = offset == self.at.offset + 1;
                has_hole = !is_foreign;
                break;
            }
            if is_foreign {
                break;
            }
        }
        self.drain(&mut next);
        let has_moved = !next.is_empty();
        if has_moved {
            out.push(Effect::Deliver(next));
        }
        if is_foreign {
            // It was asked already, and holds what was delivered: the link behind that is
            // wrong, and stays wrong.
            if self.broken_at.replace(self.at.offset) == Some(self.at.offset) {
                return self.lose(Loss::Retention, out);
            }
            return self.doubt();
        }
        let has_rest = end.offset > self.at.offset;
        if !mem::take(&mut self.reading.again) && !has_rest {
            self.reading.cause = None;
        } else if has_rest && has_hole && !has_moved {
            // Somebody removed what comes next: it never will.
            self.lose(Loss::Retention, out);
        } else if has_rest && !has_moved {
            retry(&mut self.reading.asked, now_ms);
        }
    }

    fn meta(&mut self, now_ms: u64, end: Option<Position>, out: &mut Vec<Effect>) {
        if self.probe.take().is_none() || self.mode == Mode::Doubting {
            return;
        }
        let Some(end) = end else { return self.doubt() };
        if self.is_current(now_ms, &end, self.probed_at, out) && end.offset > self.at.offset {
            self.starving.get_or_insert((end.offset, now_ms));
        }
    }

    /// True when `end` belongs to the generation that is followed, and to the records
    /// that were delivered. The log was asked when it had at least `at_least` records.
    fn is_current(
        &mut self,
        now_ms: u64,
        end: &Position,
        at_least: u64,
        out: &mut Vec<Effect>,
    ) -> bool {
        if self.is_older(&end.generation) {
            self.outdated(now_ms, out);
            return false;
        }
        self.outdated_ms = None;
        let is_same = end.generation == self.at.generation;
        if !is_same || end.offset < at_least || self.contradicts(end.offset, end.tag) {
            self.doubt();
            return false;
        }
        true
    }

    fn verdict(
        &mut self,
        now_ms: u64,
        generation: Generation,
        verdict: Verdict,
        out: &mut Vec<Effect>,
    ) {
        if self.is_older(&generation) || counter(&generation) < self.newest {
            retry(&mut self.report, now_ms);
            return self.outdated(now_ms, out);
        }
        self.newest = counter(&generation);
        self.outdated_ms = None;
        match verdict {
            Verdict::Pending => self.report = Some(now_ms + PENDING_MS),
            Verdict::Dirty => self.lose(Loss::Generation, out),
            Verdict::Clean => {
                self.report = None;
                self.mode = Mode::Following;
                self.heard_ms = now_ms;
                if generation != self.at.generation {
                    self.at.generation = generation.clone();
                    out.push(Effect::Adopt(generation));
                }
                self.read(Cause::Reconnect);
            }
        }
    }

    /// Nothing goes on before the log has said that it holds what was delivered.
    fn doubt(&mut self) {
        if self.mode == Mode::Following {
            self.mode = Mode::Doubting;
            self.round += 1;
            self.report = None;
            self.ahead.clear();
            self.reading = Reading::default();
            self.starving = None;
        }
    }

    fn lose(&mut self, loss: Loss, out: &mut Vec<Effect>) {
        self.mode = Mode::Ended;
        self.ahead.clear();
        out.push(Effect::Lost(loss));
    }

    fn follows(&self, record: &Record) -> bool {
        let Position { offset, tag, .. } = record.position;
        let is_next = self.at.offset.checked_add(1) == Some(offset);
        is_next && record.previous_tag == self.at.tag && !self.contradicts(offset, tag)
    }

    /// True when another record than `tag` is known to be at `offset`.
    fn contradicts(&self, offset: u64, tag: Tag) -> bool {
        let (highest, known) = self.highest;
        (offset == highest && tag != known) || self.behind.contradicts(offset, tag)
    }

    fn apply(&mut self, record: Arc<Record>, next: &mut Vec<Arc<Record>>) {
        let Position { offset, tag, .. } = record.position;
        self.behind.note(offset, tag);
        self.broken_at = None;
        (self.at.offset, self.at.tag) = (offset, tag);
        if offset > self.highest.0 {
            self.highest = (offset, tag);
        }
        next.push(record);
    }

    /// Applies what came early.
    fn drain(&mut self, next: &mut Vec<Arc<Record>>) {
        while let Some(record) = self.ahead.take(self.at.offset.saturating_add(1)) {
            if !self.follows(&record) {
                return;
            }
            self.apply(record, next);
        }
    }

    fn is_older(&self, generation: &Generation) -> bool {
        counter(generation) < counter(&self.at.generation)
    }
}
