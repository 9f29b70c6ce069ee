//! Goal: controls are read as the original reads them, and pushes are one message each.
//!
//! Method: tables of messages; one record with and without a number.

use std::sync::Arc;

use bytes::Bytes;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::{Control, ENCODING, NUMBERED, Refusal, Subscribe, decode, hello, reply_error};
use crate::{
    dialect::json::{JsonError, JsonLimits},
    model::{
        Body, ConnectionId, Event, Generation, Id, Position, Record, Renderings, Tag, Tail, Topic,
    },
};

fn read(text: &str) -> Result<Control, JsonError> {
    decode(text, &JsonLimits::default())
}

fn subscribe(token: &str, resume: bool) -> Result<Control, JsonError> {
    Ok(Control::Subscribe(Subscribe { token: token.to_owned(), resume }))
}

#[test]
fn controls_are_read() {
    for (text, expected) in [
        (r#"{"@type":"subscribe","jwt":"t"}"#, subscribe("t", false)),
        (r#"{"@type":"subscribe","jwt":"t","resume":true}"#, subscribe("t", true)),
        (r#"{"@TYPE":"subscribe","Jwt":"t","Resume":true,"x":1}"#, subscribe("t", true)),
        (r#"{"@type":"subscribe"}"#, subscribe("", false)),
        (r#"{"@type":"subscribe","jwt":null,"resume":null}"#, subscribe("", false)),
        (r#"{"@type":"unsubscribe"}"#, Ok(Control::Unsubscribe)),
        (r#"{"@type":"SUBSCRIBE"}"#, Ok(Control::Other)),
        (r#"{"@type":"JOIN","Room":{}}"#, Ok(Control::Other)),
        ("{}", Ok(Control::Other)),
        ("\"dump\"", Err(JsonError::Shape)),
        ("[]", Err(JsonError::Shape)),
        (r#"{"@type":1}"#, Err(JsonError::Shape)),
        (r#"{"@type":"subscribe","jwt":1}"#, Err(JsonError::Shape)),
        (r#"{"@type":"subscribe","resume":"yes"}"#, Err(JsonError::Shape)),
        (r#"{"@type":"a","@type":"b"}"#, Err(JsonError::DuplicateKey)),
        ("{", Err(JsonError::Syntax)),
        ("", Err(JsonError::Syntax)),
    ] {
        assert_eq!(read(text), expected, "{text}");
    }
    let shown = format!("{:?}", read(r#"{"@type":"subscribe","jwt":"secret"}"#));
    assert!(!shown.contains("secret"), "{shown}");
}

#[test]
fn an_error_has_all_members_and_its_words() {
    let error: Value = serde_json::from_slice(&reply_error("it \"broke\"\n")).unwrap();
    assert_eq!(error, json!({"@type": "error", "jwt": "", "error": "it \"broke\"\n"}));
    let words = |is_chat| Refusal::EmptyToken { is_chat }.to_string();
    assert_eq!([words(false), words(true)], ["empty jwt", "Empty JWT"]);
    let close = |refusal: Refusal| refusal.close().map(|code| code.number());
    assert_eq!(close(Refusal::TooFast), None);
    assert_eq!(close(Refusal::Token(String::new())), Some(4401));
    assert_eq!(close(Refusal::Ended), Some(4419));
    assert_eq!(close(JsonError::Syntax.into()), Some(1007));
}

fn push(name: &str, data: &str) -> Record {
    let event = Event {
        name: Arc::from(name),
        data: Bytes::copy_from_slice(data.as_bytes()),
        to: Topic::User(Id::parse("u").unwrap()),
        omit_users: Vec::new(),
        omit_connection: None,
        ephemeral: false,
        binary: false,
        id: Arc::from(""),
        sender: None,
    };
    Record {
        position: Position { generation: Generation::new("1.a"), offset: 1, tag: Tag(1) },
        previous_tag: Tag(0),
        accepted_at_us: 0,
        body: Body::Event(event),
        renderings: Renderings::default(),
        kept: None,
    }
}

/// The message without a number, and with number 7.
fn written(record: &Record) -> [Value; 2] {
    let shared = String::from_utf8(ENCODING.shared(record).payload.to_vec()).unwrap();
    assert_eq!(shared.as_bytes(), &NUMBERED.shared(record).payload[..], "one rendering for both");
    assert_eq!((ENCODING.tail, NUMBERED.tail), (Tail::Brace, Tail::AtSeq));
    [format!("{shared}}}"), format!(r#"{shared},"@seq":7}}"#)]
        .map(|text| serde_json::from_str(&text).unwrap())
}

#[test]
fn a_push_is_the_same_with_and_without_a_number() {
    let [plain, mut numbered] = written(&push("pydio.tree", r#"{"Type":"DELETE"}"#));
    assert_eq!(plain, json!({"Type": "DELETE"}));
    assert_eq!(numbered.as_object_mut().unwrap().remove("@seq"), Some(json!(7)));
    assert_eq!(numbered, plain);
    let [plain, numbered] = written(&push("pydio.tree", "{}"));
    assert_eq!(plain, json!({"@type": "noop"}), "an empty object has no place for a number");
    assert_eq!(numbered, json!({"@type": "noop", "@seq": 7}));
    let [plain, _] = written(&push("bell", r#"{"x":1}"#));
    assert_eq!(plain, json!({"@type": "bell", "data": {"x": 1}}));
}

#[test]
fn the_first_message_of_a_numbering_names_the_connection() {
    let connection = ConnectionId::parse("abcdefghijklmnopqrstuvwxyz").unwrap();
    let hello: Value = serde_json::from_slice(&hello(connection)).unwrap();
    let expected = json!({"@type": "hello", "connection_id": connection.as_str(), "seq": 0});
    assert_eq!(hello, expected);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_text_is_read_or_refused(text in ".{0,200}") {
        let _control = read(&text);
        let wrapped = json!({"@type": "subscribe", "jwt": text}).to_string();
        prop_assert_eq!(read(&wrapped), subscribe(&text, false));
    }
}
