//! How many replicas follow the primary that is written to.
//!
//! What is acknowledged has to survive whichever replica becomes the primary, so all confirm
//! that follow when it is written. One that leaves may be the new primary already: nothing
//! more is written before that is known not to be so.
//!
//! Invariants: a first count, and fewer than before, are believed only by the word of who
//! appoints primaries; where nobody does, fewer are after a while. A count belongs to one
//! connection, or to those of the pool: what is known of a new primary says nothing about an
//! old one. Only more are counted on, whoever has seen them: a connection that was idle while a
//! replica came must not miss that it left again.

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
    /// 0 before anything is known: no script that compares writes then.
    needed: u32,
    /// Since when fewer follow.
    missed_since: Option<Instant>,
}

impl Default for Replicas {
    fn default() -> Self {
        Self(Mutex::new(Counted { needed: 0, missed_since: None }))
    }
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
        if counted.needed > 0 {
            counted.needed = counted.needed.max(follow);
        }
    }

    /// A script has written nothing, because so many follow. `is_appointed` tells whether the
    /// server is still the primary and stays it; `None` where nobody can tell.
    ///
    /// # Cancel safety
    ///
    /// Safe.
    pub async fn follow(&self, follow: u64, is_appointed: impl Future<Output = Option<bool>>) {
        let follow = u32::try_from(follow).unwrap_or(u32::MAX).max(1);
        let (is_first, missed_since) = {
            let mut counted = self.0.lock();
            if follow >= counted.needed && counted.needed > 0 {
                *counted = Counted { needed: follow, missed_since: None };
                return;
            }
            let missed_since = *counted.missed_since.get_or_insert_with(Instant::now);
            (counted.needed == 0, missed_since)
        };
        let is_settled = match is_appointed.await {
            Some(is_appointed) => is_appointed,
            None => is_first || missed_since.elapsed() >= MISSED,
        };
        if is_settled {
            if !is_first {
                tracing::warn!(follow, "fewer replicas follow than before");
            }
            *self.0.lock() = Counted { needed: follow, missed_since: None };
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{MISSED, Replicas};

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
        assert_eq!(follow(1, None).await, 2);
        tokio::time::advance(MISSED + Duration::from_millis(1)).await;
        assert_eq!(follow(1, None).await, 1);
        assert_eq!(follow(3, Some(false)).await, 3);
        replicas.raise(1);
        assert_eq!(replicas.needed(), 3);
    }
}
