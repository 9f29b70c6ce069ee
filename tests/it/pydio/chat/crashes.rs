//! Goal: no crash of a node loses or doubles what was said, and nobody is there who is not.
//! Method: real processes, SIGKILL.

use std::{collections::BTreeMap, time::Duration};

use rustix::process::Signal;
use serde_json::{Value, json};
use tokio::time::{Instant, timeout};

use super::{Client, history, join, next, post_as};
use crate::{
    http::client::ask,
    pydio::stage::KeyFile,
    support::{process::Process, redis::Redis},
};

/// Everybody of a development node is in this one.
fn room() -> Value {
    json!({"Type": "WORKSPACE", "RoomTypeObject": "ws-common"})
}

async fn node(name: &str, redis: &Redis, key: &KeyFile) -> Process {
    let (id, key) = (format!("node.id={name}"), key.setting());
    let fast = ["--set", "limits.commands_per_second=5000", "--set", "limits.commands_burst=5000"];
    let url = redis.url();
    let own = ["--redis-url", &url, "--set", &id, "--set", &key];
    Process::dev(&[own.as_slice(), fast.as_slice()].concat()).await
}

async fn client(node: &Process, user: &str) -> Client {
    let mut client = Client::open(node.public, "/ws/chat").await;
    client.subscribe(&node.tokens[user]).await;
    client
}

#[tokio::test]
async fn a_node_that_is_killed_in_mid_post_loses_and_doubles_nothing() {
    const MESSAGES: usize = 600;
    let (redis, key) = (Redis::start().await, KeyFile::new());
    let (first, second) = (node("first", &redis, &key).await, node("second", &redis, &key).await);
    let mut reader = client(&second, "bob").await;
    join(&mut reader, &room()).await;
    let mut poster = client(&first, "alice").await;
    let uuid = join(&mut poster, &room()).await;
    next(&mut reader).await.unwrap();
    for number in 0..MESSAGES {
        post_as(&mut poster, &uuid, &format!("m-{number}"), &format!("text {number}")).await;
    }
    // Some are said, some are on their way, some were never read.
    let mut acknowledged = 0;
    while acknowledged < 100 {
        next(&mut poster).await.expect("it is alive");
        acknowledged += 1;
    }
    first.signal(Signal::KILL);
    while next(&mut poster).await.is_some() {
        acknowledged += 1;
    }
    assert!(acknowledged < MESSAGES, "it was killed in the middle");
    let mut poster = client(&second, "alice").await;
    join(&mut poster, &room()).await;
    for number in 0..MESSAGES {
        post_as(&mut poster, &uuid, &format!("m-{number}"), &format!("text {number}")).await;
    }
    let mut heard: BTreeMap<String, usize> = BTreeMap::new();
    while heard.len() < MESSAGES {
        let message = next(&mut reader).await.expect("it is alive");
        if let Some(name) = message["Uuid"].as_str() {
            *heard.entry(name.to_owned()).or_default() += 1;
        }
    }
    assert!(heard.values().all(|count| *count == 1), "each was heard once: {heard:?}");
    let mut fresh = client(&second, "bob").await;
    join(&mut fresh, &room()).await;
    let mut texts = history(&mut fresh, &room(), MESSAGES).await;
    texts.sort();
    texts.dedup();
    assert_eq!(texts.len(), MESSAGES, "and each is in the history once");
}

#[tokio::test]
async fn whoever_was_on_a_killed_node_is_gone_from_the_rooms() {
    let (redis, key) = (Redis::start().await, KeyFile::new());
    let (first, second) = (node("first", &redis, &key).await, node("second", &redis, &key).await);
    let mut alice = client(&second, "alice").await;
    join(&mut alice, &room()).await;
    let mut bob = client(&first, "bob").await;
    join(&mut bob, &room()).await;
    assert_eq!(next(&mut alice).await.unwrap()["Room"]["Users"], json!(["alice", "bob"]));
    first.signal(Signal::KILL);
    let killed_at = Instant::now();
    let ping = json!({"@type": "JOIN", "Room": room(), "Message": {"Message": "PING"}});
    let update = loop {
        alice.send(ping.clone()).await;
        if let Ok(update) = timeout(Duration::from_secs(5), next(&mut alice)).await {
            break update.unwrap();
        }
    };
    assert_eq!(update["Room"]["Users"], json!(["alice"]));
    assert!(killed_at.elapsed() < Duration::from_secs(25), "{:?}", killed_at.elapsed());
}

#[tokio::test]
async fn a_file_keeps_the_history_over_a_kill() {
    let (folder, key) = (tempfile::tempdir().unwrap(), KeyFile::new());
    let data = format!("data.dir={}", folder.path().join("data").display());
    let args = ["--set", &data, "--set", &key.setting()];
    let args = args.map(str::to_owned);
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let mut node = Process::dev(&args).await;
    let mut alice = client(&node, "alice").await;
    let uuid = join(&mut alice, &room()).await;
    for number in 0..20 {
        post_as(&mut alice, &uuid, &format!("m-{number}"), &format!("text {number}")).await;
        next(&mut alice).await.unwrap();
    }
    node.signal(Signal::KILL);
    assert_eq!(node.code().await, None, "ended by the signal");
    let again = Process::dev(&args).await;
    let members = ask(again.internal, "GET /api/v1/members?workspace=ws-common", "", "").await;
    assert_eq!(members.status, 200, "{members:?}");
    let mut alice = client(&again, "alice").await;
    assert_eq!(join(&mut alice, &room()).await, uuid, "the room is the same");
    let texts = history(&mut alice, &room(), 20).await;
    assert_eq!(texts, (0..20).map(|number| format!("text {number}")).collect::<Vec<_>>());
    post_as(&mut alice, &uuid, "m-19", "text 19").await;
    assert_eq!(next(&mut alice).await.unwrap()["Uuid"], "m-19");
    assert_eq!(history(&mut alice, &room(), 20).await.len(), 20, "a retry says it once");
}
