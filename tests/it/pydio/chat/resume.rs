//! Goal: the rooms of a session are those of its numbering, wherever it goes on.
//! Method: a client that asked for numbers, two nodes, and what happened meanwhile.

use serde_json::json;

use super::{Client, Stage, chatter, file, join, post, said};
use crate::pydio::on_one_and_on_two;

on_one_and_on_two!(a_resume_needs_no_joining, a_deleted_message_is_a_number_without_a_body);

/// A numbered client, and the name of its connection.
pub(super) async fn numbered(stage: &Stage, user: &str) -> (Client, String) {
    let mut client = Client::open(stage.server().public, "/ws/chat").await;
    client.send(json!({"@type": "subscribe", "jwt": stage.token(user), "resume": true})).await;
    let hello = client.push().await;
    assert_eq!((&hello["@type"], &hello["seq"]), (&json!("hello"), &json!(0)));
    (client, hello["connection_id"].as_str().unwrap().to_owned())
}

/// The same connection on another socket, from number `next` on.
pub(super) async fn resumed(stage: &Stage, user: &str, connection: &str, next: u64) -> Client {
    let path = format!("/ws/chat?connection_id={connection}&sequence_number={next}");
    let mut client = Client::open(stage.server().public, &path).await;
    client.send(json!({"@type": "subscribe", "jwt": stage.token(user), "resume": true})).await;
    client
}

async fn a_resume_needs_no_joining(stage: &Stage) {
    let room = file(stage).await;
    let mut alice = chatter(stage, "alice").await;
    let uuid = join(&mut alice, &room).await;
    let (mut bob, connection) = numbered(stage, "bob").await;
    bob.send(json!({"@type": "JOIN", "Room": room})).await;
    let update = bob.push().await;
    assert_eq!((&update["@type"], &update["@seq"]), (&json!("ROOM_UPDATE"), &json!(1)));
    alice.push().await;
    said(&mut alice, &uuid, "one").await;
    assert_eq!(bob.push().await["@seq"], 2);
    drop(bob);
    assert_eq!(alice.push().await["Room"]["Users"], json!(["alice"]), "his socket is gone");
    said(&mut alice, &uuid, "two").await;
    let mut bob = resumed(stage, "bob", &connection, 3).await;
    let (gone, two) = (bob.push().await, bob.push().await);
    assert_eq!((&gone["@type"], &gone["@seq"]), (&json!("ROOM_UPDATE"), &json!(3)));
    assert_eq!((&two["Message"], &two["@seq"]), (&json!("two"), &json!(4)));
    let back = bob.push().await;
    assert_eq!(back["Room"]["Users"], json!(["alice", "bob"]));
    assert_eq!(back["@seq"], 5);
    alice.push().await;
    post(&mut bob, &uuid, "three").await;
    let three = bob.push().await;
    assert_eq!((&three["Message"], &three["@seq"]), (&json!("three"), &json!(6)));
    bob.send(json!({"@type": "HISTORY", "Room": room})).await;
    for _ in 0..4 {
        let page = bob.push().await;
        assert!(page.get("@seq").is_none(), "a page has no numbers: {page}");
    }
}

async fn a_deleted_message_is_a_number_without_a_body(stage: &Stage) {
    let room = file(stage).await;
    let mut alice = chatter(stage, "alice").await;
    let uuid = join(&mut alice, &room).await;
    let (mut bob, connection) = numbered(stage, "bob").await;
    bob.send(json!({"@type": "JOIN", "Room": room})).await;
    bob.push().await;
    alice.push().await;
    drop(bob);
    alice.push().await;
    let message = said(&mut alice, &uuid, "regretted").await;
    let target = json!({"Uuid": message["Uuid"], "RoomUuid": uuid, "Author": "alice"});
    alice.send(json!({"@type": "DELETE_MSG", "Message": target})).await;
    alice.push().await;
    said(&mut alice, &uuid, "kept").await;
    let mut bob = resumed(stage, "bob", &connection, 2).await;
    let told = [bob.push().await, bob.push().await, bob.push().await, bob.push().await];
    assert_eq!(told[0]["@type"], "ROOM_UPDATE");
    assert_eq!(told[1], json!({"@type": "noop", "@seq": 3}), "its text is nobody's any more");
    assert_eq!((&told[2]["@type"], &told[2]["@seq"]), (&json!("DELETE_MSG"), &json!(4)));
    assert_eq!((&told[3]["Message"], &told[3]["@seq"]), (&json!("kept"), &json!(5)));
}
