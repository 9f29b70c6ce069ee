//! Sessions: who may claim one, who holds it, and how long it lives.

use super::*;
use crate::{log::Checkpoint, model::SessionRecord};

fn granted(claim: Claim) -> (SessionRecord, Snapshot) {
    match claim {
        Claim::Granted { record, snapshot } => (*record, *snapshot),
        Claim::Unknown | Claim::Forbidden | Claim::Stale => panic!("{claim:?}"),
    }
}

impl<L: RealmLog + 'static> Stage<L> {
    async fn note(&self, connection: ConnectionId, (seq, cursor): (u64, u64), fencing: u64) {
        self.checkpoint(Checkpoint { connection, seq, cursor, fencing, ended: false }).await;
    }

    async fn end(&self, connection: ConnectionId, fencing: u64) {
        let (seq, cursor) = (1, 0);
        self.checkpoint(Checkpoint { connection, seq, cursor, fencing, ended: true }).await;
    }

    async fn checkpoint(&self, checkpoint: Checkpoint) {
        self.log.checkpoint(&self.realm, vec![checkpoint]).await.unwrap();
    }

    async fn place(&self, connection: ConnectionId) -> Option<(u64, u64, u64)> {
        let found = self.log.session(&self.realm, connection).await.unwrap();
        found.map(|(record, _)| (record.seq, record.cursor, record.fencing))
    }
}

/// Goal: a connection id is no secret that opens another's session.
pub(in crate::log) async fn only_the_owner_claims_a_session<B: Backend>() {
    let stage = Stage::open::<B>(limits()).await;
    stage.append(event("before")).await;
    let alice = identity("alice", Some("s1"));
    let (connection, opened) = stage.begin(&alice).await;
    for other in
        [identity("bob", Some("s1")), identity("alice", Some("s2")), identity("alice", None)]
    {
        assert!(matches!(stage.claim(&other, connection).await, Claim::Forbidden), "{other:?}");
    }
    let unknown = stage.claim(&alice, random_connection_id()).await;
    assert!(matches!(unknown, Claim::Unknown));
    assert_eq!(stage.place(connection).await, Some((1, 1, 1)), "a refused claim changes nothing");
    let after = stage.append(event("after")).await;
    let (record, snapshot) = granted(stage.claim(&alice, connection).await);
    assert_eq!((record.connection, &record.user), (connection, &alice.user));
    assert_eq!((record.base, record.seq, record.cursor), (opened.position, 1, 1));
    assert_eq!((record.fencing, record.scope), (2, Scope::Member));
    assert_eq!(snapshot.position.offset, after);
}

/// Goal: of two holders of one connection, the later one is believed.
pub(in crate::log) async fn an_older_holder_changes_nothing<B: Backend>() {
    let stage = Stage::open::<B>(limits()).await;
    let alice = identity("alice", None);
    let (connection, _) = stage.begin(&alice).await;
    stage.note(connection, (5, 10), 1).await;
    assert_eq!(stage.place(connection).await, Some((5, 10, 1)));
    assert_eq!(granted(stage.claim(&alice, connection).await).0.fencing, 2);
    stage.note(connection, (9, 20), 1).await;
    stage.end(connection, 1).await;
    assert_eq!(stage.place(connection).await, Some((5, 10, 2)), "the old holder is not heard");
    stage.note(connection, (7, 15), 2).await;
    assert_eq!(stage.place(connection).await, Some((7, 15, 2)));
    for _ in 0..4 {
        B::pass(&stage.log, &stage.clock, Duration::from_secs(500)).await;
        stage.log.renew(&stage.realm, vec![connection]).await.unwrap();
    }
    let (record, _) = granted(stage.claim(&alice, connection).await);
    assert_eq!((record.seq, record.cursor, record.fencing), (7, 15, 3), "nor does its end count");
}

/// Goal: a session can be resumed for its lifetime, counted from the last end.
pub(in crate::log) async fn an_ended_session_lives_as_long_as_configured<B: Backend>() {
    let stage = Stage::open::<B>(limits()).await;
    let alice = identity("alice", None);
    let (connection, _) = stage.begin(&alice).await;
    stage.end(connection, 1).await;
    B::pass(&stage.log, &stage.clock, Duration::from_secs(890)).await;
    granted(stage.claim(&alice, connection).await);
    stage.end(connection, 2).await;
    B::pass(&stage.log, &stage.clock, Duration::from_secs(890)).await;
    assert_eq!(granted(stage.claim(&alice, connection).await).0.fencing, 3);
    stage.end(connection, 3).await;
    B::pass(&stage.log, &stage.clock, Duration::from_secs(901)).await;
    assert_eq!(stage.place(connection).await, None, "an ended session is not shown either");
    assert!(matches!(stage.claim(&alice, connection).await, Claim::Unknown));
    stage.end(connection, 3).await;
    assert!(matches!(stage.claim(&alice, connection).await, Claim::Unknown), "it stays dead");
}

