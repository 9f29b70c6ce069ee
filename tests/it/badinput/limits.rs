//! Goal: whoever takes more than their share is told so and loses only their own.
//!
//! Method: small limits, so that few are too many.

use serde_json::json;

use super::{Ask, Lab, Person, SOCKET, ping, text_frame};
use crate::http::client::Server;

fn open_sockets(server: &Server) -> i64 {
    server.node.metrics().connections.with_label_values(&["mattermost"]).get()
}

/// Opens a socket with a token of alice; the status when there is none.
async fn knock(lab: &Lab, user: &str) -> Result<Person, u16> {
    let line = format!("Authorization: Bearer {}", lab.server.token(user));
    Person::open(&lab.server, &Ask { target: SOCKET, lines: &[&line] }).await
}

#[tokio::test]
async fn h22_sockets_of_one_user_are_counted() {
    let mut lab = Lab::with(|config| config.limits.connections_per_user = 2).await;
    let first = lab.join("alice").await;
    let _second = lab.join("alice").await;
    let before = lab.server.rejected("limit", "connections_per_user");
    assert_eq!(knock(&lab, "alice").await.err(), Some(429));
    let mut stranger = lab.stranger().await;
    let data = json!({"token": lab.server.token("alice")});
    let challenge = json!({"seq": 1, "action": "authentication_challenge", "data": data});
    stranger.text(&challenge.to_string()).await;
    assert_eq!(stranger.closed().await, 4429);
    assert_eq!(lab.server.rejected("limit", "connections_per_user"), before + 2);
    drop(lab.join("bob").await);
    drop(first);
    lab.until("two are left", |server| open_sockets(server) == 2).await;
    drop(lab.join("alice").await);
    lab.is_undisturbed().await;
}

#[tokio::test]
async fn h22_sockets_of_one_address_are_counted() {
    let mut lab = Lab::with(|config| config.limits.connections_per_ip = 3).await;
    let _alice = lab.join("alice").await;
    let stranger = lab.stranger().await;
    let before = lab.server.rejected("limit", "connections_per_ip");
    assert_eq!(knock(&lab, "bob").await.err(), Some(429));
    let rooms = Person::open(&lab.server, &Ask { target: "/ws?name=guest", lines: &[] }).await;
    assert_eq!(rooms.err(), Some(429));
    assert_eq!(lab.server.rejected("limit", "connections_per_ip"), before + 2);
    drop(stranger);
    lab.until("two are left", |server| open_sockets(server) == 2).await;
    drop(lab.join("bob").await);
    lab.is_undisturbed().await;
}

#[tokio::test]
async fn h22_handshakes_over_the_rate_of_the_node_are_503() {
    let mut lab = Lab::with(|config| {
        config.limits.handshakes_burst = 3;
        config.limits.handshakes_per_second = 0.001;
    })
    .await;
    let _alice = lab.join("alice").await;
    let _bob = lab.join("bob").await;
    let before = lab.server.rejected("limit", "handshakes");
    assert_eq!(knock(&lab, "alice").await.err(), Some(503));
    assert_eq!(lab.server.rejected("limit", "handshakes"), before + 1);
    lab.is_undisturbed().await;
}

#[tokio::test]
async fn p10_commands_over_the_rate_are_busy_and_then_4429() {
    let mut lab = Lab::with(|config| {
        config.limits.commands_burst = 5;
        config.limits.commands_per_second = 0.01;
    })
    .await;
    let mut alice = lab.join("alice").await;
    let before = lab.server.rejected("limit", "commands");
    for seq in 1..=5 {
        let reply = alice.ask(seq, "get_statuses", json!({})).await;
        assert_eq!(reply["status"], "OK", "{reply}");
    }
    for seq in 6..=10 {
        let reply = alice.ask(seq, "get_statuses", json!({})).await;
        assert_eq!(reply["error"]["id"], "api.websocket_handler.server_busy.app_error");
    }
    assert_eq!(alice.ask(11, "ping", json!({})).await["status"], "OK", "the client's own ping");
    alice.text(&ping(12)).await;
    assert_eq!(alice.closed().await, 4429);
    assert_eq!(lab.server.rejected("limit", "commands"), before + 6);
    let mut stranger = lab.stranger().await;
    for seq in 1..=5 {
        assert_eq!(stranger.ask(seq, "ping", json!({})).await["status"], "FAIL");
    }
    stranger.text(&ping(6)).await;
    assert_eq!(stranger.closed().await, 4429, "who is unknown gets no second burst");
    lab.is_undisturbed().await;
}

#[tokio::test]
async fn p10_typing_over_its_rate_is_dropped_with_ok() {
    let mut lab = Lab::with(|config| {
        config.limits.typing_per_second = 0.01;
        config.limits.commands_burst = 1_000;
    })
    .await;
    let mut alice = lab.join("alice").await;
    for seq in 1..=20 {
        let reply = alice.ask(seq, "user_typing", json!({"channel_id": "town"})).await;
        assert_eq!(reply["status"], "OK");
    }
    lab.is_undisturbed().await;
    let typing = lab.witness.heard.iter().filter(|name| *name == "typing").count();
    assert_eq!(typing, 1);
}

#[tokio::test]
async fn w06_who_is_unknown_may_send_12_kib() {
    let mut lab = Lab::new().await;
    let padded = |seq, length: usize| {
        let text = ping(seq);
        let room = length - text.len();
        text_frame(&(text + &" ".repeat(room)))
    };
    let mut stranger = lab.stranger().await;
    stranger.client.send(&padded(1, 12 * 1024)).await;
    assert_eq!(stranger.reply(1).await["error"]["status_code"], 401);
    lab.refuses(stranger, &padded(2, 12 * 1024 + 1), (1009, "frame", "too_big")).await;
    let mut alice = lab.join("alice").await;
    alice.client.send(&padded(1, 64 * 1024)).await;
    assert_eq!(alice.reply(1).await["status"], "OK");
    lab.refuses(alice, &padded(2, 64 * 1024 + 1), (1009, "frame", "too_big")).await;
    lab.is_undisturbed().await;
}
