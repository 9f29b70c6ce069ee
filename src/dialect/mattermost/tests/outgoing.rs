//! Replies, hello, events.

use std::num::NonZeroU64;

use bytes::Bytes;

use crate::model::{
    Body, ConnectionId, Encoding, Event, Generation, Id, Position, Record, Renderings, Status,
    StatusRecord, Tag, Tail, Topic, UserId, View,
};

use super::super::{
    ENCODING, Hello, Pong, Refusal, SCOPED_EVENTS, hello, reply_fail, reply_ok, reply_ok_with,
    status_change_data, status_record, status_records, statuses, typing_data, withheld,
};

pub(super) fn id(text: &str) -> Id {
    Id::parse(text).unwrap()
}

fn connection() -> ConnectionId {
    ConnectionId::parse("abcdefghijklmnopqrstuvwxyz").unwrap()
}

pub(super) fn event(name: &str, data: &str, to: Topic) -> Event {
    Event {
        name: name.into(),
        data: Bytes::copy_from_slice(data.as_bytes()),
        to,
        omit_users: Vec::new(),
        omit_connection: None,
        ephemeral: false,
        binary: false,
        id: "e1".into(),
        sender: None,
    }
}

pub(super) fn record(body: Body) -> Record {
    Record {
        position: Position { generation: Generation::new("1.a"), offset: 7, tag: Tag(1) },
        previous_tag: Tag(0),
        accepted_at_us: 1_700_000_000_123_456,
        kept: None,
        body,
        renderings: Renderings::default(),
    }
}

/// The payload of the frame that the hub makes.
pub(super) fn framed(encoding: &Encoding, record: &Record, seq: u64) -> String {
    assert_eq!(encoding.tail, Tail::Seq);
    let shared = std::str::from_utf8(&encoding.shared(record).payload).unwrap();
    format!("{shared},\"seq\":{seq}}}")
}

