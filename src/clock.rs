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

/// Random bytes from the operating system.
///
/// # Panics
///
/// When the operating system has no random source: no id could be made safely.
#[must_use]
pub fn random_bytes<const LENGTH: usize>() -> [u8; LENGTH] {
    let mut bytes = [0; LENGTH];
    #[expect(clippy::expect_used, reason = "guessable ids would be worse than stopping")]
    getrandom::fill(&mut bytes).expect("the operating system has a random source");
    bytes
}

/// A new connection id.
#[must_use]
pub fn random_connection_id() -> ConnectionId {
    ConnectionId::from_random(random_bytes())
}

/// A new mark for a record.
#[must_use]
pub fn random_tag() -> Tag {
    thread_local! {
        /// Random numbers in store: asking for each would be a system call a record.
        static STORE: RefCell<Vec<Tag>> = const { RefCell::new(Vec::new()) };
    }
    STORE.with_borrow_mut(|store| {
        store.pop().unwrap_or_else(|| {
            let bytes: [u8; 1024] = random_bytes();
            let (numbers, _) = bytes.as_chunks();
            store.extend(numbers.iter().map(|number| Tag(u64::from_le_bytes(*number))));
            store.pop().unwrap_or(Tag(0))
        })
    })
}

/// A number from 0 up to, not including, `below` (0 when `below` is 0), for jitter.
#[must_use]
pub fn random_below(below: u64) -> u64 {
    u64::from_le_bytes(random_bytes()).checked_rem(below).unwrap_or(0)
}
