//! What clients on the chat route are told. Zero values are left out, as protobuf does.

use std::fmt::Write as _;

use bytes::Bytes;

use super::wire::{DeletedData, MessageData, RoomData};
use crate::{
    dialect::json::push_string,
    model::{CHAT_DELETED, CHAT_MESSAGE, CHAT_ROOM, ChatMessage, ChatRoom, Event, Id, RoomKind},
};

/// The push for an event about a room, without its closing brace; `None` for others.
pub(in crate::dialect::pydio) fn render(event: &Event) -> Option<Bytes> {
    let json = match event.name.as_ref() {
        CHAT_ROOM => {
            let room: RoomData = serde_json::from_slice(&event.data).ok()?;
            let users = room.users.iter().map(String::as_str).collect();
            let kind = RoomKind::of_number(room.kind)?;
            open_update(&Shown {
                uuid: &room.uuid,
                kind,
                object: &room.object,
                label: &room.label,
                users,
                updated_at: room.updated_at,
            })
        }
        CHAT_MESSAGE => {
            let said: MessageData = serde_json::from_slice(&event.data).ok()?;
            open_message((&said.uuid, &said.room), (&said.text, &said.author, said.at))
        }
        CHAT_DELETED => {
            let gone: DeletedData = serde_json::from_slice(&event.data).ok()?;
            let mut json = String::from(r#"{"@type":"DELETE_MSG","Message":{"Uuid":"#);
            push_string(&mut json, &gone.uuid);
            json.push_str(r#","RoomUuid":"#);
            push_string(&mut json, &gone.room);
            json.push_str(r#","Author":"#);
            push_string(&mut json, &gone.author);
            json.push('}');
            json
        }
        _ => return None,
    };
    Some(json.into())
}

/// The message that tells how a room is.
#[must_use]
pub fn room_update(room: &ChatRoom) -> Bytes {
    closed(open_update(&Shown {
        uuid: room.uuid.as_str(),
        kind: room.key.kind,
        object: room.key.object(),
        label: &room.label,
        users: room.users.iter().map(Id::as_str).collect(),
        updated_at: room.updated_at,
    }))
}

/// The bare message that tells what was said.
#[must_use]
pub fn message(said: &ChatMessage) -> Bytes {
    let names = (said.uuid.as_str(), said.room.as_str());
    closed(open_message(names, (&said.text, said.author.as_str(), said.at)))
}

/// The message that tells that a page was full. `at` is the moment of the oldest message
/// in it, in seconds since 1970.
#[must_use]
pub fn may_have_more(room: &Id, at: u64, offset: u64, limit: u64) -> Bytes {
    // Plain numbers here, unlike everywhere else.
    let mut json = String::from(r#"{"@type":"MAY_HAVE_MORE","RoomUuid":"#);
    push_string(&mut json, room.as_str());
    push(&mut json, format_args!(r#","Timestamp":{at},"Offset":{offset},"Limit":{limit}}}"#));
    json.into()
}

/// A room as it is told.
struct Shown<'a> {
    uuid: &'a str,
    kind: RoomKind,
    object: &'a str,
    label: &'a str,
    users: Vec<&'a str>,
    updated_at: u64,
}

fn open_update(room: &Shown<'_>) -> String {
    let mut json = String::from(r#"{"@type":"ROOM_UPDATE","Room":{"Uuid":"#);
    push_string(&mut json, room.uuid);
    let kind = match room.kind {
        RoomKind::Global => None,
        RoomKind::Workspace => Some("WORKSPACE"),
        RoomKind::User => Some("USER"),
        RoomKind::Node => Some("NODE"),
    };
    push_text(&mut json, "Type", kind.unwrap_or_default());
    push_text(&mut json, "RoomTypeObject", room.object);
    push_text(&mut json, "RoomLabel", room.label);
    if !room.users.is_empty() {
        json.push_str(r#","Users":["#);
        for (index, user) in room.users.iter().enumerate() {
            if index > 0 {
                json.push(',');
            }
            push_string(&mut json, user);
        }
        json.push(']');
    }
    if room.updated_at != 0 {
        push(&mut json, format_args!(r#","LastUpdated":{}"#, room.updated_at));
    }
    json.push('}');
    json
}

fn open_message((uuid, room): (&str, &str), (text, author, at): (&str, &str, u64)) -> String {
    let mut json = String::with_capacity(text.len() + 192);
    json.push_str(r#"{"Uuid":"#);
    push_string(&mut json, uuid);
    push_text(&mut json, "RoomUuid", room);
    push_text(&mut json, "Message", text);
    push_text(&mut json, "Author", author);
    if at != 0 {
        push(&mut json, format_args!(r#","Timestamp":"{at}""#));
    }
    json
}

fn push_text(json: &mut String, name: &str, text: &str) {
    if !text.is_empty() {
        push(json, format_args!(",\"{name}\":"));
        push_string(json, text);
    }
}

fn push(json: &mut String, text: std::fmt::Arguments<'_>) {
    let written = json.write_fmt(text);
    debug_assert!(written.is_ok(), "writing to a string can't fail");
}

fn closed(mut json: String) -> Bytes {
    json.push('}');
    json.into()
}
