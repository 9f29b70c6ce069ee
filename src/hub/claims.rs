//! Who holds the connections of a realm, as far as this node has heard.
//!
//! A claim is made in the log's store, and its connection reaches a hub a moment later.
//! In between another node may have claimed the connection again. What was heard
//! meanwhile is kept here, so that the hub can tell.
//!
//! Invariants:
//! - a claim that was made before something was heard is never trusted after it: it is
//!   known to be the newest, or known not to be, or not known;
//! - while it is in doubt which connections this node holds, no hub speaks for any.

use std::{
    collections::{HashMap, VecDeque},
    sync::atomic::{AtomicU64, Ordering},
};

use parking_lot::Mutex;

use crate::model::ConnectionId;

/// Claims that are remembered; who began before the oldest of them is not known.
const TAKEN_MAX: usize = 65_536;

/// Stands for the number of lapses while all is in doubt.
const IN_DOUBT: u64 = u64::MAX;

/// What was heard of the claims of one realm.
#[derive(Debug, Default)]
pub struct Claims {
    /// The gate's lapses after which it was found out which connections are held.
    sure_after: AtomicU64,
    heard: Mutex<Heard>,
}

#[derive(Debug, Default)]
struct Heard {
    /// Counts what was heard.
    next: u64,
    /// What was heard before this one is forgotten.
    first: u64,
    /// What was heard, from `first` up to `next`.
    order: VecDeque<ConnectionId>,
    /// Of each of these the newest fencing number, and the moment at which it was heard;
    /// numbers grow in the order in which they are heard.
    taken: HashMap<ConnectionId, (u64, u64)>,
}

/// What is known of one claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    /// Nobody has claimed the connection since.
    Held,
    /// Somebody has.
    Taken,
    /// Somebody may have.
    Unknown,
}

impl Claims {
    /// The moment of now, to be asked for before a claim is made.
    #[must_use]
    pub fn mark(&self) -> u64 {
        self.heard.lock().next
    }

    /// A connection was claimed with this fencing number. To be called before any hub is
    /// told.
    pub fn note(&self, connection: ConnectionId, fencing: u64) {
        let mut heard = self.heard.lock();
        let moment = heard.next;
        heard.next += 1;
        heard.order.push_back(connection);
        heard.taken.insert(connection, (fencing, moment));
        if heard.order.len() > TAKEN_MAX
            && let Some(oldest) = heard.order.pop_front()
        {
            let first = heard.first;
            heard.first += 1;
            if heard.taken.get(&oldest).is_some_and(|(_, moment)| *moment == first) {
                heard.taken.remove(&oldest);
            }
        }
    }

    /// Something may not have been heard: nothing is known about claims that were made
    /// up to now, and no hub speaks for a connection until [`Claims::settle`].
    pub fn doubt(&self) {
        self.sure_after.store(IN_DOUBT, Ordering::Release);
        let mut heard = self.heard.lock();
        heard.next += 1;
        heard.first = heard.next;
        heard.order.clear();
        heard.taken.clear();
    }

    /// The hubs have only connections that this node holds, as was found out after so
    /// many lapses of the gate.
    pub fn settle(&self, lapses: u64) {
        self.sure_after.store(lapses, Ordering::Release);
    }

    /// The lapses of the gate after which all is known.
    #[must_use]
    pub fn sure_after(&self) -> u64 {
        self.sure_after.load(Ordering::Acquire)
    }

    /// True when no doubt is left after so many lapses of the gate.
    #[must_use]
    pub fn are_sure(&self, lapses: u64) -> bool {
        self.sure_after() == lapses
    }

    /// What is known of the claim of `connection` with `fencing` that was made after
    /// `mark`.
    pub(super) fn standing(&self, mark: u64, connection: ConnectionId, fencing: u64) -> Standing {
        let heard = self.heard.lock();
        if mark < heard.first {
            return Standing::Unknown;
        }
        match heard.taken.get(&connection) {
            Some((newest, moment)) if *moment >= mark && *newest > fencing => Standing::Taken,
            Some(_) | None => Standing::Held,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::random_connection_id;

    /// Goal: a claim that is under way is judged by what was heard since it began.
    #[test]
    fn a_claim_is_judged_by_what_was_heard_since() {
        let (claims, one, other) =
            (Claims::default(), random_connection_id(), random_connection_id());
        claims.note(one, 9);
        let mark = claims.mark();
        assert_eq!(claims.standing(mark, one, 2), Standing::Held, "it was heard before");
        claims.note(one, 2);
        claims.note(other, 3);
        assert_eq!(claims.standing(mark, one, 2), Standing::Held, "the claim itself");
        claims.note(one, 3);
        assert_eq!(claims.standing(mark, one, 2), Standing::Taken);
        assert_eq!(claims.standing(mark, one, 4), Standing::Held, "a later claim");
        claims.doubt();
        assert_eq!(claims.standing(mark, one, 4), Standing::Unknown);
        assert_eq!(claims.standing(claims.mark(), one, 4), Standing::Held);
    }

    /// Goal: what is remembered is bounded, and forgetting never looks like knowing.
    #[test]
    fn who_began_before_the_oldest_memory_is_not_known() {
        let (claims, one) = (Claims::default(), random_connection_id());
        let mark = claims.mark();
        claims.note(one, 3);
        for _ in 0..TAKEN_MAX - 1 {
            claims.note(random_connection_id(), 1);
        }
        assert_eq!(claims.standing(mark, one, 2), Standing::Taken);
        claims.note(random_connection_id(), 1);
        assert_eq!(claims.standing(mark, one, 2), Standing::Unknown);
        assert_eq!(claims.standing(mark + 1, one, 2), Standing::Held);
        assert_eq!(claims.heard.lock().order.len(), TAKEN_MAX);
        assert_eq!(claims.heard.lock().taken.len(), TAKEN_MAX);
    }
}
