//! Goal: a peer gets exactly its share, and nothing counted is ever lost.
//! Method: time handed in, random operations against the plain arithmetic.

use std::time::Duration;

use proptest::prelude::*;
use tokio::time::Instant;

use super::*;

const RATE: Rate = Rate { per_second: 2.0, burst: 4.0 };

#[tokio::test]
async fn a_bucket_gives_its_burst_and_then_its_rate() {
    let start = Instant::now();
    let mut bucket = Bucket::new(start);
    for _ in 0..4 {
        assert_eq!(bucket.take(1.0, RATE, start), Ok(()));
    }
    assert_eq!(bucket.take(1.0, RATE, start), Err(Duration::from_millis(500)));
    let later = start + Duration::from_millis(500);
    assert_eq!(bucket.take(1.0, RATE, later), Ok(()));
    assert!(bucket.take(1.0, RATE, later).is_err());
    assert!(!bucket.is_full(RATE, later));
    assert!(bucket.is_full(RATE, later + Duration::from_secs(2)));
}

#[tokio::test]
async fn more_than_a_bucket_holds_never_comes() {
    let now = Instant::now();
    assert!(Bucket::new(now).take(5.0, RATE, now).is_err());
    let still = Rate { per_second: 0.0, burst: 1.0 };
    let mut bucket = Bucket::new(now);
    assert!(bucket.take(1.0, still, now).is_ok());
    assert_eq!(bucket.take(1.0, still, now), Err(Duration::from_secs(86_400)));
}

#[tokio::test(start_paused = true)]
async fn a_table_of_buckets_is_bounded() {
    let buckets = KeyedBuckets::new(RATE, 3);
    for peer in 0..3 {
        assert!(buckets.take(peer, 1.0).is_ok());
    }
    tokio::time::advance(Duration::from_secs(10)).await;
    assert!(buckets.take(3, 4.0).is_ok());
    assert_eq!(buckets.len(), 1, "those at rest were forgotten");
    assert!(!buckets.has_token(&3));
    assert!(buckets.has_token(&4));
    for peer in 4..20 {
        buckets.take(peer, 1.0).ok();
        assert!(buckets.len() <= 3);
    }
}

#[test]
fn a_guard_counts_down_once() {
    let counted = Counted::default();
    let first = counted.add(&"a", 2).unwrap();
    let second = counted.add(&"a", 2).unwrap();
    assert!(counted.add(&"a", 2).is_none());
    assert!(counted.add(&"b", 2).is_some(), "and its guard is dropped at once");
    assert_eq!((counted.count(&"a"), counted.count(&"b")), (2, 0));
    drop(first);
    let third = counted.add(&"a", 2).unwrap();
    drop((second, third));
    assert_eq!(counted.peers(), 0);
    let unlimited: Vec<_> = (0..100).map(|_| counted.add(&"c", 0).unwrap()).collect();
    assert_eq!(counted.count(&"c"), 100);
    drop(unlimited);
    assert_eq!(counted.peers(), 0);
}

proptest! {
    /// A bucket never gives more than burst + rate * time, and at least that minus one.
    #[test]
    fn a_bucket_keeps_its_rate(steps in prop::collection::vec(0_u64..400, 1..200)) {
        let start = Instant::now();
        let (mut bucket, mut now, mut given) = (Bucket::new(start), start, 0_u32);
        for step in steps {
            now += Duration::from_millis(step);
            given += u32::from(bucket.take(1.0, RATE, now).is_ok());
            let most = RATE.burst + (now - start).as_secs_f64() * RATE.per_second;
            prop_assert!(f64::from(given) <= most + 1e-3);
        }
    }
}
