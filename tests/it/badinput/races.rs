//! Goal: what happens at the same moment has one order, and everybody obeys it.
//!
//! Method: many races of the same two calls, and then a look at the offsets.

use std::{sync::Arc, time::Duration};

use hubbub::{
    auth::MintClaims,
    model::{Id, ManualStatus},
};
use serde_json::json;

use super::{Ask, Lab, Person, SOCKET, code_of};

const ROUNDS: u64 = 200;

/// Subscribes and unsubscribes.
const FLIPS: u64 = 10_000;

#[tokio::test]
async fn s11_an_event_after_a_removal_is_never_delivered() {
    let mut lab = Lab::new().await;
    let mut alice = lab.join("alice").await;
    let members =
        |change: &str| format!(r#"{{"topic":{{"channel":"town"}},"{change}":["alice"]}}"#);
    let mut expected = Vec::new();
    let mut orders = [0; 2];
    for n in 0..ROUNDS {
        let event = json!({"event": "posted", "to": {"channel": "town"}, "data": {"n": n}});
        let (event, remove) = (event.to_string(), members("remove"));
        let publish = lab.server.post("/api/v1/publish", &event);
        let removal = lab.server.post("/api/v1/members", &remove);
        // The one that is begun first changes, so that both orders happen.
        let (published, removed) = if n % 2 == 0 {
            tokio::join!(publish, removal)
        } else {
            let (removed, published) = tokio::join!(removal, publish);
            (published, removed)
        };
        let offset = |reply: &crate::http::client::Reply| {
            assert_eq!(reply.status, 200, "{reply:?}");
            reply.json()["position"]["offset"].as_u64().unwrap()
        };
        let is_before = offset(&published) < offset(&removed);
        orders[usize::from(is_before)] += 1;
        if is_before {
            expected.push(n);
        }
        assert_eq!(lab.server.post("/api/v1/members", &members("add")).await.status, 200);
    }
    assert!(orders.iter().all(|count| *count > 0), "both orders happen: {orders:?}");
    lab.publish_data(&json!({"n": ROUNDS})).await;
    let mut got = Vec::new();
    while got.last() != Some(&ROUNDS) {
        got.push(alice.event("posted").await["data"]["n"].as_u64().unwrap());
    }
    expected.push(ROUNDS);
    assert_eq!(got, expected);
    let mut seen = Vec::new();
    while seen.last() != Some(&ROUNDS) {
        seen.push(lab.witness.event("posted").await["data"]["n"].as_u64().unwrap());
    }
    assert!(seen.into_iter().eq(0..=ROUNDS), "the witness gets all");
}

#[tokio::test]
async fn p14_no_event_comes_after_the_reply_to_the_last_unsubscribe() {
    let mut lab = Lab::with(|config| {
        config.limits.commands_per_second = 1e6;
        config.limits.commands_burst = 1_000_000;
    })
    .await;
    let mut alice = lab.join("alice").await;
    let users = json!({"user_ids": ["bob"]});
    let (realm, bob) = (Id::parse("default").unwrap(), Id::parse("bob").unwrap());
    let node = Arc::clone(&lab.server.node);
    let mut seq = 0;
    let mut came = 0;
    for round in 0..FLIPS / 2 {
        let chosen = if round % 2 == 0 { ManualStatus::Dnd } else { ManualStatus::Online };
        let flips = async {
            for action in ["subscribe_statuses", "unsubscribe_statuses"] {
                seq += 1;
                assert_eq!(alice.ask(seq, action, users.clone()).await["status"], "OK");
            }
            alice.heard.len()
        };
        let change = node.choose_status(&realm, &bob, chosen);
        let (before, changed) = tokio::join!(flips, change);
        changed.unwrap();
        seq += 1;
        assert_eq!(alice.ask(seq, "ping", json!({})).await["status"], "OK");
        let late = alice.heard.split_off(before);
        assert!(!late.contains(&"status_change".to_owned()), "round {round}");
        came += alice.heard.drain(..).filter(|name| name == "status_change").count();
    }
    assert!(came > 0, "some changes fall between both");
    lab.is_undisturbed().await;
}

#[tokio::test]
async fn a19_a_login_that_races_its_revocation_never_stays() {
    let mut lab = Lab::with(|config| config.limits.handshakes_burst = 10_000).await;
    for round in 0..50 {
        let session = format!("s{round}");
        let mut claims = MintClaims::new(Id::parse("alice").unwrap(), Duration::from_secs(60));
        claims.session = Some(Id::parse(&session).unwrap());
        let line = format!("Authorization: Bearer {}", lab.server.token_of(&claims));
        let ask = Ask { target: SOCKET, lines: &[&line] };
        let body = json!({"session": session}).to_string();
        let (person, revoked) =
            tokio::join!(Person::open(&lab.server, &ask), lab.server.post("/api/v1/revoke", &body));
        assert_eq!(revoked.status, 200, "{revoked:?}");
        let mut person = person.unwrap();
        let mut frame = person.client.frame().await.unwrap();
        while frame.first == 0x81 {
            frame = person.client.frame().await.unwrap();
        }
        assert_eq!(code_of(&frame), Some(4419), "round {round}");
    }
    lab.is_undisturbed().await;
}

/// How many events of the channel came.
fn posted(person: &Person) -> usize {
    person.heard.iter().filter(|name| *name == "posted").count()
}

#[tokio::test]
async fn r_of_two_resumes_at_once_one_goes_on_and_nothing_is_lost() {
    let mut lab = Lab::with(|config| config.limits.resumes_burst = 1_000).await;
    let line = format!("Authorization: Bearer {}", lab.server.token("alice"));
    let mut alice = lab.join("alice").await;
    for _ in 0..20 {
        let (connection, next) = (alice.connection.clone(), alice.next);
        lab.publish().await;
        let target = format!("{SOCKET}?connection_id={connection}&sequence_number={next}");
        let ask = Ask { target: &target, lines: &[&line] };
        let (one, two) =
            tokio::join!(Person::open(&lab.server, &ask), Person::open(&lab.server, &ask));
        assert_eq!(alice.closed().await, 4409);
        let mut both = [one, two].map(Result::unwrap);
        for person in &mut both {
            person.next = next;
            person.connection.clone_from(&connection);
        }
        lab.publish().await;
        let [mut one, mut two] = both;
        let (code, survivor) = tokio::select! {
            code = one.closed() => (code, two),
            code = two.closed() => (code, one),
        };
        assert_eq!(code, 4409);
        alice = survivor;
        while posted(&alice) < 2 {
            alice.event("posted").await;
        }
    }
    lab.is_undisturbed().await;
}
