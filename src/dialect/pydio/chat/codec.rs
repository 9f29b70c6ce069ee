//! What a client asks for.
//!
//! Protobuf's JSON: kinds and verbs by name or number, nothing beside what is declared.
//! What is not a message of the chat at all is nothing; what is one and says too little
//! is told so.

use std::sync::Arc;

use serde_json::{Map, Value};

use super::wire::{MESSAGE_MEMBERS, ROOM_MEMBERS};
use crate::{
    dialect::json::{self, JsonError, JsonLimits},
    model::{Id, RoomKey, RoomKind},
};

/// Longest text of a message in bytes, as it is sent.
pub const TEXT_BYTES_MAX: usize = 16 * 1024;

/// Longest label of a room in bytes.
const LABEL_BYTES_MAX: usize = 256;

/// The text by which a client says that it is still there.
const PING: &str = "PING";

type Object = Map<String, Value>;

/// What a client asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wish {
    /// To be in a room.
    Join {
        /// Which.
        key: RoomKey,
        /// What it is called, should it be new.
        label: Arc<str>,
        /// Only to be counted as being there.
        is_ping: bool,
        /// With everything that was said.
        wants_history: bool,
    },
    /// To be in it no longer.
    Leave(RoomKey),
    /// To say something, or to say it differently.
    Say(Saying),
    /// To take back what was said.
    Delete {
        /// Where.
        room: RoomRef,
        /// Which message.
        uuid: Id,
    },
    /// To hear what was said.
    History {
        /// Where.
        room: RoomRef,
        /// Which part.
        paging: Paging,
    },
}

/// Something that is said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Saying {
    /// Where.
    pub room: RoomRef,
    /// The name of the message, when the client gave it one: a retry, or an edit.
    pub uuid: Option<Id>,
    /// Cleaned text.
    pub text: Arc<str>,
}

/// A room, by one of its names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RoomRef {
    /// The one that it was given.
    Uuid(Id),
    /// What it is about.
    Key(RoomKey),
}

/// A part of a history.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Paging {
    /// All of it.
    All,
    /// All of it, because the numbers that were sent are none: the client is told.
    Unreadable,
    /// So many messages, after so many newer ones. No limit: all of them.
    Page {
        /// Newer messages that are left out.
        offset: u64,
        /// How many are wanted; 0 for all.
        limit: u64,
    },
}

/// Reads a message. `None` for what is no message of the chat: it is ignored.
///
/// # Errors
///
/// What the client is told; nothing happens.
pub fn decode(text: &str, limits: &JsonLimits) -> Option<Result<Wish, &'static str>> {
    let message: Object = match json::parse_object(text, limits) {
        Ok(message) => message,
        Err(JsonError::StringBytes) => return Some(Err(TOO_LONG)),
        Err(_) => return None,
    };
    if let Some(Value::String(verb)) = message.get("@type")
        && matches!(verb.as_str(), "join" | "leave" | "msg")
    {
        return documented(&message, verb, limits).transpose();
    }
    deployed(&message).transpose()
}

const TOO_LONG: &str = "a message has at most 16384 bytes";
const NO_ROOM: &str = "Room is missing";
const NO_MESSAGE: &str = "Message is missing";
const SHAPE: &str = "a member of the message has the wrong type";

/// A message that can be read, or nothing; or what the client is told.
type Decoded = Result<Option<Wish>, &'static str>;

fn deployed(message: &Object) -> Decoded {
    if !has_only(message, &["@type", "Room", "Message"]) {
        return Ok(None);
    }
    let verbs = ["JOIN", "LEAVE", "POST", "ROOM_UPDATE", "HISTORY", "DELETE_MSG", "DELETE_ROOM"];
    let verb = match message.get("@type") {
        None | Some(Value::Null) => Some("JOIN"),
        Some(Value::String(name)) => verbs.into_iter().find(|verb| verb == name),
        Some(Value::Number(number)) => {
            let index = number.as_u64().and_then(|number| usize::try_from(number).ok());
            index.and_then(|index| verbs.get(index)).copied()
        }
        Some(_) => return Err(SHAPE),
    };
    let (Some(room), Some(said)) =
        (object(message, "Room", &ROOM_MEMBERS)?, object(message, "Message", &MESSAGE_MEMBERS)?)
    else {
        return Ok(None);
    };
    let wish = match verb {
        Some("JOIN") => {
            let room = room.ok_or(NO_ROOM)?;
            let is_ping = said.map(|said| string(said, "Message")).transpose()? == Some(PING);
            Wish::Join { key: key(room)?, label: label(room)?, is_ping, wants_history: false }
        }
        Some("LEAVE") => Wish::Leave(key(room.ok_or(NO_ROOM)?)?),
        Some("HISTORY") => {
            let room = room_ref(room, said)?.ok_or(NO_ROOM)?;
            let paging = said.map(|said| string(said, "Message")).transpose()?;
            Wish::History { room, paging: paging.map_or(Paging::All, paging_of) }
        }
        Some("POST") => Wish::Say(saying(room, said)?),
        Some("DELETE_MSG") => {
            let said = said.ok_or(NO_MESSAGE)?;
            let room = room_ref(room, Some(said))?.ok_or("RoomUuid is missing")?;
            Wish::Delete { room, uuid: name(said, "Uuid")?.ok_or("Uuid is missing")? }
        }
        // What only a server says, and what nobody says.
        Some(_) | None => return Ok(None),
    };
    Ok(Some(wish))
}

