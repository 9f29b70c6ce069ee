//! Memberships: exact at every offset, seeded at most once, limited.

use std::collections::HashSet;

use tokio::task::JoinSet;

use super::*;

/// What the records before `offset` say about who is a member of `topic`.
fn replayed(records: &[Arc<Record>], topic: &Topic, offset: u64) -> HashSet<UserId> {
    let mut users = HashSet::new();
    for record in records.iter().filter(|record| record.position.offset < offset) {
        if let Body::Members { topic: of, add, remove } = &record.body
            && of == topic
        {
            users.extend(add.iter().cloned());
            for user in remove {
                users.remove(user);
            }
        }
    }
    users
}

/// Goal: "was this user a member when that record was written" has one answer, for
/// every user, topic and offset.
///
/// Method: joins and leaves in a fixed wild order, repeated ones and one that does
/// both among them; compare each offset with a replay of the records.
pub(in crate::log) async fn memberships_are_exact_at_every_offset<B: Backend>() {
    let stage = Stage::open::<B>(limits()).await;
    let topics = [channel("a"), channel("b"), Topic::Team(id("a"))];
    let users = ["u0", "u1", "u2"];
    let mut state = 7_u64;
    for _ in 0..200 {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let pick = |shift: u32, of: usize| (state >> shift) as usize % of;
        let (user, topic) = (users[pick(20, 3)], &topics[pick(30, 3)]);
        let body = match pick(40, 5) {
            0 => event("x"),
            1 => members(topic, &[user], &[user]),
            2 | 3 => members(topic, &[user, "u2"], &[]),
            _ => members(topic, &[], &[user]),
        };
        stage.append(body).await;
    }
    let records = stage.everything().await;
    for topic in &topics {
        for user in users.map(id) {
            let memberships = stage.memberships(&user).await;
            for offset in 1..=201 {
                let expected = replayed(&records, topic, offset).contains(&user);
                let is_record_of = records.get(offset as usize - 1).is_some_and(
                    |record| matches!(&record.body, Body::Members { topic: of, .. } if of == topic),
                );
                // At the offset of a change itself there is no event to decide about.
                if !is_record_of {
                    assert_eq!(
                        memberships.covers(topic, offset),
                        expected,
                        "{user} {topic:?} {offset}"
                    );
                }
            }
            assert_eq!(memberships.is_open(topic), replayed(&records, topic, 202).contains(&user));
        }
        let told = stage.log.members(&stage.realm, topic).await.unwrap();
        assert_eq!(told.into_iter().collect::<HashSet<_>>(), replayed(&records, topic, 202));
    }
}

/// Goal: whoever walks back over kept records finds who was a member there.
pub(in crate::log) async fn an_interval_that_a_kept_record_needs_is_kept<B: Backend>() {
    let stage = Stage::open::<B>(MemoryLimits { retention_events: 50, ..limits() }).await;
    let town = channel("town");
    for _ in 0..200 {
        stage.append(members(&town, &["alice"], &[])).await;
        stage.append(event("in")).await;
        stage.append(members(&town, &[], &["alice"])).await;
        stage.append(event("out")).await;
    }
    let memberships = stage.memberships(&id("alice")).await;
    for record in stage.everything().await {
        let is_in = said(&record).contains("in");
        if matches!(record.body, Body::Event(_)) {
            assert_eq!(memberships.covers(&town, record.position.offset), is_in);
        }
    }
}

/// Goal: the list of members has an order that people can follow.
pub(in crate::log) async fn members_are_listed_in_the_order_of_joining<B: Backend>() {
    let stage = Stage::open::<B>(limits()).await;
    let town = channel("town");
    stage.append(members(&town, &["c", "a"], &[])).await;
    stage.append(members(&town, &["b", "c"], &[])).await;
    stage.append(members(&town, &["d"], &["a"])).await;
    stage.append(members(&town, &["a"], &[])).await;
    let told = stage.log.members(&stage.realm, &town).await.unwrap();
    assert_eq!(told, ["c", "b", "d", "a"].map(id));
    assert!(stage.log.members(&stage.realm, &channel("nowhere")).await.unwrap().is_empty());
}

