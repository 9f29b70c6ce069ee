//! Connections that other nodes claim, heard of in time, late, or never.

use std::{sync::Arc, time::Duration};

use tokio::time::Instant;

use super::stage::*;
use crate::{
    hub::{Attached, Start},
    lifecycle::Gate,
    log::{Claim, Inbound, RealmLog as _},
    model::{ConnectionId, Identity},
    node::Seat,
};

/// Claims a connection as another node does, and returns the fencing number.
async fn claim_elsewhere(stage: &Stage, client: &Client) -> u64 {
    let identity: &Identity = &client.seat.identity;
    match stage.log.claim(identity, client.id()).await.unwrap() {
        Claim::Granted { record, .. } => record.fencing,
        other @ (Claim::Unknown | Claim::Forbidden | Claim::Stale) => panic!("{other:?}"),
    }
}

async fn tell_taken(stage: &Stage, connection: ConnectionId, fencing: u64) {
    stage.log.tell(&realm(), || Inbound::Taken { connection, fencing }).await;
}

/// Goal: a socket whose connection was claimed elsewhere goes, one with the newest claim
/// stays.
#[tokio::test(start_paused = true)]
async fn who_hears_of_a_newer_claim_lets_its_socket_go() {
    let stage = Stage::new(&log());
    let (alice, bob) = (stage.connect("alice").await, stage.connect("bob").await);
    tell_taken(&stage, alice.id(), 1).await;
    let fencing = claim_elsewhere(&stage, &bob).await;
    tell_taken(&stage, bob.id(), fencing).await;
    bob.closes_with(4409).await;
    stage.publish(1).await;
    alice.reads(0, 1).await;
    assert_eq!(bob.read().iter().filter(|number| **number > 0).count(), 0);
    assert_eq!(stage.connections(), 1);
}

/// Goal: a claim that is overtaken on its way to the hub gets no seat.
///
/// Method: the attach is made by hand, with the mark that was taken before the claim.
#[tokio::test(start_paused = true)]
async fn a_claim_that_is_overtaken_on_its_way_gets_no_seat() {
    for (heard, expected) in [
        (Some(3), Attached::Superseded),
        (Some(2), Attached::Resumed { replayed: 0 }),
        (None, Attached::Doubtful),
    ] {
        let stage = Stage::new(&log());
        let alice = stage.connect("alice").await;
        let entry = stage.node.realm(&realm()).await.unwrap();
        let mark = entry.realm.claims.mark();
        let claim = stage.log.claim(&alice.seat.identity, alice.id()).await.unwrap();
        let Claim::Granted { record, snapshot } = claim else { panic!("{claim:?}") };
        assert_eq!(record.fencing, 2);
        match heard {
            Some(fencing) => tell_taken(&stage, alice.id(), fencing).await,
            None => stage.log.tell(&realm(), || Inbound::Recheck).await,
        }
        until("the word", || entry.realm.claims.mark() > mark).await;
        until("the answer", || entry.realm.is_spoken_for()).await;
        let seat = Seat { fencing: 2, ..alice.seat.clone() };
        let arrival = stage.arrival("alice", None);
        let start = Start::Resume { next: 1, seq: 1, cursor: 0, base: 0 };
        let attached = stage.node.attach((&seat, mark), &arrival, &snapshot, start).await;
        assert_eq!(attached, Some(expected));
    }
}

/// Goal: after claims may have gone unheard, nothing is sent before it is known which
/// connections are held, also when the log can't be asked at first.
#[tokio::test(start_paused = true)]
async fn after_a_doubt_nothing_is_sent_before_the_log_has_answered() {
    let log = log();
    let stage = Stage::new(&log);
    let (alice, bob) = (stage.connect("alice").await, stage.connect("bob").await);
    alice.reads(0, 0).await;
    bob.reads(0, 0).await;
    claim_elsewhere(&stage, &alice).await;
    log.faults.be_away(true);
    log.tell(&realm(), || Inbound::Recheck).await;
    stage.publish(5).await;
    tokio::time::sleep(Duration::from_secs(20)).await;
    assert_eq!((alice.read(), bob.read()), (vec![], vec![]));
    assert_eq!(alice.link.closed_with(), None);
    log.faults.be_away(false);
    bob.reads(1, 5).await;
    alice.closes_with(4409).await;
    assert_eq!(alice.read(), [0; 0]);
}

/// Goal: a process that was paused for longer than its lease sends nothing of what
/// waited in its queues to connections that others claimed meanwhile (F05).
///
/// Method: the pause is a jump of the clock while records wait in front of the hubs,
/// more than one queue holds.
#[tokio::test(start_paused = true)]
async fn what_waited_over_a_long_pause_is_not_for_those_who_were_claimed() {
    let log = log();
    let gate = Gate::until(Instant::now() + LEASE);
    log.faults.set_gate(&gate);
    let stage = Arc::new(Stage::with_queue(&log, 16));
    let mut clients = Vec::new();
    for number in 0..20 {
        let client = stage.connect(&format!("u{number}")).await;
        client.reads(0, 0).await;
        clients.push(client);
    }
    // From here on the hubs find the gate closed: nothing has run in between.
    tokio::time::advance(LEASE * 2).await;
    stage.publish(200).await;
    for client in &clients[..10] {
        claim_elsewhere(&stage, client).await;
    }
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert!(clients.iter().all(|client| client.read().is_empty()), "the gate is closed");
    // Who comes now has to come again.
    let refused = stage.resume("u19", clients[19].id(), 1).await;
    assert!(matches!(refused, Arrived::Refused(None)), "{refused:?}");

    log.faults.be_away(true);
    gate.extend(Instant::now() + LEASE);
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert!(clients.iter().all(|client| client.read().is_empty()), "nobody was asked yet");
    log.faults.be_away(false);
    for client in &clients[10..19] {
        client.reads(1, 200).await;
        assert_eq!(client.link.closed_with(), None);
    }
    for client in &clients[..10] {
        client.closes_with(4409).await;
        assert_eq!(client.read(), [0; 0]);
    }
    assert_eq!(stage.node.metrics().lease_lapses_total.get(), 1);
}

/// Goal: a lapse while the tail waits for a full hub does not lock both up.
#[tokio::test(start_paused = true)]
async fn a_lapse_while_the_tail_waits_for_a_full_hub_heals() {
    let log = log();
    let gate = Gate::until(Instant::now() + LEASE);
    log.faults.set_gate(&gate);
    let stage = Stage::with_queue(&log, 4);
    let alice = stage.connect("alice").await;
    let entry = stage.node.realm(&realm()).await.unwrap();
    // The hubs hold back, the tail does not know yet.
    entry.realm.claims.doubt();
    stage.publish(100).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    tokio::time::advance(LEASE).await;
    gate.extend(Instant::now() + LEASE);
    alice.reads(0, 100).await;
}
