//! Goal: changes of one node that come close together come as one, and never after what
//! follows them.
//!
//! Method: publish close together, then something that must come afterwards.

use serde_json::json;

use super::{
    on_one_and_on_two,
    stage::{Stage, node},
};

on_one_and_on_two!(
    s8_five_meta_events_within_a_second_are_one,
    s8_a_creation_and_a_change_of_content_are_a_creation,
    what_waits_comes_before_a_delete_of_the_same_node,
    what_waits_comes_before_a_move_whoever_took_it,
    nodes_wait_each_for_itself,
);

async fn s8_five_meta_events_within_a_second_are_one(stage: &Stage) {
    stage.workspace("ws", "a").await;
    stage.members("ws", &["alice"]).await;
    let mut alice = stage.client("alice").await;
    for number in 0..5 {
        let mut target = node("n", "a/x");
        target["MetaStore"] = json!({ format!("m{number}"): "1", "last": number.to_string() });
        stage.event("meta", json!({"Type": "UPDATE_META", "Target": target})).await;
    }
    let got = alice.push().await;
    assert_eq!(got["Type"], "UPDATE_META");
    let meta = &got["Target"]["MetaStore"];
    for number in 0..5 {
        assert_eq!(meta[format!("m{number}")], "1", "{got}");
    }
    assert_eq!(meta["last"], "4");
    stage.is_silent(&mut alice, "alice").await;
}

async fn s8_a_creation_and_a_change_of_content_are_a_creation(stage: &Stage) {
    stage.workspace("ws", "a").await;
    stage.members("ws", &["alice"]).await;
    let mut alice = stage.client("alice").await;
    let target = |size: u32, etag: &str| json!({"Uuid": "n", "Path": "a/x", "Type": "LEAF", "Size": size, "Etag": etag});
    stage.event("tree", json!({"Target": target(1, "real")})).await;
    stage.event("tree", json!({"Type": "UPDATE_CONTENT", "Target": target(2, "temporary")})).await;
    let got = alice.push().await;
    assert!(got.get("Type").is_none(), "a creation has no type: {got}");
    assert_eq!(got["Target"]["Size"], "2");
    assert_eq!(got["Target"]["Etag"], "real", "a temporary etag never counts");
    stage.is_silent(&mut alice, "alice").await;
}

async fn what_waits_comes_before_a_delete_of_the_same_node(stage: &Stage) {
    stage.workspace("ws", "a").await;
    stage.members("ws", &["alice"]).await;
    let mut alice = stage.client("alice").await;
    for round in 0..10 {
        let path = format!("a/{round}");
        let changed = json!({"Type": "UPDATE_CONTENT", "Target": node("n", &path)});
        stage.event("tree", json!({"Type": "CREATE", "Target": node("n", &path)})).await;
        stage.event("tree", changed).await;
        stage.event("tree", json!({"Type": "DELETE", "Source": node("n", &path)})).await;
        let both = [alice.push().await, alice.push().await];
        assert!(both[0].get("Type").is_none(), "{both:?}");
        assert_eq!(both[1]["Type"], "DELETE");
        assert_eq!(both[0]["Target"]["Path"], both[1]["Source"]["Path"]);
    }
    stage.is_silent(&mut alice, "alice").await;
}

async fn what_waits_comes_before_a_move_whoever_took_it(stage: &Stage) {
    stage.workspace("ws", "a").await;
    stage.members("ws", &["alice"]).await;
    let mut alice = stage.client("alice").await;
    stage.event("tree", json!({"Type": "CREATE", "Target": node("n", "a/1")})).await;
    // The next call goes to the other node, when there is one.
    let moved =
        json!({"Type": "UPDATE_PATH", "Source": node("n", "a/1"), "Target": node("n", "a/2")});
    stage.event("tree", moved).await;
    assert_eq!(alice.push().await["Target"]["Path"], "1");
    assert_eq!(alice.push().await["Type"], "UPDATE_PATH");
    stage.is_silent(&mut alice, "alice").await;
}

async fn nodes_wait_each_for_itself(stage: &Stage) {
    stage.workspace("ws", "a").await;
    stage.members("ws", &["alice"]).await;
    let mut alice = stage.client("alice").await;
    for name in ["1", "2", "3"] {
        let target = node(name, &format!("a/{name}"));
        stage.event("tree", json!({"Type": "CREATE", "Target": target})).await;
    }
    stage.event("tree", json!({"Type": "DELETE", "Source": node("2", "a/2")})).await;
    assert_eq!(alice.push().await["Target"]["Path"], "2");
    assert_eq!(alice.push().await["Type"], "DELETE");
    let mut rest = [alice.push().await, alice.push().await];
    rest.sort_by_key(|one| one["Target"]["Path"].as_str().unwrap().to_owned());
    assert_eq!([&rest[0]["Target"]["Path"], &rest[1]["Target"]["Path"]], ["1", "3"]);
    stage.is_silent(&mut alice, "alice").await;
}
