//! Goal: what is said in a room is what is heard, in both forms, and nothing else.
//!
//! Method: golden transcripts in, golden texts out, and arbitrary text through the
//! whole way: decode, event, rendering.

use std::sync::Arc;

use bytes::Bytes;
use proptest::prelude::*;
use serde_json::Value;

use super::{
    DEFAULT_ROOM, EVENT_NAME, HISTORY_BYTES_MAX, HISTORY_EVENTS_MAX, Hello, ROOM_JSON, ROOM_PLAIN,
    Refusal, Request, decode, decode_binary, decode_plain, event_id, guest_name, hello,
    reply_error, room_name, said_data,
};
use crate::{
    dialect::json::JsonLimits,
    model::{
        Body, ConnectionId, Event, Generation, Id, Position, Record, Renderings, Tag, Tail, Topic,
    },
};

const MAX: usize = 512;

fn id(text: &str) -> Id {
    Id::parse(text).unwrap()
}

fn event(data: impl Into<Bytes>, sender: Option<&str>) -> Event {
    Event {
        name: EVENT_NAME.into(),
        data: data.into(),
        to: Topic::Room(id("lobby")),
        omit_users: Vec::new(),
        omit_connection: None,
        ephemeral: false,
        binary: false,
        id: "e1".into(),
        sender: sender.map(Arc::from),
    }
}

