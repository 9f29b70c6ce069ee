//! How many replicas follow the primary that is written to.
//!
//! What is acknowledged has to survive whichever replica becomes the primary, so all confirm
//! that follow when it is written. One that leaves may be the new primary already: nothing
//! more is written before that is known not to be so.
//!
//! Invariants: a first count, and fewer than before, are believed only by the word of who
//! appoints primaries, or after a while where nobody does. A count belongs to one
//! connection, or to those of the pool: what is known of a new primary says nothing about an
//! old one. Only more are counted on, whoever has seen them: a connection that was idle while a
//! replica came must not miss that it left again.

use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

/// How long a replica that left is missed where nobody can be asked: longer than a primary
/// of Redis Cluster takes to hear that it was replaced.
const MISSED: Duration = Duration::from_secs(2);

/// What was seen before a pause of this length proves nothing about the time since.
const PAUSE: Duration = Duration::from_millis(2_500);

/// How many replicas are counted on.
#[derive(Debug, Default)]
pub struct Replicas(Mutex<Counted>);

#[derive(Debug, Default)]
struct Counted {
    /// 0 before anything is known: no script that compares writes then.
    needed: u32,
    fewer: Option<Fewer>,
}

/// Fewer follow than are counted on.
#[derive(Debug, Clone, Copy)]
struct Fewer {
    /// At least so many do, since then,
    count: u32,
    since: Instant,
    /// and still did at this moment.
    seen: Instant,
}

impl Replicas {
    /// How many have to follow and to confirm; 0 before that is known.
    #[must_use]
    pub fn needed(&self) -> u32 {
        self.0.lock().needed
    }

    /// At least so many follow some server of those in question.
    pub fn raise(&self, follow: u64) {
        let follow = u32::try_from(follow).unwrap_or(u32::MAX);
        let mut counted = self.0.lock();
        if counted.needed > 0 && follow >= counted.needed {
            *counted = Counted { needed: follow, fewer: None };
        }
    }

    /// A script has written: exactly so many follow as are counted on.
    pub fn met(&self) {
        self.0.lock().fewer = None;
    }

    /// A script has written nothing, because so many follow. `is_appointed` tells whether the
    /// server is still the primary and stays it; `None` where nobody can tell.
    ///
    /// # Cancel safety
    ///
    /// Safe.
    pub async fn follow(&self, follow: u64, is_appointed: impl Future<Output = Option<bool>>) {
        let follow = u32::try_from(follow).unwrap_or(u32::MAX).max(1);
        let Some(fewer) = self.note(follow) else { return };
        let is_settled = match is_appointed.await {
            Some(is_appointed) => is_appointed,
            None => fewer.since.elapsed() >= MISSED,
        };
        if is_settled {
            let was =
                std::mem::replace(&mut *self.0.lock(), Counted { needed: follow, fewer: None });
            if was.needed > follow {
                tracing::warn!(follow, "fewer replicas follow than before");
            }
        }
    }

    /// Counts on so many, when there are no fewer than before; else since when that is so.
    fn note(&self, follow: u32) -> Option<Fewer> {
        let now = Instant::now();
        let mut counted = self.0.lock();
        if counted.needed > 0 && follow >= counted.needed {
            *counted = Counted { needed: follow, fewer: None };
            return None;
        }
        let since = match counted.fewer {
            Some(known) if known.count <= follow && now.duration_since(known.seen) < PAUSE => {
                known.since
            }
            Some(_) | None => now,
        };
        let fewer = Fewer { count: follow, since, seen: now };
        counted.fewer = Some(fewer);
        Some(fewer)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{PAUSE, Replicas};

    /// Goal: no word of a primary that is being replaced lets it be written to.
    #[tokio::test(start_paused = true)]
    async fn a_first_count_and_a_lower_one_need_a_word() {
        let replicas = Replicas::default();
        let follow = async |count, word: Option<bool>| {
            replicas.follow(count, async { word }).await;
            replicas.needed()
        };
        replicas.raise(2);
        assert_eq!(replicas.needed(), 0, "what others have seen is no first count");
        assert_eq!(follow(1, Some(false)).await, 0);
        assert_eq!(follow(1, Some(true)).await, 1);
        replicas.raise(2);
        assert_eq!(replicas.needed(), 2, "it was idle while another one came");
        assert_eq!(follow(1, Some(false)).await, 2);
        assert_eq!(follow(3, Some(false)).await, 3);
        replicas.raise(1);
        assert_eq!(replicas.needed(), 3);
    }

    /// Goal: where nobody can tell, a replica is missed for a while, without a break.
    #[tokio::test(start_paused = true)]
    async fn f41_a_replica_is_missed_anew_each_time() {
        let replicas = Replicas::default();
        let follow = async |count| {
            replicas.follow(count, async { None }).await;
            replicas.needed()
        };
        // How many are counted on after so many tries, each 100 ms after the one before.
        let tries = async |count, times: u32| {
            let mut needed = replicas.needed();
            for _ in 0..times {
                tokio::time::advance(Duration::from_millis(100)).await;
                needed = follow(count).await;
            }
            needed
        };
        assert_eq!(tries(2, 20).await, 0, "a first count takes as long");
        assert_eq!(tries(2, 1).await, 2);
        assert_eq!(tries(1, 20).await, 2);
        replicas.met();
        assert_eq!(tries(1, 20).await, 2, "it was there again");
        tokio::time::advance(PAUSE).await;
        assert_eq!(tries(1, 20).await, 2, "nobody knows what was meanwhile");
        assert_eq!(tries(1, 1).await, 1);
        assert_eq!(follow(3).await, 3);
        assert_eq!(tries(2, 19).await, 3);
        assert_eq!(tries(1, 20).await, 3, "another one left just now");
        assert_eq!(tries(1, 1).await, 1);
    }
}
