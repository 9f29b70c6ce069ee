//! Reading bodies and queries of the server API strictly.
//!
//! Invariants: a body is read at most up to `limits.api_body_bytes`; no key comes
//! twice, at any level; a field that the call does not know is refused by name.

use axum::{
    body::to_bytes,
    extract::{FromRequest, FromRequestParts, Query, Request, rejection::QueryRejection},
};
use hyper::{
    HeaderMap,
    header::{self, HeaderName},
    http::request::Parts,
};
use serde::de::DeserializeOwned;

use super::{Api, problem::Problem};
use crate::dialect::json::{JsonError, JsonLimits, check};

/// Nesting of a body.
const DEPTH_MAX: usize = 64;
/// Elements of one array or object of a body: more than any list may have, so that
/// a list that is too long is refused by its name.
const ELEMENTS_MAX: usize = 100_000;

/// A JSON body that was read as a `T`.
#[derive(Debug)]
pub(in crate::http) struct Checked<T>(pub(in crate::http) T);

impl<T: DeserializeOwned> FromRequest<Api> for Checked<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, api: &Api) -> Result<Self, Problem> {
        is_json(request.headers())?;
        let limit = api.limits().api_body_bytes;
        let declared = single(request.headers(), header::CONTENT_LENGTH);
        if declared
            .and_then(|length| length.parse().ok())
            .is_some_and(|length: usize| length > limit)
        {
            return Err(Problem::body_too_large(limit));
        }
        let bytes = to_bytes(request.into_body(), limit).await.map_err(|error| {
            let source = std::error::Error::source(&error);
            if source.is_some_and(<dyn std::error::Error>::is::<http_body_util::LengthLimitError>) {
                Problem::body_too_large(limit)
            } else {
                Problem::malformed("the body ended early or its chunks are malformed")
            }
        })?;
        let text =
            std::str::from_utf8(&bytes).map_err(|_| Problem::malformed("the body is not UTF-8"))?;
        parse(text).map(Self)
    }
}

/// Reads `text`, a JSON object, refusing what parsers disagree about.
pub(in crate::http) fn parse<T: DeserializeOwned>(text: &str) -> Result<T, Problem> {
    let limits = JsonLimits { depth: DEPTH_MAX, elements: ELEMENTS_MAX, string_bytes: text.len() };
    check(text, &limits).map_err(|error| {
        Problem::malformed(match error {
            JsonError::Syntax | JsonError::Shape => "the body is not one JSON value",
            JsonError::Depth => "the body is nested too deeply",
            JsonError::Elements => "the body has a list that is too long",
            JsonError::StringBytes => "the body has a string that is too long",
            JsonError::DuplicateKey => "the body names a key twice",
        })
    })?;
    // serde reads a list as a struct, field by field: no request is meant that way.
    if !text.trim_start().starts_with('{') {
        return Err(Problem::malformed("the body is not a JSON object"));
    }
    let mut json = serde_json::Deserializer::from_str(text);
    serde_path_to_error::deserialize(&mut json).map_err(|error| {
        let message = error.inner().to_string();
        let message = message.split(" at line ").next().unwrap_or_default();
        blamed(&error.path().to_string(), message)
    })
}

/// The problem that a parser's `message` about `path` describes.
fn blamed(path: &str, message: &str) -> Problem {
    let parent = path.trim_end_matches(['.', '?']);
    let named = ["missing field `", "unknown field `", "duplicate field `", "unknown variant `"]
        .iter()
        .find_map(|start| message.strip_prefix(start))
        .and_then(|rest| rest.split('`').next());
    let text = match named {
        // The names that would have been right are in the document.
        Some(_) => message.split(", expected").next().unwrap_or(message),
        None => message,
    };
    let field = match named {
        Some(name) if parent.is_empty() || parent == name => name.to_owned(),
        Some(name) if parent.ends_with(&format!(".{name}")) => parent.to_owned(),
        Some(name) => format!("{parent}.{name}"),
        None => parent.to_owned(),
    };
    let text: String = text.chars().take(200).collect();
    if field.is_empty() { Problem::malformed(&text) } else { Problem::field(&field, &text) }
}

fn is_json(headers: &HeaderMap) -> Result<(), Problem> {
    let plain = single(headers, header::CONTENT_ENCODING)
        .is_none_or(|encoding| encoding.eq_ignore_ascii_case("identity"));
    if !plain {
        return Err(Problem::media_type("a compressed body is not accepted"));
    }
    let media = single(headers, header::CONTENT_TYPE).and_then(|media| media.split(';').next());
    if media.is_some_and(|media| media.trim().eq_ignore_ascii_case("application/json")) {
        Ok(())
    } else {
        Err(Problem::media_type("the body must be application/json"))
    }
}

fn single(headers: &HeaderMap, name: HeaderName) -> Option<&str> {
    headers.get(name).map(|value| value.to_str().unwrap_or("?"))
}

/// A query that was read as a `T`.
#[derive(Debug)]
pub(in crate::http) struct Asked<T>(pub(in crate::http) T);

impl<T: DeserializeOwned> FromRequestParts<Api> for Asked<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, Problem> {
        match Query::<T>::from_request_parts(parts, api).await {
            Ok(Query(query)) => Ok(Self(query)),
            Err(QueryRejection::FailedToDeserializeQueryString(error)) => {
                let cause = std::error::Error::source(&error)
                    .map_or_else(|| error.body_text(), ToString::to_string);
                let (path, message) = cause.split_once(": ").unwrap_or(("", &cause));
                let is_path = !path.contains([' ', '`']);
                Err(if is_path { blamed(path, message) } else { blamed("", &cause) })
            }
            Err(_other) => Err(Problem::malformed("the query is malformed")),
        }
    }
}
