//! Revocations: who is told, and that none is undone.

use super::*;
use crate::model::{Revocation, RevocationScope, Revocations};

fn revocation(scope: RevocationScope, at_ms: u64) -> Body {
    Body::Revocation(Revocation { scope, at_ms })
}

async fn told<L: RealmLog + 'static>(stage: &Stage<L>, who: &Identity) -> Revocations {
    let (connection, opened) = stage.begin(who).await;
    let claim = stage.claim(who, connection).await;
    let Claim::Granted { snapshot, .. } = claim else { panic!("{claim:?}") };
    assert_eq!(snapshot.revocations, opened.revocations);
    opened.revocations
}

/// Goal: logins and resumes learn of every revocation that concerns their token.
pub(in crate::log) async fn revocations_are_told_to_whom_they_concern<B: Backend>() {
    let stage = Stage::open::<B>(limits()).await;
    let (alice, bob) = (identity("alice", Some("s1")), identity("bob", Some("s2")));
    assert_eq!(told(&stage, &alice).await, Revocations::default());
    stage.append(revocation(RevocationScope::User(id("alice")), 5_000)).await;
    let user = Revocations { user_at_ms: Some(5_000), ..Revocations::default() };
    assert_eq!(told(&stage, &alice).await, user);
    assert_eq!(told(&stage, &bob).await, Revocations::default());
    stage.append(revocation(RevocationScope::Session(id("s1")), 6_000)).await;
    assert_eq!(told(&stage, &alice).await, Revocations { session_revoked: true, ..user });
    assert_eq!(told(&stage, &identity("alice", None)).await, user, "a token without a session");
    stage.append(revocation(RevocationScope::Everyone, 7_000)).await;
    let everyone = Revocations { everyone_at_ms: Some(7_000), ..Revocations::default() };
    assert_eq!(told(&stage, &bob).await, everyone);
    assert_eq!(
        told(&stage, &alice).await,
        Revocations { everyone_at_ms: Some(7_000), session_revoked: true, ..user }
    );
}

/// Goal: what a revocation ended stays ended.
///
/// Method: the moments come from the nodes' own clocks, so a later record may carry
/// an earlier moment: the latest moment counts, not the latest record.
pub(in crate::log) async fn an_older_revocation_does_not_weaken_a_newer_one<B: Backend>() {
    let stage = Stage::open::<B>(limits()).await;
    for at_ms in [5_000, 4_000] {
        stage.append(revocation(RevocationScope::User(id("alice")), at_ms)).await;
        stage.append(revocation(RevocationScope::Everyone, at_ms + 1)).await;
    }
    let told = told(&stage, &identity("alice", None)).await;
    assert_eq!((told.user_at_ms, told.everyone_at_ms), (Some(5_000), Some(5_001)));
}

/// Goal: a token that has ended changes nothing any more.
pub(in crate::log) async fn a_revoked_token_plants_no_seeds<B: Backend>() {
    let stage = Stage::open::<B>(limits()).await;
    let cut_ms = START_S * 1_000 + 1;
    stage.append(revocation(RevocationScope::User(id("alice")), cut_ms)).await;
    let alice = Identity { seeds: vec![channel("town")], ..identity("alice", None) };
    let (_, snapshot) = stage.begin(&alice).await;
    assert!(snapshot.revocations.ends(&alice));
    assert_eq!(snapshot.position.offset, 1);
    let renewed = Identity { issued_at: Some(START_S + 1), ..alice };
    let (_, snapshot) = stage.begin(&renewed).await;
    assert!(!snapshot.revocations.ends(&renewed));
    assert!(snapshot.memberships.is_open(&channel("town")));
}
