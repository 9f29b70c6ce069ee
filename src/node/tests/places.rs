//! Places that are written down, and what can be asked in the cluster.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;

use super::stage::*;
use crate::{
    log::{Inbound, Question, RealmLog as _},
    node::LocatedSocket,
};

async fn place(stage: &Stage, client: &Client) -> (u64, u64) {
    let session = stage.log.session(&realm(), client.id()).await.unwrap();
    let (record, _) = session.unwrap();
    (record.seq, record.cursor)
}

/// Goal: a node that dies leaves places that are at most some seconds old, and failures
/// to write them are made good.
#[tokio::test(start_paused = true)]
async fn places_are_written_while_connections_live() {
    let log = log();
    let stage = Stage::new(&log);
    let alice = stage.connect("alice").await;
    stage.publish(7).await;
    alice.reads(0, 7).await;
    assert_eq!(place(&stage, &alice).await, (1, 0));
    tokio::time::sleep(Duration::from_secs(21)).await;
    assert_eq!(place(&stage, &alice).await, (8, 7));
    let counted =
        |result| stage.node.metrics().checkpoints_total.with_label_values(&[result]).get();
    assert_eq!(counted("written"), 1);
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(counted("written"), 1, "what did not change is not written");
    log.faults.be_away(true);
    stage.publish(1).await;
    tokio::time::sleep(Duration::from_secs(30)).await;
    log.faults.be_away(false);
    assert!(counted("failed") > 0);
    tokio::time::sleep(Duration::from_secs(21)).await;
    assert_eq!(place(&stage, &alice).await, (9, 8));
}

/// Goal: a drain that is cut short has written the places of all.
#[tokio::test(start_paused = true)]
async fn a_drain_writes_all_places_before_it_closes_the_first_socket() {
    let stage = Stage::new(&log());
    let alice = stage.connect("alice").await;
    stage.publish(3).await;
    alice.reads(0, 3).await;
    stage.node.drain(Duration::from_secs(1_000)).await;
    assert_eq!(alice.link.closed_with(), None);
    assert_eq!(place(&stage, &alice).await, (4, 3));
}

/// Goal: a connection is found wherever it is, and a node answers for its own.
#[tokio::test(start_paused = true)]
async fn a_connection_is_found_on_its_own_node_and_elsewhere() {
    let log = log();
    let stage = Stage::new(&log);
    let alice = stage.connect("alice").await;
    stage.publish(2).await;
    alice.reads(0, 2).await;
    let found = stage.node.connection(&realm(), alice.id()).await.unwrap().unwrap();
    let socket = found.socket.clone().unwrap();
    assert_eq!((found.node.as_str(), found.seq, found.cursor), ("n", 3, 2));
    assert_eq!((found.user.as_str(), socket.dialect.as_str()), ("alice", "mattermost"));

    // What this node answers others.
    let ask = |text: String| Question { id: Arc::from("q"), text: text.into() };
    let texts = [
        format!(r#"{{"ask":"connection","id":"{}"}}"#, alice.id()),
        r#"{"ask":"room","name":"lobby"}"#.to_owned(),
        r#"{"ask":"the weather","of":"tomorrow"}"#.to_owned(),
    ];
    for text in texts {
        log.tell(&realm(), || Inbound::Question(ask(text.clone()))).await;
    }
    until("answers", || log.faults.answers().len() == 3).await;
    let answers = log.faults.answers();
    let own = answers.iter().find(|answer| answer.starts_with(b"{")).unwrap().clone();
    assert!(answers.contains(&Bytes::from_static(b"[]")), "{answers:?}");
    assert!(answers.contains(&Bytes::from_static(b"null")), "{answers:?}");

    // Another node of the cluster, where alice has no socket.
    let other = Stage::new(&log);
    let nobody = other.node.connection(&realm(), alice.id()).await.unwrap();
    assert_eq!(nobody, None, "nobody answers, and no other node can have it");
    log.faults.set_others_answers(vec![Bytes::from_static(b"null"), own, Bytes::from("{}")]);
    let there = other.node.connection(&realm(), alice.id()).await.unwrap().unwrap();
    assert_eq!(there, found);
    assert_eq!(there.socket, Some(LocatedSocket { ..socket }));
}

/// Goal: a room is one room, wherever its people are.
#[tokio::test(start_paused = true)]
async fn who_is_in_a_room_is_asked_everywhere() {
    let log = log();
    let stage = Stage::new(&log);
    let alice = stage.connect("alice").await;
    let inside = format!(r#"[["bob","{}"],["not a user","x"]]"#, alice.id());
    log.faults.set_others_answers(vec![inside.into(), Bytes::from_static(b"broken")]);
    let inside = stage.node.in_room(&realm(), &id("lobby")).await.unwrap();
    assert_eq!(inside, [(id("bob"), alice.id())]);
}
