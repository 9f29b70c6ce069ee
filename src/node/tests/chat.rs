//! Rights to chat rooms on a node that is behind its log.

use std::sync::Arc;

use tokio::time::Instant;

use super::stage::*;
use crate::{
    lifecycle::Gate,
    log::Draft,
    model::{Body, Rights, RoomKey, RoomKind, Root, Rule, Subject, Topic, Who, Workspace},
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
