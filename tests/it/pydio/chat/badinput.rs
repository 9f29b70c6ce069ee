//! Goal: what is wrong is told, costs nothing, and the socket stays.
//! Method: each case, and then something that works.

use serde_json::{Value, json};

use super::{Client, Stage, chatter, file, history, join, post, said, texts, told};
use crate::support::socket::Frame;

/// A client that is in a room.
async fn inside() -> (Stage, Client, Value, String) {
    let stage = Stage::one_with(|config| {
        config.limits.commands_per_second = 10_000.0;
        config.limits.commands_burst = 20_000;
    })
    .await;
    let room = file(&stage).await;
    let mut alice = chatter(&stage, "alice").await;
    let uuid = join(&mut alice, &room).await;
    (stage, alice, room, uuid)
}

async fn check(messages: &[Value], expected: &str) {
    let (_stage, mut alice, room, uuid) = inside().await;
    for message in messages {
        alice.send(message.clone()).await;
        assert_eq!(told(&mut alice).await, expected, "{message}");
    }
    said(&mut alice, &uuid, "it still works").await;
    assert_eq!(
        history(&mut alice, &room, 1).await,
        ["it still works"],
        "and nothing else was kept"
    );
}

#[tokio::test]
async fn a_missing_room() {
    let verbs = ["JOIN", "LEAVE", "HISTORY"];
    let messages: Vec<Value> = verbs.iter().map(|verb| json!({"@type": verb})).collect();
    check(&messages, "Room is missing").await;
    check(&[json!({})], "Room is missing").await;
}

#[tokio::test]
async fn a_missing_message() {
    check(&[json!({"@type": "POST"}), json!({"@type": "DELETE_MSG"})], "Message is missing").await;
}

#[tokio::test]
async fn wrong_types() {
    let wrong = "a member of the message has the wrong type";
    let messages = [
        json!({"@type": "JOIN", "Room": 5}),
        json!({"@type": "JOIN", "Room": {"Type": [], "RoomTypeObject": "n-17"}}),
        json!({"@type": "POST", "Message": {"RoomUuid": {}, "Message": "x"}}),
        json!({"@type": "POST", "Message": "hello"}),
    ];
    check(&messages, wrong).await;
}

#[tokio::test]
async fn a_room_that_nobody_joined() {
    let message = json!({"RoomUuid": "r-none", "Message": "x", "Uuid": "m"});
    let messages = [
        json!({"@type": "POST", "Message": message}),
        json!({"@type": "DELETE_MSG", "Message": message}),
        json!({"@type": "LEAVE", "Room": {"Type": "USER", "RoomTypeObject": "alice"}}),
    ];
    check(&messages, "join the room first").await;
}

#[tokio::test]
async fn an_over_long_post() {
    let (_stage, mut alice, room, uuid) = inside().await;
    post(&mut alice, &uuid, &"x".repeat(16 * 1024 + 1)).await;
    assert_eq!(told(&mut alice).await, "a message has at most 16384 bytes");
    post(&mut alice, &uuid, &"x".repeat(48 * 1024)).await;
    assert_eq!(told(&mut alice).await, "a message has at most 16384 bytes");
    let most = "x".repeat(16 * 1024);
    said(&mut alice, &uuid, &most).await;
    assert_eq!(history(&mut alice, &room, 1).await, [most]);
    // Beyond what any message may have, the socket ends.
    post(&mut alice, &uuid, &"x".repeat(80 * 1024)).await;
    assert_eq!(alice.0.closed().await, 1009);
}

