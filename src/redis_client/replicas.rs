//! How many replicas follow the primary that is written to.
//!
//! What is acknowledged has to survive whichever replica becomes the primary, so all confirm
//! that follow when it is written. One that leaves may be the new primary already: nothing
//! more is written before that is known not to be so.
//!
//! Invariants: fewer are counted on only by the word of who appoints primaries, or after a
//! while where nobody does. A count belongs to one connection, or to those of the pool: what
//! is known of a new primary says nothing about an old one.

use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

/// How long a replica that left is missed where nobody can be asked: longer than a primary
/// of Redis Cluster takes to hear that it was replaced.
const MISSED: Duration = Duration::from_secs(2);

/// How many replicas are counted on.
#[derive(Debug)]
pub struct Replicas(Mutex<Counted>);

#[derive(Debug)]
struct Counted {
    needed: u32,
    /// Since when fewer follow.
    missed_since: Option<Instant>,
}

impl Default for Replicas {
    fn default() -> Self {
        Self(Mutex::new(Counted { needed: 1, missed_since: None }))
    }
}

impl Replicas {
    /// How many have to follow and to confirm; at least 1.
    #[must_use]
    pub fn needed(&self) -> u32 {
        self.0.lock().needed
    }

    /// A script has written nothing, because so many follow. `is_appointed` tells whether the
    /// server is still the primary and stays it; `None` where nobody can tell.
    ///
    /// # Cancel safety
    ///
    /// Safe.
    pub async fn follow(&self, follow: u64, is_appointed: impl Future<Output = Option<bool>>) {
        let follow = u32::try_from(follow).unwrap_or(u32::MAX).max(1);
        let missed_since = {
            let mut counted = self.0.lock();
            if follow >= counted.needed {
                *counted = Counted { needed: follow, missed_since: None };
                return;
            }
            *counted.missed_since.get_or_insert_with(Instant::now)
        };
        let is_settled = match is_appointed.await {
            Some(is_appointed) => is_appointed,
            None => missed_since.elapsed() >= MISSED,
        };
        if is_settled {
            tracing::warn!(follow, "fewer replicas follow than before");
            *self.0.lock() = Counted { needed: follow, missed_since: None };
        }
    }
}
