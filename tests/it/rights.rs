//! Goal: the rights that `docs/operations.md` asks for are enough, and a node without one of
//! them says so.
//!
//! Method: real processes on a Redis whose default user is off; see `support::redis`, by
//! which every test with a Redis has these rights only.

use std::process::Stdio;

use serde_json::{Value, json};
use tokio::{process::Command, time::timeout};

use crate::{
    http::client::{Reply, ask},
    pydio::stage::KeyFile,
    support::{PATIENCE, process::Process, redis::Redis, socket::Socket, until},
};

async fn node(name: &str, redis: &Redis, key: &KeyFile, profile: &str) -> Process {
    let settings = [format!("node.id={name}"), key.setting(), format!("log.profile={profile}")];
    let mut args = vec!["--redis-url".to_owned(), redis.url()];
    args.extend(settings.into_iter().flat_map(|setting| ["--set".to_owned(), setting]));
    Process::dev(&args.iter().map(String::as_str).collect::<Vec<_>>()).await
}

async fn call(node: &Process, request: &str, body: Value) -> Reply {
    let body = if body.is_null() { String::new() } else { body.to_string() };
    ask(node.internal, request, "Content-Type: application/json\r\n", &body).await
}

async fn done(node: &Process, request: &str, body: Value) -> Value {
    // A busy machine confirms late, and says that it may be tried again.
    let mut reply = call(node, request, body.clone()).await;
    for _ in 0..5 {
        if reply.status == 503 {
            reply = call(node, request, body.clone()).await;
        }
    }
    assert_eq!(reply.status, 200, "{request}: {reply:?}");
    reply.json()
}

/// Publishes to a channel, and returns what the socket gets of it.
async fn told(node: &Process, socket: &mut Socket, name: &str) -> Value {
    let event = json!({"event": name, "data": {}, "to": {"channel": "secret"}, "id": name});
    let answer = done(node, "POST /api/v1/publish", event.clone()).await;
    let again = done(node, "POST /api/v1/publish", event).await;
    assert_eq!((&again["position"], &again["duplicate"]), (&answer["position"], &json!(true)));
    loop {
        let event: Value = serde_json::from_str(&socket.text().await).unwrap();
        if event["event"] == name {
            return event;
        }
    }
}

/// What nodes do all day: publish, deliver, change members, tell who is there, resume.
async fn works(redis: &Redis, profile: &str) {
    let key = KeyFile::new();
    let first = node("first", redis, &key, profile).await;
    let second = node("second", redis, &key, profile).await;
    let login = format!("Authorization: Bearer {}\r\n", first.tokens["alice"]);
    let mut alice = Socket::open(first.public, "/api/v4/websocket", &login).await.unwrap();
    let hello: Value = serde_json::from_str(&alice.text().await).unwrap();
    let connection = hello["data"]["connection_id"].as_str().unwrap().to_owned();
    let members = json!({"topic": {"channel": "secret"}, "add": ["alice", "carol"]});
    done(&second, "POST /api/v1/members", members).await;
    let one = told(&second, &mut alice, "one").await;
    until("alice is there", async || {
        let present = done(&second, "GET /api/v1/presence?channel=secret", Value::Null).await;
        present.to_string().contains("alice")
    })
    .await;
    done(&second, "PUT /api/v1/users/alice/status", json!({"status": "dnd"})).await;
    let found = done(&second, &format!("GET /api/v1/connections/{connection}"), Value::Null).await;
    assert_eq!(found["node"], "first", "{found}");
    done(&first, "POST /api/v1/revoke", json!({"session": "another"})).await;
    drop(alice);

    let next = one["seq"].as_u64().unwrap() + 1;
    let path = format!("/api/v4/websocket?connection_id={connection}&sequence_number={next}");
    let mut alice = Socket::open(second.public, &path, &login).await.unwrap();
    let two = told(&first, &mut alice, "two").await;
    assert!(two["seq"].as_u64().unwrap() >= next, "resumed: {two}");
}