#[tokio::test]
async fn paging_values_that_are_no_integers() {
    let (_stage, mut alice, room, uuid) = inside().await;
    said(&mut alice, &uuid, "kept").await;
    for paging in
        [r#"{"Offset":"x"}"#, r#"{"Offset":1.5,"Limit":2}"#, r#"{"Limit":-2}"#, "first page"]
    {
        let ask = json!({"@type": "HISTORY", "Room": room, "Message": {"Message": paging}});
        alice.send(ask).await;
        assert_eq!(alice.push().await["@type"], "ROOM_UPDATE");
        assert_eq!(
            told(&mut alice).await,
            "Offset and Limit have to be whole numbers of 0 or more: all messages follow"
        );
        assert_eq!(texts(&mut alice, 1).await, ["kept"], "{paging}");
        alice.settled().await;
    }
}

#[tokio::test]
async fn what_is_no_message_of_the_chat_is_ignored() {
    let (_stage, mut alice, _, uuid) = inside().await;
    for message in [
        json!({"@type": "SHOUT"}),
        json!({"@type": "ROOM_UPDATE", "Room": {}}),
        json!({"@type": "JOIN", "Room": {}, "Extra": true}),
        json!([]),
    ] {
        alice.send(message).await;
    }
    for text in ["nonsense", "{", "", "{\"@type\":\"POST\"}{}"] {
        alice.0.send(text).await;
    }
    alice.settled().await;
    said(&mut alice, &uuid, "it still works").await;
}

#[tokio::test]
async fn binary_frames_are_dropped() {
    let (_stage, mut alice, _, uuid) = inside().await;
    let message = json!({"@type": "POST", "Message": {"RoomUuid": uuid, "Message": "x"}});
    alice.0.send_frame(0x82, message.to_string().as_bytes()).await;
    alice.settled().await;
    said(&mut alice, &uuid, "it still works").await;
}

#[tokio::test]
async fn chat_before_subscribing_is_ignored() {
    let (stage, mut alice, room, uuid) = inside().await;
    let mut nobody = Client::open(stage.server().public, "/chat").await;
    nobody.send(json!({"@type": "JOIN", "Room": room})).await;
    post(&mut nobody, &uuid, "from nobody").await;
    nobody.settled().await;
    assert_eq!(history(&mut alice, &room, 0).await, [""; 0]);
}

#[tokio::test]
async fn scripts_are_taken_out() {
    let (_stage, mut alice, _, uuid) = inside().await;
    post(&mut alice, &uuid, "<b>hi</b><script>alert(1)</script><img src=x onerror=alert(1)>").await;
    assert_eq!(texts(&mut alice, 1).await, ["<b>hi</b><img src=\"x\">"]);
    post(&mut alice, &uuid, "<script>alert(1)</script>").await;
    assert_eq!(told(&mut alice).await, "a message has to say something");
}

#[tokio::test]
async fn ten_thousand_joins_are_bounded() {
    let (stage, mut alice, _, uuid) = inside().await;
    let (mut joined, mut refused) = (0, 0);
    for batch in 0..100 {
        for number in 0..100 {
            let room = json!({"Type": "GLOBAL", "RoomTypeObject": format!("o-{batch}-{number}")});
            alice.send(json!({"@type": "JOIN", "Room": room})).await;
        }
        for _ in 0..100 {
            let answer = alice.push().await;
            if answer["@type"] == "ROOM_UPDATE" {
                joined += 1;
            } else {
                assert_eq!(answer["error"], "too many rooms");
                refused += 1;
            }
        }
    }
    assert_eq!((joined, refused), (511, 9_489), "512 with the first one");
    said(&mut alice, &uuid, "it still works").await;
    // The same in a hurry, without the raised limit: the socket ends, others do not notice.
    let plain = Stage::one().await;
    let mut hasty = chatter(&plain, "bob").await;
    let join = json!({"@type": "JOIN", "Room": {}});
    for _ in 0..10_000 {
        hasty.send(join.clone()).await;
    }
    let closed = loop {
        match hasty.0.next().await {
            Frame::Close(code) => break code,
            Frame::End => panic!("an end without a close frame"),
            Frame::Text(_) | Frame::Binary(_) | Frame::Ping(_) | Frame::Pong(_) => {}
        }
    };
    assert_eq!(closed, 4429);
    drop(stage);
}

/// Goal: what a session has to remember of rooms that it left is bounded.
#[tokio::test]
async fn a_room_that_is_entered_and_left_without_end() {
    let stage = Stage::one_with(|config| {
        config.limits.commands_per_second = 10_000.0;
        config.limits.commands_burst = 20_000;
        config.limits.subscriptions_per_connection = 1;
    })
    .await;
    let mut alice = chatter(&stage, "alice").await;
    let room = json!({"Type": "GLOBAL"});
    for _ in 0..32 {
        join(&mut alice, &room).await;
        alice.send(json!({"@type": "LEAVE", "Room": room})).await;
        assert_eq!(alice.push().await["@type"], "ROOM_UPDATE");
    }
    alice.send(json!({"@type": "JOIN", "Room": room})).await;
    assert_eq!(told(&mut alice).await, "too many rooms in a short time");
    let mut other = chatter(&stage, "alice").await;
    join(&mut other, &room).await;
}
