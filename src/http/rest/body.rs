//! Reading the body of a call.

use axum::body::{Body, to_bytes};
use http_body_util::LengthLimitError;
use hyper::{
    HeaderMap, Request,
    body::Incoming,
    header::{self, HeaderName},
};
use serde_json::{Map, Value};

use super::{BODY_BYTES_MAX, Fault};
use crate::{
    config::Limits,
    dialect::json::{self, JsonError, JsonLimits},
    model::Id,
};

/// The body of `request` as text, when it is JSON by its headers and not too long.
pub(super) async fn read(request: Request<Incoming>) -> Result<String, Fault> {
    check_media(request.headers())?;
    let declared = single(request.headers(), header::CONTENT_LENGTH);
    let declared = declared.and_then(|length| length.parse::<u64>().ok());
    if declared.is_some_and(|length| length > BODY_BYTES_MAX as u64) {
        return Err(Fault::TooLarge);
    }
    let bytes = to_bytes(Body::new(request.into_body()), BODY_BYTES_MAX).await;
    let bytes = bytes.map_err(|error| {
        let source = std::error::Error::source(&error);
        if source.is_some_and(<dyn std::error::Error>::is::<LengthLimitError>) {
            Fault::TooLarge
        } else {
            Fault::Body { name: "body", reason: JsonError::Syntax.label() }
        }
    })?;
    let text = String::from_utf8(bytes.into());
    text.map_err(|_| Fault::Body { name: "body", reason: JsonError::Syntax.label() })
}

fn check_media(headers: &HeaderMap) -> Result<(), Fault> {
    let encoding = single(headers, header::CONTENT_ENCODING);
    if encoding.is_some_and(|encoding| !encoding.eq_ignore_ascii_case("identity")) {
        return Err(Fault::Media("a compressed body is not accepted"));
    }
    let media = single(headers, header::CONTENT_TYPE).and_then(|media| media.split(';').next());
    if media.is_some_and(|media| media.trim().eq_ignore_ascii_case("application/json")) {
        Ok(())
    } else {
        Err(Fault::Media("the body must be application/json"))
    }
}

/// The value of a header; what comes twice or is not text matches nothing.
fn single(headers: &HeaderMap, name: HeaderName) -> Option<&str> {
    let mut values = headers.get_all(name).into_iter();
    let first = values.next()?;
    Some(if values.next().is_some() { "?" } else { first.to_str().unwrap_or("?") })
}

/// What the JSON of a body may hold, with lists of `elements`.
pub(super) fn json_limits(limits: &Limits, elements: usize) -> JsonLimits {
    JsonLimits {
        depth: limits.json_depth,
        elements: limits.json_elements.max(elements),
        string_bytes: limits.json_string_bytes,
    }
}

/// The members of a body. Other members than a call knows are ignored.
pub(super) struct Fields(Map<String, Value>);

impl Fields {
    /// Reads `text`, the body that `name` stands for in errors.
    pub(super) fn parse(text: &str, limits: &Limits, name: &'static str) -> Result<Self, Fault> {
        let parsed = json::parse_object(text, &json_limits(limits, 0));
        parsed.map(Self).map_err(|error| Fault::Body { name, reason: error.label() })
    }

    /// A text that has to be there.
    pub(super) fn text(&self, name: &'static str) -> Result<&str, Fault> {
        let text = self.0.get(name).and_then(Value::as_str);
        text.ok_or(Fault::Body { name, reason: JsonError::Shape.label() })
    }

    /// An id that has to be there.
    pub(super) fn id(&self, name: &'static str) -> Result<Id, Fault> {
        Id::parse(self.text(name)?).map_err(|_malformed| Fault::Body { name, reason: "id" })
    }

    /// An id that may be left out, or be empty.
    pub(super) fn optional_id(&self, name: &'static str) -> Result<Option<Id>, Fault> {
        match self.0.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(_) if self.text(name)?.is_empty() => Ok(None),
            Some(_) => self.id(name).map(Some),
        }
    }

    /// A whole number from 0 to `max` that may be left out; then it is 0.
    pub(super) fn number(&self, name: &'static str, max: u64) -> Result<u64, Fault> {
        match self.0.get(name) {
            None | Some(Value::Null) => Ok(0),
            Some(number) => {
                let number = number.as_u64().filter(|number| *number <= max);
                number.ok_or(Fault::Body { name, reason: JsonError::Shape.label() })
            }
        }
    }
}
