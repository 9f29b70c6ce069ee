//! A realm begins with what the log has, and begins anew when the log can't go on.

use std::{sync::Arc, time::Duration};

use super::stage::*;
use crate::{
    log::{Inbound, Loss},
    model::Topic,
};

/// Goal: a node that comes to a realm late can resume connections that began before it
/// was there, and knows what was said in the rooms.
#[tokio::test(start_paused = true)]
async fn a_late_node_has_what_the_log_still_holds() {
    let log = log();
    let first = Stage::new(&log);
    let alice = first.connect("alice").await;
    first.publish(20).await;
    first.publish_to(&Topic::Room(id("lobby")), 3).await;
    alice.reads(0, 20).await;
    let second = Stage::new(&log);
    assert_eq!(second.life(), None, "nobody has asked for the realm there");
    let Arrived::Resumed(moved) = second.resume("alice", alice.id(), 5).await else { panic!() };
    moved.reads(5, 20).await;
    assert_eq!(second.life(), Some((0, 23)));
    let entry = second.node.realm(&realm()).await.unwrap();
    assert_eq!(entry.realm.ring.fill().first, 1);
    assert_eq!(second.node.rooms.history(entry.key, &id("lobby"), 23).len(), 3);
    // Hubs begin at the end of it: what is old is not applied again.
    first.publish(1).await;
    moved.reads(21, 21).await;
}

/// Goal: a loss costs the connections of one realm on one node a reconnect, at once and
/// before anything else, and leaves nothing behind.
#[tokio::test(start_paused = true)]
async fn a_loss_ends_a_life_and_the_next_begins_by_itself() {
    let log = log();
    let stage = Stage::new(&log);
    let mut clients = Vec::new();
    for user in ["alice", "bob", "carol", "dave"] {
        clients.push(stage.connect(user).await);
    }
    stage.publish(3).await;
    for client in &clients {
        client.reads(0, 3).await;
    }
    let old = Arc::downgrade(&stage.node.realm(&realm()).await.unwrap().realm);
    let told_at = tokio::time::Instant::now();
    log.tell(&realm(), || Inbound::Lost(Loss::Generation)).await;
    stage.publish(5).await;
    for client in &clients {
        client.closes_with(1012).await;
        assert_eq!(client.read(), [0; 0], "nothing comes after the loss");
        assert_eq!(client.link.left_at(), None, "its place may be none of the log's");
    }
    until("the next life", || stage.life().is_some_and(|(key, _)| key == 1)).await;
    assert!(told_at.elapsed() < Duration::from_secs(1));
    assert_eq!(stage.connections(), 0);
    let losses = &stage.node.metrics().realm_losses_total;
    assert_eq!(losses.with_label_values(&["generation"]).get(), 1);
    // Those who come back are served from the new ring.
    let alice = clients.first().unwrap().id();
    let back = stage.resume("alice", alice, 2).await;
    let Arrived::Resumed(back) = back else { panic!("{back:?}") };
    back.reads(2, 8).await;
    clients.clear();
    until("the memory of the old life", || old.strong_count() == 0).await;
}

/// Goal: a life that can't begin while the log is away begins when it is back, without
/// anybody asking; those who ask meanwhile are told soon.
#[tokio::test(start_paused = true)]
async fn a_life_begins_when_the_log_is_back() {
    let log = log();
    let stage = Stage::new(&log);
    let alice = stage.connect("alice").await;
    log.faults.be_away(true);
    log.tell(&realm(), || Inbound::Lost(Loss::Retention)).await;
    alice.closes_with(1012).await;
    for _ in 0..5 {
        let asked_at = tokio::time::Instant::now();
        let refused = stage.resume("alice", alice.id(), 1).await;
        assert!(matches!(refused, Arrived::Refused(_)), "{refused:?}");
        assert!(asked_at.elapsed() <= Duration::from_secs(2));
        tokio::time::sleep(Duration::from_secs(7)).await;
    }
    assert_eq!(stage.life(), None);
    log.faults.be_away(false);
    until("the next life", || stage.life().is_some()).await;
    let back = stage.resume("alice", alice.id(), 1).await;
    assert!(matches!(back, Arrived::Resumed(_)), "{back:?}");
    assert_eq!(stage.life().unwrap().0, 1, "one life, whoever asked");
}

/// Goal: lives follow one another, each with a key of its own, and leave nothing.
#[tokio::test(start_paused = true)]
async fn losses_come_again_and_again() {
    let log = log();
    let stage = Stage::new(&log);
    for life in 0..50 {
        let alice = stage.connect("alice").await;
        assert_eq!(stage.life().unwrap().0, life);
        log.tell(&realm(), || Inbound::Lost(Loss::Generation)).await;
        alice.closes_with(1012).await;
        until("the next life", || stage.life().is_some_and(|(key, _)| key > life)).await;
    }
    assert_eq!(stage.connections(), 0);
    assert_eq!(
        stage.node.describe().await.hubs.iter().map(|(hub, _)| hub.topics).sum::<usize>(),
        0
    );
}
