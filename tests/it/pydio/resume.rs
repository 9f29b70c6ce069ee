//! Goal: a session that opted in goes on, on any node, with the next number; one that
//! can't begins anew, and says so first.
//!
//! Method: drop the socket, or kill the node, between the messages of one event.

use rustix::process::Signal;
use serde_json::{Value, json};

use super::{
    on_one_and_on_two,
    stage::{Client, KeyFile, Stage, id},
};
use crate::{
    http::client::ask,
    support::{process::Process, redis::Redis},
};

on_one_and_on_two!(
    pushes_are_numbered_after_a_hello,
    a_session_goes_on_in_the_middle_of_an_event,
    what_a_user_may_not_see_any_more_is_a_number_only,
    other_roles_begin_anew,
    subscribing_again_begins_a_numbering_anew,
);

/// Subscribes with numbers, and returns the connection.
async fn begin(client: &mut Client, token: &str) -> String {
    client.send(json!({"@type": "subscribe", "jwt": token, "resume": true})).await;
    let hello = client.push().await;
    assert_eq!((&hello["@type"], &hello["seq"]), (&json!("hello"), &json!(0)));
    hello["connection_id"].as_str().unwrap().to_owned()
}

fn path(connection: &str, next: u64) -> String {
    format!("/ws/event?connection_id={connection}&sequence_number={next}")
}

async fn go_on(stage: &Stage, connection: &str, next: u64, token: &str) -> Client {
    let mut client = Client::open(stage.server().public, &path(connection, next)).await;
    client.send(json!({"@type": "subscribe", "jwt": token, "resume": true})).await;
    client
}

/// Two workspaces that alice is in and that show the same.
async fn shared(stage: &Stage) {
    for workspace in ["ws-1", "ws-2"] {
        stage.workspace(workspace, "a").await;
        stage.members(workspace, &["alice"]).await;
    }
}

async fn pushes_are_numbered_after_a_hello(stage: &Stage) {
    shared(stage).await;
    let mut alice = stage.open().await;
    begin(&mut alice, &stage.token("alice")).await;
    let mut plain = stage.client("alice").await;
    for path in ["a/1", "a/2"] {
        stage.delete(path).await;
    }
    for number in 1..=4 {
        let (mut numbered, other) = (alice.push().await, plain.push().await);
        assert_eq!(numbered["@seq"], number);
        numbered.as_object_mut().unwrap().remove("@seq");
        assert_eq!(numbered, other);
    }
}

async fn a_session_goes_on_in_the_middle_of_an_event(stage: &Stage) {
    shared(stage).await;
    let token = stage.token("alice");
    let mut alice = stage.open().await;
    let connection = begin(&mut alice, &token).await;
    stage.delete("a/1").await;
    assert_eq!(alice.push().await["@seq"], 1);
    assert_eq!(alice.push().await["@seq"], 2);
    drop(alice);
    stage.delete("a/2").await;
    // The client lost the second message of the first event.
    let mut alice = go_on(stage, &connection, 2, &token).await;
    for (number, path, workspace) in [(2, "1", "ws-2"), (3, "2", "ws-1"), (4, "2", "ws-2")] {
        let push = alice.push().await;
        assert_eq!((&push["@seq"], &push["Source"]["Path"]), (&json!(number), &json!(path)));
        let named = push["Source"]["MetaStore"]["EventWorkspaceId"].as_str().unwrap();
        assert_eq!(named, format!("\"{workspace}\""));
    }
    stage.delete("a/3").await;
    assert_eq!(alice.push().await["@seq"], 5);
}

async fn what_a_user_may_not_see_any_more_is_a_number_only(stage: &Stage) {
    shared(stage).await;
    let token = stage.token("alice");
    let mut alice = stage.open().await;
    let connection = begin(&mut alice, &token).await;
    drop(alice);
    stage.delete("a/1").await;
    let topic = json!({"workspace": "ws-1"});
    stage.call("POST", "members", json!({"topic": topic, "remove": ["alice"]})).await;
    stage.delete("a/2").await;
    let mut alice = go_on(stage, &connection, 1, &token).await;
    assert_eq!(alice.push().await, json!({"@type": "noop", "@seq": 1}));
    for number in [2, 3] {
        let push = alice.push().await;
        assert_eq!(push["@seq"], number);
        assert_eq!(push["Source"]["MetaStore"]["EventWorkspaceId"], "\"ws-2\"");
    }
}

