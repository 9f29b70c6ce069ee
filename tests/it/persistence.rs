//! What survives the sudden end of a node with `data.dir`.
//!
//! Goal: an acknowledged removal or revocation is never undone by a crash, although
//! old tokens still name what was taken away.
//!
//! Method: the real binary, killed by SIGKILL right after the answer, and started
//! again on the same folder with the same secret.

use std::path::Path;

use hubbub::config::{Config, KeyMaterial, Secret};
use rustix::process::Signal;
use serde_json::{Value, json};
use tokio::process::Command;

use crate::{
    http::client::{Reply, ask, bearer},
    support::{process::Process, socket::Socket},
};

const SECRET: &str = "a-secret-that-survives-the-restart";

/// A node on `folder`.
async fn start(folder: &Path) -> Process {
    let data = format!("data.dir={}", folder.join("data").display());
    let config = folder.join("hubbub.toml");
    std::fs::write(&config, format!("auth.secret = '{SECRET}'")).unwrap();
    Process::dev(&["--config", config.to_str().unwrap(), "--set", &data]).await
}

async fn kill(mut node: Process) {
    node.signal(Signal::KILL);
    assert_eq!(node.code().await, None, "ended by the signal");
}

async fn call(node: &Process, request: &str, body: &Value) -> Reply {
    let lines = "Content-Type: application/json\r\n";
    let reply = ask(node.internal, request, lines, &body.to_string()).await;
    assert_eq!(reply.status, 200, "{request}: {reply:?}");
    reply
}

/// The members of a channel.
async fn members(node: &Process, channel: &str) -> Vec<String> {
    let reply = ask(node.internal, &format!("GET /api/v1/members?channel={channel}"), "", "").await;
    let users = reply.json()["users"].as_array().unwrap_or_else(|| panic!("{reply:?}")).clone();
    users.iter().map(|user| user.as_str().unwrap().to_owned()).collect()
}

/// A token of `user` with seeds, signed as the node's own are.
fn token(user: &str, session: &str) -> String {
    use hubbub::{
        auth::{MintClaims, mint},
        clock::Clock,
        model::Id,
    };
    let mut key = Config::for_tests().auth.keys.remove(0);
    key.material = KeyMaterial::Secret(Secret::new(SECRET));
    let id = |text: &str| Id::parse(text).unwrap();
    let claims = MintClaims {
        session: Some(id(session)),
        channels: vec![id("town-square")],
        ..MintClaims::new(id(user), std::time::Duration::from_secs(3_600))
    };
    mint(&key, &claims, &Clock::system()).unwrap()
}

async fn rest_status(node: &Process, token: &str) -> u16 {
    ask(node.public, "GET /api/v4/users/me/status", &bearer(token), "").await.status
}

