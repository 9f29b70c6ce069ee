//! Ids that make a repeated request harmless.

use tokio::task::JoinSet;

use super::*;
use crate::model::{Revocation, RevocationScope};

fn revocation(session: &str, at_ms: u64) -> Body {
    Body::Revocation(Revocation { scope: RevocationScope::Session(id(session)), at_ms })
}

/// Goal: the same id and body give the same place, and one record.
///
/// Method: every kind of record that a publisher can repeat, thrice, the last time in
/// one batch with itself. What the server makes up anew for each request (the id of
/// an event, the moment of a revocation) does not count as another body.
pub(in crate::log) async fn a_repeated_id_names_the_first_place<B: Backend>() {
    let stage = Stage::open::<B>(limits()).await;
    let named = |name: &str| match event("hi") {
        Body::Event(event) => Body::Event(Event { id: Arc::from(name), ..event }),
        other => other,
    };
    let pairs = [
        ("e", named("made-1"), named("made-2")),
        (
            "m",
            members(&channel("town"), &["a", "b"], &["c"]),
            members(&channel("town"), &["a", "b"], &["c"]),
        ),
        ("r", revocation("s1", 1), revocation("s1", 2)),
    ];
    for (id, first, second) in pairs {
        let told = stage.try_append(first, Some(id)).await.unwrap();
        assert!(!told.duplicate);
        stage.append(event("between")).await;
        let again = stage.try_append(second.clone(), Some(id)).await.unwrap();
        assert!(again.duplicate);
        assert_eq!(again.position, told.position);
        let draft = || Draft { body: second.clone(), id: Some(Arc::from(id)) };
        for answer in stage.append_all(vec![draft(), draft()]).await {
            assert_eq!(answer.unwrap(), again);
        }
    }
    assert_eq!(stage.everything().await.len(), 6, "three records, and three between them");
}

/// Goal: an id never stands for two bodies, whatever differs.
pub(in crate::log) async fn an_id_stands_for_one_body<B: Backend>() {
    let stage = Stage::open::<B>(limits()).await;
    let Body::Event(base) = event("hi") else { return };
    let others = [
        Event { name: Arc::from("other"), ..base.clone() },
        Event { data: Bytes::from("{}"), ..base.clone() },
        Event { to: channel("random"), ..base.clone() },
        Event { to: Topic::Team(id("town")), ..base.clone() },
        Event { omit_users: vec![id("alice")], ..base.clone() },
        Event { omit_connection: Some(random_connection_id()), ..base.clone() },
        Event { ephemeral: true, ..base.clone() },
        Event { binary: true, ..base.clone() },
        Event { sender: Some(Arc::from("alice")), ..base.clone() },
    ];
    stage.try_append(Body::Event(base), Some("one")).await.unwrap();
    for other in others {
        let answer = stage.try_append(Body::Event(other.clone()), Some("one")).await;
        assert_eq!(answer, Err(AppendError::Conflict), "{other:?}");
    }
    let joins = members(&channel("town"), &["alice"], &[]);
    assert_eq!(stage.try_append(joins.clone(), Some("one")).await, Err(AppendError::Conflict));
    stage.try_append(joins, Some("two")).await.unwrap();
    for other in [
        members(&channel("town"), &[], &["alice"]),
        members(&channel("town"), &["alice", "bob"], &[]),
        members(&channel("random"), &["alice"], &[]),
        event("hi"),
    ] {
        assert_eq!(stage.try_append(other, Some("two")).await, Err(AppendError::Conflict));
    }
    assert_eq!(stage.everything().await.len(), 2, "a conflict appends nothing");
}

/// Goal: an id is remembered for its window, counted from its last use.
pub(in crate::log) async fn an_id_is_forgotten_when_its_window_ends<B: Backend>() {
    let stage = Stage::open::<B>(limits()).await;
    let append = |text: &'static str| stage.try_append(event(text), Some("one"));
    assert_eq!(append("hi").await.unwrap().position.offset, 1);
    B::pass(&stage.log, &stage.clock, Duration::from_secs(200)).await;
    assert!(append("hi").await.unwrap().duplicate, "this use begins the window anew");
    B::pass(&stage.log, &stage.clock, Duration::from_secs(200)).await;
    assert!(append("hi").await.unwrap().duplicate);
    assert_eq!(append("other").await, Err(AppendError::Conflict));
    B::pass(&stage.log, &stage.clock, Duration::from_secs(301)).await;
    let fresh = append("other").await.unwrap();
    assert_eq!((fresh.position.offset, fresh.duplicate), (2, false));
}

/// Goal: what was refused can be repeated when its cause is gone.
pub(in crate::log) async fn a_failed_append_does_not_use_its_id<B: Backend>() {
    let stage = Stage::open::<B>(MemoryLimits { memberships_per_user: 1, ..limits() }).await;
    stage.append(members(&channel("a"), &["alice"], &[])).await;
    let join = members(&channel("b"), &["alice"], &[]);
    let refused = stage.try_append(join.clone(), Some("join")).await;
    assert_eq!(refused, Err(AppendError::TooManyMemberships { limit: 1 }));
    stage.append(members(&channel("a"), &[], &["alice"])).await;
    assert!(!stage.try_append(join, Some("join")).await.unwrap().duplicate);
}

/// Goal: repeats that race append one record and all learn its place.
pub(in crate::log) async fn concurrent_repeats_append_once<B: Backend>() {
    let stage = Arc::new(Stage::open::<B>(limits()).await);
    let mut repeats = JoinSet::new();
    for _ in 0..32 {
        let stage = Arc::clone(&stage);
        repeats.spawn(async move { stage.try_append(event("hi"), Some("one")).await.unwrap() });
    }
    let answers = repeats.join_all().await;
    assert_eq!(answers.iter().filter(|answer| !answer.duplicate).count(), 1);
    assert!(answers.iter().all(|answer| answer.position == answers[0].position));
    assert_eq!(stage.everything().await.len(), 1);
}

/// Goal: a request that is repeated late does not undo what was decided since.
pub(in crate::log) async fn a_late_repeat_does_not_undo_a_newer_change<B: Backend>() {
    let stage = Stage::open::<B>(limits()).await;
    let town = channel("town");
    let join = members(&town, &["alice"], &[]);
    stage.try_append(join.clone(), Some("join")).await.unwrap();
    stage.try_append(members(&town, &[], &["alice"]), Some("leave")).await.unwrap();
    assert!(stage.try_append(join, Some("join")).await.unwrap().duplicate);
    assert!(!stage.memberships(&id("alice")).await.is_open(&town));
    assert!(stage.log.members(&stage.realm, &town).await.unwrap().is_empty());
}
