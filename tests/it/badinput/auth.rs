//! Goal: who can't prove a user in time, or no longer, loses the socket with a code
//! that says so, and what was revoked stays ended.
//!
//! Method: short deadlines and lifetimes, and the server API's revocations.

use std::time::Duration;

use hubbub::{auth::MintClaims, model::Id};
use serde_json::{Value, json};
use tokio::time::Instant;

use super::{Ask, Lab, Person, SOCKET};
use crate::http::client::Server;

fn claims(user: &str, session: Option<&str>, ttl: u64) -> MintClaims {
    let mut claims = MintClaims::new(Id::parse(user).unwrap(), Duration::from_secs(ttl));
    claims.session = session.map(|text| Id::parse(text).unwrap());
    claims
}

fn challenge(seq: u64, token: &str) -> String {
    let data = json!({"token": token});
    json!({"seq": seq, "action": "authentication_challenge", "data": data}).to_string()
}

impl Lab {
    /// Revokes, and not in the very moment at which a second begins: times of issue
    /// have whole seconds, and a token of that moment would stay.
    async fn revoke(&self, body: Value) {
        let is_inside =
            |server: &Server| (1..900).contains(&(server.node.clock().now_ms() % 1_000));
        self.until("a second has a middle", is_inside).await;
        let reply = self.server.post("/api/v1/revoke", &body.to_string()).await;
        assert_eq!(reply.status, 200, "{reply:?}");
    }
}

#[tokio::test]
async fn a16_no_authentication_is_4401_at_the_deadline() {
    let mut lab = Lab::with(|config| {
        config.limits.auth_timeout = Duration::from_secs(1);
    })
    .await;
    let before = lab.server.rejected("auth", "timeout");
    let began = Instant::now();
    let mut silent = lab.stranger().await;
    let mut slow = lab.stranger().await;
    // Neither half a message nor a ping moves the deadline.
    slow.client.send(b"\x01\x90\x00").await;
    let mut beating = lab.stranger().await;
    beating.client.send(&crate::ws::client::frame(0x89, b"")).await;
    for person in [&mut silent, &mut slow, &mut beating] {
        while person.client.frame().await.is_some_and(|frame| super::code_of(&frame) != Some(4401))
        {
        }
    }
    assert_eq!(lab.server.rejected("auth", "timeout"), before + 3);
    assert!(began.elapsed() >= Duration::from_secs(1));
    lab.is_undisturbed().await;
}

#[tokio::test]
async fn a16_a_bad_token_in_the_request_opens_a_socket_for_nobody() {
    let mut lab = Lab::new().await;
    let ask = Ask { target: SOCKET, lines: &["Authorization: Bearer not.a.token"] };
    let mut person = Person::open(&lab.server, &ask).await.unwrap();
    let reply = person.ask(1, "get_statuses", json!({})).await;
    assert_eq!(reply["error"]["status_code"], 401);
    person.text(&challenge(2, &lab.server.token("alice"))).await;
    let hello = person.message().await;
    person.greeted(&hello);
    lab.is_undisturbed().await;
}

#[tokio::test]
async fn a17_bad_tokens_use_up_the_share_of_their_address() {
    let mut lab = Lab::with(|config| {
        config.limits.auth_failures_burst = 4;
        config.limits.auth_failures_per_second = 0.001;
    })
    .await;
    for code in [4401, 4401, 4401] {
        let mut person = lab.stranger().await;
        person.text(&challenge(1, "not.a.token")).await;
        assert_eq!(person.reply(1).await["status"], "FAIL");
        assert_eq!(person.closed().await, code);
    }
    let mut waiting = lab.stranger().await;
    let ask = Ask { target: SOCKET, lines: &["Authorization: Bearer not.a.token"] };
    let mut bad = Person::open(&lab.server, &ask).await.unwrap();
    for person in [&mut waiting, &mut bad] {
        person.text(&challenge(1, "not.a.token")).await;
        assert_eq!(person.reply(1).await["status"], "FAIL");
        assert_eq!(person.closed().await, 4429, "nothing is left");
    }
    let before = lab.server.rejected("limit", "auth_failures");
    let refused = Person::open(&lab.server, &Ask { target: SOCKET, lines: &[] }).await;
    assert_eq!(refused.err(), Some(429));
    assert_eq!(lab.server.rejected("limit", "auth_failures"), before + 1);
    lab.is_undisturbed().await;
}

