//! Going on at another node: exactly, later, or anew; never wrongly.

use std::time::Duration;

use tokio::time::Instant;

use super::stage::*;
use crate::{
    hub::Command,
    lifecycle::Gate,
    log::{Inbound, Loss, MemoryLog},
};

/// Tails that start from now on stand still.
fn closed_gate(log: &MemoryLog) -> Gate {
    let gate = Gate::until(Instant::now());
    log.faults.set_gate(&gate);
    gate
}

/// Goal: connections move between nodes while events are published, without a gap.
#[tokio::test(start_paused = true)]
async fn a_connection_wanders_between_nodes_without_a_gap() {
    let log = log();
    let stages = [Stage::new(&log), Stage::new(&log)];
    let mut client = stages[0].connect("alice").await;
    client.reads(0, 0).await;
    let mut next = 1;
    for round in 0..20 {
        let stage = &stages[(round + 1) % 2];
        // Published at the one node, and claimed at the other at once.
        stages[round % 2].publish(3).await;
        let moved = stage.resume("alice", client.id(), next).await;
        let Arrived::Resumed(moved) = moved else { panic!("round {round}: {moved:?}") };
        moved.reads(next, next + 2).await;
        next += 3;
        client = moved;
    }
}

/// Goal: a number that the old node has given is not taken for one that was never given
/// because the new node is behind the log.
///
/// Method: the new node's tail stands still behind a closed gate, while the client has
/// already read more than that node knows of.
#[tokio::test(start_paused = true)]
async fn a_node_that_is_behind_waits_or_refuses_and_never_resets() {
    let log = log();
    let (first, second) = (Stage::new(&log), Stage::new(&log));
    let alice = first.connect("alice").await;
    let gate = closed_gate(&log);
    second.node.realm(&realm()).await.unwrap();
    first.publish(10).await;
    alice.reads(0, 10).await;
    let asked_at = Instant::now();
    let refused = second.resume("alice", alice.id(), 11).await;
    assert!(matches!(refused, Arrived::Refused(None)), "{refused:?}");
    assert!(asked_at.elapsed() <= Duration::from_secs(5));
    assert_eq!(second.connections(), 0);
    // The session is as it was: the next attempt gets it, here or elsewhere.
    let (moved, ()) = tokio::join!(second.resume("alice", alice.id(), 11), async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        gate.extend(Instant::now() + LEASE);
    });
    let Arrived::Resumed(moved) = moved else { panic!("{moved:?}") };
    first.publish(1).await;
    moved.reads(11, 11).await;
}

/// Goal: a life that ends while a resume is under way costs an attempt, not the session.
#[tokio::test(start_paused = true)]
async fn a_loss_during_a_resume_costs_an_attempt() {
    let log = log();
    let stage = Stage::new(&log);
    let alice = stage.connect("alice").await;
    stage.publish(4).await;
    alice.reads(0, 4).await;
    let entry = stage.node.realm(&realm()).await.unwrap();
    entry.realm.claims.doubt();
    let (refused, ()) = tokio::join!(stage.resume("alice", alice.id(), 3), async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        log.tell(&realm(), || Inbound::Lost(Loss::Retention)).await;
    });
    assert!(matches!(refused, Arrived::Refused(None)), "{refused:?}");
    let back = stage.resume("alice", alice.id(), 3).await;
    let Arrived::Resumed(back) = back else { panic!("{back:?}") };
    back.reads(3, 4).await;
}

/// Goal: an answer that is overdue takes no seat that nobody sits in.
#[tokio::test(start_paused = true)]
async fn who_gave_up_has_no_seat() {
    let log = log();
    let gate = closed_gate(&log);
    let stage = Stage::new(&log);
    stage.publish(1).await;
    let entry = stage.node.realm(&realm()).await.unwrap();
    let refused = stage.resume("alice", crate::clock::random_connection_id(), 1).await;
    assert!(matches!(refused, Arrived::Refused(None)), "{refused:?}");
    gate.extend(Instant::now() + LEASE);
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(stage.connections(), 0);
    for hub in &stage.node.hubs {
        let (answer, holders) = tokio::sync::oneshot::channel();
        hub.commands.send(Command::Holders { realm_key: entry.key, answer }).await.unwrap();
        assert_eq!(holders.await.unwrap(), []);
    }
}
