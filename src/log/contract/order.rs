//! One order for all: offsets, tags, batches, tails, ranges, retention.

use std::collections::HashMap;

use tokio::task::JoinSet;

use super::*;
use crate::model::Position;

const PUBLISHERS: usize = 8;
const EACH: usize = 50;

/// Lets many publishers append at once. Returns every answer with what it is for.
async fn publish_at_once<L: RealmLog + 'static>(stage: &Stage<L>) -> Vec<(String, Position)> {
    let mut publishers = JoinSet::new();
    for publisher in 0..PUBLISHERS {
        let (log, realm) = (Arc::clone(&stage.log), stage.realm.clone());
        publishers.spawn(async move {
            let mut answers = Vec::new();
            for number in 0..EACH {
                let body = event(&format!("{publisher}-{number}"));
                let said = match &body {
                    Body::Event(event) => String::from_utf8(event.data.to_vec()).unwrap(),
                    _ => panic!("it is an event"),
                };
                let answer = log.append(&realm, vec![Draft { body, id: None }]).await.remove(0);
                answers.push((said, answer.unwrap().position));
            }
            answers
        });
    }
    publishers.join_all().await.into_iter().flatten().collect()
}

/// Goal: one order for all readers.
///
/// Method: two tails and eight publishers at once; both tails hear every record, with
/// dense offsets and chained tags, the same ones, and each publisher's in its order.
pub(in crate::log) async fn offsets_are_dense_and_tags_chain_under_concurrent_publishers<
    B: Backend,
