//! From a client's text to a request.
//!
//! What is not a request at all closes the socket; what is one, but asks wrongly,
//! is answered. Parameters that Mattermost ignores in a wrong type are ignored here.

use std::{collections::HashSet, num::NonZeroU64};

use serde_json::{Map, Value};

use crate::{
    dialect::json::{self, JsonError, JsonLimits},
    model::{CloseCode, Id, UserId},
};

use super::{Action, Presence, Refusal, Request, Token, wire::RequestWire};

/// Why a message is not a request: the socket closes. Always the sender's fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// It is not acceptable JSON, or `action` or `data` have a wrong type.
    #[error("message is not a request")]
    Json(#[from] JsonError),
    /// `seq` is not an integer from 1 to 2^63 - 1.
    #[error("seq of the request is not a positive integer")]
    Seq,
}

impl DecodeError {
    /// The reason in metrics.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Json(error) => error.label(),
            Self::Seq => "seq",
        }
    }

    /// How the socket ends.
    #[must_use]
    pub fn close(self) -> CloseCode {
        CloseCode::InvalidData
    }
}

/// Reads one text message.
///
/// Ids in the result are well formed; whether they name something, and whether
/// the user may name it, is not known here.
///
/// # Errors
///
/// [`DecodeError`] when the message is not a request at all.
pub fn decode(text: &str, limits: &JsonLimits) -> Result<Request, DecodeError> {
    let wire: RequestWire<'_> = json::parse_object(text, limits)?;
    let seq = wire.seq.and_then(|raw| positive(raw.get())).ok_or(DecodeError::Seq)?;
    let data = wire.data.map_or("{}", |raw| raw.get());
    if !data.starts_with('{') {
        return Err(DecodeError::Json(JsonError::Shape));
    }
    let action = match wire.action.as_deref() {
        None | Some("") => Err(Refusal::NoAction),
        Some(name) => read_action(name, data),
    };
    Ok(Request { seq, action })
}

/// The number that `raw` is, when it is an integer that Mattermost's 64 bits hold.
fn positive(raw: &str) -> Option<NonZeroU64> {
    let number = raw.parse::<u64>().ok().filter(|number| i64::try_from(*number).is_ok());
    number.and_then(NonZeroU64::new)
}

fn read_action(name: &str, data: &str) -> Result<Action, Refusal> {
    let fields = || Fields(serde_json::from_str(data).unwrap_or_default());
    Ok(match name {
        "ping" => Action::Ping,
        "authentication_challenge" => Action::AuthenticationChallenge(fields().token()?),
        "presence" => Action::Presence(fields().presence()?),
        "user_typing" => fields().typing()?,
        "user_update_active_status" => fields().active_status()?,
        "get_statuses" => Action::GetStatuses,
        "get_statuses_by_ids" => Action::GetStatusesByIds(fields().users()?),
        "posted_notify_ack" => Action::PostedNotifyAck,
        "subscribe_statuses" => Action::SubscribeStatuses(fields().users()?),
        "unsubscribe_statuses" => Action::UnsubscribeStatuses(fields().users()?),
        unknown => return Err(Refusal::BadAction(json::shown(unknown))),
    })
}

/// The parameters of one request.
struct Fields(Map<String, Value>);

impl Fields {
    fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name)?.as_str()
    }

    fn flag(&self, name: &str) -> Option<bool> {
        self.0.get(name)?.as_bool()
    }

    /// A place on the screen: an id, or the empty text for nowhere.
    fn place(&self, name: &'static str) -> Result<Option<Box<str>>, Refusal> {
        match self.text(name) {
            None => Ok(None),
            Some(place) if place.is_empty() || Id::parse(place).is_ok() => Ok(Some(place.into())),
            Some(_) => Err(Refusal::InvalidParam(name)),
        }
    }

    fn token(&self) -> Result<Token, Refusal> {
        let token = self.text("token").filter(|token| !token.is_empty());
        token.map(Token::new).ok_or(Refusal::InvalidParam("token"))
    }

    fn presence(&self) -> Result<Presence, Refusal> {
        // The team has no part in what is withheld, but a bad id is an error anyway.
        self.place("team_id")?;
        let channel = self.place("channel_id")?;
        let thread = self.place("thread_channel_id")?;
        let (thread_at_side, thread_in_view) = match self.flag("is_thread_view") {
            Some(true) => (None, thread),
            Some(false) | None => (thread, None),
        };
        Ok(Presence { channel, thread_at_side, thread_in_view })
    }

    fn typing(&self) -> Result<Action, Refusal> {
        let id = |name| move |text: &str| Id::parse(text).map_err(|_| Refusal::InvalidParam(name));
        let channel = self.text("channel_id").ok_or(Refusal::InvalidParam("channel_id"))?;
        let parent = self.text("parent_id").filter(|parent| !parent.is_empty());
        Ok(Action::UserTyping {
            channel: id("channel_id")(channel)?,
            parent: parent.map(id("parent_id")).transpose()?,
        })
    }

    fn active_status(&self) -> Result<Action, Refusal> {
        let active = self.flag("user_is_active").ok_or(Refusal::InvalidParam("user_is_active"))?;
        let manual = self.flag("manual").unwrap_or(false);
        Ok(Action::UserUpdateActiveStatus { active, manual })
    }

    /// A list of user ids that is not empty, each id once, in the client's order.
    fn users(&self) -> Result<Vec<UserId>, Refusal> {
        const NAME: &str = "user_ids";
        let ids = self.0.get(NAME).and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
        let parse = |id: &Value| id.as_str().and_then(|id| UserId::parse(id).ok());
        let users: Option<Vec<UserId>> = ids.iter().map(parse).collect();
        let mut users =
            users.filter(|users| !users.is_empty()).ok_or(Refusal::InvalidParam(NAME))?;
        let mut seen = HashSet::new();
        users.retain(|user| seen.insert(user.clone()));
        Ok(users)
    }
}
