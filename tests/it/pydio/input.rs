//! Goal: the scenarios of what a client may send, on one node and on two.
//!
//! Method: each on both routes where they differ. Other cases of bad input are in `badinput`.

use serde_json::json;

use super::{badinput::both_routes, on_one_and_on_two, stage::Stage};

on_one_and_on_two!(
    with |config| config.limits.message_bytes = 16 * 1024;
    s3_bad_json_ends_an_event_socket_and_is_ignored_by_chat,
    s4_an_unknown_type_and_unknown_members_are_ignored,
    s17_a_message_over_the_limit_is_1009,
);

async fn s3_bad_json_ends_an_event_socket_and_is_ignored_by_chat(stage: &Stage) {
    for bad in ["{", "[]", "1", "\"x\"", "{\"@type\":1}", "{\"jwt\":{}}", "{} {}", ""] {
        let [mut event, mut chat] = both_routes(stage).await;
        event.0.send(bad).await;
        let (error, code) = event.refused().await;
        assert!(!error.is_empty() && code == 1007, "{bad}: {error} {code}");
        chat.0.send(bad).await;
        chat.settled().await;
        chat.subscribe(&stage.token("alice")).await;
        chat.0.send(bad).await;
    }
    let mut alice = stage.client("alice").await;
    alice.0.send("no json").await;
    assert_eq!(alice.refused().await.1, 1007);
}

async fn s4_an_unknown_type_and_unknown_members_are_ignored(stage: &Stage) {
    let mut alice = stage.open().await;
    for message in [json!({}), json!({"@type": "dance"}), json!({"@type": null, "x": [1]})] {
        alice.send(message).await;
        alice.settled().await;
    }
    let token = stage.token("alice");
    alice.send(json!({"@Type": "subscribe", "JWT": token, "more": {"deep": []}})).await;
    alice.send(json!({"@type": "dance"})).await;
    alice.settled().await;
    stage.is_silent(&mut alice, "alice").await;
}

async fn s17_a_message_over_the_limit_is_1009(stage: &Stage) {
    let long = |bytes: usize| json!({"@type": "x", "text": "x".repeat(bytes)});
    let [mut event, mut chat] = both_routes(stage).await;
    for client in [&mut event, &mut chat] {
        client.send(long(11 * 1024)).await;
        client.settled().await;
        client.send(long(12 * 1024)).await;
        assert_eq!(client.0.closed().await, 1009, "before subscribe");
    }
    let mut alice = stage.client("alice").await;
    alice.send(long(15 * 1024)).await;
    alice.settled().await;
    alice.send(long(16 * 1024)).await;
    assert_eq!(alice.0.closed().await, 1009);
}