#[tokio::test]
async fn a_removal_and_revocations_survive_sigkill_although_tokens_say_otherwise() {
    let folder = tempfile::tempdir().unwrap();
    let node = start(folder.path()).await;
    let tokens: Vec<String> =
        ["ann", "ben", "cat"].map(|user| token(user, &format!("login-{user}"))).to_vec();
    for token in &tokens {
        // The seeds of the token make them members of the channel.
        Socket::mattermost(node.public, token).await;
    }
    assert_eq!(members(&node, "town-square").await, ["ann", "ben", "cat"]);
    let town = json!({"channel": "town-square"});
    let add = json!({"topic": {"channel": "added"}, "add": ["dan", "ann"]});
    call(&node, "POST /api/v1/members", &add).await;
    call(&node, "POST /api/v1/members", &json!({"topic": town, "remove": ["ann"]})).await;
    call(&node, "POST /api/v1/revoke", &json!({"session": "login-ben"})).await;
    kill(node).await;

    let node = start(folder.path()).await;
    assert_eq!(members(&node, "town-square").await, ["ben", "cat"], "in the order of joining");
    assert_eq!(members(&node, "added").await, ["dan", "ann"]);
    assert_eq!(rest_status(&node, &tokens[0]).await, 200);
    assert_eq!(rest_status(&node, &tokens[1]).await, 401, "revoked before the crash");
    // Ann's token still names the channel, but a removal is stronger than a seed.
    let mut ann = Socket::mattermost(node.public, &tokens[0]).await;
    let mut cat = Socket::mattermost(node.public, &tokens[2]).await;
    assert_eq!(members(&node, "town-square").await, ["ben", "cat"]);
    let to_town = json!({"event": "secret", "data": {}, "to": town});
    call(&node, "POST /api/v1/publish", &to_town).await;
    let to_all = json!({"event": "open", "data": {}, "to": {"everyone": true}});
    call(&node, "POST /api/v1/publish", &to_all).await;
    while !cat.text().await.contains(r#""event":"secret""#) {}
    loop {
        let text = ann.text().await;
        assert!(!text.contains("secret"), "{text}");
        if text.contains(r#""event":"open""#) {
            break;
        }
    }
    // Ben's old login opens nothing, not even by a challenge.
    let line = bearer(&tokens[1]);
    let mut ben = Socket::open(node.public, "/api/v4/websocket", &line).await.unwrap();
    assert_eq!(ben.closed().await, 4419);
}

#[tokio::test]
async fn a_chosen_status_and_a_user_revocation_survive_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let mut node = start(folder.path()).await;
    let away = json!({"status": "away"});
    call(&node, "PUT /api/v1/users/ann/status", &away).await;
    let old = token("eve", "login-eve");
    assert_eq!(rest_status(&node, &old).await, 200);
    // A token counts as issued before a revocation of the same second.
    call(&node, "POST /api/v1/revoke", &json!({"user": "eve"})).await;
    node.signal(Signal::TERM);
    assert_eq!(node.code().await, Some(0));

    let node = start(folder.path()).await;
    let status = ask(node.internal, "GET /api/v1/users/ann/status", "", "").await.json();
    assert_eq!((&status["status"], &status["manual"]), (&json!("away"), &json!(true)), "{status}");
    assert_eq!(rest_status(&node, &old).await, 401);
}

#[tokio::test]
async fn a_repeated_request_after_the_restart_is_a_new_one() {
    let folder = tempfile::tempdir().unwrap();
    let node = start(folder.path()).await;
    let change = json!({"topic": {"team": "t"}, "add": ["ann"], "id": "request-1"});
    let first = call(&node, "POST /api/v1/members", &change).await.json();
    kill(node).await;
    let node = start(folder.path()).await;
    let second = call(&node, "POST /api/v1/members", &change).await.json();
    assert_ne!(first["position"]["generation"], second["position"]["generation"]);
    let held = ask(node.internal, "GET /api/v1/users/ann/memberships", "", "").await;
    assert_eq!(held.text.matches(r#""t""#).count(), 1, "{}", held.text);
}

#[tokio::test]
async fn a_store_that_can_not_be_used_is_an_error_with_its_name() {
    let folder = tempfile::tempdir().unwrap();
    let node = start(folder.path()).await;
    let data = folder.path().join("data");
    let set = format!("data.dir={}", data.display());
    let serve = async |set: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_hubbub"));
        command.args(["serve", "--dev", "--set", "public.listen=127.0.0.1:0"]);
        command.args(["--set", "internal.listen=127.0.0.1:0", "--set", set]);
        let output = command.env_clear().kill_on_drop(true).output().await.unwrap();
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let (code, text) = serve(&set).await;
    assert_eq!(code, Some(1), "another process may end: {text}");
    assert!(text.contains("data.dir: ") && text.contains("in use"), "{text}");
    kill(node).await;
    std::fs::write(data.join("hubbub.redb"), "no store at all").unwrap();
    let (code, text) = serve(&set).await;
    assert_eq!(code, Some(2), "{text}");
    assert!(text.contains("data.dir: ") && text.contains("damaged"), "{text}");
    let file = format!("data.dir={}", data.join("hubbub.redb").display());
    let (code, text) = serve(&file).await;
    assert_eq!(code, Some(2), "{text}");
    assert!(text.contains("data.dir: "), "{text}");
}