/// Goal: a token's memberships are a seed: they never undo what the realm decided.
///
/// Method: one topic that is known as open, one as closed after a stay, one as closed
/// without one, one unknown; only the last becomes a record, once.
pub(in crate::log) async fn seeds_are_planted_only_where_nothing_is_known<B: Backend>() {
    let stage = Stage::open::<B>(limits()).await;
    let [open, left, never, unknown] = ["open", "left", "never", "unknown"].map(channel);
    stage.append(members(&open, &["alice"], &[])).await;
    stage.append(members(&left, &["alice"], &[])).await;
    stage.append(members(&left, &[], &["alice"])).await;
    stage.append(members(&never, &[], &["alice"])).await;
    let seeds = vec![open.clone(), left.clone(), never.clone(), unknown.clone(), unknown.clone()];
    let alice = Identity { seeds, ..identity("alice", None) };
    let mut tail = stage.log.attach(&stage.realm).await.unwrap();
    let (_, snapshot) = stage.begin(&alice).await;
    assert_eq!(snapshot.position.offset, 5);
    let is_open = |snapshot: &Snapshot| {
        [&open, &left, &never, &unknown].map(|topic| snapshot.memberships.is_open(topic))
    };
    assert_eq!(is_open(&snapshot), [true, false, false, true]);
    let planted = hear(&mut tail.inbound, 1).await;
    let seeds = Body::Seeds { user: id("alice"), topics: vec![unknown.clone()] };
    assert_eq!(planted[0].body, seeds);

    let (_, again) = stage.begin(&alice).await;
    assert_eq!(again.position.offset, 5, "a second login plants nothing");
    stage.append(members(&unknown, &[], &["alice"])).await;
    let (_, late) = stage.begin(&alice).await;
    assert_eq!(is_open(&late), [true, false, false, false], "the removal stays");
}

/// Goal: nobody grows without bound by joining.
pub(in crate::log) async fn a_user_has_a_limited_number_of_memberships<B: Backend>() {
    let stage = Stage::open::<B>(MemoryLimits { memberships_per_user: 3, ..limits() }).await;
    let topics: Vec<Topic> = (0..5).map(|number| channel(&format!("c{number}"))).collect();
    for topic in &topics[..3] {
        stage.append(members(topic, &["alice"], &[])).await;
    }
    let refused = Err(AppendError::TooManyMemberships { limit: 3 });
    let join = |users: &[&str]| members(&topics[3], users, &[]);
    assert_eq!(stage.try_append(join(&["bob", "alice"]), None).await, refused);
    assert!(stage.log.members(&stage.realm, &topics[3]).await.unwrap().is_empty());
    stage.append(members(&topics[0], &["alice"], &[])).await;
    stage.append(members(&topics[0], &[], &["alice"])).await;
    stage.append(join(&["alice"])).await;

    let seeds = topics.clone();
    let (_, snapshot) = stage.begin(&Identity { seeds, ..identity("carol", None) }).await;
    let planted = snapshot.memberships.open_topics().count();
    assert_eq!(planted, 3, "seeds beyond the limit are left out");
}

/// Goal: no record lies between a snapshot and the position that it names.
///
/// Method: one publisher lets a user join and leave as fast as it can while others
/// take snapshots; each must equal a replay of the records up to its own position.
pub(in crate::log) async fn a_snapshot_and_its_place_belong_together<B: Backend>() {
    let stage = Arc::new(Stage::open::<B>(limits()).await);
    let town = channel("town");
    let mut readers = JoinSet::new();
    for _ in 0..4 {
        let stage = Arc::clone(&stage);
        readers.spawn(async move {
            let mut seen = Vec::new();
            for _ in 0..50 {
                let (connection, opened) = stage.begin(&identity("alice", None)).await;
                seen.push((opened.position.offset, opened.memberships));
                let claim = stage.claim(&identity("alice", None), connection).await;
                let Claim::Granted { snapshot, record } = claim else { panic!("{claim:?}") };
                assert!(record.base.offset <= snapshot.position.offset);
                seen.push((snapshot.position.offset, snapshot.memberships));
                let read = stage.log.memberships(&stage.realm, &id("alice")).await.unwrap();
                seen.push((read.0.offset, read.1));
                tokio::task::yield_now().await;
            }
            seen
        });
    }
    for _ in 0..100 {
        stage.append(members(&town, &["alice"], &[])).await;
        stage.append(members(&town, &[], &["alice"])).await;
    }
    let seen = readers.join_all().await;
    let records = stage.everything().await;
    for (offset, memberships) in seen.into_iter().flatten() {
        let expected = replayed(&records, &town, offset + 1).contains(&id("alice"));
        assert_eq!(memberships.is_open(&town), expected, "at {offset}");
        let newest = memberships.intervals(&town).last().map_or(0, |last| last.from.max(last.to));
        assert!(newest <= offset, "a snapshot at {offset} knows of {newest}");
    }
}
