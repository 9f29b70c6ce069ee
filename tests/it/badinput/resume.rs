//! Goal: a resume gives back exactly what its own client missed, or a new numbering;
//! it never gives anything to anybody else.
//!
//! Method: each row with a session that was begun and left on the same node.

use std::time::Duration;

use hubbub::{auth::MintClaims, model::Id};
use serde_json::{Value, json};
use tokio::time::Instant;

use super::{Ask, Lab, Person, SOCKET};

fn claims(user: &str, session: Option<&str>) -> MintClaims {
    let mut claims = MintClaims::new(Id::parse(user).unwrap(), Duration::from_secs(60));
    claims.session = session.map(|text| Id::parse(text).unwrap());
    claims
}

impl Lab {
    /// A resume that must not succeed: another name, numbers from 0.
    async fn is_fresh(&self, token: &str, connection: &str, next: u64) -> Person {
        let (person, first) = self.resume(token, connection, next).await;
        assert_eq!(first["event"], "hello", "{first}");
        assert_ne!(person.connection, connection, "a name is never adopted");
        person
    }
}

/// Reads the events from `first` on, and says which were posted.
async fn posted(person: &mut Person, first: &Value, count: usize) -> Vec<u64> {
    let mut found = Vec::new();
    let mut message = first.clone();
    loop {
        if message["event"] == "posted" {
            found.push(message["data"]["n"].as_u64().unwrap());
        }
        if found.len() == count {
            return found;
        }
        message = person.event("posted").await;
    }
}

#[tokio::test]
async fn r01_another_users_connection_is_not_resumed() {
    let mut lab = Lab::new().await;
    let mut alice = lab.join("alice").await;
    let away = lab.join("alice").await.connection;
    let bob = lab.server.token("bob");
    let before = lab.resumes("forbidden");
    lab.is_fresh(&bob, &alice.connection, 1).await;
    lab.is_fresh(&bob, &away, 1).await;
    assert_eq!(lab.resumes("forbidden"), before + 2);
    assert_eq!(alice.ask(1, "ping", json!({})).await["status"], "OK", "the owner stays");
    lab.publish().await;
    alice.event("posted").await;
    let owner = lab.server.token("alice");
    let (_, first) = lab.resume(&owner, &away, 1).await;
    assert_ne!(first["event"], "hello", "the owner can still go on");
    lab.is_undisturbed().await;
}

#[tokio::test]
async fn r02_guesses_find_nothing_and_wait() {
    let mut lab = Lab::with(|config| {
        config.limits.resumes_burst = 5;
        config.limits.resumes_per_second = 2.0;
    })
    .await;
    let token = lab.server.token("alice");
    let before = lab.resets("unknown");
    let began = Instant::now();
    for guess in 0..7 {
        lab.is_fresh(&token, &format!("{guess:026}"), 1).await;
    }
    assert!(began.elapsed() >= Duration::from_millis(700), "{:?}", began.elapsed());
    assert_eq!(lab.resets("unknown"), before + 7);
    lab.is_undisturbed().await;
}

#[tokio::test]
async fn r03_another_login_session_is_not_resumed() {
    let mut lab = Lab::new().await;
    let token = |session| lab.server.token_of(&claims("alice", session));
    let (one, two, none) = (token(Some("s1")), token(Some("s2")), token(None));
    let mut live = Person::enter(&lab.server, SOCKET, &one).await;
    let before = lab.resumes("forbidden");
    lab.is_fresh(&two, &live.connection, 1).await;
    lab.is_fresh(&none, &live.connection, 1).await;
    assert_eq!(lab.resumes("forbidden"), before + 2);
    assert_eq!(live.ask(1, "ping", json!({})).await["status"], "OK");
    lab.is_undisturbed().await;
}

#[tokio::test]
async fn r04_a_malformed_resume_is_400_before_the_upgrade() {
    let mut lab = Lab::new().await;
    let alice = lab.join("alice").await;
    let id = &alice.connection;
    let before = lab.server.rejected("handshake", "query");
    let wrong = [
        "-1",
        "1.5",
        "9223372036854775808",
        "abc",
        "",
        "1&sequence_number=1",
        "+1",
        "0x1",
        "1e3",
        "%31",
        &"9".repeat(400),
    ]
    .map(|number| format!("connection_id={id}&sequence_number={number}"))
    .into_iter()
    .chain([
        format!("connection_id={id}"),
        "connection_id=short&sequence_number=1".to_owned(),
        format!("connection_id={id}x&sequence_number=1"),
        format!("connection_id={id}&connection_id={id}&sequence_number=1"),
        "connection_id=../../../../../../etc/pas&sequence_number=1".to_owned(),
    ]);
    let mut count = 0;
    for query in wrong {
        let target = format!("{SOCKET}?{query}");
        let refused = Person::open(&lab.server, &Ask { target: &target, lines: &[] }).await;
        assert_eq!(refused.err(), Some(400), "{query}");
        count += 1;
    }
    assert_eq!(lab.server.rejected("handshake", "query"), before + count);
    lab.is_undisturbed().await;
}

