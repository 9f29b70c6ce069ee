//! Which answers of Redis this node may pass on, as the tail of a realm sees it.
//!
//! After a failover an answer may be about records that no longer exist. The tail finds
//! out; until it has, and for what came too late for its report, nobody is told anything.
//!
//! Invariants:
//! - whatever was passed on is part of the next report, unless a newer life of the log
//!   was already proved to hold it;
//! - nothing is passed on between the moment of a report and its verdict.

use parking_lot::Mutex;
use tokio::{
    sync::watch,
    time::{Instant, timeout_at},
};

use crate::{
    log::course::counter,
    model::{Generation, Position},
};

/// What one realm's tail believes, shared with those who ask Redis.
#[derive(Debug)]
pub(super) struct Faith {
    state: Mutex<State>,
    changes: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct State {
    /// The life of the log that the tail follows; `None` without a tail.
    followed: Option<Generation>,
    /// False while the tail waits for a verdict.
    is_sure: bool,
    /// The newest place of this life that was passed on.
    highest: Option<Position>,
}

enum Vouched {
    Yes,
    NotYet,
    Never,
}

impl Default for Faith {
    fn default() -> Self {
        Self { state: Mutex::default(), changes: watch::Sender::new(0) }
    }
}

impl Faith {
    /// The tail follows this life of the log.
    pub(super) fn follow(&self, generation: &Generation) {
        let is_known = {
            let state = self.state.lock();
            state.is_sure && state.followed.as_ref() == Some(generation)
        };
        // Said after every frame: nobody is woken when nothing is new.
        if is_known {
            return;
        }
        self.change(|state| {
            if state.followed.as_ref() != Some(generation) {
                state.highest = None;
            }
            state.followed = Some(generation.clone());
            state.is_sure = true;
        });
    }

    /// The tail is about to report: the newest place that was passed on, if there is one.
    /// Nothing more is passed on.
    pub(super) fn doubt(&self) -> Option<Position> {
        self.change(|state| state.is_sure = false);
        self.state.lock().highest.clone()
    }

    /// There is no tail.
    pub(super) fn end(&self) {
        self.change(|state| *state = State::default());
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.state.lock());
        self.changes.send_modify(|count| *count += 1);
    }

    /// Waits until `position` may be passed on; false when it never may, or not before
    /// `deadline`. Then whether what was asked for has happened is open.
    pub(super) async fn vouch(&self, position: &Position, deadline: Instant) -> bool {
        let mut changes = self.changes.subscribe();
        loop {
            changes.mark_unchanged();
            match self.look(position) {
                Vouched::Yes => return true,
                Vouched::Never => return false,
                Vouched::NotYet => {}
            }
            match timeout_at(deadline, changes.changed()).await {
                Ok(Ok(())) => {}
                Ok(Err(_)) | Err(_) => return false,
            }
        }
    }

    fn look(&self, position: &Position) -> Vouched {
        let mut state = self.state.lock();
        let Some(followed) = &state.followed else { return Vouched::NotYet };
        if *followed != position.generation {
            // An older life is over, and the report about it has been made.
            let is_older = counter(&position.generation) < counter(followed);
            return if is_older { Vouched::Never } else { Vouched::NotYet };
        }
        if !state.is_sure {
            return Vouched::NotYet;
        }
        let is_newer = state.highest.as_ref().is_none_or(|known| known.offset < position.offset);
        if is_newer {
            state.highest = Some(position.clone());
        }
        Vouched::Yes
    }
}
