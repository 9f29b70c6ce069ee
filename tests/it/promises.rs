//! Goal: what the documents promise, tried the way a newcomer would.
//!
//! Method: the real binary in development mode, one promise for each test.

use serde_json::{Value, json};

use crate::{
    http::client::ask,
    support::{process::Process, socket::Socket, until},
};

async fn post(node: &Process, path: &str, body: &Value) -> Value {
    let lines = "Content-Type: application/json\r\n";
    let reply = ask(node.internal, &format!("POST {path}"), lines, &body.to_string()).await;
    assert_eq!(reply.status, 200, "{reply:?}");
    reply.json()
}

/// A plain client has no hello that tells where its part of a room begins: it begins
/// with the 101.
#[tokio::test]
async fn what_is_said_after_the_101_comes_to_a_plain_client() {
    let node = Process::dev(&["--set", "limits.connections_per_ip=0"]).await;
    for room in 0..50 {
        let path = format!("/ws/room/r{room}");
        let mut speaker = Socket::open(node.public, &path, "").await.unwrap();
        let mut listener = Socket::open(node.public, &path, "").await.unwrap();
        speaker.send("at once").await;
        assert_eq!(speaker.text().await, "at once");
        assert_eq!(listener.text().await, "at once");
    }
}

#[tokio::test]
async fn an_event_needs_no_data() {
    let node = Process::dev(&[]).await;
    let mut alice = Socket::mattermost(node.public, &node.tokens["alice"]).await;
    post(&node, "/api/v1/publish", &json!({"event": "bell", "to": {"user": "alice"}})).await;
    let event = loop {
        let event: Value = serde_json::from_str(&alice.text().await).unwrap();
        if event["event"] == "bell" {
            break event;
        }
    };
    assert_eq!(event["data"], json!({}));
}

#[tokio::test]
async fn every_node_of_the_list_has_a_lease_that_runs() {
    let node = Process::dev(&[]).await;
    let list = ask(node.internal, "GET /api/v1/nodes", "", "").await.json();
    let ends_at = u128::from(list["nodes"][0]["lease_expires_at"].as_u64().unwrap());
    let now = u128::from(hubbub::clock::Clock::system().now_ms());
    assert!((now..now + 20_000).contains(&ends_at), "{list} at {now}");
}

/// One limit can be set alone: what holds before authentication follows it.
#[tokio::test]
async fn the_limit_of_messages_bounds_those_before_authentication_too() {
    let node = Process::dev(&["--set", "limits.message_bytes=1KiB"]).await;
    let long = json!({"seq": 1, "action": "ping", "data": {"text": "x".repeat(1024)}}).to_string();
    let mut stranger = Socket::open(node.public, "/api/v4/websocket", "").await.unwrap();
    let mut alice = Socket::mattermost(node.public, &node.tokens["alice"]).await;
    for socket in [&mut stranger, &mut alice] {
        socket.send(&long).await;
        assert_eq!(socket.closed().await, 1009);
    }
}

#[tokio::test]
async fn a_guest_inside_a_room_is_there() {
    let node = Process::dev(&[]).await;
    let _guest = Socket::open(node.public, "/ws/room/tea", "").await.unwrap();
    until("the guest is listed", || async {
        let list = ask(node.internal, "GET /api/v1/presence?room=tea", "", "").await.json();
        list["users"][0]["status"] == "online"
    })
    .await;
}
