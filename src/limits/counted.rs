//! How many of something each peer has.
//!
//! Peers are kept as keyed hashes of 64 bits: an entry and a guard are small, and no
//! peer can choose to collide with another.
//!
//! Invariants: a peer with none has no entry; a guard counts down when it is
//! dropped, whatever ends its owner.

use std::{
    collections::HashMap,
    hash::{BuildHasher as _, Hash},
    sync::Arc,
};

use parking_lot::Mutex;

/// Counts by peer, up to a limit that each call names. Cloning shares it.
#[derive(Debug, Clone, Default)]
pub struct Counted(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    hasher: foldhash::quality::RandomState,
    counts: Mutex<HashMap<u64, u32, foldhash::fast::RandomState>>,
}

/// One counted thing. Dropping it counts down.
#[derive(Debug)]
pub struct CountedGuard {
    counted: Counted,
    peer: u64,
}

impl Counted {
    /// Counts one more for `peer`; `None` when it has `max` already. 0 means no limit.
    #[must_use]
    pub fn add(&self, peer: &impl Hash, max: usize) -> Option<CountedGuard> {
        let peer = self.0.hasher.hash_one(peer);
        let mut counts = self.0.counts.lock();
        let count = counts.entry(peer).or_insert(0);
        if max != 0 && usize::try_from(*count).unwrap_or(usize::MAX) >= max {
            return None;
        }
        *count += 1;
        drop(counts);
        Some(CountedGuard { counted: self.clone(), peer })
    }

    /// How many `peer` has.
    #[must_use]
    pub fn count(&self, peer: &impl Hash) -> u32 {
        let peer = self.0.hasher.hash_one(peer);
        self.0.counts.lock().get(&peer).copied().unwrap_or(0)
    }

    /// How many peers have any.
    #[must_use]
    pub fn peers(&self) -> usize {
        self.0.counts.lock().len()
    }
}

impl Drop for CountedGuard {
    fn drop(&mut self) {
        let mut counts = self.counted.0.counts.lock();
        if let Some(count) = counts.get_mut(&self.peer) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.peer);
            }
        }
    }
}
