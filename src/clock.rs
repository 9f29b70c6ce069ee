//! Dates and random numbers: the only place that reads them.
//!
//! Durations are measured with `tokio::time`, which tests pause; dates come from
//! here, where tests set them.
//!
//! Invariants: a manual clock moves only when told to; random bytes come from the
//! operating system.

use std::{
    cell::RefCell,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, UNIX_EPOCH},
};

use crate::model::{ConnectionId, Tag};

/// Tells the date. Cloning shares a manual clock's hand.
#[derive(Debug, Clone, Default)]
pub struct Clock(Option<Arc<AtomicU64>>);

impl Clock {
    /// The clock of the machine.
    #[must_use]
    pub fn system() -> Self {
        Self(None)
    }

    /// A clock for tests that stands at `at` since 1970.
    #[must_use]
    pub fn manual(at: Duration) -> Self {
        Self(Some(Arc::new(AtomicU64::new(micros(at)))))
    }

    /// Moves a manual clock forward; the machine's clock ignores it.
    pub fn advance(&self, by: Duration) {
        if let Some(hand) = &self.0 {
            hand.fetch_add(micros(by), Ordering::SeqCst);
        }
    }

    /// Microseconds since 1970.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "the one reader of the date")]
    pub fn now_us(&self) -> u64 {
        match &self.0 {
            Some(hand) => hand.load(Ordering::SeqCst),
            None => std::time::SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, micros),
        }
    }

    /// Milliseconds since 1970.
    #[must_use]
    pub fn now_ms(&self) -> u64 {
        self.now_us() / 1_000
    }

    /// Seconds since 1970.
    #[must_use]
    pub fn now_seconds(&self) -> u64 {
        self.now_us() / 1_000_000
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

/// Random bytes of the operating system that a thread keeps in store.
const STORE_BYTES: usize = 2_048;

/// Random bytes from the operating system, each given away once.
///
/// # Panics
///
/// When the operating system has no random source: no id could be made safely.
#[must_use]
pub fn random_bytes<const LENGTH: usize>() -> [u8; LENGTH] {
    thread_local! {
        /// Asking for each would be a system call for every record.
        static STORE: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
    }
    STORE.with_borrow_mut(|store| {
        if let Some(bytes) = take_last(store) {
            return bytes;
        }
        store.resize(STORE_BYTES.max(LENGTH), 0);
        #[expect(clippy::expect_used, reason = "guessable ids would be worse than stopping")]
        getrandom::fill(store).expect("the operating system has a random source");
        take_last(store).unwrap_or([0; LENGTH])
    })
}

fn take_last<const LENGTH: usize>(store: &mut Vec<u8>) -> Option<[u8; LENGTH]> {
    let bytes = *store.last_chunk()?;
    store.truncate(store.len() - LENGTH);
    Some(bytes)
}

/// A new connection id.
#[must_use]
pub fn random_connection_id() -> ConnectionId {
    ConnectionId::from_random(random_bytes())
}

/// A new mark for a record.
#[must_use]
pub fn random_tag() -> Tag {
    Tag(u64::from_le_bytes(random_bytes()))
}

/// A number from 0 up to, not including, `below` (0 when `below` is 0), for jitter.
#[must_use]
pub fn random_below(below: u64) -> u64 {
    u64::from_le_bytes(random_bytes()).checked_rem(below).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    /// Goal: no byte of the store is given away twice, at its end neither.
    #[test]
    fn random_bytes_are_never_the_same() {
        let mut seen = HashSet::new();
        for _ in 0..2_000 {
            assert!(seen.insert(random_bytes::<26>().to_vec()));
            assert!(seen.insert(random_tag().0.to_le_bytes().to_vec()));
        }
        assert_ne!(random_bytes::<4_000>(), random_bytes::<4_000>(), "more than the store has");
        let tails = |bytes: &[u8]| bytes.windows(8).map(<[u8]>::to_vec).collect::<HashSet<_>>();
        assert!(tails(&random_bytes::<1_000>()).is_disjoint(&tails(&random_bytes::<1_000>())));
    }
}