#[tokio::test]
async fn r06_number_0_of_a_live_session_begins_anew_with_the_same_events() {
    let mut lab = Lab::new().await;
    let mut alice = lab.join("alice").await;
    lab.publish().await;
    lab.publish().await;
    assert_eq!(posted(&mut alice, &json!(null), 2).await, [1, 2]);
    let token = lab.server.token("alice");
    let (mut again, hello) = lab.resume(&token, &alice.connection, 0).await;
    assert_eq!((&hello["event"], &hello["seq"]), (&json!("hello"), &json!(0)));
    assert_eq!(again.connection, alice.connection);
    assert_eq!(posted(&mut again, &json!(null), 2).await, [1, 2]);
    assert_eq!(alice.closed().await, 4409, "the old socket has lost its place");
    lab.is_undisturbed().await;
}

#[tokio::test]
async fn r07_what_is_no_longer_kept_is_a_reset() {
    let mut lab = Lab::with(|config| config.log.retention_events = 20).await;
    let alice = lab.join("alice").await.connection;
    for _ in 0..40 {
        lab.publish().await;
    }
    let before = lab.resets("retention");
    let token = lab.server.token("alice");
    let mut again = lab.is_fresh(&token, &alice, 1).await;
    assert_eq!(lab.resets("retention"), before + 1);
    lab.publish().await;
    assert_eq!(posted(&mut again, &json!(null), 1).await, [41]);
    lab.is_fresh(&token, &alice, 1).await;
    lab.is_undisturbed().await;
}

#[tokio::test]
async fn r07_a_number_that_was_never_given_is_a_reset() {
    let mut lab = Lab::new().await;
    let token = lab.server.token("alice");
    for next in [100, i64::MAX.cast_unsigned()] {
        let alice = lab.join("alice").await.connection;
        let before = lab.resets("ahead");
        lab.is_fresh(&token, &alice, next).await;
        assert_eq!(lab.resets("ahead"), before + 1);
    }
    lab.is_undisturbed().await;
}

#[tokio::test]
async fn r09_a_removal_withholds_what_was_missed_and_ends_what_follows() {
    let mut lab = Lab::new().await;
    let mut alice = lab.join("alice").await;
    lab.publish().await;
    alice.event("posted").await;
    let next = alice.next;
    let connection = alice.connection.clone();
    drop(alice);
    lab.publish().await;
    let remove = json!({"topic": {"channel": "town"}, "remove": ["alice"]}).to_string();
    assert_eq!(lab.server.post("/api/v1/members", &remove).await.status, 200);
    lab.publish().await;
    let direct = json!({"event": "last", "to": {"user": "alice"}, "data": {}}).to_string();
    assert_eq!(lab.server.post("/api/v1/publish", &direct).await.status, 200);
    let token = lab.server.token("alice");
    let (mut again, first) = lab.resume(&token, &connection, next).await;
    assert_eq!(first["event"], "hb_noop", "the body of what was missed: {first}");
    let mut bodies = vec![first["data"]["n"].clone()];
    let mut message = first;
    while message["event"] != "last" {
        message = again.message().await;
        bodies.push(message["data"]["n"].clone());
    }
    assert!(bodies.iter().all(Value::is_null), "{bodies:?}");
    lab.publish().await;
    lab.is_undisturbed().await;
    assert_eq!(again.ask(1, "ping", json!({})).await["status"], "OK");
    assert!(!again.heard.contains(&"posted".to_owned()), "{:?}", again.heard);
}

#[tokio::test]
async fn r12_a_session_stays_in_its_realm_and_dialect() {
    let mut lab = Lab::new().await;
    let alice = lab.join("alice").await.connection;
    let mut other = claims("alice", None);
    other.realm = Some(Id::parse("b").unwrap());
    let other = lab.server.token_of(&other);
    let own = lab.server.token("alice");
    lab.is_fresh(&other, &alice, 1).await;
    let target = format!("/ws/room/den?connection_id={alice}&sequence_number=1");
    let line = format!("Authorization: Bearer {own}");
    let lines = [line.as_str(), "Sec-WebSocket-Protocol: hubbub.room.v1"];
    let mut room =
        Person::open(&lab.server, &Ask { target: &target, lines: &lines }).await.unwrap();
    let hello = room.message().await;
    assert_eq!(hello["type"], "hello", "{hello}");
    let den = hello["connection_id"].as_str().unwrap().to_owned();
    assert_ne!(den, alice);
    lab.is_fresh(&own, &den, 1).await;
    lab.is_undisturbed().await;
}

#[tokio::test]
async fn r13_a_replay_is_bounded_by_events_and_by_bytes() {
    let mut lab = Lab::with(|config| {
        config.limits.resume_replay_events = 10;
        config.limits.resume_replay_bytes = 64 * 1024;
    })
    .await;
    let token = lab.server.token("alice");
    let many = lab.join("alice").await.connection;
    for _ in 0..20 {
        lab.publish().await;
    }
    let before = lab.resets("replay_limit");
    lab.is_fresh(&token, &many, 1).await;
    let big = lab.join("alice").await.connection;
    for _ in 0..2 {
        lab.publish_data(&json!({"n": 0, "text": "x".repeat(40_000)})).await;
    }
    lab.is_fresh(&token, &big, 1).await;
    assert_eq!(lab.resets("replay_limit"), before + 2);
    lab.is_undisturbed().await;
}

#[tokio::test]
async fn r14_a_name_that_a_client_chose_is_never_adopted() {
    let mut lab = Lab::new().await;
    let chosen = "a".repeat(26);
    let victim = lab.server.token("alice");
    for next in [0, 1] {
        lab.is_fresh(&victim, &chosen, next).await;
    }
    let attacker = lab.server.token("bob");
    lab.is_fresh(&attacker, &chosen, 1).await;
    lab.is_undisturbed().await;
}