/// Goal: a socket that stays open keeps its session, however long.
///
/// Method: a holder notes its place and renews its session, as nodes do; others come and
/// end meanwhile.
pub(in crate::log) async fn a_held_session_never_ends<B: Backend>() {
    let stage = Stage::open::<B>(limits()).await;
    let alice = identity("alice", None);
    let (held, _) = stage.begin(&alice).await;
    let (resumed, _) = stage.begin(&alice).await;
    stage.end(resumed, 1).await;
    granted(stage.claim(&alice, resumed).await);
    for round in 0..10 {
        B::pass(&stage.log, &stage.clock, Duration::from_secs(600)).await;
        stage.note(held, (round, round), 1).await;
        stage.note(resumed, (round, round), 2).await;
        stage.log.renew(&stage.realm, vec![held, resumed]).await.unwrap();
        let (other, _) = stage.begin(&alice).await;
        stage.end(other, 1).await;
    }
    granted(stage.claim(&alice, held).await);
    granted(stage.claim(&alice, resumed).await);
}

/// Goal: what was reset can't be resumed.
pub(in crate::log) async fn a_forgotten_session_is_unknown<B: Backend>() {
    let stage = Stage::open::<B>(limits()).await;
    let alice = identity("alice", None);
    let (connection, _) = stage.begin(&alice).await;
    stage.log.forget(&stage.realm, connection, None).await.unwrap();
    stage.note(connection, (5, 5), 1).await;
    assert!(matches!(stage.claim(&alice, connection).await, Claim::Unknown));
    assert_eq!(stage.place(connection).await, None);
    stage.log.forget(&stage.realm, connection, None).await.unwrap();
}

/// Goal: a session that was claimed again is not deleted by who held it before.
pub(in crate::log) async fn only_the_newest_claim_forgets_a_session<B: Backend>() {
    let stage = Stage::open::<B>(limits()).await;
    let alice = identity("alice", None);
    let (connection, _) = stage.begin(&alice).await;
    let (first, _) = granted(stage.claim(&alice, connection).await);
    let (second, _) = granted(stage.claim(&alice, connection).await);
    stage.log.forget(&stage.realm, connection, Some(first.fencing)).await.unwrap();
    let (third, _) = granted(stage.claim(&alice, connection).await);
    assert!(first.fencing < second.fencing && second.fencing < third.fencing);
    stage.log.forget(&stage.realm, connection, Some(third.fencing)).await.unwrap();
    assert!(matches!(stage.claim(&alice, connection).await, Claim::Unknown));
}

/// Goal: a resume finds the subscriptions of its connection, exact at every offset.
pub(in crate::log) async fn watches_belong_to_their_session<B: Backend>() {
    let stage = Stage::open::<B>(limits()).await;
    let alice = identity("alice", None);
    let (connection, opened) = stage.begin(&alice).await;
    let (other, _) = stage.begin(&alice).await;
    assert_eq!(opened.watches, Memberships::default());
    let watch = |add: &[&str], remove: &[&str]| {
        let of = |names: &[&str]| names.iter().map(|name| Topic::Status(id(name))).collect();
        Body::Watch { connection, add: of(add), remove: of(remove) }
    };
    stage.append(watch(&["bob", "carol"], &[])).await;
    stage.append(event("x")).await;
    stage.append(watch(&[], &["bob"])).await;
    let bob = Topic::Status(id("bob"));
    let carol = Topic::Status(id("carol"));
    let (_, snapshot) = granted(stage.claim(&alice, connection).await);
    assert!(snapshot.watches.covers(&bob, 2) && snapshot.watches.covers(&carol, 2));
    assert!(!snapshot.watches.is_open(&bob) && snapshot.watches.is_open(&carol));
    let (_, snapshot) = granted(stage.claim(&alice, other).await);
    assert_eq!(snapshot.watches, Memberships::default());
    stage.log.forget(&stage.realm, connection, None).await.unwrap();
    stage.append(watch(&["dave"], &[])).await;
    assert!(stage.log.session(&stage.realm, connection).await.unwrap().is_none());
}