fn record(body: Body) -> Record {
    Record {
        position: Position { generation: Generation::new("1.a"), offset: 7, tag: Tag(1) },
        previous_tag: Tag(0),
        accepted_at_us: 1_700_000_000_123_456,
        kept: None,
        body,
        renderings: Renderings::default(),
    }
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

/// What a plain client hears.
fn plain(event: Event) -> String {
    assert_eq!(ROOM_PLAIN.tail, Tail::None);
    text(&ROOM_PLAIN.shared(&record(Body::Event(event))).payload).to_owned()
}

/// What a JSON client hears as its message 5.
fn json(body: Body) -> String {
    assert_eq!(ROOM_JSON.tail, Tail::Seq);
    format!("{},\"seq\":5}}", text(&ROOM_JSON.shared(&record(body)).payload))
}

/// Plays a transcript. A line with `>` is sent; below it stands what comes of it:
/// `=` what is said and its id, `<` the answer, `!` the close code and the
/// reason, `.` nothing.
fn check(transcript: &str) {
    let lines: Vec<&str> =
        transcript.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    assert!(!lines.is_empty(), "a transcript has lines");
    for pair in lines.chunks(2) {
        let sent = pair[0].strip_prefix("> ").expect("a transcript alternates");
        assert_eq!(outcome(sent), pair[1], "{sent}");
    }
}

fn outcome(sent: &str) -> String {
    match decode(sent, &JsonLimits::default(), MAX) {
        Ok(Request::Say(said)) => match said.id {
            Some(id) => format!("= {:?} {id}", said.text),
            None => format!("= {:?}", said.text),
        },
        Ok(Request::Blank) => ".".to_owned(),
        Ok(Request::Refused(refusal)) => format!("< {}", text(&reply_error(refusal))),
        Err(error) => format!("! {} {}", error.close().number(), error.label()),
    }
}

#[test]
fn json_clients_say_texts() {
    check(
        r#"
        > {"text":"hi"}
        = "hi"
        > {"text":" two\nlines ","id":"m-1"}
        = " two\nlines " m-1
        > {"type":"message","text":"hi","id":null,"more":{"__proto__":1}}
        = "hi"
        > {"text":" \n\t\u00a0"}
        .
        > {"text":""}
        .
        "#,
    );
}

#[test]
fn what_is_well_formed_but_refused_is_answered() {
    check(
        r#"
        > {}
        < {"type":"error","message":"text is missing or not a string"}
        > {"text":7}
        < {"type":"error","message":"text is missing or not a string"}
        > {"type":"join","text":"x"}
        < {"type":"error","message":"the only type of message to send is \"message\""}
        > {"type":null,"text":"x"}
        < {"type":"error","message":"the only type of message to send is \"message\""}
        > ["text"]
        < {"type":"error","message":"a message is a JSON object"}
        > {"text":"x","id":7}
        < {"type":"error","message":"id is not 1 to 64 of A-Z a-z 0-9 _ . @ -"}
        > {"text":"x","id":"a/b"}
        < {"type":"error","message":"id is not 1 to 64 of A-Z a-z 0-9 _ . @ -"}
        "#,
    );
    let said = |bytes: usize| outcome(&format!(r#"{{"text":"{}"}}"#, "x".repeat(bytes)));
    assert!(said(MAX).starts_with("= "));
    assert_eq!(said(MAX + 1), r#"< {"type":"error","message":"text is longer than 512 bytes"}"#);
}

#[test]
fn p01_p02_p19_broken_json_closes() {
    check(
        r#"
        > hi
        ! 1007 json
        > {"text":"hi"
        ! 1007 json
        > {"text":"hi"}{"text":"ho"}
        ! 1007 json
        > {"text":"hi","text":"ho"}
        ! 1007 duplicate_key
        > [[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]
        ! 1007 depth
        "#,
    );
}

#[test]
fn plain_clients_say_what_they_send() {
    let said = |text: &str| decode_plain(text, MAX).unwrap().map(|said| said.text);
    for kept in ["hi", "a\nb", " a ", "a\r\n", r#"{"text":"hi"}"#, "\0", "<b>"] {
        assert_eq!(said(kept).as_deref(), Some(kept));
    }
    for blank in ["", " ", "\n", "\r\n\t", "\u{3000}\u{2003}"] {
        assert_eq!(said(blank), None, "{blank:?}");
    }
    assert!(said(&"x".repeat(MAX)).is_some());
    let error = decode_plain(&"x".repeat(MAX + 1), MAX).unwrap_err();
    assert_eq!((error.close().number(), error.label()), (1009, "string_bytes"));
}

#[test]
fn plain_clients_send_bytes_as_well() {
    let sent = |bytes: &'static [u8]| decode_binary(Bytes::from_static(bytes), 3);
    assert_eq!(sent(&[]), Ok(None));
    assert_eq!(sent(b" \n"), Ok(Some(Bytes::from_static(b" \n"))));
    assert_eq!(sent(&[0xff, 0, 1]), Ok(Some(Bytes::from_static(&[0xff, 0, 1]))));
    assert_eq!(sent(&[0; 4]).unwrap_err().close().number(), 1009);
}

#[test]
fn a_message_is_heard_in_both_forms() {
    let said = event(said_data("a\nb </script>"), Some("alice"));
    assert_eq!(plain(said.clone()), "a\nb </script>");
    assert_eq!(
        json(Body::Event(said)),
        r#"{"type":"message","id":"e1","user":"alice","at":1700000000123,"text":"a\nb \u003c/script\u003e","seq":5}"#
    );
}

#[test]
fn the_server_api_speaks_as_the_server_or_as_whom_it_names() {
    let user = |data: &'static str, sender| {
        let value: Value = serde_json::from_str(&json(Body::Event(event(data, sender)))).unwrap();
        format!("{}: {}", value["user"].as_str().unwrap(), value["text"].as_str().unwrap())
    };
    assert_eq!(user(r#"{"text":"hi"}"#, None), "server: hi");
    assert_eq!(user(r#"{"text":"hi","user":"bot","more":[1]}"#, None), "bot: hi");
    // A sender that the server proved beats what the data says.
    assert_eq!(user(r#"{"text":"hi","user":"bot"}"#, Some("alice")), "alice: hi");
    // What has no text is shown whole.
    assert_eq!(user(r#"{"a":"b"}"#, None), r#"server: {"a":"b"}"#);
    assert_eq!(user(r#"{"text":1}"#, None), r#"server: {"text":1}"#);
    assert_eq!(plain(event(r#"{"a":1}"#, None)), r#"{"a":1}"#);
}

#[test]
fn binary_stays_binary_for_plain_clients_and_is_base64_for_the_others() {
    let mut said = event(Bytes::from_static(&[0xff, 0, 1]), Some("alice"));
    said.binary = true;
    let record = record(Body::Event(said));
    let rendering = ROOM_PLAIN.shared(&record);
    assert!(rendering.binary);
    assert_eq!(&rendering.payload[..], [0xff, 0, 1]);
    let rendering = ROOM_JSON.shared(&record);
    assert!(!rendering.binary);
    assert_eq!(
        text(&rendering.payload),
        r#"{"type":"message","id":"e1","user":"alice","at":1700000000123,"binary":"/wAB""#
    );
}

#[test]
fn what_is_no_message_is_a_noop() {
    let members =
        Body::Members { topic: Topic::Team(id("t")), add: vec![id("u")], remove: Vec::new() };
    assert_eq!(json(members), r#"{"type":"noop","seq":5}"#);
    assert_eq!(text(ROOM_JSON.noop), r#"{"type":"noop""#);
}

#[test]
fn clients_are_shown_their_own_ids_and_cannot_meet_others() {
    let shown = |log_id: String, sender: Option<&str>| {
        let mut said = event(said_data("hi"), sender);
        said.id = log_id.into();
        let value: Value = serde_json::from_str(&json(Body::Event(said))).unwrap();
        value["id"].as_str().unwrap().to_owned()
    };
    let lobby = id("lobby");
    assert_eq!(shown(event_id(&lobby, "alice", "m1"), Some("alice")), "m1");
    assert_eq!(shown(event_id(&lobby, "~bob", "m1"), Some("~bob")), "m1");
    // An id of the log's making, and one that only looks like a client's.
    assert_eq!(shown("e9".to_owned(), Some("alice")), "e9");
    assert_eq!(shown(event_id(&lobby, "alice", "m1"), None), "lobby/alice/m1");
    assert_eq!(shown(event_id(&id("den"), "alice", "m1"), Some("alice")), "den/alice/m1");
    let all = [
        event_id(&lobby, "alice", "m1"),
        event_id(&lobby, "~alice", "m1"),
        event_id(&lobby, "bob", "m1"),
        event_id(&id("den"), "alice", "m1"),
    ];
    let distinct: std::collections::BTreeSet<&String> = all.iter().collect();
    assert_eq!(distinct.len(), all.len());
}

fn greet(history: &[Arc<Record>]) -> (String, Value) {
    let connection = ConnectionId::parse("abcdefghijklmnopqrstuvwxyz").unwrap();
    let greeting = hello(&Hello { connection, user: "~bob", room: &id("lobby") }, history);
    let value = serde_json::from_slice(&greeting).unwrap();
    (text(&greeting).to_owned(), value)
}

fn said(text: &str) -> Arc<Record> {
    Arc::new(record(Body::Event(event(said_data(text), Some("alice")))))
}

#[test]
fn hello_brings_the_history() {
    assert_eq!(
        greet(&[]).0,
        r#"{"type":"hello","connection_id":"abcdefghijklmnopqrstuvwxyz","seq":0,"user":"~bob","room":"lobby","history":[]}"#
    );
    let members =
        Body::Members { topic: Topic::Team(id("t")), add: vec![id("u")], remove: Vec::new() };
    let (greeting, _) = greet(&[said("one"), Arc::new(record(members)), said("two")]);
    assert!(
        greeting.ends_with(
            r#""history":[{"id":"e1","user":"alice","at":1700000000123,"text":"one"},{"id":"e1","user":"alice","at":1700000000123,"text":"two"}]}"#
        ),
        "{greeting}"
    );
}

#[test]
fn a_history_is_bounded_and_keeps_the_newest() {
    let texts = |value: &Value| -> Vec<String> {
        let entries = value["history"].as_array().unwrap();
        entries.iter().map(|entry| entry["text"].as_str().unwrap().to_owned()).collect()
    };
    let many: Vec<Arc<Record>> = (0..80).map(|number| said(&number.to_string())).collect();
    let expected: Vec<String> =
        (80 - HISTORY_EVENTS_MAX..80).map(|number| number.to_string()).collect();
    assert_eq!(texts(&greet(&many).1), expected);

    // Nothing is skipped: what is before the first that does not fit stays away, too.
    let long = "x".repeat(22_000);
    let big = [said("old"), said(&long), said(&long), said(&long), said("new")];
    let (greeting, value) = greet(&big);
    let lengths: Vec<usize> = texts(&value).iter().map(String::len).collect();
    assert_eq!(lengths, [22_000, 22_000, 3]);
    assert!(greeting.len() < HISTORY_BYTES_MAX + 256);
}

#[test]
fn a_guest_cannot_look_like_a_user() {
    assert_eq!(guest_name(Some("alice")).as_deref(), Ok("~alice"));
    assert_eq!(guest_name(None).as_deref(), Ok("~guest"));
    assert!(Id::parse("~alice").is_err(), "no user id has the mark");
    for hostile in ["", "~a", "a b", "<b>", "\u{202e}", "a\n", "а", &"x".repeat(65)] {
        assert!(guest_name(Some(hostile)).is_err(), "{hostile:?}");
    }
}

#[test]
fn p12_room_names_are_ids() {
    assert_eq!(room_name(None), Ok(id(DEFAULT_ROOM)));
    assert_eq!(room_name(Some("den-1")), Ok(id("den-1")));
    for hostile in ["", "..%2f", "../a", "a/b", "{a}", "*", "a:b", "a\r\nb", &"x".repeat(65)] {
        assert!(room_name(Some(hostile)).is_err(), "{hostile:?}");
    }
}

#[test]
fn every_refusal_is_one_message() {
    for refusal in Refusal::all(512) {
        let value: Value = serde_json::from_slice(&reply_error(refusal)).unwrap();
        assert_eq!(value["type"], "error");
        assert_eq!(value["message"], refusal.to_string().as_str());
        assert_eq!(value.as_object().map(serde_json::Map::len), Some(2));
    }
}

proptest! {
    #[test]
    fn any_text_is_judged_without_a_panic(sent in any::<String>()) {
        let _ = outcome(&sent);
        prop_assert!(decode_plain(&sent, usize::MAX).is_ok());
    }

    #[test]
    fn any_text_is_heard_as_it_was_said(said in "\\PC{0,20}[\n\t<&\"\\\\]?\\PC{1,20}") {
        let sent = serde_json::json!({"text": &said}).to_string();
        let decoded = decode(&sent, &JsonLimits::default(), MAX).unwrap();
        let Request::Say(decoded) = decoded else {
            prop_assert!(said.trim().is_empty());
            return Ok(());
        };
        let carried = event(said_data(&decoded.text), Some("alice"));
        prop_assert_eq!(&plain(carried.clone()), &said);
        let heard: Value = serde_json::from_str(&json(Body::Event(carried))).unwrap();
        prop_assert_eq!(&heard["text"], &Value::from(said));
        prop_assert_eq!(&heard["seq"], 5);
    }

    #[test]
    fn any_data_renders_as_valid_json(data in any::<Vec<u8>>(), binary in any::<bool>()) {
        let mut published = event(data, None);
        published.binary = binary;
        let heard: Value = serde_json::from_str(&json(Body::Event(published))).unwrap();
        let key = if binary { "binary" } else { "text" };
        prop_assert!(heard[key].is_string());
    }
}
