//! A room's messages as frames, and the history that a newcomer gets.

use std::{fmt::Write, sync::Arc};

use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;

use crate::{
    dialect::json::push_string,
    model::{
        Body, ConnectionId, Encoding, Event, Id, Record, Rendering, RenderingSlot, Tail, Topic,
    },
};

use super::{codec::event_id, wire::DataWire};

/// Most messages in a history.
pub const HISTORY_EVENTS_MAX: usize = 50;

/// Most bytes of a history: it must fit an outbox with room to spare.
pub const HISTORY_BYTES_MAX: usize = 64 * 1024;

/// What goes out to JSON clients in place of a withheld message.
const NOOP: &str = r#"{"type":"noop""#;

/// Who speaks when nobody is named: the server API.
const SERVER_NAME: &str = "server";

/// How the hub writes messages for plain clients: the text, or the bytes.
pub static ROOM_PLAIN: Encoding = Encoding {
    slot: RenderingSlot::RoomPlain,
    name: "room",
    render: render_plain,
    tail: Tail::None,
    noop: b"",
    withheld: |_, _| false,
    numbered: None,
};

/// How the hub writes messages for JSON clients.
pub static ROOM_JSON: Encoding = Encoding {
    slot: RenderingSlot::RoomJson,
    name: "room",
    render: render_json,
    tail: Tail::Seq,
    noop: NOOP.as_bytes(),
    withheld: |_, _| false,
    numbered: None,
};

/// What a hello says.
#[derive(Debug, Clone, Copy)]
pub struct Hello<'a> {
    /// The connection, which a client names when it resumes.
    pub connection: ConnectionId,
    /// The name that the others see.
    pub user: &'a str,
    /// The room.
    pub room: &'a Id,
}

/// What a room shows of an event.
struct Shown {
    text: String,
    user: Option<String>,
}

/// The first message to a JSON client, complete with its `seq` 0.
///
/// `history` is what was said before, oldest first. The newest
/// [`HISTORY_EVENTS_MAX`] of it go out, less when they would pass
/// [`HISTORY_BYTES_MAX`]. What is not an event is skipped.
#[must_use]
pub fn hello(hello: &Hello<'_>, history: &[Arc<Record>]) -> Bytes {
    let mut entries: Vec<String> = Vec::new();
    let mut bytes = 0;
    let said = history.iter().rev().filter_map(|record| entry(record));
    for entry in said.take(HISTORY_EVENTS_MAX) {
        bytes += entry.len() + 1;
        if bytes > HISTORY_BYTES_MAX {
            break;
        }
        entries.push(entry);
    }
    entries.reverse();
    let mut json = String::with_capacity(bytes + 192);
    json.push_str(r#"{"type":"hello","connection_id":"#);
    push_string(&mut json, hello.connection.as_str());
    json.push_str(r#","seq":0,"user":"#);
    push_string(&mut json, hello.user);
    json.push_str(r#","room":"#);
    push_string(&mut json, hello.room.as_str());
    json.push_str(r#","history":["#);
    json.push_str(&entries.join(","));
    json.push_str("]}");
    json.into()
}

fn render_plain(record: &Record) -> Rendering {
    match event_of(record) {
        Some(event) if event.binary => Rendering { payload: event.data.clone(), binary: true },
        Some(event) => Rendering { payload: shown(event).text.into(), binary: false },
        None => Rendering { payload: Bytes::new(), binary: false },
    }
}

fn render_json(record: &Record) -> Rendering {
    let json = match event_of(record) {
        Some(event) => {
            let mut json = String::from(r#"{"type":"message","#);
            push_message(&mut json, record, event);
            json
        }
        None => NOOP.to_owned(),
    };
    Rendering { payload: json.into(), binary: false }
}

fn event_of(record: &Record) -> Option<&Event> {
    match &record.body {
        Body::Event(event) => Some(event),
        Body::Members { .. }
        | Body::Seeds { .. }
        | Body::Watch { .. }
        | Body::Revocation(_)
        | Body::Disconnect { .. }
        | Body::Bus(_)
        | Body::Workspace { .. }
        | Body::Nodes(_)
        | Body::Unknown => None,
    }
}

/// One message of a history.
fn entry(record: &Record) -> Option<String> {
    let mut json = String::from("{");
    push_message(&mut json, record, event_of(record)?);
    json.push('}');
    Some(json)
}

/// Appends the members that a message and an entry of the history share.
fn push_message(json: &mut String, record: &Record, event: &Event) {
    let shown = if event.binary {
        Shown { text: STANDARD.encode(&event.data), user: None }
    } else {
        shown(event)
    };
    let user = event.sender.as_deref().or(shown.user.as_deref()).unwrap_or(SERVER_NAME);
    json.push_str(r#""id":"#);
    push_string(json, shown_id(event));
    json.push_str(r#","user":"#);
    push_string(json, user);
    let written = write!(json, r#","at":{},"#, record.accepted_at_us / 1_000);
    debug_assert!(written.is_ok(), "writing to a string can't fail");
    json.push_str(if event.binary { r#""binary":"# } else { r#""text":"# });
    push_string(json, &shown.text);
}

/// What the server API published without a `text` is shown as its JSON.
fn shown(event: &Event) -> Shown {
    match serde_json::from_slice::<DataWire>(&event.data) {
        Ok(data) => Shown { text: data.text, user: data.user },
        Err(_) => Shown { text: String::from_utf8_lossy(&event.data).into_owned(), user: None },
    }
}

/// The client's own id where the sender chose one, else the log's.
fn shown_id(event: &Event) -> &str {
    let (Topic::Room(room), Some(sender)) = (&event.to, &event.sender) else { return &event.id };
    event.id.strip_prefix(&event_id(room, sender, "")).unwrap_or(&event.id)
}
