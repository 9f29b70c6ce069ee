//! Arriving and going on, where the log and the hub are not at the same place.

use super::stage::*;
use crate::{
    hub::{Attached, ResetCause, Start},
    model::{Body, Revocation, RevocationScope, Scope, Topic},
};

fn resume(next: u64, (seq, cursor): (u64, u64), base: u64) -> Start {
    Start::Resume { next, seq, cursor, base }
}

fn events(frames: &[Frame]) -> Vec<(u64, Option<u64>)> {
    let event = |frame: &Frame| match frame {
        Frame::Event { seq, offset } => Some((*seq, *offset)),
        Frame::Hello | Frame::Ping | Frame::Close(_) => None,
    };
    frames.iter().filter_map(event).collect()
}

/// Goal: a replay from the hello on is complete, however long.
///
/// Method: more events than an outbox holds; the hello goes out before them, and must
/// not use up the room that the replay was granted.
#[tokio::test]
async fn a_resume_from_zero_gets_the_hello_and_every_event() {
    let mut stage = Stage::new(10_000);
    let session = stage.session("alice", Scope::Member);
    for _ in 0..1_000 {
        stage.append(Body::Event(event(Topic::Everyone)));
    }
    stage.feed(usize::MAX);
    let (attached, socket) = stage.attach(&session, resume(0, (1, 0), 0)).await;
    assert_eq!(attached, Attached::Resumed { replayed: 1_000 });
    stage.detach(&session, &socket);
    let frames = socket.end();
    assert_eq!(frames[0], Frame::Hello);
    let expected: Vec<_> = (1..=1_000).map(|number| (number, Some(number))).collect();
    assert!(events(&frames) == expected, "{} events", events(&frames).len());
}

/// Goal: a fresh connection that arrives late misses nothing of what came meanwhile.
#[tokio::test]
async fn a_fresh_connection_gets_what_its_hub_applied_before_it_came() {
    let mut stage = Stage::new(10_000);
    let session = stage.session("alice", Scope::Member);
    let reader = stage.reader(&session);
    for _ in 0..600 {
        stage.append(Body::Event(event(Topic::User(id("alice")))));
    }
    stage.feed(usize::MAX);
    let (attached, socket) = stage.attach_as(reader, Start::Fresh).await;
    assert_eq!(attached, Attached::Fresh);
    stage.detach(&session, &socket);
    assert_eq!(events(&socket.end()).len(), 600);
}

/// Goal: a resume whose hub lags is served by what was true at each record.
///
/// Method: the log already holds a removal (or a joining) that the hub has not seen;
/// events before it are still the member's, and not the newcomer's.
#[tokio::test]
async fn a_lagging_hub_serves_by_what_was_true_at_each_record() {
    let town = channel("town");
    let rows = [
        // (known to the hub, not yet known, offsets that alice is sent)
        (vec![&["alice"][..]], vec![(&[][..], &["alice"][..])], vec![2]),
        (vec![&[][..]], vec![(&["alice"][..], &[][..])], vec![4]),
    ];
    for (before, after, expected) in rows {
        let mut stage = Stage::new(100);
        let session = stage.session("alice", Scope::Member);
        for add in before {
            stage.append(members(&town, add, &[]));
        }
        stage.feed(usize::MAX);
        stage.append(Body::Event(event(town.clone())));
        for (add, remove) in after {
            stage.append(members(&town, add, remove));
        }
        stage.append(Body::Event(event(town.clone())));
        let (attached, socket) = stage.attach(&session, resume(1, (1, 0), 0)).await;
        assert_eq!(attached, Attached::Resumed { replayed: 0 });
        stage.feed(usize::MAX);
        assert_eq!(stage.function(&session, 4), expected);
        stage.detach(&session, &socket);
        let sent: Vec<u64> = events(&socket.end()).into_iter().filter_map(|(_, at)| at).collect();
        assert_eq!(sent, expected);
    }
}

/// Goal: the place of a user's newest connection in the log does not count for the
/// older ones.
///
/// Method: while the hub lags, the connection with the newer snapshot attaches first.
#[tokio::test]
async fn a_second_connection_with_an_older_snapshot_misses_nothing() {
    let town = channel("town");
    let mut stage = Stage::new(100);
    stage.append(members(&town, &["alice"], &[]));
    stage.feed(usize::MAX);
    let older = stage.session("alice", Scope::Member);
    stage.append(Body::Event(event(town.clone())));
    stage.append(members(&town, &[], &["alice"]));
    let newer = stage.session("alice", Scope::Member);
    let (_, second) = stage.attach(&newer, Start::Fresh).await;
    let (_, first) = stage.attach(&older, resume(1, (1, 1), 1)).await;
    stage.feed(usize::MAX);
    stage.detach(&newer, &second);
    stage.detach(&older, &first);
    assert_eq!(events(&second.end()), []);
    assert_eq!(events(&first.end()), [(1, Some(2))]);
}

/// Goal: nothing that comes after a revocation is sent to whom it ended (S4).
#[tokio::test]
async fn a_token_that_ended_meanwhile_gets_no_seat_and_no_event() {
    for is_fresh in [true, false] {
        let mut stage = Stage::new(100);
        let session = stage.session("alice", Scope::Member);
        let reader = stage.reader(&session);
        let scope = RevocationScope::User(id("alice"));
        stage.append(Body::Revocation(Revocation { scope, at_ms: 200_000 }));
        stage.append(Body::Event(event(Topic::User(id("alice")))));
        stage.feed(usize::MAX);
        let start = if is_fresh { Start::Fresh } else { resume(1, (1, 0), 0) };
        let (attached, socket) = stage.attach_as(reader, start).await;
        assert_eq!(attached, Attached::Ended);
        assert!(stage.shard.connections.is_empty());
        assert_eq!(socket.link.closed_with(), Some(4419));
        assert_eq!(events(&socket.end()), []);
    }
}

