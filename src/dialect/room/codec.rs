//! From what a client sends to what is said in a room.

use bytes::Bytes;
use serde_json::Value;

use crate::{
    dialect::json::{self, JsonError, JsonLimits, push_string},
    model::{CloseCode, Id},
};

/// A message that goes to the room.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Said {
    /// As it was sent; not blank.
    pub text: String,
    /// The client's own id, which makes a retry idempotent.
    pub id: Option<Id>,
}

/// What a JSON client's message asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Request {
    /// Says something.
    Say(Said),
    /// Says nothing: it is dropped without an answer.
    Blank,
    /// Is answered by [`reply_error`].
    Refused(Refusal),
}

/// Why a message closes the socket. Always the sender's fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// It is not acceptable JSON.
    #[error("message is not acceptable JSON")]
    Json(#[from] JsonError),
    /// A plain message is longer than a room takes.
    #[error("message is longer than a room takes")]
    TooBig,
}

/// Why a well-formed message is refused. The socket stays open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// It is JSON, but not an object.
    #[error("a message is a JSON object")]
    NotAnObject,
    /// Its `type` is not `message`.
    #[error("the only type of message to send is \"message\"")]
    Type,
    /// It has no `text`, or one that is not a string.
    #[error("text is missing or not a string")]
    Text,
    /// Its `id` is not an id.
    #[error("id is not 1 to 64 of A-Z a-z 0-9 _ . @ -")]
    Id,
    /// Its text is too long.
    #[error("text is longer than {max_bytes} bytes")]
    TooLong {
        /// What is allowed.
        max_bytes: usize,
    },
    /// The id was used before for another text.
    #[error("id was used for another message")]
    IdReused,
    /// The client says too much.
    #[error("too many messages, this one was dropped")]
    TooFast,
    /// The server can't take it now.
    #[error("the server can't take messages now, try again")]
    Unavailable,
}

impl DecodeError {
    /// The reason in metrics.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Json(error) => error.label(),
            Self::TooBig => "string_bytes",
        }
    }

    /// How the socket ends.
    #[must_use]
    pub fn close(self) -> CloseCode {
        match self {
            Self::Json(error) => error.close(),
            Self::TooBig => CloseCode::TooBig,
        }
    }
}

impl Refusal {
    /// All values, for documents and tests.
    #[must_use]
    pub fn all(max_bytes: usize) -> [Self; 8] {
        [
            Self::NotAnObject,
            Self::Type,
            Self::Text,
            Self::Id,
            Self::TooLong { max_bytes },
            Self::IdReused,
            Self::TooFast,
            Self::Unavailable,
        ]
    }

    /// The reason in metrics.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::NotAnObject | Self::Text => "shape",
            Self::Type => "action",
            Self::Id | Self::IdReused => "id",
            Self::TooLong { .. } => "string_bytes",
            Self::TooFast | Self::Unavailable => "other",
        }
    }
}

/// Reads a plain client's text message. `None` is a blank one, which is dropped.
///
/// # Errors
///
/// [`DecodeError::TooBig`] when `text` has more than `max_bytes` bytes.
pub fn decode_plain(text: &str, max_bytes: usize) -> Result<Option<Said>, DecodeError> {
    if text.len() > max_bytes {
        return Err(DecodeError::TooBig);
    }
    Ok((!is_blank(text)).then(|| Said { text: text.to_owned(), id: None }))
}

/// Reads a plain client's binary message. `None` is an empty one, which is dropped.
///
/// # Errors
///
/// [`DecodeError::TooBig`] when it has more than `max_bytes` bytes.
pub fn decode_binary(bytes: Bytes, max_bytes: usize) -> Result<Option<Bytes>, DecodeError> {
    if bytes.len() > max_bytes {
        return Err(DecodeError::TooBig);
    }
    Ok((!bytes.is_empty()).then_some(bytes))
}

/// Reads a JSON client's text message: `{"text":"…","id":"…"}`, the id optional.
///
/// # Errors
///
/// [`DecodeError::Json`] when it is not JSON, or more than `limits` allow.
pub fn decode(text: &str, limits: &JsonLimits, max_bytes: usize) -> Result<Request, DecodeError> {
    let value: Value = json::parse(text, limits)?;
    Ok(read(&value, max_bytes).unwrap_or_else(Request::Refused))
}

/// The message that answers what was refused.
#[must_use]
pub fn reply_error(refusal: Refusal) -> Bytes {
    let mut json = String::from(r#"{"type":"error","message":"#);
    push_string(&mut json, &refusal.to_string());
    json.push('}');
    json.into()
}

/// The data of the event that carries `text` through the log.
#[must_use]
pub fn said_data(text: &str) -> Bytes {
    let mut json = String::from(r#"{"text":"#);
    push_string(&mut json, text);
    json.push('}');
    json.into()
}

/// The log's id for a message with a client's own id: other users' ids, and
/// those in other rooms, can't meet it. Clients are shown their own id again.
#[must_use]
pub fn event_id(room: &Id, sender: &str, id: &str) -> String {
    format!("{room}/{sender}/{id}")
}

fn is_blank(text: &str) -> bool {
    text.trim().is_empty()
}

fn read(value: &Value, max_bytes: usize) -> Result<Request, Refusal> {
    let fields = value.as_object().ok_or(Refusal::NotAnObject)?;
    if fields.get("type").is_some_and(|kind| kind != "message") {
        return Err(Refusal::Type);
    }
    let text = fields.get("text").and_then(Value::as_str).ok_or(Refusal::Text)?;
    let id = match fields.get("id") {
        None | Some(Value::Null) => None,
        Some(id) => {
            let id = id.as_str().and_then(|id| Id::parse(id).ok());
            Some(id.ok_or(Refusal::Id)?)
        }
    };
    if text.len() > max_bytes {
        return Err(Refusal::TooLong { max_bytes });
    }
    if is_blank(text) {
        return Ok(Request::Blank);
    }
    Ok(Request::Say(Said { text: text.to_owned(), id }))
}
