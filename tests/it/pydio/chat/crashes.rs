//! Goal: no crash of a node loses or doubles what was said, and nobody is there who is not.
//! Method: real processes, SIGKILL.

use std::time::Duration;

use rustix::process::Signal;
use serde_json::json;
use tokio::time::{Instant, timeout};

use super::{
    history, join, next, post_as,
    process::{client, node, room},
};
use crate::{
    http::client::ask,
    pydio::stage::KeyFile,
    support::{process::Process, redis::Redis},
};

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
