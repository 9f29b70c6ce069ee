//! Goal: requests that are understood and wrong are answered with `FAIL`, the socket
//! stays, and the answer tells nothing about what others have.
//!
//! Method: one request after the other on one socket.

use std::time::Duration;

use hubbub::{auth::MintClaims, model::Id};
use serde_json::{Value, json};

use super::{Lab, Person, SOCKET};

/// The id of the error that a reply holds.
fn error(reply: &Value) -> &str {
    assert_eq!(reply["status"], "FAIL", "{reply}");
    reply["error"]["id"].as_str().unwrap()
}

const INVALID: &str = "api.websocket_handler.invalid_param.app_error";
const BAD_ACTION: &str = "api.web_socket_router.bad_action.app_error";
const NO_USER: &str = "api.web_socket_router.not_authenticated.app_error";

#[tokio::test]
async fn p04_unknown_actions_are_answered_in_printable_text() {
    let mut lab = Lab::new().await;
    let mut alice = lab.join("alice").await;
    let before = lab.server.rejected("message", "action");
    let long = "x".repeat(30_000);
    let names = ["nothing", "a\u{0}b", "\u{1b}[31mred", "a\nb", "\u{202e}gnip", "Ping", &long];
    for (seq, name) in (1..).zip(names) {
        let reply = alice.ask(seq, name, json!({})).await;
        assert_eq!(error(&reply), BAD_ACTION);
        let message = reply["error"]["message"].as_str().unwrap();
        assert!(message.len() < 200, "{message:?}");
        assert!(message.bytes().all(|byte| (0x20..0x7f).contains(&byte)), "{message:?}");
    }
    assert_eq!(lab.server.rejected("message", "action"), before + 7);
    assert_eq!(alice.ask(90, "ping", json!({})).await["status"], "OK");
    lab.is_undisturbed().await;
}

#[tokio::test]
async fn p09_nothing_but_a_challenge_counts_before_authentication() {
    let mut lab = Lab::with(|config| {
        config.limits.auth_timeout = Duration::from_secs(2);
    })
    .await;
    let mut stranger = lab.stranger().await;
    let actions = [
        ("ping", json!({})),
        ("user_typing", json!({"channel_id": "town"})),
        ("get_statuses", json!({})),
        ("subscribe_statuses", json!({"user_ids": ["witness"]})),
    ];
    for (seq, (action, data)) in (1..).zip(actions) {
        assert_eq!(error(&stranger.ask(seq, action, data).await), NO_USER);
    }
    let before = lab.server.rejected("auth", "timeout");
    assert_eq!(stranger.closed().await, 4401, "at the deadline, as without a word");
    assert_eq!(lab.server.rejected("auth", "timeout"), before + 1);
    lab.is_undisturbed().await;
    assert!(!lab.witness.heard.contains(&"typing".to_owned()));
}

#[tokio::test]
async fn p09_a_second_challenge_is_ignored_or_1008() {
    let mut lab = Lab::new().await;
    let challenge = |seq: u64, token: &str| {
        let data = json!({"token": token});
        json!({"seq": seq, "action": "authentication_challenge", "data": data}).to_string()
    };
    let mut alice = lab.stranger().await;
    alice.text(&challenge(1, &lab.server.token("alice"))).await;
    let hello = alice.message().await;
    alice.greeted(&hello);
    assert_eq!(alice.reply(1).await["status"], "OK");
    alice.text(&challenge(2, &lab.server.token("alice"))).await;
    alice.text(&super::ping(3)).await;
    assert_eq!(alice.reply(3).await["status"], "OK", "the second one has no answer");
    let before = lab.server.rejected("auth", "other_user");
    alice.text(&challenge(4, &lab.server.token("bob"))).await;
    assert_eq!(alice.closed().await, 1008);
    let mut bob = lab.join("bob").await;
    bob.text(&challenge(1, "not.a.token")).await;
    assert_eq!(bob.closed().await, 1008);
    assert_eq!(lab.server.rejected("auth", "other_user"), before + 2);
    lab.is_undisturbed().await;
}

