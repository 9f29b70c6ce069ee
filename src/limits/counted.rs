//! How many of something each peer has.
//!
//! Invariants: a peer with none has no entry; a guard counts down when it is
//! dropped, whatever ends its owner.

use std::{collections::HashMap, fmt::Debug, hash::Hash, sync::Arc};

use parking_lot::Mutex;

/// Counts by peer, up to a limit that each call names. Cloning shares it.
#[derive(Debug)]
pub struct Counted<K: Eq + Hash>(Arc<Mutex<HashMap<K, u32, foldhash::fast::RandomState>>>);

/// One counted thing. Dropping it counts down.
#[derive(Debug)]
pub struct CountedGuard<K: Eq + Hash> {
    counted: Counted<K>,
    key: K,
}

impl<K: Eq + Hash> Clone for Counted<K> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<K: Eq + Hash> Default for Counted<K> {
    fn default() -> Self {
        Self(Arc::default())
    }
}

impl<K: Eq + Hash + Clone> Counted<K> {
    /// Counts one more for `key`; `None` when it has `max` already. 0 means no limit.
    #[must_use]
    pub fn add(&self, key: K, max: usize) -> Option<CountedGuard<K>> {
        let mut counts = self.0.lock();
        let count = counts.entry(key.clone()).or_insert(0);
        if max != 0 && usize::try_from(*count).unwrap_or(usize::MAX) >= max {
            return None;
        }
        *count += 1;
        drop(counts);
        Some(CountedGuard { counted: self.clone(), key })
    }

    /// How many `key` has.
    #[must_use]
    pub fn count(&self, key: &K) -> u32 {
        self.0.lock().get(key).copied().unwrap_or(0)
    }

    /// How many peers have any.
    #[must_use]
    pub fn peers(&self) -> usize {
        self.0.lock().len()
    }
}

impl<K: Eq + Hash> Drop for CountedGuard<K> {
    fn drop(&mut self) {
        let mut counts = self.counted.0.lock();
        if let Some(count) = counts.get_mut(&self.key) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.key);
            }
        }
    }
}
