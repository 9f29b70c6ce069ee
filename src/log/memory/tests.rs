//! The memory backend: the contract, and what is its own: who waits, exact bounds.

use std::{sync::Arc, time::Duration};

use super::{MemoryLimits, MemoryLog, TAIL_QUEUE};
use crate::{
    clock::{Clock, random_connection_id},
    log::{
        AnyLog, ChatError, ChatOp, ChatRefusal, ChatStore as _, Checkpoint, Claim, Draft, Opening,
        RealmLog as _,
        chat::{MADE_MAX, contract::chat_contract},
        contract::{
            Backend, START_S, Stage, assert_chained, channel, contract, event, event_of, hear, id,
            identity, limits, members,
        },
    },
    model::{Body, ChatSeat, Identity, RoomKey, RoomKind, Scope, Topic},
};

struct Memory;

impl Backend for Memory {
    // Through the dispatch, so that it is tested, too.
    type Log = AnyLog;

    async fn open(limits: MemoryLimits, clock: Clock) -> AnyLog {
        AnyLog::Memory(MemoryLog::new(limits, clock).into())
    }
}

contract!(Memory);
chat_contract!(Memory);

fn draft(body: Body) -> Draft {
    Draft { body, id: None }
}

/// Goal: a tail that does not keep up makes publishers wait and loses nothing; one
/// that is gone holds nobody up.
#[tokio::test(start_paused = true)]
async fn a_slow_tail_makes_publishers_wait_and_a_dropped_one_does_not() {
    let stage = Stage::open::<Memory>(limits()).await;
    let mut slow = stage.log.attach(&stage.realm).await.unwrap();
    let gone = stage.log.attach(&stage.realm).await.unwrap();
    for _ in 0..TAIL_QUEUE / 1_024 {
        stage.append_all((0..1_024).map(|_| draft(event("x"))).collect()).await;
    }
    let append = stage.append(event("one more"));
    let waits = tokio::time::timeout(Duration::from_secs(60), append).await;
    assert!(waits.is_err(), "there is no room, so the publisher waits");
    assert_eq!(stage.everything().await.len(), TAIL_QUEUE, "and its record has no number yet");

    let mut heard = hear(&mut slow.inbound, 1).await;
    let append = stage.append(event("one more"));
    let waits = tokio::time::timeout(Duration::from_secs(60), append).await;
    assert!(waits.is_err(), "the other tail is still full");
    drop(gone);
    assert_eq!(stage.append(event("one more")).await, TAIL_QUEUE as u64 + 1);
    heard.extend(hear(&mut slow.inbound, TAIL_QUEUE).await);
    assert_chained(&heard, 1);
}

/// Goal: publishers that were given up while they waited leave no hole.
#[tokio::test(start_paused = true)]
async fn an_append_that_is_given_up_leaves_no_hole() {
    let stage = Stage::open::<Memory>(limits()).await;
    let mut tail = stage.log.attach(&stage.realm).await.unwrap();
    for _ in 0..TAIL_QUEUE / 1_024 {
        stage.append_all((0..1_024).map(|_| draft(event("x"))).collect()).await;
    }
    for _ in 0..10 {
        let append = stage.append(event("given up"));
        assert!(tokio::time::timeout(Duration::from_secs(1), append).await.is_err());
    }
    let heard = hear(&mut tail.inbound, TAIL_QUEUE).await;
    assert_eq!(stage.append(event("kept")).await, TAIL_QUEUE as u64 + 1);
    assert_chained(&heard, 1);
    let next = hear(&mut tail.inbound, 1).await;
    assert_eq!(next[0].previous_tag, heard.last().unwrap().position.tag);
}

/// Goal: exact retention, by count and by bytes.
#[tokio::test]
async fn retention_is_exact() {
    let stage = Stage::open::<Memory>(MemoryLimits { retention_events: 10, ..limits() }).await;
    for _ in 0..25 {
        stage.append(event("x")).await;
    }
    let kept = stage.everything().await;
    assert_eq!(kept.len(), 10);
    assert_chained(&kept, 16);

    let bounds = MemoryLimits { retention_bytes: 10_000, ..limits() };
    let stage = Stage::open::<Memory>(bounds).await;
    for _ in 0..25 {
        stage.append(event_of(channel("town"), "x".repeat(1_000))).await;
    }
    let kept = stage.everything().await;
    assert!((5..10).contains(&kept.len()), "{}", kept.len());
    stage.append(event_of(channel("town"), "x".repeat(20_000))).await;
    assert!(stage.everything().await.is_empty(), "one that is over the bound is not kept");
    assert_eq!(stage.append(event("x")).await, 27, "and offsets go on");
    assert_eq!(stage.everything().await.len(), 1);
}

/// Goal: of ended sessions the oldest go first; held ones never do.
#[tokio::test]
async fn ended_sessions_are_bounded() {
    let stage = Stage::open::<Memory>(MemoryLimits { ended_sessions: 3, ..limits() }).await;
    let alice = identity("alice", None);
    let (held, _) = stage.begin(&alice).await;
    let mut ended = Vec::new();
    for _ in 0..5 {
        let (connection, _) = stage.begin(&alice).await;
        let checkpoint = Checkpoint { connection, seq: 1, cursor: 0, fencing: 1, ended: true };
        stage.log.checkpoint(&stage.realm, vec![checkpoint]).await.unwrap();
        ended.push(connection);
    }
    for (connection, lives) in ended.into_iter().zip([false, false, true, true, true]) {
        let claim = stage.claim(&alice, connection).await;
        assert_eq!(matches!(claim, Claim::Granted { .. }), lives);
    }
    assert!(matches!(stage.claim(&alice, held).await, Claim::Granted { .. }));
}

