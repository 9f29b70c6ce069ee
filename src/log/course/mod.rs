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
//! - where replicas are waited for, nothing is delivered that they are not known to have;
//! - memory is bounded; after [`Effect::Lost`] nothing more comes.
//!
//! Not here: sockets, bytes and scripts (the driver), who gets a record (`hub`).

mod answers;
mod asking;
mod holding;
#[cfg(test)]
mod tests;
mod trail;
mod words;

use std::{mem, sync::Arc};

pub use words::{Cause, Effect, Input, Range, Request, Verdict, Vouched, counter};

use self::{
    asking::{Asked, Reading, SLEPT_MS, retry},
    holding::{HELD_MS, Holding},
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
    /// `None` where no replica is waited for.
    holding: Option<Holding>,
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
            holding: None,
        }
    }

    /// The same for a log whose replicas are waited for: what they are not known to have is
    /// held back. They have everything up to the start.
    #[must_use]
    pub fn held_back(self) -> Self {
        Self { holding: Some(Holding::new(self.at.offset)), ..self }
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
            Input::Confirmed { position, is_answer } => {
                self.confirmed(now_ms, &position, is_answer, out);
            }
            Input::Failed(Request::Read) => retry(&mut self.reading.asked, now_ms),
            Input::Failed(Request::Probe) => retry(&mut self.probe, now_ms),
            Input::Failed(Request::Report) => retry(&mut self.report, now_ms),
            Input::Failed(Request::Confirm) => self.not_confirmed(now_ms),
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
            } else {
                let follows = self.follows(&record);
                let is_next = offset == self.at.offset + 1;
                let is_confirmed = self.is_confirmed(offset);
                if follows && is_confirmed {
                    self.apply(record, &mut next);
                    continue;
                }
                // A record in its place with a wrong tag is no use later, either.
                if follows || !is_next {
                    self.ahead.keep(self.at.offset, &record);
                }
                if is_confirmed || (is_next && !follows) {
                    self.read(Cause::Gap);
                } else {
                    self.hold_at_most(now_ms, HELD_MS);
                }
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

    /// Nothing goes on before the log has said that it holds what was delivered.
    fn doubt(&mut self) {
        if self.mode == Mode::Following {
            self.mode = Mode::Doubting;
            self.round += 1;
            self.report = None;
            self.ahead.clear();
            self.reading = Reading::default();
            self.starving = None;
            self.holding = self.holding.is_some().then(|| Holding::new(self.at.offset));
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
        loop {
            let offset = self.at.offset.saturating_add(1);
            if !self.is_confirmed(offset) {
                return;
            }
            let Some(record) = self.ahead.take(offset) else { return };
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
