//! Goal: rights are in one order with the events that they govern, and follow at once.
//!
//! Method: change a right between two events, and see the one and not the other.

use serde_json::{Value, json};

use super::{
    on_one_and_on_two,
    stage::{Stage, id, node},
};

on_one_and_on_two!(
    s16_fewer_roles_after_subscribing_again_end_what_they_gave,
    who_leaves_a_workspace_hears_nothing_more_of_it,
    a_workspace_that_is_removed_or_moved_shows_nothing_of_before,
    a_rule_narrows_what_a_member_sees,
    user_meta_data_is_for_whom_its_policies_name,
    subscribing_again_as_another_user_replaces_all_rights,
    a_claim_of_a_token_is_a_seed,
    several_roots_are_told_apart_by_their_names,
);

async fn s16_fewer_roles_after_subscribing_again_end_what_they_gave(stage: &Stage) {
    stage
        .ruled_workspace(
            "ws",
            "a",
            json!([
                {"role": "everybody", "path": "a/books", "read": false},
            ]),
        )
        .await;
    stage.members("ws", &["alice"]).await;
    let token = |roles: &[&str]| {
        stage.token_of("alice", |claims| claims.roles = roles.iter().map(|role| id(role)).collect())
    };
    let mut alice = stage.open().await;
    alice.subscribe(&token(&["accounting"])).await;
    let about = json!({"Type": "UPDATE", "Role": {"Uuid": "accounting"}});
    stage.event("idm", about.clone()).await;
    stage.delete("a/books/1").await;
    assert_eq!(alice.push().await["@type"], "idm");
    assert_eq!(alice.push().await["Source"]["Path"], "books/1");
    alice.subscribe(&token(&["everybody"])).await;
    stage.event("idm", about).await;
    stage.delete("a/books/2").await;
    stage.is_silent(&mut alice, "alice").await;
}

async fn who_leaves_a_workspace_hears_nothing_more_of_it(stage: &Stage) {
    stage.workspace("ws", "a").await;
    stage.members("ws", &["alice", "bob"]).await;
    let mut alice = stage.client("alice").await;
    let mut bob = stage.client("bob").await;
    stage.delete("a/1").await;
    let topic = json!({"workspace": "ws"});
    stage.call("POST", "members", json!({"topic": topic, "remove": ["alice"]})).await;
    stage.delete("a/2").await;
    assert_eq!(alice.push().await["Source"]["Path"], "1");
    stage.is_silent(&mut alice, "alice").await;
    stage.members("ws", &["alice"]).await;
    stage.delete("a/3").await;
    assert_eq!(alice.push().await["Source"]["Path"], "3");
    for path in ["1", "2", "3"] {
        assert_eq!(bob.push().await["Source"]["Path"], path);
    }
}

async fn a_workspace_that_is_removed_or_moved_shows_nothing_of_before(stage: &Stage) {
    stage.workspace("ws", "a").await;
    stage.members("ws", &["alice"]).await;
    let mut alice = stage.client("alice").await;
    stage.delete("a/1").await;
    stage.workspace("ws", "b").await;
    stage.delete("a/2").await;
    stage.delete("b/3").await;
    stage.call("DELETE", "pydio/workspaces/ws", Value::Null).await;
    stage.delete("b/4").await;
    for path in ["1", "3"] {
        assert_eq!(alice.push().await["Source"]["Path"], path);
    }
    stage.is_silent(&mut alice, "alice").await;
}

async fn a_rule_narrows_what_a_member_sees(stage: &Stage) {
    // A full path, one relative to the root, and one below it that gives back.
    stage
        .ruled_workspace(
            "ws",
            "a",
            json!([
                {"role": "guests", "path": "a/secret", "read": false, "write": false},
                {"user": "bob", "path": "secret/open", "read": true, "write": false},
            ]),
        )
        .await;
    stage.members("ws", &["alice", "bob"]).await;
    let mut alice = stage.client("alice").await;
    let mut bob = stage.open().await;
    bob.subscribe(&stage.token_of("bob", |claims| claims.roles = vec![id("guests")])).await;
    stage.delete("a/secret/1").await;
    stage.delete("a/secret/open/2").await;
    let moved = json!({"Type": "UPDATE_PATH", "Source": node("n", "a/secret/3"), "Target": node("n", "a/3")});
    stage.event("tree", moved).await;
    for path in ["secret/1", "secret/open/2", "secret/3"] {
        assert_eq!(alice.push().await["Source"]["Path"], path);
    }
    assert_eq!(bob.push().await["Source"]["Path"], "secret/open/2");
    let seen = bob.push().await;
    assert!(seen.get("Source").is_none() && seen.get("Type").is_none(), "{seen}");
    assert_eq!(seen["Target"]["Path"], "3");
    stage.is_silent(&mut bob, "bob").await;
}