/// Goal: the number that a client expects is accepted exactly when it is one of the
/// function's (S6), and the reasons for the others are right.
#[tokio::test]
async fn a_number_is_accepted_when_it_is_one_of_the_functions() {
    let mut stage = Stage::new(10);
    let session = stage.session("alice", Scope::Member);
    for _ in 0..20 {
        stage.append(Body::Event(event(Topic::Everyone)));
    }
    stage.feed(usize::MAX);
    // The ring holds the records 11 to 20; a checkpoint says that 20 were counted.
    for (next, expected) in [
        (21, Attached::Resumed { replayed: 0 }),
        (20, Attached::Resumed { replayed: 1 }),
        (11, Attached::Resumed { replayed: 10 }),
        (10, Attached::Reset(ResetCause::Trimmed)),
        (1, Attached::Reset(ResetCause::Trimmed)),
        (22, Attached::Reset(ResetCause::Ahead)),
        (u64::MAX, Attached::Reset(ResetCause::Ahead)),
    ] {
        let (attached, socket) = stage.attach(&session, resume(next, (21, 20), 0)).await;
        assert_eq!(attached, expected, "from {next}");
        stage.detach(&session, &socket);
    }
    let (attached, _) = stage.attach(&session, resume(1, (1, 0), 0)).await;
    assert_eq!(attached, Attached::Reset(ResetCause::Trimmed), "an old checkpoint");
    stage.replay_max = (5, 1 << 20);
    let (attached, _) = stage.attach(&session, resume(15, (21, 20), 0)).await;
    assert_eq!(attached, Attached::Reset(ResetCause::TooMuch));
    stage.replay_max = (5_000, 100);
    let (attached, _) = stage.attach(&session, resume(19, (21, 20), 0)).await;
    assert_eq!(attached, Attached::Reset(ResetCause::TooMuch));
}

/// Goal: a resume does not wait for the death of the old socket: it gets 4409, and
/// the new one goes on exactly where the client is.
#[tokio::test]
async fn a_half_open_socket_gives_way() {
    let mut stage = Stage::new(100);
    let session = stage.session("alice", Scope::Member);
    let (_, old) = stage.attach(&session, Start::Fresh).await;
    for _ in 0..5 {
        stage.append(Body::Event(event(Topic::Everyone)));
    }
    stage.feed(usize::MAX);
    let (attached, new) = stage.attach(&session, resume(3, (1, 0), 0)).await;
    assert_eq!(attached, Attached::Resumed { replayed: 3 });
    assert_eq!(old.link.closed_with(), Some(4409));
    assert_eq!(old.link.left_at(), Some((6, 5)));
    stage.append(Body::Event(event(Topic::Everyone)));
    stage.feed(usize::MAX);
    stage.detach(&session, &old);
    assert_eq!(stage.shard.connections.len(), 1, "the old socket's end changes nothing");
    stage.detach(&session, &new);
    assert_eq!(events(&old.end()).len(), 5);
    let expected: Vec<_> = (3..=6).map(|number| (number, Some(number))).collect();
    assert_eq!(events(&new.end()), expected);
}

/// Goal: of two resumes that race, the one that claimed later has the connection, in
/// whatever order they reach the hub.
#[tokio::test]
async fn the_later_claim_wins_in_any_order() {
    for claims in [[2, 3], [3, 2]] {
        let mut stage = Stage::new(100);
        let session = stage.session("alice", Scope::Member);
        stage.append(Body::Event(event(Topic::Everyone)));
        stage.feed(usize::MAX);
        let mut sockets = Vec::new();
        for fencing in claims {
            stage.fencing = fencing;
            let (attached, socket) = stage.attach(&session, resume(1, (1, 0), 0)).await;
            let expected = match sockets.is_empty() || fencing == 3 {
                true => Attached::Resumed { replayed: 1 },
                false => Attached::Superseded,
            };
            assert_eq!(attached, expected);
            sockets.push((fencing, socket));
        }
        assert_eq!(stage.shard.connections.len(), 1);
        for (fencing, socket) in sockets {
            let is_served = stage
                .shard
                .connections
                .iter()
                .any(|(_, one)| std::sync::Arc::ptr_eq(&one.link, &socket.link));
            assert_eq!(is_served, fencing == 3);
        }
    }
}

/// Goal: what the log no longer knows about memberships is not guessed.
///
/// Method: the ring reaches farther back than the log, whose intervals may be gone.
#[tokio::test]
async fn a_walk_does_not_go_where_memberships_are_forgotten() {
    let mut stage = Stage::new(100);
    let session = stage.session("alice", Scope::Member);
    for _ in 0..20 {
        stage.append(Body::Event(event(Topic::Everyone)));
    }
    stage.feed(usize::MAX);
    let rows = [
        (resume(11, (21, 20), 0), Attached::Resumed { replayed: 10 }),
        (resume(10, (21, 20), 0), Attached::Reset(ResetCause::Trimmed)),
        (resume(11, (11, 10), 0), Attached::Resumed { replayed: 10 }),
        (resume(11, (10, 9), 0), Attached::Reset(ResetCause::Trimmed)),
    ];
    for (start, expected) in rows {
        let reader = crate::hub::Reader { known_from: 11, ..stage.reader(&session) };
        let (attached, socket) = stage.attach_as(reader, start).await;
        assert_eq!(attached, expected, "{start:?}");
        stage.detach(&session, &socket);
    }
}
