//! The promises of the chat route.

mod badinput;
mod crashes;
mod kill;
mod many;
mod outage;
mod process;
mod resume;
mod rights;
mod rooms;

use serde_json::{Value, json};

use super::stage::{Client, Stage};
use crate::support::socket::Frame;

/// A subscribed socket of `/ws/chat`.
async fn chatter(stage: &Stage, user: &str) -> Client {
    let mut client = Client::open(stage.server().public, "/ws/chat").await;
    client.subscribe(&stage.token(user)).await;
    client
}

/// A workspace of alice and bob with one file in it, `n-17`.
async fn file(stage: &Stage) -> Value {
    ruled_file(stage, json!([])).await
}

async fn ruled_file(stage: &Stage, rules: Value) -> Value {
    stage.ruled_workspace("ws-9", "common", rules).await;
    stage.members("ws-9", &["alice", "bob"]).await;
    let nodes = json!([{"uuid": "n-17", "path": "common/reports/new.pdf"}]);
    stage.call("POST", "pydio/nodes", json!({"nodes": nodes})).await;
    json!({"Type": "NODE", "RoomTypeObject": "n-17"})
}

/// Joins a room and returns its name.
async fn join(client: &mut Client, room: &Value) -> String {
    client.send(json!({"@type": "JOIN", "Room": room})).await;
    let update = client.push().await;
    assert_eq!(update["@type"], "ROOM_UPDATE", "{update}");
    update["Room"]["Uuid"].as_str().unwrap().to_owned()
}

async fn post(client: &mut Client, room: &str, text: &str) {
    client.send(json!({"@type": "POST", "Message": {"RoomUuid": room, "Message": text}})).await;
}

async fn post_as(client: &mut Client, room: &str, uuid: &str, text: &str) {
    let message = json!({"RoomUuid": room, "Uuid": uuid, "Message": text});
    client.send(json!({"@type": "POST", "Message": message})).await;
}

/// Posts, and waits until it came back.
async fn said(client: &mut Client, room: &str, text: &str) -> Value {
    post(client, room, text).await;
    let message = client.push().await;
    assert_eq!(message["Message"], text, "{message}");
    message
}

async fn ask(client: &mut Client, room: &Value, offset: u64, limit: u64) {
    let paging = json!({"Offset": offset, "Limit": limit}).to_string();
    let message = json!({"@type": "HISTORY", "Room": room, "Message": {"Message": paging}});
    client.send(message).await;
    assert_eq!(client.push().await["@type"], "ROOM_UPDATE");
}

/// The texts of the next `count` messages.
async fn texts(client: &mut Client, count: usize) -> Vec<String> {
    let mut texts = Vec::new();
    for _ in 0..count {
        let message = client.push().await;
        assert!(message.get("@type").is_none(), "{message}");
        texts.push(message["Message"].as_str().unwrap().to_owned());
    }
    texts
}

/// Everything that was said in a room, and proof that it is everything.
async fn history(client: &mut Client, room: &Value, count: usize) -> Vec<String> {
    ask(client, room, 0, 0).await;
    let texts = texts(client, count).await;
    client.settled().await;
    texts
}

async fn told(client: &mut Client) -> String {
    let error = client.push().await;
    assert_eq!(error["@type"], "error", "{error}");
    assert_eq!(error["jwt"], "", "{error}");
    error["error"].as_str().unwrap().to_owned()
}

/// Who is in a room.
fn users(update: &Value) -> Vec<&str> {
    let users = update["Room"]["Users"].as_array();
    users.into_iter().flatten().map(|user| user.as_str().unwrap()).collect()
}

/// The next text; pings are answered; `None` when the socket has ended.
async fn next(client: &mut Client) -> Option<Value> {
    loop {
        match client.0.next().await {
            Frame::Text(text) => return Some(serde_json::from_str(&text).unwrap()),
            Frame::Ping(payload) => client.0.send_frame(0x8a, &payload).await,
            Frame::Pong(_) | Frame::Binary(_) => {}
            Frame::Close(_) | Frame::End => return None,
        }
    }
}