>() {
    let stage = Stage::open::<B>(limits()).await;
    let mut first = stage.log.attach(&stage.realm).await.unwrap();
    let mut second = stage.log.attach(&stage.realm).await.unwrap();
    assert_eq!(first.position.offset, 0);
    publish_at_once(&stage).await;
    let heard = hear(&mut first.inbound, PUBLISHERS * EACH).await;
    let again = hear(&mut second.inbound, PUBLISHERS * EACH).await;
    assert_chained(&heard, 1);
    assert_eq!(heard[0].previous_tag, first.position.tag, "the chain begins where the tail does");
    for (one, other) in heard.iter().zip(&again) {
        assert_eq!((&one.position, &one.body), (&other.position, &other.body));
    }
    for publisher in 0..PUBLISHERS {
        let mark = format!(r#"{{"text":"{publisher}-"#);
        let own: Vec<String> =
            heard.iter().map(|r| said(r)).filter(|s| s.starts_with(&mark)).collect();
        let sent: Vec<String> =
            (0..EACH).map(|number| format!(r#"{{"text":"{publisher}-{number}"}}"#)).collect();
        assert_eq!(own, sent);
    }
}

/// Goal: an acknowledgement tells the truth.
pub(in crate::log) async fn answers_name_the_places_of_their_records<B: Backend>() {
    let stage = Stage::open::<B>(limits()).await;
    let answers = publish_at_once(&stage).await;
    let kept: HashMap<u64, _> = stage
        .everything()
        .await
        .into_iter()
        .map(|record| (record.position.offset, (said(&record), record.position.clone())))
        .collect();
    assert_eq!(kept.len(), PUBLISHERS * EACH);
    for (said, position) in answers {
        assert_eq!(kept[&position.offset], (said, position));
    }
}

/// Goal: a batch has one result per draft, in order, and its records are neighbours.
pub(in crate::log) async fn a_batch_stays_together_and_in_order<B: Backend>() {
    let stage = Stage::open::<B>(limits()).await;
    let mut batches = JoinSet::new();
    for batch in 0..PUBLISHERS {
        let (log, realm) = (Arc::clone(&stage.log), stage.realm.clone());
        batches.spawn(async move {
            let draft = |number| Draft { body: event(&format!("{batch}-{number}")), id: None };
            let answers = log.append(&realm, (0..EACH).map(draft).collect()).await;
            assert_eq!(answers.len(), EACH);
            let offsets: Vec<u64> =
                answers.into_iter().map(|answer| answer.unwrap().position.offset).collect();
            assert!(offsets.windows(2).all(|pair| pair[0] + 1 == pair[1]), "{offsets:?}");
            (batch, offsets[0])
        });
    }
    let begins = batches.join_all().await;
    let kept = stage.everything().await;
    for (batch, offset) in begins {
        for (place, record) in kept.iter().skip(offset as usize - 1).take(EACH).enumerate() {
            assert_eq!(said(record), format!(r#"{{"text":"{batch}-{place}"}}"#));
        }
    }
    assert!(stage.append_all(Vec::new()).await.is_empty());
}

/// Goal: whenever a tail attaches, it hears every record after its position.
pub(in crate::log) async fn a_tail_that_attaches_during_publishing_misses_nothing<B: Backend>() {
    let stage = Arc::new(Stage::open::<B>(limits()).await);
    let mut listeners = JoinSet::new();
    for _ in 0..16 {
        let stage = Arc::clone(&stage);
        listeners.spawn(async move {
            let mut tail = stage.log.attach(&stage.realm).await.unwrap();
            let begin = tail.position.offset;
            let missing = PUBLISHERS * EACH - usize::try_from(begin).unwrap();
            let heard = hear(&mut tail.inbound, missing).await;
            assert_chained(&heard, begin + 1);
            if let Some(first) = heard.first() {
                assert_eq!(first.previous_tag, tail.position.tag);
            }
            begin
        });
        tokio::task::yield_now().await;
    }
    publish_at_once(&stage).await;
    listeners.join_all().await;
}

/// Goal: a gap can be closed by reading: ranges are what tails hear, from any offset.
pub(in crate::log) async fn a_range_is_what_the_tail_told<B: Backend>() {
    let stage = Stage::open::<B>(limits()).await;
    let mut tail = stage.log.attach(&stage.realm).await.unwrap();
    for number in 0..20 {
        stage.append(event(&number.to_string())).await;
    }
    stage.append(members(&channel("town"), &["alice"], &[])).await;
    let heard = hear(&mut tail.inbound, 21).await;
    for (after, limit) in [(0, 100), (0, 5), (7, 5), (19, 5), (20, 1), (21, 5), (22, 5)] {
        let range = stage.log.range(&stage.realm, after, limit).await.unwrap();
        let expected: Vec<_> = heard
            .iter()
            .filter(|record| record.position.offset > after)
            .take(limit)
            .map(|record| (record.position.clone(), record.previous_tag, record.body.clone()))
            .collect();
        let range: Vec<_> = range
            .iter()
            .map(|record| (record.position.clone(), record.previous_tag, record.body.clone()))
            .collect();
        assert_eq!(range, expected, "after {after}, at most {limit}");
    }
    assert!(stage.log.range(&stage.realm, u64::MAX, 5).await.unwrap().is_empty());
    assert!(stage.log.range(&stage.realm, 0, 0).await.unwrap().is_empty());
}

/// Goal: a realm is the unit of isolation.
pub(in crate::log) async fn realms_do_not_see_each_other<B: Backend>() {
    let stage = Stage::open::<B>(limits()).await;
    let other = id("other");
    let mut tail = stage.log.attach(&other).await.unwrap();
    stage.try_append(event("here"), Some("once")).await.unwrap();
    stage.append(members(&channel("town"), &["alice"], &[])).await;
    let there = vec![Draft { body: event("there"), id: Some(Arc::from("once")) }];
    let answer = stage.log.append(&other, there).await.remove(0).unwrap();
    assert_eq!((answer.position.offset, answer.duplicate), (1, false));
    assert_eq!(said(&hear(&mut tail.inbound, 1).await[0]), r#"{"text":"there"}"#);
    assert!(stage.log.members(&other, &channel("town")).await.unwrap().is_empty());
    let (connection, _) = stage.begin(&identity("alice", None)).await;
    let elsewhere = Identity { realm: other.clone(), ..identity("alice", None) };
    assert!(matches!(stage.claim(&elsewhere, connection).await, Claim::Unknown));
    assert!(stage.log.session(&other, connection).await.unwrap().is_none());
}

/// A batch with everything that a store may keep in its own way.
pub(in crate::log) fn mixed_batch(count: usize) -> Vec<Draft> {
    let one = |number: usize| {
        let mut id = None;
        let body = match number % 7 {
            0 => Body::Event(Event { ephemeral: true, ..plain(number) }),
            1 => event_of(channel("town"), format!(r#"{{"text":"{}"}}"#, "x".repeat(9_000))),
            2 => members(&channel("town"), &[&format!("u{number}")], &[]),
            3 => {
                id = Some(Arc::from(format!("id-{number}")));
                event(&number.to_string())
            }
            _ => event(&number.to_string()),
        };
        Draft { body, id }
    };
    (0..count).map(one).collect()
}

fn plain(number: usize) -> Event {
    match event(&number.to_string()) {
        Body::Event(event) => event,
        _ => panic!("it is an event"),
    }
}

/// Goal: however a store packs a batch, each of its records is found where it is.
pub(in crate::log) async fn a_batch_is_read_from_any_place<B: Backend>() {
    let stage = Stage::open::<B>(limits()).await;
    let answers = stage.append_all(mixed_batch(150)).await;
    let places: Vec<Position> =
        answers.into_iter().map(|answer| answer.unwrap().position).collect();
    let all = stage.everything().await;
    assert_chained(&all, 1);
    assert_eq!(all.iter().map(|record| record.position.clone()).collect::<Vec<_>>(), places);
    for after in 0..=150_usize {
        let some = stage.log.range(&stage.realm, after as u64, 7).await.unwrap();
        let expected = &all[after..150.min(after + 7)];
        assert_eq!(some.len(), expected.len(), "after {after}");
        for (found, expected) in some.iter().zip(expected) {
            assert_eq!((&found.position, &found.body), (&expected.position, &expected.body));
            assert_eq!(found.previous_tag, expected.previous_tag);
        }
    }
}

/// Goal: retention by count keeps what it promises, and no more than about that.
pub(in crate::log) async fn the_newest_records_are_kept_and_the_oldest_let_go<B: Backend>() {
    let stage = Stage::open::<B>(MemoryLimits { retention_events: 100, ..limits() }).await;
    for _ in 0..10 {
        let drafts = (0..100).map(|_| Draft { body: event("x"), id: None }).collect();
        stage.append_all(drafts).await;
    }
    let kept = stage.everything().await;
    assert!((100..1_000).contains(&kept.len()), "{} are kept", kept.len());
    assert_eq!(kept.last().unwrap().position.offset, 1_000);
    assert_chained(&kept, 1_000 - kept.len() as u64 + 1);
}

/// Goal: retention by bytes lets large records go, whatever their number.
pub(in crate::log) async fn large_records_are_let_go_by_bytes<B: Backend>() {
    let stage = Stage::open::<B>(MemoryLimits { retention_bytes: 256 * 1024, ..limits() }).await;
    for number in 0..200 {
        let data = format!(r#"{{"text":"{}"}}"#, "x".repeat(16 * 1024));
        let offset = stage.append(event_of(channel("town"), data)).await;
        assert_eq!(offset, number + 1, "offsets go on");
    }
    let kept = stage.everything().await;
    assert!((8..150).contains(&kept.len()), "{} are kept", kept.len());
    assert_chained(&kept, 200 - kept.len() as u64 + 1);
}