async fn user_meta_data_is_for_whom_its_policies_name(stage: &Stage) {
    stage.workspace("ws", "a").await;
    stage.members("ws", &["alice", "bob", "carol"]).await;
    let mut alice = stage.client("alice").await;
    let mut bob = stage.open().await;
    bob.subscribe(&stage.token_of("bob", |claims| claims.roles = vec![id("banned")])).await;
    let event = |policies: Value| {
        let meta = json!({"pydio:meta-policies": policies.to_string(), "usermeta-x": "\"1\""});
        json!({"Type": "UPDATE_USER_META", "Target": node("n", "a/x"),
            "Source": {"Uuid": "n", "MetaStore": meta}})
    };
    let policy = |subject: &str, effect: &str| json!({"Action": "READ", "Subject": subject, "Effect": effect});
    stage.event("meta", event(json!([policy("user:alice", "allow")]))).await;
    stage.event("meta", event(json!([policy("*", "allow"), policy("role:banned", "deny")]))).await;
    stage.event("meta", event(json!([policy("profile:admin", "allow")]))).await;
    stage.event("meta", event(json!([]))).await;
    stage.event("meta", event(json!([policy("profile:shared", "allow")]))).await;
    for _ in 0..3 {
        let got = alice.push().await;
        assert_eq!(
            (&got["Type"], &got["Target"]["Path"]),
            (&json!("UPDATE_USER_META"), &json!("x"))
        );
        assert!(got.get("Source").is_none(), "{got}");
    }
    assert_eq!(bob.push().await["Type"], "UPDATE_USER_META");
    stage.is_silent(&mut alice, "alice").await;
    stage.is_silent(&mut bob, "bob").await;
}

async fn subscribing_again_as_another_user_replaces_all_rights(stage: &Stage) {
    for (workspace, user) in [("ws-a", "alice"), ("ws-b", "bob")] {
        stage.workspace(workspace, workspace).await;
        stage.members(workspace, &[user]).await;
    }
    let mut socket = stage.client("alice").await;
    stage.delete("ws-a/1").await;
    assert_eq!(socket.push().await["Source"]["Path"], "1");
    socket.subscribe(&stage.token("bob")).await;
    stage.delete("ws-a/2").await;
    stage.delete("ws-b/3").await;
    assert_eq!(socket.push().await["Source"]["Path"], "3");
    stage.is_silent(&mut socket, "bob").await;
}

async fn a_claim_of_a_token_is_a_seed(stage: &Stage) {
    stage.workspace("ws", "a").await;
    let token = stage.token_of("alice", |claims| claims.workspaces = vec![id("ws")]);
    let mut alice = stage.open().await;
    alice.subscribe(&token).await;
    stage.delete("a/1").await;
    assert_eq!(alice.push().await["Source"]["Path"], "1");
    let topic = json!({"workspace": "ws"});
    stage.call("POST", "members", json!({"topic": topic, "remove": ["alice"]})).await;
    alice.subscribe(&token).await;
    stage.delete("a/2").await;
    stage.is_silent(&mut alice, "alice").await;
}

async fn several_roots_are_told_apart_by_their_names(stage: &Stage) {
    let roots = json!([{"uuid": "1", "path": "x/one"}, {"uuid": "2", "path": "y/two"}]);
    stage.call("PUT", "pydio/workspaces/ws", json!({"label": "", "roots": roots})).await;
    stage.members("ws", &["alice"]).await;
    let mut alice = stage.client("alice").await;
    for path in ["x/one/a", "y/two", "y/two/b/c", "x/two"] {
        stage.delete(path).await;
    }
    for path in ["one/a", "two", "two/b/c"] {
        assert_eq!(alice.push().await["Source"]["Path"], path);
    }
    stage.is_silent(&mut alice, "alice").await;
}