fn check_event(event: Event, expected: &str) {
    assert_eq!(framed(&ENCODING, &record(Body::Event(event)), 7), expected);
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

fn seq(number: u64) -> NonZeroU64 {
    NonZeroU64::new(number).unwrap()
}

#[test]
fn events_have_the_shape_that_clients_expect() {
    let mut typing =
        event("typing", r#"{"parent_id":"","user_id":"u1"}"#, Topic::Channel(id("c1")));
    typing.omit_users = vec![id("u1"), id("u2")];
    check_event(
        typing,
        r#"{"event":"typing","data":{"parent_id":"","user_id":"u1"},"broadcast":{"omit_users":{"u1":true,"u2":true},"user_id":"","channel_id":"c1","team_id":"","connection_id":"","omit_connection_id":""},"seq":7}"#,
    );
    let mut draft = event("draft_created", r#"{"draft":"{}"}"#, Topic::User(id("u1")));
    draft.omit_connection = Some(connection());
    check_event(
        draft,
        r#"{"event":"draft_created","data":{"draft":"{}"},"broadcast":{"omit_users":null,"user_id":"u1","channel_id":"","team_id":"","connection_id":"","omit_connection_id":"abcdefghijklmnopqrstuvwxyz"},"seq":7}"#,
    );
}

#[test]
fn the_broadcast_names_the_address() {
    let check = |to: Topic, expected: &str| {
        let json = framed(&ENCODING, &record(Body::Event(event("x", "{}", to))), 1);
        let value: serde_json::Value = serde_json::from_str(&json).unwrap();
        let named: Vec<String> = value["broadcast"]
            .as_object()
            .unwrap()
            .iter()
            .filter(|(_, value)| value.as_str().is_some_and(|text| !text.is_empty()))
            .map(|(key, value)| format!("{key}={}", value.as_str().unwrap()))
            .collect();
        assert_eq!(named.join(" "), expected);
        assert_eq!(value["broadcast"].as_object().unwrap().len(), 6);
    };
    check(Topic::User(id("u1")), "user_id=u1");
    check(Topic::Status(id("u1")), "user_id=u1");
    check(Topic::Channel(id("c1")), "channel_id=c1");
    check(Topic::Team(id("t1")), "team_id=t1");
    check(Topic::Connection(connection()), "connection_id=abcdefghijklmnopqrstuvwxyz");
    check(Topic::Workspace(id("w1")), "");
    check(Topic::Room(id("r1")), "");
    check(Topic::Everyone, "");
}

#[test]
fn names_are_escaped_and_data_passes_as_published() {
    let data = r#"{"__proto__":{"a":"<b>"},"n":1e2,"post":"{\"id\":\"p1\"}"}"#;
    let json = framed(&ENCODING, &record(Body::Event(event("<\"\n>", data, Topic::Everyone))), 1);
    assert!(json.starts_with(r#"{"event":"\u003c\"\n\u003e","data":{"__proto__""#), "{json}");
    assert!(json.contains(data), "{json}");
}

#[test]
fn an_event_without_data_has_an_empty_object() {
    let json = framed(&ENCODING, &record(Body::Event(event("x", "", Topic::Everyone))), 1);
    assert!(json.starts_with(r#"{"event":"x","data":{},"broadcast""#), "{json}");
}

#[test]
fn what_is_not_for_these_clients_is_a_noop() {
    let expected = r#"{"event":"hb_noop","seq":3}"#;
    let mut binary = event("message", "\u{1}", Topic::Room(id("r")));
    binary.binary = true;
    let members =
        Body::Members { topic: Topic::Channel(id("c")), add: vec![id("u")], remove: Vec::new() };
    for body in [Body::Event(binary), members] {
        assert_eq!(framed(&ENCODING, &record(body), 3), expected);
    }
    assert_eq!(format!("{},\"seq\":3}}", text(ENCODING.noop)), expected);
}

#[test]
fn hello_is_the_first_event() {
    let json = hello(&Hello {
        connection: connection(),
        user: &id("u1"),
        server_hostname: "node-1",
        server_version: "11.9.0.hubbub",
    });
    assert_eq!(
        text(&json),
        r#"{"event":"hello","data":{"connection_id":"abcdefghijklmnopqrstuvwxyz","server_hostname":"node-1","server_version":"11.9.0.hubbub"},"broadcast":{"omit_users":null,"user_id":"u1","channel_id":"","team_id":"","connection_id":"","omit_connection_id":""},"seq":0}"#
    );
}

#[test]
fn replies_have_only_the_keys_that_they_need() {
    assert_eq!(text(&reply_ok(seq(12))), r#"{"status":"OK","seq_reply":12}"#);
    let pong = Pong { server_version: "11.9.0", server_time_ms: 1_700_000_000_123, node: "n" };
    assert_eq!(
        text(&reply_ok_with(seq(3), &pong.data())),
        r#"{"status":"OK","seq_reply":3,"data":{"text":"pong","version":"11.9.0","server_time":1700000000123,"node_id":"n"}}"#
    );
    assert_eq!(
        text(&reply_fail(seq(4), &Refusal::NotAuthenticated)),
        r#"{"status":"FAIL","seq_reply":4,"error":{"id":"api.web_socket_router.not_authenticated.app_error","message":"this connection is not authenticated","detailed_error":"","status_code":401}}"#
    );
}

#[test]
fn every_refusal_has_its_row() {
    let all = [
        Refusal::NoAction,
        Refusal::BadAction("x".to_owned()),
        Refusal::InvalidParam("channel_id"),
        Refusal::NotAuthenticated,
        Refusal::InvalidToken,
        Refusal::Busy,
    ];
    let ids: Vec<&str> = all.iter().map(|refusal| refusal.row().id).collect();
    assert_eq!(ids, Refusal::ROWS.map(|row| row.id));
    for refusal in all {
        let reply: serde_json::Value =
            serde_json::from_slice(&reply_fail(seq(1), &refusal)).unwrap();
        assert_eq!(reply["error"]["status_code"], refusal.row().status);
        assert_eq!(reply["error"]["message"], refusal.message().as_str());
    }
}

#[test]
fn statuses_have_the_shapes_of_events_replies_and_rest() {
    let user = id("u1");
    let change = status_change_data(&user, Status::Away);
    assert_eq!(text(&change), r#"{"status":"away","user_id":"u1"}"#);
    assert_eq!(text(&typing_data("p1", &user)), r#"{"parent_id":"p1","user_id":"u1"}"#);
    assert_eq!(statuses(std::iter::empty::<(&UserId, Status)>()), "{}");
    assert_eq!(
        statuses([(&user, Status::Dnd), (&id("u2"), Status::Offline)]),
        r#"{"u1":"dnd","u2":"offline"}"#
    );
    let record = StatusRecord {
        user,
        status: Status::Dnd,
        manual: true,
        last_activity_at_ms: 1_700_000_000_123,
        dnd_ends_at: 1_700_000_060,
    };
    let json = r#"{"user_id":"u1","status":"dnd","manual":true,"last_activity_at":1700000000123,"dnd_end_time":1700000060}"#;
    assert_eq!(status_record(&record), json);
    assert_eq!(status_records([]), "[]");
    assert_eq!(status_records([&record, &record]), format!("[{json},{json}]"));
}

/// Mattermost withholds only when all three places were reported and none is the channel.
#[test]
fn scoped_events_are_withheld_from_those_who_look_elsewhere() {
    let places = [None, Some(""), Some("here"), Some("there")];
    let boxed = |place: Option<&str>| place.map(Box::from);
    for channel in places {
        for side in places {
            for thread in places {
                let view = View {
                    channel: boxed(channel),
                    thread_at_side: boxed(side),
                    thread_in_view: boxed(thread),
                };
                let elsewhere = [channel, side, thread]
                    .into_iter()
                    .all(|place| matches!(place, Some("" | "there")));
                for name in SCOPED_EVENTS {
                    let scoped = event(name, "{}", Topic::Channel(id("here")));
                    assert_eq!(withheld(&scoped, &view), elsewhere, "{name} {view:?}");
                }
                let posted = event("posted", "{}", Topic::Channel(id("here")));
                assert!(!withheld(&posted, &view));
                let to_user = event("typing", "{}", Topic::User(id("here")));
                assert!(!withheld(&to_user, &view));
            }
        }
    }
}
