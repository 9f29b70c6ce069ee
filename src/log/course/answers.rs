//! What a course makes of the log's own answers.
//!
//! Invariants: an answer counts only for the request that is under way, and for the
//! generation that is followed.

use std::mem;

use super::{
    Course, Effect, Loss, Mode, Range, Verdict,
    asking::{PENDING_MS, retry},
    counter,
    words::Cause,
};
use crate::model::{Generation, Position};

impl Course {
    pub(super) fn range(&mut self, now_ms: u64, range: Range, out: &mut Vec<Effect>) {
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
        let mut is_held = false;
        for record in range.records {
            let Position { offset, tag, .. } = record.position;
            if offset <= self.at.offset {
                is_foreign = self.contradicts(offset, tag);
            } else if is_held || (self.follows(&record) && !self.is_confirmed(offset)) {
                is_held = true;
                self.ahead.keep(self.at.offset, &record);
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
        self.doubt_beyond(now_ms, end.offset);
        if is_held {
            self.hold_at_most(now_ms, 0);
        }
        // What is held is asked for again when it is confirmed and does not fit in here.
        let has_rest = !is_held && end.offset > self.at.offset;
        if !mem::take(&mut self.reading.again) && !has_rest {
            self.reading.cause = None;
        } else if has_rest && has_hole && !has_moved {
            // Somebody removed what comes next: it never will.
            self.lose(Loss::Retention, out);
        } else if has_rest && !has_moved {
            retry(&mut self.reading.asked, now_ms);
        }
    }

    pub(super) fn meta(&mut self, now_ms: u64, end: Option<Position>, out: &mut Vec<Effect>) {
        if self.probe.take().is_none() || self.mode == Mode::Doubting {
            return;
        }
        let Some(end) = end else { return self.doubt() };
        if self.is_current(now_ms, &end, self.probed_at, out) && end.offset > self.heard() {
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

    pub(super) fn verdict(
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
}
