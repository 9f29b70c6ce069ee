//! Pushes as frames.

use super::chat;
use crate::{
    dialect::json::push_string,
    model::{Body, Encoding, Event, Record, Rendering, RenderingSlot, Tail},
};

/// What goes out in place of a withheld push.
const NOOP: &str = r#"{"@type":"noop""#;

/// What the names of the bus's own events begin with.
const BUS_NAME: &str = "pydio.";

/// How the hub writes pushes for clients without numbers.
pub static ENCODING: Encoding = Encoding {
    slot: RenderingSlot::Pydio,
    name: "pydio",
    render,
    tail: Tail::Brace,
    noop: NOOP.as_bytes(),
    withheld: |_, _| false,
    numbered: Some(&NUMBERED),
};

/// How the hub writes pushes for clients that asked for numbers.
pub static NUMBERED: Encoding = Encoding {
    slot: RenderingSlot::Pydio,
    name: "pydio",
    render,
    tail: Tail::AtSeq,
    noop: NOOP.as_bytes(),
    withheld: |_, _| false,
    numbered: None,
};

/// The object without its closing brace.
fn render(record: &Record) -> Rendering {
    let payload = match &record.body {
        Body::Event(event) if !event.binary && event.name.starts_with(BUS_NAME) => own(event),
        Body::Event(event) if !event.binary => {
            chat::render(event).unwrap_or_else(|| foreign(event))
        }
        // These are not for clients, or not for clients of this kind.
        Body::Event(_)
        | Body::Members { .. }
        | Body::Seeds { .. }
        | Body::Watch { .. }
        | Body::Revocation(_)
        | Body::Disconnect { .. }
        | Body::Bus(_)
        | Body::Workspace { .. }
        | Body::Nodes(_)
        | Body::Unknown => NOOP.into(),
    };
    Rendering { payload, binary: false }
}

/// An event of the bus is written as it is. An empty object has no place for a number.
fn own(event: &Event) -> bytes::Bytes {
    match event.data.strip_suffix(b"}") {
        Some(open) if open.len() > 1 => event.data.slice(..open.len()),
        Some(_) | None => NOOP.into(),
    }
}

/// What a backend sends to a connection has its name as its type.
fn foreign(event: &Event) -> bytes::Bytes {
    let data = std::str::from_utf8(&event.data).ok().filter(|data| !data.is_empty());
    let mut json = String::with_capacity(event.data.len() + 64);
    json.push_str(r#"{"@type":"#);
    push_string(&mut json, &event.name);
    json.push_str(r#","data":"#);
    json.push_str(data.unwrap_or("{}"));
    json.into()
}
