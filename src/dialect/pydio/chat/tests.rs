//! Goal: both vocabularies mean the same, whatever is not a message is nothing, and what
//! is one and says too little is told so.
//! Method: texts in, wishes and texts out.

use std::sync::Arc;

use serde_json::{Value, json};

use super::*;
use crate::{
    dialect::json::JsonLimits,
    model::{
        CHAT_DELETED, CHAT_MESSAGE, CHAT_ROOM, ChatMessage, ChatRoom, Event, Id, RoomKey, RoomKind,
        Topic,
    },
};

fn id(text: &str) -> Id {
    Id::parse(text).unwrap()
}

fn node(object: &str) -> RoomKey {
    RoomKey { kind: RoomKind::Node, object: Some(id(object)) }
}

fn read(message: &Value) -> Option<Result<Wish, &'static str>> {
    decode(&message.to_string(), &JsonLimits::default())
}

fn wish(message: &Value) -> Wish {
    read(message).expect("it is a message").expect("it can be done")
}

fn told(message: &Value) -> &'static str {
    read(message).expect("it is a message").expect_err("it can't be done")
}

fn join(is_ping: bool, wants_history: bool) -> Wish {
    Wish::Join { key: node("n-17"), label: Arc::from(""), is_ping, wants_history }
}

fn say(room: RoomRef, uuid: Option<&str>, text: &str) -> Wish {
    Wish::Say(Saying { room, uuid: uuid.map(id), text: Arc::from(text) })
}

#[test]
fn the_deployed_vocabulary() {
    let room = json!({"Type": "NODE", "RoomTypeObject": "n-17"});
    let ping = json!({"Message": "PING"});
    assert_eq!(wish(&json!({"@type": "JOIN", "Room": room})), join(false, false));
    assert_eq!(wish(&json!({"@type": "JOIN", "Room": room, "Message": ping})), join(true, false));
    assert_eq!(wish(&json!({"@type": 0, "Room": room})), join(false, false));
    assert_eq!(wish(&json!({"Room": room})), join(false, false), "no type is type 0");
    let numbered = json!({"Type": 3, "RoomTypeObject": "n-17", "Users": ["x"], "Uuid": "mine"});
    assert_eq!(wish(&json!({"@type": "JOIN", "Room": numbered})), join(false, false));
    assert_eq!(wish(&json!({"@type": "LEAVE", "Room": room})), Wish::Leave(node("n-17")));
    let global = RoomKey { kind: RoomKind::Global, object: None };
    assert_eq!(wish(&json!({"@type": 1, "Room": {}})), Wish::Leave(global));
    let post = json!({"@type": "POST", "Message": {"RoomUuid": "r-5", "Message": "hello"}});
    assert_eq!(wish(&post), say(RoomRef::Uuid(id("r-5")), None, "hello"));
    let edit = json!({"@type": 2, "Message": {"RoomUuid": "r-5", "Uuid": "m-7", "Message": "x"}});
    assert_eq!(wish(&edit), say(RoomRef::Uuid(id("r-5")), Some("m-7"), "x"));
    let forged = json!({"Uuid": "m-7", "RoomUuid": "r-5", "Author": "alice", "Timestamp": "1"});
    let deletion = Wish::Delete { room: RoomRef::Uuid(id("r-5")), uuid: id("m-7") };
    assert_eq!(wish(&json!({"@type": "DELETE_MSG", "Message": forged})), deletion);
}