/// The vocabulary of the original's documents, which wraps the other one.
fn documented(message: &Object, verb: &str, limits: &JsonLimits) -> Decoded {
    if !has_only(message, &["@type", "RoomType", "Payload"]) {
        return Ok(None);
    }
    let payload = string(message, "Payload")?;
    if payload.is_empty() {
        return Err("Payload is missing");
    }
    let mut payload: Object = json::parse_object(payload, limits).map_err(|error| match error {
        JsonError::StringBytes => TOO_LONG,
        JsonError::Syntax
        | JsonError::Depth
        | JsonError::Elements
        | JsonError::DuplicateKey
        | JsonError::Shape => "Payload is not one JSON object",
    })?;
    if verb == "msg" {
        if !has_only(&payload, &["Room", "Message"]) {
            return Err("Payload has members that no message has");
        }
        let room = object(&payload, "Room", &ROOM_MEMBERS)?;
        let said = object(&payload, "Message", &MESSAGE_MEMBERS)?;
        let (Some(room), Some(said)) = (room, said) else {
            return Err("Payload has members that no message has");
        };
        return Ok(Some(Wish::Say(saying(room, said)?)));
    }
    if !has_only(&payload, &ROOM_MEMBERS) {
        return Err("Payload has members that no room has");
    }
    // The kind may stand on either side.
    if let (Some(kind), false) = (message.get("RoomType"), payload.contains_key("Type")) {
        payload.insert("Type".to_owned(), kind.clone());
    }
    let (key, label) = (key(&payload)?, label(&payload)?);
    Ok(Some(match verb {
        "join" => Wish::Join { key, label, is_ping: false, wants_history: true },
        _ => Wish::Leave(key),
    }))
}

fn saying(room: Option<&Object>, said: Option<&Object>) -> Result<Saying, &'static str> {
    let said = said.ok_or(NO_MESSAGE)?;
    let room = room_ref(room, Some(said))?.ok_or("RoomUuid is missing")?;
    let text = string(said, "Message")?;
    if text.len() > TEXT_BYTES_MAX {
        return Err(TOO_LONG);
    }
    let text = ammonia::clean(text);
    if text.trim().is_empty() {
        return Err("a message has to say something");
    }
    Ok(Saying { room, uuid: name(said, "Uuid")?, text: Arc::from(text) })
}

/// The room that a message names by its unique name, or else by what it is about.
fn room_ref(room: Option<&Object>, said: Option<&Object>) -> Result<Option<RoomRef>, &'static str> {
    let by_message = said.map(|said| name(said, "RoomUuid")).transpose()?.flatten();
    if let Some(uuid) = by_message {
        return Ok(Some(RoomRef::Uuid(uuid)));
    }
    let Some(room) = room else { return Ok(None) };
    Ok(Some(RoomRef::Key(key(room)?)))
}

/// What a room is about.
fn key(room: &Object) -> Result<RoomKey, &'static str> {
    let names = ["GLOBAL", "WORKSPACE", "USER", "NODE"];
    let number = match room.get("Type") {
        None | Some(Value::Null) => Some(0),
        Some(Value::String(kind)) => {
            let index = names.iter().position(|name| name == kind);
            index.and_then(|index| u64::try_from(index).ok())
        }
        Some(Value::Number(number)) => number.as_u64(),
        Some(_) => return Err(SHAPE),
    };
    let kind = number.and_then(RoomKind::of_number).ok_or("there is no such Type of room")?;
    let object = name(room, "RoomTypeObject")?;
    if object.is_none() && kind != RoomKind::Global {
        return Err("RoomTypeObject is missing");
    }
    Ok(RoomKey { kind, object })
}

fn label(room: &Object) -> Result<Arc<str>, &'static str> {
    let label = string(room, "RoomLabel")?;
    if label.len() > LABEL_BYTES_MAX {
        return Err("RoomLabel has at most 256 bytes");
    }
    Ok(Arc::from(ammonia::clean(label)))
}

fn paging_of(text: &str) -> Paging {
    if text.is_empty() {
        return Paging::All;
    }
    let Ok(Value::Object(paging)) = serde_json::from_str(text) else { return Paging::Unreadable };
    let number = |name: &str| match paging.get(name) {
        None | Some(Value::Null) => Some(0),
        Some(Value::String(digits)) => digits.parse().ok(),
        Some(other) => other.as_u64(),
    };
    match (number("Offset"), number("Limit")) {
        (Some(offset), Some(limit)) => Paging::Page { offset, limit },
        _ => Paging::Unreadable,
    }
}

fn has_only(object: &Object, names: &[&str]) -> bool {
    object.keys().all(|key| names.contains(&key.as_str()))
}

/// The object `name`, or nothing in its place; nothing at all when it has members that
/// are not declared.
#[expect(clippy::option_option, reason = "not for us, absent, or there")]
fn object<'a>(
    message: &'a Object,
    name: &str,
    members: &[&str],
) -> Result<Option<Option<&'a Object>>, &'static str> {
    match message.get(name) {
        None | Some(Value::Null) => Ok(Some(None)),
        Some(Value::Object(found)) if has_only(found, members) => Ok(Some(Some(found))),
        Some(Value::Object(_)) => Ok(None),
        Some(_) => Err(SHAPE),
    }
}

fn string<'a>(object: &'a Object, name: &str) -> Result<&'a str, &'static str> {
    match object.get(name) {
        None | Some(Value::Null) => Ok(""),
        Some(Value::String(text)) => Ok(text),
        Some(_) => Err(SHAPE),
    }
}

/// A unique name, or none.
fn name(object: &Object, member: &str) -> Result<Option<Id>, &'static str> {
    match string(object, member)? {
        "" => Ok(None),
        text => match Id::parse(text) {
            Ok(id) => Ok(Some(id)),
            Err(_) => Err("a name has 1 to 64 of A-Z a-z 0-9 _ . @ -"),
        },
    }
}
