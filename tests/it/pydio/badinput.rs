//! Goal: bad input gets a clear error, and nothing else is lost by it.
//!
//! Method: one case for each test, on both routes where they differ.

use serde_json::{Value, json};

use super::stage::{Client, Stage};
use crate::support::socket::Frame;

/// A socket of each route, before it subscribes; on two nodes when there are two.
pub(super) async fn both_routes(stage: &Stage) -> [Client; 2] {
    let [event, chat] = [stage.server().public, stage.server().public];
    [Client::open(event, "/ws/event").await, Client::open(chat, "/ws/chat").await]
}

#[tokio::test]
async fn an_empty_token_is_refused_in_the_words_of_its_route() {
    let stage = Stage::one().await;
    for message in [json!({"@type": "subscribe"}), json!({"@type": "subscribe", "jwt": ""})] {
        let [mut event, mut chat] = both_routes(&stage).await;
        for (client, text) in [(&mut event, "empty jwt"), (&mut chat, "Empty JWT")] {
            client.send(message.clone()).await;
            assert_eq!(client.refused().await, (text.to_owned(), 4401));
        }
    }
}

#[tokio::test]
async fn a_bad_token_is_told_and_final() {
    let stage = Stage::one().await;
    let [mut event, mut chat] = both_routes(&stage).await;
    for client in [&mut event, &mut chat] {
        client.send(json!({"@type": "subscribe", "jwt": "a.b.c"})).await;
        let (error, code) = client.refused().await;
        assert!(!error.is_empty());
        assert_eq!(code, 4401);
    }
    let mut alice = stage.client("alice").await;
    alice.send(json!({"@type": "subscribe", "jwt": "a.b.c"})).await;
    assert_eq!(alice.refused().await.1, 4401);
}

#[tokio::test]
async fn binary_frames_are_read_and_dropped() {
    let stage = Stage::one().await;
    for mut client in both_routes(&stage).await {
        client.0.send_frame(0x82, b"\x00\xff").await;
        client.settled().await;
        client.subscribe(&stage.token("alice")).await;
        client.0.send_frame(0x82, b"{}").await;
        client.settled().await;
    }
}

#[tokio::test]
async fn a_close_is_answered() {
    let stage = Stage::one().await;
    let mut stranger = stage.open().await;
    let mut alice = stage.client("alice").await;
    for client in [&mut stranger, &mut alice] {
        client.0.send_frame(0x88, &1000_u16.to_be_bytes()).await;
        assert_eq!(client.0.next().await, Frame::Close(1000));
        assert_eq!(client.0.next().await, Frame::End);
    }
}

#[tokio::test]
async fn who_says_too_much_is_told_and_then_closed() {
    let stage = Stage::one_with(|config| {
        config.limits.commands_per_second = 0.001;
        config.limits.commands_burst = 5;
    })
    .await;
    let mut alice = stage.client("alice").await;
    for _ in 0..20 {
        alice.send(json!({"@type": "x"})).await;
    }
    let mut told = 0;
    let code = loop {
        match alice.0.next().await {
            Frame::Text(text) => {
                let error: Value = serde_json::from_str(&text).unwrap();
                assert_eq!(error["@type"], "error");
                told += 1;
            }
            Frame::Close(code) => break code,
            other @ (Frame::Binary(_) | Frame::Ping(_) | Frame::Pong(_) | Frame::End) => {
                panic!("{other:?}")
            }
        }
    };
    assert!(told <= 5);
    assert_eq!(code, 4429);
}

#[tokio::test]
async fn what_is_no_event_of_the_bus_is_400_and_says_where() {
    let stage = Stage::one().await;
    let node = json!({"Uuid": "n", "Path": "a"});
    let with = |field: &str, value: Value| {
        let mut node = node.clone();
        node[field] = value;
        json!({"Type": "CREATE", "Target": node})
    };
    for (topic, payload, field) in [
        ("trees", json!({"Target": node}), "topic"),
        ("", json!({}), "topic"),
        ("tree", json!({}), "payload"),
        ("meta", json!({"Type": "CREATE"}), "payload"),
        ("tree", json!({"Type": "EXPLODE", "Target": node}), "payload.Type"),
        ("tree", json!({"Type": 99, "Target": node}), "payload.Type"),
        ("tree", json!({"Type": [], "Target": node}), "payload.Type"),
        ("tree", json!({"Target": 1}), "payload.Target"),
        ("tree", with("Path", json!("a/../b")), "payload.Target.Path"),
        ("tree", with("Path", json!(1)), "payload.Target.Path"),
        ("tree", with("Type", json!("FILE")), "payload.Target.Type"),
        ("tree", with("Size", json!("many")), "payload.Target.Size"),
        ("tree", with("MTime", json!(1.5)), "payload.Target.MTime"),
        ("tree", with("MetaStore", json!({"x": 1})), "payload.Target.MetaStore"),
        ("task", json!({}), "payload.TaskUpdated"),
        ("idm", json!({"Type": "EXPLODE"}), "payload.Type"),
        ("activity", json!({"OwnerType": "EVERYBODY"}), "payload.OwnerType"),
    ] {
        let body = json!({"topic": topic, "payload": payload});
        let reply = stage.try_call("POST", "pydio/events", body).await;
        assert_eq!(reply.error(), (400, "invalid_field".to_owned(), field.to_owned()), "{payload}");
    }
    let reply =
        stage.try_call("POST", "pydio/events", json!({"topic": "tree", "payload": []})).await;
    assert_eq!(reply.status, 400);
}

#[tokio::test]
async fn what_is_no_workspace_is_400_and_says_where() {
    let stage = Stage::one().await;
    let root = |path: &str| json!([{"uuid": "u", "path": path}]);
    let rule = |rule: Value| json!({"roots": root("a"), "rules": [rule]});
    for (body, field) in [
        (json!({"label": "x"}), "roots"),
        (json!({"roots": []}), "roots"),
        (json!({"roots": root("a/../b")}), "roots[0].path"),
        (json!({"roots": [{"path": "a"}]}), "roots[0].uuid"),
        (json!({"roots": root("a"), "more": 1}), "more"),
        (rule(json!({"path": "a"})), "rules[0]"),
        (rule(json!({"path": "a", "user": "x", "role": "y"})), "rules[0]"),
        (rule(json!({"path": "../a", "user": "x"})), "rules[0].path"),
        (rule(json!({"path": "a", "user": "not an id"})), "rules[0].user"),
    ] {
        let reply = stage.try_call("PUT", "pydio/workspaces/ws", body.clone()).await;
        let (status, _, named) = reply.error();
        assert_eq!((status, named.as_str()), (400, field), "{body}");
    }
    let reply =
        stage.try_call("PUT", "pydio/workspaces/no%20id", json!({"roots": root("a")})).await;
    assert_eq!(reply.error().0, 400);
    let reply = stage.try_call("POST", "pydio/nodes", json!({"nodes": root("..")})).await;
    assert_eq!(reply.error().2, "nodes[0].path");
}
