//! Goal: a socket is somebody's only as long as a token says so, and one that does not
//! read costs nobody else anything.
//!
//! Method: end the token in each way that there is; do not read.

use std::time::Duration;

use serde_json::json;

use super::stage::{Client, Stage, node};
use crate::http::client::ask;

#[tokio::test]
async fn who_unsubscribes_hears_nothing_and_may_subscribe_again() {
    let stage = Stage::one().await;
    let mut alice = stage.client("alice").await;
    alice.send(json!({"@type": "unsubscribe"})).await;
    alice.settled().await;
    let unheard = stage.mark("alice").await;
    alice.settled().await;
    alice.subscribe(&stage.token("alice")).await;
    let heard = stage.mark("alice").await;
    assert_ne!(heard, unheard);
    assert_eq!(alice.push().await["Activity"]["id"], heard.as_str());
}

#[tokio::test]
async fn a_socket_that_does_not_subscribe_in_time_is_4401() {
    let stage =
        Stage::one_with(|config| config.limits.auth_timeout = Duration::from_millis(300)).await;
    for path in ["/ws/event", "/ws/chat", "/chat"] {
        let mut client = Client::open(stage.servers[0].public, path).await;
        assert_eq!(client.0.closed().await, 4401, "{path}");
    }
    let mut alice = stage.client("alice").await;
    alice.send(json!({"@type": "unsubscribe"})).await;
    assert_eq!(alice.0.closed().await, 4401, "nobody's again");
}

#[tokio::test]
async fn the_end_of_a_token_is_4419() {
    let stage = Stage::one_with(|config| config.auth.leeway = Duration::ZERO).await;
    let mut short = stage.open().await;
    let token = stage.token_of("carol", |claims| claims.ttl = Duration::from_secs(1));
    short.subscribe(&token).await;
    assert_eq!(short.0.closed().await, 4419, "it expired");
    let mut late = stage.open().await;
    late.send(json!({"@type": "subscribe", "jwt": token})).await;
    assert_eq!(late.refused().await.1, 4419, "it has expired");

    let mut alice = stage.client("alice").await;
    stage.call("POST", "revoke", json!({"user": "alice"})).await;
    assert_eq!(alice.0.closed().await, 4419, "it was revoked");

    let mut bob = stage.client("bob").await;
    stage.event("idm", json!({"Type": "LOGOUT", "User": {"Login": "bob"}})).await;
    assert_eq!(bob.push().await["Type"], "LOGOUT");
    assert_eq!(bob.0.closed().await, 4419, "its user logged out");
}

#[tokio::test]
async fn a_token_that_has_ended_gets_no_seat() {
    let stage = Stage::one().await;
    let token = stage.token_of("alice", |claims| claims.session = Some(super::stage::id("s1")));
    stage.call("POST", "revoke", json!({"session": "s1"})).await;
    let mut alice = stage.open().await;
    alice.send(json!({"@type": "subscribe", "jwt": token})).await;
    assert_eq!(alice.refused().await.1, 4419);
}

#[tokio::test]
async fn a_user_has_a_limited_number_of_sockets() {
    let stage = Stage::one_with(|config| config.limits.connections_per_user = 1).await;
    let mut first = stage.client("alice").await;
    // Subscribing again counts once.
    first.subscribe(&stage.token("alice")).await;
    let mut second = stage.open().await;
    second.send(json!({"@type": "subscribe", "jwt": stage.token("alice")})).await;
    assert_eq!(second.refused().await.1, 4429);
}

#[tokio::test]
async fn a_slow_reader_is_4431_and_its_neighbours_notice_nothing() {
    let stage = Stage::one_with(|config| {
        config.limits.outbox_events = 16;
        config.limits.outbox_bytes = 128 * 1024;
    })
    .await;
    stage.workspace("ws", "a").await;
    stage.members("ws", &["alice", "bob"]).await;
    let mut alice = stage.client("alice").await;
    let mut bob = stage.client("bob").await;
    let mut target = node("n", "a/x");
    target["MetaStore"] = json!({"big": "x".repeat(60 * 1024)});
    let slow = || {
        let metrics = stage.servers[0].node.metrics();
        metrics.slow_consumers_total.with_label_values(&["pydio"]).get()
    };
    let mut count = 0;
    while slow() == 0 {
        assert!(count < 1_000, "alice is never given up");
        count += 1;
        target["Etag"] = json!(count.to_string());
        stage.event("tree", json!({"Type": "DELETE", "Source": target})).await;
        assert_eq!(bob.push().await["Source"]["Etag"], count.to_string());
    }
    assert_eq!(alice.0.closed().await, 4431);
    stage.is_silent(&mut bob, "bob").await;
}

#[tokio::test]
async fn paths_are_configurable_and_sockets_are_counted() {
    let stage = Stage::one_with(|config| {
        config.dialects.pydio.event_path = "/events".to_owned();
        config.dialects.pydio.chat_alias = String::new();
    })
    .await;
    let server = &stage.servers[0];
    let mut alice = Client::open(server.public, "/events").await;
    alice.subscribe(&stage.token("alice")).await;
    let gone = crate::support::socket::Socket::open(server.public, "/chat", "").await;
    assert!(gone.err().unwrap().starts_with("HTTP/1.1 404"));
    let mark = stage.mark("alice").await;
    assert_eq!(alice.push().await["Activity"]["id"], mark.as_str());
    let page = ask(server.internal, "GET /metrics", "", "").await.text;
    for line in [
        r#"hubbub_connections{dialect="pydio"} 1"#,
        r#"hubbub_sockets_opened_total{dialect="pydio"} 1"#,
        r#"hubbub_deliveries_total{class="durable",dialect="pydio"} 1"#,
    ] {
        assert!(page.lines().any(|other| other == line), "{line}: {page}");
    }
}