#[tokio::test]
async fn k04_the_documented_rights_are_enough() {
    let redis = Redis::start().await;
    works(&redis, "log").await;
    // Redis 7.2 has `client|setinfo`, which every connection tries.
    let knows_it = redis.command("CLIENT SETINFO LIB-NAME x").await == "+OK";
    let refused = redis.command("ACL LOG").await;
    assert!(knows_it || refused == "*0", "{refused} calls were refused");
}

/// A primary that needs the replica that it has.
async fn replicated() -> (Redis, Redis) {
    let primary = Redis::start_with(&["--repl-diskless-sync-delay", "0"]).await;
    let port = primary.port().to_string();
    let login = ["--masteruser", "operator", "--masterauth", "PASSWORD"];
    let follow = ["--replicaof", "127.0.0.1", &port];
    let replica = Redis::start_with(&[&login[..], &follow[..]].concat()).await;
    assert_eq!(primary.command("CONFIG SET min-replicas-to-write 1").await, "+OK");
    primary.allow("also with log.profile=ha").await;
    (primary, replica)
}

#[tokio::test]
async fn k04_the_documented_rights_are_enough_with_a_replica() {
    let (primary, _replica) = replicated().await;
    works(&primary, "ha").await;
}

#[tokio::test]
async fn a_node_without_a_right_does_not_start_and_says_which() {
    let redis = Redis::start().await;
    for (taken, right) in [
        ("-info", "+info"),
        ("-xadd", "+xadd"),
        ("-evalsha", "+evalsha"),
        ("-subscribe", "+subscribe"),
        ("resetchannels", "&hb:*"),
        ("resetkeys", "~hb:*"),
    ] {
        assert_eq!(redis.command(&format!("ACL SETUSER hubbub {taken}")).await, "+OK");
        let mut command = Command::new(env!("CARGO_BIN_EXE_hubbub"));
        command.args(["serve", "--dev", "--listen", "127.0.0.1:0"]);
        command.args(["--internal-listen", "127.0.0.1:0", "--redis-url", &redis.url()]);
        command.env_clear().kill_on_drop(true).stdin(Stdio::null());
        let output = timeout(PATIENCE, command.output()).await.unwrap().unwrap();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{taken}: {errors}");
        assert!(errors.contains(&format!("its user lacks {right} (docs")), "{taken}: {errors}");
        assert_eq!(redis.command(&format!("ACL SETUSER hubbub {right}")).await, "+OK");
    }
}

/// A node loses one right after the other, and gets it back.
async fn loses(redis: &Redis, profile: &str, rights: &[(&str, &str)]) {
    let node = node("first", redis, &KeyFile::new(), profile).await;
    let is_ready = async || {
        let reply = call(&node, "GET /ready", Value::Null).await;
        let is_told = reply.text.contains(r#"["redis"]"#);
        assert!(reply.status == 200 || is_told, "{reply:?}");
        reply.status == 200
    };
    let publish = async || {
        let event = json!({"event": "a", "data": {}, "to": {"user": "alice"}});
        call(&node, "POST /api/v1/publish", event).await.status
    };
    for (taken, right) in rights {
        until("ready", is_ready).await;
        until("published", async || publish().await == 200).await;
        assert_eq!(redis.command(&format!("ACL SETUSER hubbub {taken}")).await, "+OK");
        assert_eq!(publish().await, 503, "{taken}");
        until(taken, async || !is_ready().await).await;
        node.logged(&format!(r#""lacks":"{right}""#)).await;
        assert_eq!(redis.command(&format!("ACL SETUSER hubbub {right}")).await, "+OK");
    }
    until("ready again", is_ready).await;
    until("published again", async || publish().await == 200).await;
}

#[tokio::test]
async fn a_node_that_loses_a_right_is_not_ready_until_it_has_it_again() {
    let rights = [("-xadd", "+xadd"), ("-publish", "+publish"), ("-info", "+info")];
    let others = [("-evalsha", "+evalsha"), ("resetchannels", "&hb:*"), ("resetkeys", "~hb:*")];
    loses(&Redis::start().await, "log", &[rights, others].concat()).await;
    let (primary, _replica) = replicated().await;
    loses(&primary, "ha", &[("-wait", "+wait")]).await;
}