#[tokio::test]
async fn p11_a_channel_of_others_looks_like_none() {
    let mut lab = Lab::new().await;
    let members = |realm: &str, channel: &str, user: &str| {
        json!({"realm": realm, "topic": {"channel": channel}, "add": [user]}).to_string()
    };
    for body in [members("default", "private", "witness"), members("b", "other-realm", "alice")] {
        assert_eq!(lab.server.post("/api/v1/members", &body).await.status, 200);
    }
    let mut alice = lab.join("alice").await;
    let before = lab.server.rejected("message", "not_member");
    let mut replies = Vec::new();
    for channel in ["private", "no-such", "other-realm"] {
        let mut reply = alice.ask(7, "user_typing", json!({"channel_id": channel})).await;
        assert_eq!(error(&reply), INVALID);
        reply["seq_reply"] = json!(0);
        replies.push(reply);
    }
    assert!(replies.windows(2).all(|pair| pair[0] == pair[1]), "{replies:?}");
    assert_eq!(lab.server.rejected("message", "not_member"), before + 3);
    lab.is_undisturbed().await;
    assert!(!lab.witness.heard.contains(&"typing".to_owned()));
}

#[tokio::test]
async fn p12_ids_that_could_be_injected_are_refused() {
    let mut lab = Lab::with(|config| config.limits.commands_burst = 1_000).await;
    let mut alice = lab.join("alice").await;
    let long = "x".repeat(10_000);
    let wrong = [
        "",
        &long,
        "*",
        "?",
        "[",
        "{x}",
        "}",
        "a:b",
        "a\r\nb",
        "a\u{0}",
        "../town",
        "a b",
        "\u{202e}nwot",
        "t\u{43e}wn",
        "town\u{301}",
    ];
    let before = lab.server.rejected("message", "id");
    let mut seq = 0;
    for id in wrong {
        for (action, data) in [
            ("user_typing", json!({"channel_id": id})),
            ("get_statuses_by_ids", json!({"user_ids": ["bob", id]})),
            ("subscribe_statuses", json!({"user_ids": [id]})),
        ] {
            seq += 1;
            assert_eq!(error(&alice.ask(seq, action, data).await), INVALID, "{action} {id:?}");
        }
    }
    assert_eq!(lab.server.rejected("message", "id"), before + seq);
    lab.is_undisturbed().await;
}

#[tokio::test]
async fn p13_subscriptions_are_capped_and_idempotent() {
    let mut lab = Lab::with(|config| {
        config.limits.subscriptions_per_connection = 4;
        config.limits.commands_burst = 1_000;
    })
    .await;
    let mut alice = lab.join("alice").await;
    let users = |names: &[&str]| json!({"user_ids": names});
    let offset = lab.publish().await;
    for seq in 1..=100 {
        let reply = alice.ask(seq, "subscribe_statuses", users(&["u1", "u1"])).await;
        assert_eq!(reply["status"], "OK");
    }
    assert_eq!(lab.publish().await, offset + 2, "one record for a hundred requests");
    let before = lab.server.rejected("limit", "subscriptions");
    let over = alice.ask(101, "subscribe_statuses", users(&["u2", "u3", "u4", "u5"])).await;
    assert_eq!(error(&over), INVALID);
    assert_eq!(lab.server.rejected("limit", "subscriptions"), before + 1);
    let fits = alice.ask(102, "subscribe_statuses", users(&["u1", "u2", "u3", "u4"])).await;
    assert_eq!(fits["status"], "OK");
    let left = alice.ask(103, "unsubscribe_statuses", users(&["u1", "nobody"])).await;
    assert_eq!(left["status"], "OK");
    let again = alice.ask(104, "subscribe_statuses", users(&["u5"])).await;
    assert_eq!(again["status"], "OK");
    lab.is_undisturbed().await;
}

#[tokio::test]
async fn p11_typing_in_a_channel_of_the_own_name_in_another_realm_stays_there() {
    let mut lab = Lab::new().await;
    let mut claims = MintClaims::new(Id::parse("alice").unwrap(), Duration::from_secs(60));
    claims.realm = Some(Id::parse("b").unwrap());
    claims.channels = vec![Id::parse("town").unwrap()];
    let token = lab.server.token_of(&claims);
    let mut other = Person::enter(&lab.server, SOCKET, &token).await;
    let reply = other.ask(1, "user_typing", json!({"channel_id": "town"})).await;
    assert_eq!(reply["status"], "OK");
    lab.is_undisturbed().await;
    assert!(!lab.witness.heard.contains(&"typing".to_owned()));
}
