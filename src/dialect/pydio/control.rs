//! Messages that both routes know, and errors.

use bytes::Bytes;
use serde_json::{Map, Value};

use crate::{
    dialect::json::{self, JsonError, JsonLimits, push_string},
    model::{CloseCode, ConnectionId},
};

/// What a message asks for, as far as both routes know it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Control {
    /// Proves a user.
    Subscribe(Subscribe),
    /// Forgets the user; the socket stays open.
    Unsubscribe,
    /// Something else: on the chat route another message, on the event route nothing.
    Other,
}

/// How a user is proved.
#[derive(Clone, PartialEq, Eq)]
pub struct Subscribe {
    /// The token; empty when there is none.
    pub token: String,
    /// True when the client wants numbers, so that it can go on after a drop.
    pub resume: bool,
}

impl std::fmt::Debug for Subscribe {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Subscribe").field("resume", &self.resume).finish_non_exhaustive()
    }
}

/// Why a client is told an error. Its `Display` is what the client reads.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The message can't be read.
    #[error("{0}")]
    Unreadable(#[from] JsonError),
    /// `subscribe` without a token. The original's two routes write it differently.
    #[error("{}", if *.is_chat { "Empty JWT" } else { "empty jwt" })]
    EmptyToken {
        /// True on the chat route.
        is_chat: bool,
    },
    /// The token is not good, for the reason that is said.
    #[error("{0}")]
    Token(String),
    /// The token ended.
    #[error("the token expired or was revoked")]
    Ended,
    /// The user has too many connections.
    #[error("too many connections of this user")]
    TooMany,
    /// The address has shown too many bad tokens.
    #[error("too many bad tokens from this address")]
    TooManyFailures,
    /// The client says too much.
    #[error("too many messages, this one was dropped")]
    TooFast,
    /// The server can't do it now.
    #[error("the server can't do this now, try again")]
    Unavailable,
}

impl Refusal {
    /// Stage and reason in metrics; `None` for what was counted where it was found out.
    #[must_use]
    pub fn count(&self) -> Option<(&'static str, &'static str)> {
        match self {
            Self::Unreadable(error) => Some(("message", error.label())),
            Self::EmptyToken { .. } => Some(("auth", "missing")),
            Self::TooMany => Some(("limit", "connections_per_user")),
            Self::TooManyFailures => Some(("limit", "auth_failures")),
            Self::TooFast => Some(("limit", "commands")),
            Self::Token(_) | Self::Ended | Self::Unavailable => None,
        }
    }

    /// How the socket ends after it; `None` when it stays open.
    #[must_use]
    pub fn close(&self) -> Option<CloseCode> {
        match self {
            Self::Unreadable(error) => Some(error.close()),
            Self::EmptyToken { .. } | Self::Token(_) => Some(CloseCode::AuthRequired),
            Self::Ended => Some(CloseCode::SessionEnded),
            Self::TooMany | Self::TooManyFailures => Some(CloseCode::RateLimited),
            Self::Unavailable => Some(CloseCode::TryLater),
            Self::TooFast => None,
        }
    }
}

/// Reads a message as far as both routes know it. Names of members are matched without
/// regard to case, and unknown ones are ignored.
///
/// # Errors
///
/// [`JsonError`]: it is not an object of JSON inside `limits`, or a member that is known
/// has the wrong type.
pub fn decode(text: &str, limits: &JsonLimits) -> Result<Control, JsonError> {
    let message: Map<String, Value> = json::parse_object(text, limits)?;
    let kind = text_of(&message, "@type")?.unwrap_or_default();
    let token = text_of(&message, "jwt")?.unwrap_or_default();
    let resume = match member(&message, "resume") {
        None | Some(Value::Null) => false,
        Some(Value::Bool(resume)) => *resume,
        Some(_) => return Err(JsonError::Shape),
    };
    Ok(match kind {
        "subscribe" => Control::Subscribe(Subscribe { token: token.to_owned(), resume }),
        "unsubscribe" => Control::Unsubscribe,
        _ => Control::Other,
    })
}

fn member<'a>(message: &'a Map<String, Value>, name: &str) -> Option<&'a Value> {
    let exact = message.get(name);
    exact.or_else(|| message.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, v)| v))
}

fn text_of<'a>(message: &'a Map<String, Value>, name: &str) -> Result<Option<&'a str>, JsonError> {
    match member(message, name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(JsonError::Shape),
    }
}

/// The message that tells an error.
#[must_use]
pub fn reply_error(error: &str) -> Bytes {
    let mut json = String::from(r#"{"@type":"error","jwt":"","error":"#);
    push_string(&mut json, error);
    json.push('}');
    json.into()
}

/// The first message of a numbering.
#[must_use]
pub fn hello(connection: ConnectionId) -> Bytes {
    format!(r#"{{"@type":"hello","connection_id":"{connection}","seq":0}}"#).into()
}
