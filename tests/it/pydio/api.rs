//! Goal: what is told to the server API is kept, once, and shown.
//!
//! Method: repeat, restart, look into the log and ask why.

use rustix::process::Signal;
use serde_json::{Value, json};

use super::stage::{Client, KeyFile, Stage};
use crate::{http::client::ask, support::process::Process};

#[tokio::test]
async fn a_repeated_event_is_published_once() {
    let stage = Stage::one().await;
    stage.workspace("ws", "a").await;
    stage.members("ws", &["alice"]).await;
    let mut alice = stage.client("alice").await;
    let delete = |path: &str| {
        let source = json!({"Uuid": "n", "Path": path});
        json!({"topic": "tree", "payload": {"Type": "DELETE", "Source": source}, "id": "once"})
    };
    let first = stage.call("POST", "pydio/events", delete("a/1")).await;
    assert_eq!(stage.call("POST", "pydio/events", delete("a/1")).await, first);
    let reply = stage.try_call("POST", "pydio/events", delete("a/2")).await;
    assert_eq!(reply.error().0, 409);
    assert_eq!(alice.push().await["Source"]["Path"], "1");
    stage.is_silent(&mut alice, "alice").await;
}

#[tokio::test]
async fn the_log_shows_the_bus_and_explains_who_got_what() {
    let stage = Stage::one().await;
    stage.workspace("ws", "a").await;
    stage.members("ws", &["alice"]).await;
    let mut connections = Vec::new();
    for user in ["alice", "bob"] {
        let mut client = stage.open().await;
        client.send(json!({"@type": "subscribe", "jwt": stage.token(user), "resume": true})).await;
        let connection = client.push().await["connection_id"].as_str().unwrap().to_owned();
        connections.push((connection, client));
    }
    let source = json!({"Uuid": "n", "Path": "a/1"});
    let told = stage.event("tree", json!({"Type": "DELETE", "Source": source})).await;
    let offset = told["position"]["offset"].as_u64().unwrap();
    assert_eq!(connections[0].1.push().await["@seq"], 1);
    let log = stage.servers[0].get(&format!("/api/v1/log?from={offset}&limit=1")).await.json();
    let record = &log["records"][0];
    assert_eq!((&record["kind"], &record["topic"]), (&json!("bus"), &json!("tree")));
    assert_eq!(record["payload"]["Source"]["Path"], "a/1");
    for ((connection, _), (delivered, rule)) in
        connections.iter().zip([(true, "addressed"), (false, "not_entitled")])
    {
        let path = format!("/api/v1/explain/delivery?connection={connection}&offset={offset}");
        let told = stage.servers[0].get(&path).await.json();
        assert_eq!((&told["delivered"], &told["rule"]), (&json!(delivered), &json!(rule)));
    }
}

/// A repeated logout must not end a login that came after the first one.
#[tokio::test]
async fn a_logout_with_an_id_revokes_once() {
    let stage = Stage::one().await;
    let logout = json!({
        "topic": "idm", "id": "once", "payload": {"Type": "LOGOUT", "User": {"Login": "bob"}}
    });
    let first = stage.call("POST", "pydio/events", logout.clone()).await;
    let again = stage.call("POST", "pydio/events", logout).await;
    assert_eq!(first["position"], again["position"]);
    let offset = first["position"]["offset"].as_u64().unwrap();
    let log = stage.servers[0].get(&format!("/api/v1/log?from={offset}&limit=10")).await.json();
    let kinds: Vec<_> = log["records"].as_array().unwrap().iter().map(|one| &one["kind"]).collect();
    assert_eq!(kinds, ["bus", "revocation"]);
}

async fn call(node: &Process, method: &str, path: &str, body: Value) {
    let lines = "Content-Type: application/json\r\n";
    let request = format!("{method} /api/v1/{path}");
    let reply = ask(node.internal, &request, lines, &body.to_string()).await;
    assert_eq!(reply.status, 200, "{reply:?}");
}

#[tokio::test]
async fn workspaces_outlive_a_node_that_has_a_folder() {
    let folder = tempfile::tempdir().unwrap();
    let dir = format!("data.dir={}", folder.path().display());
    let key = KeyFile::new();
    let secret = key.setting();
    let args = ["--set", dir.as_str(), "--set", secret.as_str()];
    let mut node = Process::dev(&args).await;
    let body = json!({"roots": [{"uuid": "r", "path": "a"}]});
    call(&node, "PUT", "pydio/workspaces/ws", body.clone()).await;
    call(&node, "PUT", "pydio/workspaces/gone", body).await;
    for workspace in ["ws", "gone"] {
        let topic = json!({"workspace": workspace});
        call(&node, "POST", "members", json!({"topic": topic, "add": ["alice"]})).await;
    }
    call(&node, "DELETE", "pydio/workspaces/gone", Value::Null).await;
    node.signal(Signal::KILL);
    assert_eq!(node.code().await, None);
    let node = Process::dev(&args).await;
    let mut alice = Client::open(node.public, "/ws/event").await;
    alice.subscribe(&node.tokens["alice"]).await;
    for path in ["a/1", "a/2"] {
        let source = json!({"Uuid": "n", "Path": path});
        let payload = json!({"Type": "DELETE", "Source": source});
        call(&node, "POST", "pydio/events", json!({"topic": "tree", "payload": payload})).await;
    }
    assert_eq!(alice.push().await["Source"]["Path"], "1");
    assert_eq!(alice.push().await["Source"]["Path"], "2", "one for each, and no more");
}
