//! Rights to chat rooms on a node that is behind its log, and who comes and goes.

use std::sync::Arc;

use tokio::time::Instant;

use super::stage::*;
use crate::{
    lifecycle::Gate,
    log::{ChatOp, Draft},
    model::{
        Body, ChatSeat, Rights, RoomKey, RoomKind, Root, Rule, Subject, Topic, Who, Workspace,
    },
};

/// Goal: a right that may have ended is not granted by a node that has not heard so yet.
///
/// Method: the hub keeps back what comes, as after a lapse of the lease, while a rule
/// takes the right away.
#[tokio::test(start_paused = true)]
async fn a_node_that_is_behind_grants_nothing() {
    let log = log();
    let gate = Gate::until(Instant::now() + LEASE);
    log.faults.set_gate(&gate);
    let stage = Stage::new(&log);
    let alice = stage.connect("alice").await;
    let publish = async |body| {
        stage.node.publish_one(&realm(), Draft { body, id: None }).await.unwrap();
    };
    let define = async |rules: Vec<Rule>| {
        let roots = vec![Root { uuid: "r".to_owned(), path: "a".to_owned() }];
        let workspace = Workspace { label: String::new(), roots, rules };
        publish(Body::Workspace { id: id("w"), is: Some(Arc::new(workspace)), was: None }).await;
    };
    define(Vec::new()).await;
    let topic = Topic::Workspace(id("w"));
    publish(Body::Members { topic, add: vec![id("alice")], remove: Vec::new() }).await;
    let key = RoomKey { kind: RoomKind::Workspace, object: Some(id("w")) };
    let subject = Subject { roles: Vec::new(), profile: None };
    let rights = async || stage.node.chat_rights(&alice.seat, &subject, &key).await;
    assert_eq!(rights().await, Ok(Rights { read: true, write: true }));
    tokio::time::advance(LEASE).await;
    let (who, path) = (Who::User(id("alice")), "a".to_owned());
    define(vec![Rule { who, path, read: false, write: false }]).await;
    assert!(rights().await.is_err(), "who does not know does not grant");
    gate.extend(Instant::now() + LEASE);
    assert_eq!(rights().await, Ok(Rights { read: false, write: false }));
}

/// Goal: what a session once heard is bounded, and who is refused for that may come again
/// when the log has forgotten.
#[tokio::test(start_paused = true)]
async fn who_comes_and_goes_faster_than_the_log_forgets_has_to_wait() {
    let stage = Stage::new(&log());
    let alice = stage.connect("alice").await;
    let seat =
        || ChatSeat { connection: alice.id(), user: id("alice"), fencing: alice.seat.fencing() };
    let key = RoomKey { kind: RoomKind::Global, object: None };
    let mut times = 0;
    while times < 100 && stage.node.may_hear_more(&alice.seat, 2).await.unwrap() {
        let (key, label, uuid) = (key.clone(), Arc::from(""), id(&format!("r{times}")));
        let (creates, asks) = (true, false);
        let join = ChatOp::Join { key: key.clone(), label, uuid, creates, asks, seat: seat() };
        stage.node.chat(&alice.seat, join).await.unwrap();
        stage.node.chat(&alice.seat, ChatOp::Leave { key, asks, seat: seat() }).await.unwrap();
        times += 1;
    }
    assert_eq!(times, 64, "32 for each that it may hear");
    stage.publish(9_000).await;
    assert!(!stage.node.may_hear_more(&alice.seat, 2).await.unwrap());
    stage.publish(1_100).await;
    until("room", || stage.life().is_some_and(|(_, last)| last >= 10_100)).await;
    assert!(stage.node.may_hear_more(&alice.seat, 2).await.unwrap(), "all that is forgotten");
}
