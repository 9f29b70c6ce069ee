//! The memory backend: the contract, its bounds, its size and the cost of a sweep.

use std::time::Duration;

use super::{Bounds, MemoryPresence, SHARDS, entry::Entry};
use crate::{
    clock::Clock,
    model::{ConnectionId, Id, ManualStatus, Status},
    presence::{
        AnyPresence, Ending, Presence as _, PresenceError, Rules,
        contract::{Backend, contract},
    },
};

const RULES: Rules = Rules { away_after_ms: 300_000, offline_after_ms: 5_000 };

struct Memory;

impl Backend for Memory {
    // Through the dispatch, so that it is tested, too.
    type Presence = AnyPresence;

    async fn open(node: &str, rules: Rules, clock: Clock) -> (AnyPresence, Self) {
        (AnyPresence::Memory(MemoryPresence::new(node, rules, clock).into()), Self)
    }

    async fn published(&self) -> Vec<(Id, Status)> {
        // Every change is returned.
        Vec::new()
    }
}

contract!(Memory);

fn id(text: &str) -> Id {
    Id::parse(text).unwrap()
}

fn small(bounds: Bounds) -> (MemoryPresence, Clock) {
    let clock = Clock::manual(Duration::from_secs(1_000_000));
    (MemoryPresence::with_bounds("node-a", RULES, clock.clone(), bounds), clock)
}

fn kept(presence: &MemoryPresence) -> usize {
    presence.shards.iter().map(|shard| shard.lock().len()).sum()
}

const CONNECTION: [u8; 26] = [7; 26];

/// Goal: the memory of a user who is idle on one device stays far below what a
/// connection may cost.
#[test]
fn an_entry_stays_small() {
    assert!(size_of::<Entry>() <= 112, "an entry has {} bytes", size_of::<Entry>());
}

/// Goal: a sweep costs what is due, not what is known.
///
/// Method: let every shard look at no more than one entry; it must find at once
/// that nothing is due, and later tell of each user once.
#[tokio::test]
async fn a_sweep_looks_only_at_what_is_due() {
    let (presence, clock) = small(Bounds::default());
    let connection = ConnectionId::from_random(CONNECTION);
    for number in 0..10_000 {
        let user = id(&format!("user{number}"));
        presence.connected(&id("default"), &user, connection).await.unwrap();
    }
    clock.advance(Duration::from_millis(299_999));
    let mut told = Vec::new();
    for shard in &presence.shards {
        assert!(shard.lock().sweep(clock.now_ms(), 1, &mut told), "nothing is due");
    }
    assert_eq!(told, []);
    clock.advance(Duration::from_millis(1));
    assert_eq!(presence.sweep().await.unwrap().len(), 10_000);
    assert_eq!(presence.sweep().await.unwrap(), []);
    assert_eq!(presence.counts(), [0, 10_000, 0, 0, 0]);
}

#[tokio::test]
async fn users_who_went_longest_ago_are_forgotten_first() {
    let (presence, clock) = small(Bounds { remembered: SHARDS, chosen: 8 });
    let realm = id("default");
    let connection = ConnectionId::from_random(CONNECTION);
    let users: Vec<_> = (0..200).map(|number| id(&format!("user{number}"))).collect();
    for user in &users {
        presence.connected(&realm, user, connection).await.unwrap();
        presence.disconnected(&realm, user, connection, Ending::Closed).await.unwrap();
        clock.advance(Duration::from_millis(1));
    }
    assert_eq!(kept(&presence), SHARDS, "one is remembered in each shard");
    let count = u64::try_from(SHARDS).unwrap();
    assert_eq!(presence.counts(), [0, 0, 0, count, 0]);
    let records = presence.status(&realm, &users).await.unwrap();
    assert!(records[199].last_activity_at_ms > 0, "the last one is remembered");
    assert_eq!(records[0].last_activity_at_ms, 0, "the first one is not");
    assert!(records.iter().all(|record| record.status == Status::Offline));
}

#[tokio::test]
async fn a_user_without_facts_leaves_nothing() {
    let (presence, _) = small(Bounds::default());
    let (realm, user) = (id("default"), id("ann"));
    presence.set_manual(&realm, &user, ManualStatus::Dnd).await.unwrap();
    assert_eq!(kept(&presence), 1);
    presence.clear_manual(&realm, &user).await.unwrap();
    assert_eq!(kept(&presence), 0);
    assert_eq!(presence.counts(), [0; 5]);
}

#[tokio::test]
async fn too_many_choices_are_refused_and_change_nothing() {
    let (presence, clock) = small(Bounds { remembered: 8, chosen: SHARDS });
    let realm = id("default");
    let until = ManualStatus::DndUntil(1_000_060);
    let mut refused = Vec::new();
    for number in 0..200 {
        let user = id(&format!("user{number}"));
        match presence.set_manual(&realm, &user, until).await {
            Ok(change) => assert_eq!(change.unwrap().record.status, Status::Dnd),
            Err(PresenceError::Full { limit }) => refused.push((user, limit)),
            Err(error) => panic!("{error}"),
        }
    }
    assert_eq!(kept(&presence), SHARDS, "one choice in each shard");
    let (user, limit) = refused.pop().unwrap();
    assert_eq!(limit, 1);
    let records = presence.status(&realm, std::slice::from_ref(&user)).await.unwrap();
    assert_eq!(records[0].status, Status::Offline);
    clock.advance(Duration::from_secs(60));
    assert_eq!(presence.sweep().await.unwrap().len(), SHARDS);
    let change = presence.set_manual(&realm, &user, ManualStatus::Away).await.unwrap();
    assert!(change.is_some(), "there is room again");
}

#[tokio::test]
async fn many_lost_devices_of_one_user_are_bounded() {
    let (presence, clock) = small(Bounds::default());
    let (realm, user) = (id("default"), id("ann"));
    for number in 0..32 {
        for other in 0..4 {
            let mut bytes = [number; 26];
            bytes[0] = other;
            let connection = ConnectionId::from_random(bytes);
            presence.connected(&realm, &user, connection).await.unwrap();
            presence.disconnected(&realm, &user, connection, Ending::Dropped).await.unwrap();
        }
    }
    let explained = presence.explain(&realm, &user).await.unwrap();
    assert_eq!((explained.devices.len(), explained.record.status), (32, Status::Online));
    clock.advance(Duration::from_secs(5));
    assert_eq!(presence.sweep().await.unwrap().len(), 1);
    assert_eq!(presence.explain(&realm, &user).await.unwrap().devices, []);
}

#[tokio::test]
async fn an_older_change_is_not_current() {
    let (presence, _) = small(Bounds::default());
    let (realm, ann) = (&id("default"), &id("ann"));
    let connection = ConnectionId::from_random(CONNECTION);
    let first = presence.connected(realm, ann, connection).await.unwrap().unwrap();
    assert!(presence.is_current(&first).await.unwrap());
    let second = presence.set_manual(realm, ann, ManualStatus::Dnd).await.unwrap().unwrap();
    let third = presence.clear_manual(realm, ann).await.unwrap().unwrap();
    assert_eq!((&first.record, first.previous), (&third.record, Status::Offline));
    assert!(first.version < second.version && second.version < third.version);
    assert!(!presence.is_current(&first).await.unwrap(), "the same status, but older");
    assert!(!presence.is_current(&second).await.unwrap());
    assert!(presence.is_current(&third).await.unwrap());
    let last = presence.disconnected(realm, ann, connection, Ending::Closed).await;
    assert!(presence.is_current(&last.unwrap().unwrap()).await.unwrap());
    assert!(!presence.is_current(&third).await.unwrap());
}
