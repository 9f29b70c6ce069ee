//! The records that tell what happens in rooms.
//!
//! Invariants: their data begins with the kind and the object of the room, so that
//! [`chat_subject`] finds them without reading the rest.

use std::sync::Arc;

use bytes::Bytes;
use serde::Serialize;

use super::wire::{DeletedWire, MessageWire, RoomWire};
use crate::model::{
    Body, CHAT_DELETED, CHAT_MESSAGE, CHAT_ROOM, ChatMessage, ChatRoom, Event, RoomKey, RoomKind,
    SharedText, Topic, chat_rest, chat_subject,
};

static ROOM: SharedText = SharedText::new(CHAT_ROOM);
static MESSAGE: SharedText = SharedText::new(CHAT_MESSAGE);
static DELETED: SharedText = SharedText::new(CHAT_DELETED);
static NO_ID: SharedText = SharedText::new("");

/// A room is like this now. `to` is the room, or one connection.
pub(in crate::log) fn room(room: &ChatRoom, to: Topic) -> Body {
    let data = RoomWire {
        kind: room.key.kind.number(),
        object: room.key.object(),
        uuid: room.uuid.as_str(),
        label: &room.label,
        users: room.users.iter().map(crate::model::Id::as_str).collect(),
        updated_at: room.updated_at,
    };
    body(ROOM.get(), NO_ID.get(), to, &data)
}

/// Something was said, or says something else now.
pub(in crate::log) fn message(message: &ChatMessage, key: &RoomKey) -> Body {
    let data = MessageWire {
        kind: key.kind.number(),
        object: key.object(),
        uuid: message.uuid.as_str(),
        room: message.room.as_str(),
        author: message.author.as_str(),
        at: message.at,
        text: &message.text,
    };
    body(MESSAGE.get(), message.uuid.as_str().into(), Topic::Chat(message.room.clone()), &data)
}

/// Something was taken back.
pub(in crate::log) fn deleted(message: &ChatMessage, key: &RoomKey) -> Body {
    let data = DeletedWire {
        kind: key.kind.number(),
        object: key.object(),
        uuid: message.uuid.as_str(),
        room: message.room.as_str(),
        author: message.author.as_str(),
    };
    body(DELETED.get(), message.uuid.as_str().into(), Topic::Chat(message.room.clone()), &data)
}

/// The same body with the path that the node has which the room is about. It goes right
/// behind what the room is about.
pub(in crate::log) fn placed(body: Body, path: impl FnOnce(&str) -> Option<Arc<str>>) -> Body {
    let Body::Event(event) = body else { return body };
    let path = match (&event.to, chat_subject(&event.data)) {
        (Topic::Chat(_), Some((RoomKind::Node, object))) => path(object),
        _ => None,
    };
    let (Some(path), Some(rest)) = (path, chat_rest(&event.data)) else {
        return Body::Event(event);
    };
    let (before, behind) = event.data.split_at(event.data.len() - rest.len());
    // Serialising a text can't fail.
    let path = serde_json::to_string(&*path).unwrap_or_default();
    let data = [before, br#","path":"#, path.as_bytes(), behind].concat();
    Body::Event(Event { data: Bytes::from(data), ..event })
}

/// The id of an event is the name of its message: a replay finds by it what was deleted.
fn body(name: Arc<str>, id: Arc<str>, to: Topic, data: &impl Serialize) -> Body {
    // Serialising texts and numbers can't fail.
    let data = serde_json::to_vec(data).unwrap_or_default();
    Body::Event(Event {
        name,
        data: Bytes::from(data),
        to,
        omit_users: Vec::new(),
        omit_connection: None,
        ephemeral: false,
        binary: false,
        id,
        sender: None,
    })
}
