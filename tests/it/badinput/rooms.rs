//! Goal: rooms refuse what is no message, in the words that their clients have, and
//! the others in the room notice nothing.
//!
//! Method: a plain or a numbered client that misbehaves, and one that listens.

use serde_json::{Value, json};

use super::{Ask, Lab, Person, text_frame};
use crate::ws::client::frame;

const NUMBERED: &str = "Sec-WebSocket-Protocol: hubbub.room.v1";

/// Opens a socket of a guest in the room `den`, up to its hello.
async fn guest(lab: &Lab, name: &str) -> Result<Person, u16> {
    let target = format!("/ws/room/den?name={name}");
    let mut person =
        Person::open(&lab.server, &Ask { target: &target, lines: &[NUMBERED] }).await?;
    let hello = person.message().await;
    assert_eq!(hello["type"], "hello", "{hello}");
    Ok(person)
}

/// Opens a socket of a plain client in the same room.
async fn plain(lab: &Lab) -> Person {
    Person::open(&lab.server, &Ask { target: "/ws/room/den", lines: &[] }).await.unwrap()
}

/// Somebody new speaks, and `listener` hears that next.
async fn hears(lab: &Lab, listener: &mut Person, text: &str) {
    let mut speaker = guest(lab, "speaker").await.unwrap();
    speaker.text(&json!({"text": text}).to_string()).await;
    let message: Value = listener.message().await;
    assert_eq!(message["text"], json!(text), "{message}");
}

#[tokio::test]
async fn p01_p02_p19_room_messages_that_are_no_json_are_1007() {
    let mut lab = Lab::new().await;
    let mut listener = guest(&lab, "listener").await.unwrap();
    let rows = [
        ("", "json"),
        ("hello", "json"),
        (r#"{"text":"a"}{"text":"b"}"#, "json"),
        (r#"{"text":"a","text":"b"}"#, "duplicate_key"),
        (&"[".repeat(1_000), "depth"),
    ];
    for (text, reason) in rows {
        let person = guest(&lab, "bad").await.unwrap();
        lab.refuses(person, &text_frame(text), (1007, "message", reason)).await;
    }
    let person = guest(&lab, "bad").await.unwrap();
    lab.refuses(person, &frame(0x82, b"x"), (1003, "message", "binary")).await;
    let person = plain(&lab).await;
    lab.refuses(person, &text_frame(&"x".repeat(513)), (1009, "frame", "too_big")).await;
    let person = plain(&lab).await;
    lab.refuses(person, &frame(0x81, b"\xff"), (1007, "frame", "not_utf8")).await;
    hears(&lab, &mut listener, "next").await;
    lab.is_undisturbed().await;
}

#[tokio::test]
async fn p04_p12_room_messages_that_are_refused_get_an_error() {
    let mut lab = Lab::new().await;
    let mut listener = guest(&lab, "listener").await.unwrap();
    let mut person = guest(&lab, "bad").await.unwrap();
    let wrong = [
        json!([]),
        json!("text"),
        json!({}),
        json!({"text": 7}),
        json!({"type": "hello", "text": "x"}),
        json!({"text": "x", "id": "a b"}),
        json!({"text": "x", "id": "../x"}),
        json!({"text": "x".repeat(513)}),
    ];
    for message in wrong {
        person.text(&message.to_string()).await;
        let answer = person.message().await;
        assert_eq!(answer["type"], "error", "{message}: {answer}");
    }
    hears(&lab, &mut listener, "next").await;
    lab.is_undisturbed().await;
}

#[tokio::test]
async fn p10_room_messages_over_the_rate_are_refused_and_then_4429() {
    let mut lab = Lab::with(|config| {
        config.limits.commands_burst = 3;
        config.limits.commands_per_second = 0.01;
    })
    .await;
    let mut person = guest(&lab, "loud").await.unwrap();
    let mut kinds = Vec::new();
    for n in 0..6 {
        person.text(&json!({"text": format!("{n}")}).to_string()).await;
        kinds.push(person.message().await["type"].as_str().unwrap().to_owned());
    }
    assert_eq!(kinds, ["message", "message", "message", "error", "error", "error"]);
    person.text(r#"{"text":"over"}"#).await;
    assert_eq!(person.closed().await, 4429);
    let mut other = plain(&lab).await;
    for _ in 0..4 {
        other.text("said").await;
    }
    let mut frames = Vec::new();
    while let Some(frame) = other.client.frame().await {
        frames.push(frame.first);
        if super::code_of(&frame).is_some() {
            assert_eq!(super::code_of(&frame), Some(4429), "a plain client has no words");
        }
    }
    assert_eq!(frames.last(), Some(&0x88));
    lab.is_undisturbed().await;
}

#[tokio::test]
async fn p12_names_of_rooms_and_guests_are_checked_before_the_upgrade() {
    let mut lab = Lab::new().await;
    let long = format!("/ws/room/{}", "x".repeat(65));
    let wrong = [
        ("/ws/room/%2e%2e", 404),
        ("/ws/room/a%20b", 404),
        ("/ws/room/*", 404),
        (&long, 404),
        ("/ws?name=%00", 400),
        ("/ws?name=%ff", 400),
        ("/ws?name=a&name=b", 400),
    ];
    for (target, status) in wrong {
        let refused = Person::open(&lab.server, &Ask { target, lines: &[] }).await;
        assert_eq!(refused.err(), Some(status), "{target}");
    }
    let before = lab.server.rejected("auth", "token_malformed");
    let ask = Ask { target: "/ws", lines: &["Authorization: Bearer not.a.token"] };
    assert_eq!(Person::open(&lab.server, &ask).await.err(), Some(401));
    assert_eq!(lab.server.rejected("auth", "token_malformed"), before + 1);
    lab.is_undisturbed().await;
}

#[tokio::test]
async fn a19_guests_come_again_after_everyone_was_revoked() {
    let lab = Lab::new().await;
    let mut person = guest(&lab, "someone").await.unwrap();
    let revoked = lab.server.post("/api/v1/revoke", r#"{"everyone":true}"#).await;
    assert_eq!(revoked.status, 200);
    assert_eq!(person.closed().await, 4419);
    // Who comes in the second of the revocation counts as older.
    let second = || lab.server.node.clock().now_seconds();
    let now = second();
    lab.until("a second passes", |_server| second() > now).await;
    guest(&lab, "someone").await.unwrap();
}
