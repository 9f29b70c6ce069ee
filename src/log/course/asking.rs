//! When a course asks for what: the clock side of it.
//!
//! Invariants: at most one request of each kind is under way; a lost one is made again;
//! nothing is asked faster than it can be answered.

use super::{Cause, Course, Effect, Loss, Mode};
use crate::model::Position;

/// A request that was not answered is made again after this time,
const ANSWER_MS: u64 = 2_000;

/// one that failed after this time,
const RETRY_MS: u64 = 250;

/// and a report that has to wait for other nodes after this time.
pub(super) const PENDING_MS: u64 = 100;

/// A silent feed is doubted after this time,
const QUIET_MS: u64 = 1_000;

/// and any feed after this time.
const PROBE_MS: u64 = 5_000;

/// The feed may be behind the log for so long.
const BEHIND_MS: u64 = 250;

/// The feed is subscribed anew at most once in this time.
const KICK_MS: u64 = 1_000;

/// Who has seen a later generation than all that answers for so long begins anew: it
/// is the log that went back, and no old primary that will be found out.
const OUTDATED_MS: u64 = 15_000;

/// Who was not asked anything for so long may have slept through claims.
pub(super) const SLEPT_MS: u64 = 5_000;

/// A request: `None` when it may be made; else not again before this moment.
pub(super) type Asked = Option<u64>;

/// The reading of records from the log.
#[derive(Debug, Default)]
pub(super) struct Reading {
    /// Why, while there is something to read,
    pub(super) cause: Option<Cause>,
    /// the request,
    pub(super) asked: Asked,
    /// and whether what it will find is not enough.
    pub(super) again: bool,
}

impl Course {
    /// What answered is an old primary, or the log went back.
    pub(super) fn outdated(&mut self, now_ms: u64, out: &mut Vec<Effect>) {
        let since_ms = *self.outdated_ms.get_or_insert(now_ms);
        if now_ms.saturating_sub(since_ms) >= OUTDATED_MS {
            return self.lose(Loss::Generation, out);
        }
        self.kick(now_ms, out);
        if self.reading.cause.is_some() {
            retry(&mut self.reading.asked, now_ms);
        }
    }

    fn kick(&mut self, now_ms: u64, out: &mut Vec<Effect>) {
        if now_ms.saturating_sub(self.kicked_ms) >= KICK_MS {
            self.kicked_ms = now_ms;
            out.push(Effect::Kick);
        }
    }

    pub(super) fn read(&mut self, cause: Cause) {
        self.reading.again |= self.reading.asked.is_some();
        self.reading.cause.get_or_insert(cause);
    }

    /// Makes the requests that are due.
    pub(super) fn ask(&mut self, now_ms: u64, out: &mut Vec<Effect>) {
        match self.mode {
            Mode::Following => {}
            Mode::Doubting => {
                if is_due(self.report, now_ms) {
                    self.report = Some(now_ms + ANSWER_MS);
                    let (offset, tag) = self.highest;
                    let generation = self.at.generation.clone();
                    let highest = Position { generation, offset, tag };
                    out.push(Effect::Report { round: self.round, highest });
                }
                return;
            }
            Mode::Ended => return,
        }
        if let Some((offset, since_ms)) = self.starving {
            if offset <= self.heard() {
                self.starving = None;
            } else if now_ms.saturating_sub(since_ms) >= BEHIND_MS {
                self.starving = None;
                self.read(Cause::Probe);
                self.kick(now_ms, out);
            }
        }
        self.read_confirmed();
        if let Some(cause) = self.reading.cause
            && is_due(self.reading.asked, now_ms)
        {
            self.reading.asked = Some(now_ms + ANSWER_MS);
            self.reading.again = false;
            out.push(Effect::Read { after: self.at.offset, cause });
        }
        if let Some(holding) = &mut self.holding
            && holding.is_due(now_ms)
        {
            holding.asked = Some(now_ms + ANSWER_MS);
            out.push(Effect::Confirm);
        }
        let is_quiet = now_ms.saturating_sub(self.heard_ms.max(self.probed_ms)) >= QUIET_MS;
        let is_old = now_ms.saturating_sub(self.probed_ms) >= PROBE_MS;
        let was_lost = self.probe.is_some();
        if (is_quiet || is_old || was_lost) && is_due(self.probe, now_ms) {
            self.probe = Some(now_ms + ANSWER_MS);
            self.probed_ms = now_ms;
            self.probed_at = self.at.offset;
            out.push(Effect::Probe);
        }
    }
}

pub(super) fn is_due(asked: Asked, now_ms: u64) -> bool {
    asked.is_none_or(|due_ms| due_ms <= now_ms)
}

/// Makes a failed request again, but not at once.
pub(super) fn retry(asked: &mut Asked, now_ms: u64) {
    *asked = Some(now_ms + RETRY_MS);
}