#[tokio::test]
async fn a18_a_token_that_expires_ends_its_socket() {
    let mut lab = Lab::with(|config| config.auth.leeway = Duration::ZERO).await;
    let token = lab.server.token_of(&claims("alice", None, 2));
    let began = Instant::now();
    let mut alice = Person::enter(&lab.server, SOCKET, &token).await;
    assert_eq!(alice.closed().await, 4419);
    assert!(began.elapsed() < Duration::from_secs(2 + 5), "{:?}", began.elapsed());
    let before = lab.server.rejected("auth", "token_expired");
    let ask = Ask { target: SOCKET, lines: &[&format!("Authorization: Bearer {token}")] };
    let mut again = Person::open(&lab.server, &ask).await.unwrap();
    assert_eq!(lab.server.rejected("auth", "token_expired"), before + 1);
    assert_eq!(again.ask(1, "ping", json!({})).await["error"]["status_code"], 401);
    lab.is_undisturbed().await;
}

#[tokio::test]
async fn a19_revocations_end_exactly_their_sockets() {
    let mut lab = Lab::new().await;
    let one = lab.server.token_of(&claims("alice", Some("s1"), 60));
    let two = lab.server.token_of(&claims("alice", Some("s2"), 60));
    let mut first = Person::enter(&lab.server, SOCKET, &one).await;
    let mut tab = Person::enter(&lab.server, SOCKET, &one).await;
    let mut second = Person::enter(&lab.server, SOCKET, &two).await;
    let mut bob = lab.join("bob").await;
    lab.revoke(json!({"session": "s1"})).await;
    assert_eq!((first.closed().await, tab.closed().await), (4419, 4419));
    assert_eq!(second.ask(1, "ping", json!({})).await["status"], "OK");
    lab.revoke(json!({"user": "alice"})).await;
    assert_eq!(second.closed().await, 4419);
    assert_eq!(bob.ask(1, "ping", json!({})).await["status"], "OK");
    // A token that was revoked is good for nothing, in the request or later.
    for token in [&one, &two] {
        let ask = Ask { target: SOCKET, lines: &[&format!("Authorization: Bearer {token}")] };
        let mut again = Person::open(&lab.server, &ask).await.unwrap();
        assert_eq!(again.closed().await, 4419);
        let mut later = lab.stranger().await;
        later.text(&challenge(1, token)).await;
        assert_eq!(later.closed().await, 4419);
    }
    lab.is_undisturbed().await;
    lab.revoke(json!({"everyone": true})).await;
    assert_eq!((bob.closed().await, lab.witness.closed().await), (4419, 4419));
}

#[tokio::test]
async fn r08_a_revoked_session_is_not_resumed() {
    let mut lab = Lab::new().await;
    let token = lab.server.token_of(&claims("alice", Some("s1"), 60));
    let mut live = Person::enter(&lab.server, SOCKET, &token).await;
    let away = Person::enter(&lab.server, SOCKET, &token).await;
    let gone = away.connection.clone();
    drop(away);
    lab.publish().await;
    lab.revoke(json!({"session": "s1"})).await;
    assert_eq!(live.closed().await, 4419);
    for connection in [&live.connection, &gone] {
        let target = format!("{SOCKET}?connection_id={connection}&sequence_number=1");
        let line = format!("Authorization: Bearer {token}");
        let ask = Ask { target: &target, lines: &[&line] };
        let mut again = Person::open(&lab.server, &ask).await.unwrap();
        assert_eq!(again.closed().await, 4419);
        let known = lab.server.get(&format!("/api/v1/connections/{connection}")).await;
        assert_eq!(known.status, 404, "the record is gone: {known:?}");
        // A new login of the same user does not get the old place either.
        let fresh = lab.server.token_of(&claims("alice", Some("s2"), 60));
        let (person, first) = lab.resume(&fresh, connection, 1).await;
        assert_eq!(first["event"], "hello");
        assert_ne!(&person.connection, connection);
    }
    lab.is_undisturbed().await;
}