/// Goal: repeating one id does not push the others out.
#[tokio::test]
async fn a_repeated_id_costs_no_other_its_place() {
    let stage = Stage::open::<Memory>(MemoryLimits { idempotency_ids: 10, ..limits() }).await;
    stage.try_append(event("kept"), Some("kept")).await.unwrap();
    for _ in 0..100 {
        stage.clock.advance(Duration::from_millis(5));
        stage.try_append(event("often"), Some("often")).await.unwrap();
    }
    assert!(stage.try_append(event("kept"), Some("kept")).await.unwrap().duplicate);
}

/// Goal: ids are bounded: the one that was unused the longest goes.
#[tokio::test]
async fn remembered_ids_are_bounded() {
    let stage = Stage::open::<Memory>(MemoryLimits { idempotency_ids: 10, ..limits() }).await;
    for number in 0..11 {
        stage.clock.advance(Duration::from_millis(5));
        stage.try_append(event("x"), Some(&number.to_string())).await.unwrap();
    }
    assert!(stage.try_append(event("x"), Some("1")).await.unwrap().duplicate);
    assert!(!stage.try_append(event("x"), Some("0")).await.unwrap().duplicate);
}

/// Goal: a token with many seeds is one record, and all of them count.
#[tokio::test]
async fn many_seeds_reach_the_tail_as_one_record() {
    let count = TAIL_QUEUE + 10;
    let bounds = MemoryLimits { memberships_per_user: count, retention_events: count, ..limits() };
    let stage = Stage::open::<Memory>(bounds).await;
    let mut tail = stage.log.attach(&stage.realm).await.unwrap();
    let seeds = (0..count).map(|number| channel(&number.to_string())).collect();
    let (_, snapshot) = stage.begin(&Identity { seeds, ..identity("alice", None) }).await;
    let planted = usize::try_from(snapshot.position.offset).unwrap();
    assert_eq!((planted, snapshot.memberships.open_topics().count()), (1, count));
    assert_chained(&hear(&mut tail.inbound, planted).await, 1);
    let last = stage.append(event("x")).await;
    assert_chained(&hear(&mut tail.inbound, 1).await, last);
}

/// Goal: subscriptions that come and go do not pile up in a session.
#[tokio::test]
async fn closed_watches_are_let_go_with_the_records_that_they_concern() {
    let stage = Stage::open::<Memory>(MemoryLimits { retention_events: 50, ..limits() }).await;
    let (connection, _) = stage.begin(&identity("alice", None)).await;
    for number in 0..100_000 {
        let user = vec![Topic::Status(id(&format!("u{number}")))];
        let (add, remove) = (user.clone(), user);
        let on = Body::Watch { connection, add, remove: Vec::new() };
        let off = Body::Watch { connection, add: Vec::new(), remove };
        stage.append_all(vec![draft(on), draft(off)]).await;
    }
    let (_, watches) = stage.log.session(&stage.realm, connection).await.unwrap().unwrap();
    let kept = (0..100_000)
        .filter(|number| watches.knows(&Topic::Status(id(&format!("u{number}")))))
        .count();
    assert!(kept < 20_000, "{kept} closed watches are kept");
}

/// Goal: the moment of acceptance comes from the clock.
#[tokio::test]
async fn records_tell_when_they_were_accepted() {
    let stage = Stage::open::<Memory>(limits()).await;
    stage.append(members(&channel("town"), &["alice"], &[])).await;
    stage.clock.advance(Duration::from_millis(1_500));
    stage.append(event("x")).await;
    let told: Vec<u64> =
        stage.everything().await.iter().map(|record| record.accepted_at_us).collect();
    assert_eq!(told, [START_S * 1_000_000, START_S * 1_000_000 + 1_500_000]);
    let opening =
        Opening { connection: crate::clock::random_connection_id(), scope: Scope::Member };
    let snapshot = Arc::clone(&stage.log).open(&identity("bob", None), opening).await.unwrap();
    assert_eq!(snapshot.position.offset, 2);
}

/// Goal: nobody alone uses up the rooms of a realm, and what goes makes room.
#[tokio::test]
async fn a_user_makes_a_bounded_number_of_rooms() {
    let (log, realm) = (MemoryLog::new(limits(), Clock::system()), id("default"));
    let seat =
        |user: &str| ChatSeat { connection: random_connection_id(), user: id(user), fencing: 1 };
    let key = |at: usize| RoomKey { kind: RoomKind::Global, object: Some(id(&format!("r{at}"))) };
    let (alice, bob) = (seat("alice"), seat("bob"));
    let join = async |at: usize, seat: &ChatSeat| {
        let (uuid, label, seat) = (id(&format!("u{at}")), Arc::from(""), seat.clone());
        let op = ChatOp::Join { key: key(at), label, uuid, creates: true, asks: true, seat };
        log.chat(&realm, op).await.map(drop)
    };
    for at in 0..MADE_MAX {
        join(at, &alice).await.unwrap();
    }
    let refused = Err(ChatError::Refused(ChatRefusal::TooManyRooms));
    assert_eq!(join(MADE_MAX, &alice).await, refused);
    join(0, &alice).await.unwrap();
    join(MADE_MAX, &bob).await.unwrap();
    let leave = ChatOp::Leave { key: key(7), asks: false, seat: alice.clone() };
    log.chat(&realm, leave).await.unwrap();
    join(7, &alice).await.unwrap();
    assert_eq!(join(MADE_MAX + 1, &alice).await, refused);
}
