//! How much one peer may ask for.
//!
//! Rates are token buckets, numbers are guards that count down when they are
//! dropped. Both are plain data: time is handed in, nothing waits here.
//!
//! Invariants:
//! - every table of peers has a bound, and forgets first who is at rest;
//! - what a guard counted is counted down exactly once.
//!
//! Not here: what happens to who asks for too much (`session`, `http`).

mod bucket;
mod counted;
mod keyed;
#[cfg(test)]
mod tests;

pub use bucket::{Bucket, Rate};
pub use counted::{Counted, CountedGuard};
pub use keyed::KeyedBuckets;