#[test]
fn the_documented_vocabulary() {
    let room = json!({"RoomTypeObject": "n-17"}).to_string();
    let full = json!({"RoomTypeObject": "n-17", "Type": "NODE", "Users": []}).to_string();
    let with =
        |verb: &str, payload: &str| json!({"@type": verb, "RoomType": 3, "Payload": payload});
    assert_eq!(wish(&with("join", &room)), join(false, true));
    assert_eq!(wish(&json!({"@type": "join", "Payload": full})), join(false, true));
    assert_eq!(wish(&with("leave", &room)), Wish::Leave(node("n-17")));
    let room = json!({"Type": 3, "RoomTypeObject": "n-17"});
    let said = json!({"Room": room, "Message": {"Message": "hello"}}).to_string();
    assert_eq!(wish(&with("msg", &said)), say(RoomRef::Key(node("n-17")), None, "hello"));
    let said = json!({"Room": room, "Message": {"RoomUuid": "r-5", "Message": "hi"}}).to_string();
    assert_eq!(wish(&with("msg", &said)), say(RoomRef::Uuid(id("r-5")), None, "hi"));
    assert_eq!(told(&json!({"@type": "join", "RoomType": 3})), "Payload is missing");
    assert_eq!(told(&with("join", "[]")), "Payload is not one JSON object");
    assert_eq!(told(&with("msg", "{}")), "Message is missing");
    assert_eq!(told(&with("join", r#"{"Color":1}"#)), "Payload has members that no room has");
    assert_eq!(
        told(&json!({"@type": "join", "RoomType": "x", "Payload": "{}"})),
        "there is no such Type of room"
    );
}

#[test]
fn pages_of_a_history() {
    let check = |paging: Value, expected: Paging| {
        let room = json!({"Type": "NODE", "RoomTypeObject": "n-17"});
        let message = json!({"@type": "HISTORY", "Room": room, "Message": paging});
        let room = RoomRef::Key(node("n-17"));
        assert_eq!(wish(&message), Wish::History { room, paging: expected }, "{message}");
    };
    let page = |text: &str| json!({"Message": text});
    check(Value::Null, Paging::All);
    check(page(""), Paging::All);
    check(page(r#"{"Offset":0,"Limit":40}"#), Paging::Page { offset: 0, limit: 40 });
    check(page(r#"{"Limit":"40"}"#), Paging::Page { offset: 0, limit: 40 });
    check(page("{}"), Paging::Page { offset: 0, limit: 0 });
    for text in [r#"{"Offset":"x"}"#, r#"{"Limit":1.5}"#, r#"{"Limit":-1}"#, "40", "nonsense", "[]"]
    {
        check(page(text), Paging::Unreadable);
    }
}

#[test]
fn what_is_no_message_is_nothing() {
    let room = json!({"Type": "NODE", "RoomTypeObject": "n-17"});
    for message in [
        json!({"@type": "SHOUT", "Room": room}),
        json!({"@type": 99, "Room": room}),
        json!({"@type": -1, "Room": room}),
        json!({"@type": "ROOM_UPDATE", "Room": room}),
        json!({"@type": "DELETE_ROOM", "Room": room}),
        json!({"@type": "JOIN", "Room": room, "Extra": 1}),
        json!({"@type": "JOIN", "Room": {"Type": "NODE", "Color": "red"}}),
        json!([1]),
        json!("JOIN"),
    ] {
        assert_eq!(read(&message), None, "{message}");
    }
    for text in ["", "{", "{\"@type\":\"JOIN\"} {}", "nonsense"] {
        assert_eq!(decode(text, &JsonLimits::default()), None, "{text}");
    }
}

#[test]
fn what_says_too_little_or_too_much_is_told_so() {
    let node = |object: Value| json!({"Type": "NODE", "RoomTypeObject": object});
    let check = |message: Value, expected: &str| assert_eq!(told(&message), expected, "{message}");
    check(json!({}), "Room is missing");
    check(json!({"@type": "JOIN"}), "Room is missing");
    check(json!({"@type": "LEAVE", "Room": null}), "Room is missing");
    check(json!({"@type": "HISTORY"}), "Room is missing");
    check(json!({"@type": "POST"}), "Message is missing");
    check(json!({"@type": "DELETE_MSG"}), "Message is missing");
    check(json!({"@type": "POST", "Message": {"Message": "x"}}), "RoomUuid is missing");
    check(json!({"@type": "DELETE_MSG", "Message": {"RoomUuid": "r"}}), "Uuid is missing");
    check(json!({"@type": "JOIN", "Room": {"Type": "NODE"}}), "RoomTypeObject is missing");
    let no_such_type = "there is no such Type of room";
    check(json!({"@type": "JOIN", "Room": {"Type": "ANY"}}), no_such_type);
    check(json!({"@type": "JOIN", "Room": {"Type": 4}}), no_such_type);
    check(json!({"@type": "JOIN", "Room": {"Type": -1}}), no_such_type);
    let wrong = "a member of the message has the wrong type";
    check(json!({"@type": true, "Room": {}}), wrong);
    check(json!({"@type": "JOIN", "Room": "r"}), wrong);
    check(json!({"@type": "JOIN", "Room": node(json!(17))}), wrong);
    check(json!({"@type": "POST", "Message": {"RoomUuid": "r", "Message": 5}}), wrong);
    let name = "a name has 1 to 64 of A-Z a-z 0-9 _ . @ -";
    for object in ["a b", "{x}", "a:b", "../x", "a\u{0}", &"x".repeat(65)] {
        check(json!({"@type": "JOIN", "Room": node(json!(object))}), name);
    }
    let long = "x".repeat(TEXT_BYTES_MAX + 1);
    let post = |text: &str| json!({"@type": "POST", "Message": {"RoomUuid": "r", "Message": text}});
    check(post(&long), "a message has at most 16384 bytes");
    check(post(&"x".repeat(40_000)), "a message has at most 16384 bytes");
    check(post(""), "a message has to say something");
    check(post(" \n "), "a message has to say something");
    check(post("<script>alert(1)</script>"), "a message has to say something");
    let label = json!({"RoomLabel": "x".repeat(257)});
    check(json!({"@type": "JOIN", "Room": label}), "RoomLabel has at most 256 bytes");
}

#[test]
fn text_is_cleaned() {
    let check = |text: &str, expected: &str| {
        let message = json!({"@type": "POST", "Message": {"RoomUuid": "r", "Message": text}});
        assert_eq!(wish(&message), say(RoomRef::Uuid(id("r")), None, expected));
        let again = json!({"@type": "POST", "Message": {"RoomUuid": "r", "Message": expected}});
        assert_eq!(wish(&again), say(RoomRef::Uuid(id("r")), None, expected), "cleaned once");
    };
    check("hello", "hello");
    check("a < b & c", "a &lt; b &amp; c");
    check("<b>bold</b><script>x</script>", "<b>bold</b>");
    check("<img src=x onerror=alert(1)>", "<img src=\"x\">");
    check("<a href=\"javascript:alert(1)\">x</a>", "<a rel=\"noopener noreferrer\">x</a>");
    check("\u{1f600} ä\nnext", "\u{1f600} ä\nnext");
    let most = "x".repeat(TEXT_BYTES_MAX);
    check(&most, &most);
}

fn event(name: &str, data: &Value) -> Event {
    Event {
        name: Arc::from(name),
        data: data.to_string().into(),
        to: Topic::Chat(id("r-5")),
        omit_users: Vec::new(),
        omit_connection: None,
        ephemeral: false,
        binary: false,
        id: Arc::from(""),
        sender: None,
    }
}

#[test]
fn pushes_have_the_shapes_of_the_original() {
    let check = |name: &str, data: Value, expected: &str| {
        let open = render(&event(name, &data)).expect("it is about a room");
        let json = format!("{}}}", std::str::from_utf8(&open).unwrap());
        assert_eq!(json, expected);
        serde_json::from_str::<Value>(&json).unwrap();
    };
    check(
        CHAT_ROOM,
        json!({"kind": 3, "object": "n-17", "uuid": "r-5", "label": "", "users": ["alice", "bob"],
            "updated_at": 1_530_612_000}),
        r#"{"@type":"ROOM_UPDATE","Room":{"Uuid":"r-5","Type":"NODE","RoomTypeObject":"n-17","Users":["alice","bob"],"LastUpdated":1530612000}}"#,
    );
    check(
        CHAT_ROOM,
        json!({"kind": 0, "object": "", "uuid": "r", "label": "All", "users": [], "updated_at": 0}),
        r#"{"@type":"ROOM_UPDATE","Room":{"Uuid":"r","RoomLabel":"All"}}"#,
    );
    check(
        CHAT_MESSAGE,
        json!({"kind": 3, "object": "n", "uuid": "m-7", "room": "r-5", "author": "alice",
            "at": 1_530_612_000, "text": "hello"}),
        r#"{"Uuid":"m-7","RoomUuid":"r-5","Message":"hello","Author":"alice","Timestamp":"1530612000"}"#,
    );
    check(
        CHAT_DELETED,
        json!({"kind": 3, "object": "n", "uuid": "m-7", "room": "r-5", "author": "alice"}),
        r#"{"@type":"DELETE_MSG","Message":{"Uuid":"m-7","RoomUuid":"r-5","Author":"alice"}}"#,
    );
    assert_eq!(render(&event("posted", &json!({}))), None);
    assert_eq!(render(&event(CHAT_ROOM, &json!({}))), None);
}

#[test]
fn replies_have_the_same_shapes() {
    let room = ChatRoom {
        uuid: id("r-5"),
        key: node("n-17"),
        label: Arc::from("L"),
        users: vec![id("alice")],
        updated_at: 1,
    };
    assert_eq!(
        room_update(&room),
        r#"{"@type":"ROOM_UPDATE","Room":{"Uuid":"r-5","Type":"NODE","RoomTypeObject":"n-17","RoomLabel":"L","Users":["alice"],"LastUpdated":1}}"#
    );
    let said = ChatMessage {
        uuid: id("m"),
        room: id("r"),
        text: Arc::from("a\"b"),
        author: id("bob"),
        at: 2,
    };
    assert_eq!(
        message(&said),
        r#"{"Uuid":"m","RoomUuid":"r","Message":"a\"b","Author":"bob","Timestamp":"2"}"#
    );
    assert_eq!(
        may_have_more(&id("r-5"), 1_530_611_000, 40, 40),
        r#"{"@type":"MAY_HAVE_MORE","RoomUuid":"r-5","Timestamp":1530611000,"Offset":40,"Limit":40}"#
    );
}