async fn other_roles_begin_anew(stage: &Stage) {
    let mut alice = stage.open().await;
    let connection = begin(&mut alice, &stage.token("alice")).await;
    drop(alice);
    let other = stage.token_of("alice", |claims| claims.roles = vec![id("boss")]);
    let mut alice = go_on(stage, &connection, 1, &other).await;
    let hello = alice.push().await;
    assert_eq!(hello["@type"], "hello");
    assert_ne!(hello["connection_id"], connection.as_str());
}

async fn subscribing_again_begins_a_numbering_anew(stage: &Stage) {
    shared(stage).await;
    let token = stage.token("alice");
    let mut alice = stage.open().await;
    let first = begin(&mut alice, &token).await;
    stage.delete("a/1").await;
    for number in [1, 2] {
        assert_eq!(alice.push().await["@seq"], number);
    }
    let second = begin(&mut alice, &token).await;
    assert_ne!(first, second);
    stage.delete("a/2").await;
    assert_eq!(alice.push().await["@seq"], 1);
    assert_eq!(alice.push().await["@seq"], 2);
    // Without numbers from here on.
    alice.subscribe(&token).await;
    stage.delete("a/3").await;
    assert!(alice.push().await.get("@seq").is_none());
}

/// A development node on `redis`, with a key that all of them have.
async fn process(redis: &Redis, key: &KeyFile, name: &str) -> Process {
    let (url, name) = (redis.url(), format!("node.id={name}"));
    let secret = key.setting();
    let roomy = "limits.resumes_burst=100";
    let args = ["--redis-url", &url, "--set", &name, "--set", &secret, "--set", roomy];
    Process::dev(&args).await
}

async fn call(node: &Process, method: &str, path: &str, body: Value) {
    let lines = "Content-Type: application/json\r\n";
    let request = format!("{method} /api/v1/{path}");
    let reply = ask(node.internal, &request, lines, &body.to_string()).await;
    assert_eq!(reply.status, 200, "{reply:?}");
}

/// Goal: nothing is lost, doubled or out of order when a node is killed, on a node that
/// was there and on one that starts later.
#[tokio::test]
async fn a_session_survives_the_kill_of_its_node() {
    let redis = Redis::start().await;
    let key = KeyFile::new();
    let one = process(&redis, &key, "one").await;
    let two = process(&redis, &key, "two").await;
    let token = one.tokens["alice"].clone();
    for workspace in ["ws-1", "ws-2"] {
        let body = json!({"roots": [{"uuid": "r", "path": "a"}]});
        call(&two, "PUT", &format!("pydio/workspaces/{workspace}"), body).await;
        let topic = json!({"workspace": workspace});
        call(&two, "POST", "members", json!({"topic": topic, "add": ["alice"]})).await;
    }
    let event = |number: u32| {
        let source = json!({"Uuid": number.to_string(), "Path": format!("a/{number}")});
        json!({"topic": "tree", "payload": {"Type": "DELETE", "Source": source}})
    };
    let mut alice = Client::open(one.public, "/ws/event").await;
    let connection = begin(&mut alice, &token).await;
    for number in 0..10 {
        call(&two, "POST", "pydio/events", event(number)).await;
    }
    for number in 1..=13 {
        assert_eq!(alice.push().await["@seq"], number);
    }
    one.signal(Signal::KILL);
    drop((alice, one));
    for number in 10..20 {
        call(&two, "POST", "pydio/events", event(number)).await;
    }
    // The definition at the place of each event counts, also for who comes later.
    call(&two, "PUT", "pydio/workspaces/ws-2", json!({"roots": [{"uuid": "r", "path": "b"}]}))
        .await;
    let three = process(&redis, &key, "three").await;
    for node in [&two, &three] {
        let mut alice = Client::open(node.public, &path(&connection, 14)).await;
        alice.send(json!({"@type": "subscribe", "jwt": token, "resume": true})).await;
        for number in 14..=40_u64 {
            let push = alice.push().await;
            assert_eq!(push["@seq"], number);
            let path = ((number - 1) / 2).to_string();
            assert_eq!(push["Source"]["Path"], path.as_str());
        }
    }
}
