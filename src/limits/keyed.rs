//! Token buckets by peer.
//!
//! Invariants: at most `peers_max` buckets; full ones are forgotten first, because
//! that changes nothing, and then the table is emptied rather than grown.

use std::{collections::HashMap, hash::Hash, time::Duration};

use parking_lot::Mutex;
use tokio::time::Instant;

use super::{Bucket, Rate};

/// One bucket for each peer that was seen lately.
#[derive(Debug)]
pub struct KeyedBuckets<K> {
    rate: Mutex<Rate>,
    peers_max: usize,
    buckets: Mutex<HashMap<K, Bucket, foldhash::fast::RandomState>>,
}

impl<K: Eq + Hash> KeyedBuckets<K> {
    /// No buckets yet; each starts full at its first use.
    #[must_use]
    pub fn new(rate: Rate, peers_max: usize) -> Self {
        Self { rate: Mutex::new(rate), peers_max, buckets: Mutex::default() }
    }

    /// Changes the rate of all buckets.
    pub fn set_rate(&self, rate: Rate) {
        *self.rate.lock() = rate;
    }

    /// Takes `tokens` from the bucket of `key`.
    ///
    /// # Errors
    ///
    /// How long to wait.
    pub fn take(&self, key: K, tokens: f64) -> Result<(), Duration> {
        let now = Instant::now();
        let rate = *self.rate.lock();
        let mut buckets = self.buckets.lock();
        if buckets.len() >= self.peers_max && !buckets.contains_key(&key) {
            buckets.retain(|_, bucket| !bucket.is_full(rate, now));
            if buckets.len() >= self.peers_max {
                buckets.clear();
            }
        }
        buckets.entry(key).or_insert_with(|| Bucket::new(now)).take(tokens, rate, now)
    }

    /// True when the bucket of `key` could give a token, without taking it.
    pub fn has_token(&self, key: &K) -> bool {
        let now = Instant::now();
        let rate = *self.rate.lock();
        let copy = self.buckets.lock().get(key).copied();
        copy.is_none_or(|mut bucket| bucket.take(1.0, rate, now).is_ok())
    }

    /// How many peers have a bucket.
    #[must_use]
    pub fn len(&self) -> usize {
        self.buckets.lock().len()
    }

    /// True when no peer has a bucket.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}
