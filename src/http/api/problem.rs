//! Errors of the server API: one shape, the right status.
//!
//! Invariants: every error body is `{"error":{"code","message","field"}}`; 400
//! names the field when there is one; 429 and 503 say when to try again; of what
//! the caller sent only names of fields come back, shortened.

use std::time::Duration;

use axum::{
    body::Body,
    response::{IntoResponse, Response},
};
use hyper::StatusCode;
use utoipa::IntoResponses;

use super::wire::{ErrorBody, ErrorDetail};
use crate::{
    http::answer::{json, set_retry_after},
    node::PublishError,
};

/// Longest name of a field in an answer, in characters.
const FIELD_MAX: usize = 128;

/// Why a call was not done.
#[derive(Debug, Clone)]
pub(in crate::http) struct Problem {
    status: StatusCode,
    reason: Reason,
    detail: ErrorDetail,
    retry_after: Option<Duration>,
}

/// Stage and reason in `rejections_total`; goes along with the answer.
#[derive(Debug, Clone, Copy)]
pub(in crate::http) struct Reason(
    pub(in crate::http) &'static str,
    pub(in crate::http) &'static str,
);

impl Problem {
    fn new(status: StatusCode, reason: &'static str, code: &'static str, message: &str) -> Self {
        let detail = ErrorDetail { code, message: message.to_owned(), field: None };
        Self { status, reason: Reason("api", reason), detail, retry_after: None }
    }

    /// The same, counted in another stage.
    fn counted(mut self, stage: &'static str, reason: &'static str) -> Self {
        self.reason = Reason(stage, reason);
        self
    }

    /// The same, with the part of the request that is to blame.
    #[must_use]
    pub(in crate::http) fn at(mut self, field: &str) -> Self {
        self.detail.field = Some(field.chars().take(FIELD_MAX).collect());
        self
    }

    /// The same, with the time after which it may work.
    #[must_use]
    fn after(mut self, wait: Duration) -> Self {
        self.retry_after = Some(wait);
        self
    }

    /// A field is malformed or out of range.
    pub(in crate::http) fn field(field: &str, message: &str) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "field", "invalid_field", message).at(field)
    }

    /// The body is not what it says to be.
    pub(in crate::http) fn malformed(message: &str) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "malformed", "malformed", message)
    }

    /// No key, or not one that is known.
    pub(in crate::http) fn unauthorized() -> Self {
        let message = "a valid API key is needed: Authorization: Bearer <key>";
        Self::new(StatusCode::UNAUTHORIZED, "other", "unauthorized", message)
            .counted("auth", "api_key")
    }

    /// The key is not for this realm.
    pub(in crate::http) fn realm() -> Self {
        let message = "this key may not use that realm";
        Self::new(StatusCode::FORBIDDEN, "other", "forbidden", message)
            .counted("auth", "realm")
            .at("realm")
    }

    /// There is no such thing.
    pub(in crate::http) fn not_found(message: &str) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", "not_found", message)
    }

    /// The path knows other methods.
    pub(in crate::http) fn method() -> Self {
        let message = "this path does not serve that method";
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "method", "method_not_allowed", message)
    }

    /// The body did not come in time.
    pub(in crate::http) fn body_too_large(limit: usize) -> Self {
        let message = format!("the body has more than {limit} bytes");
        let status = StatusCode::PAYLOAD_TOO_LARGE;
        Self::new(status, "body_too_large", "body_too_large", &message)
    }

    /// An event is too large.
    pub(in crate::http) fn event_too_large(limit: usize) -> Self {
        let message = format!("the data of an event has at most {limit} bytes");
        let status = StatusCode::PAYLOAD_TOO_LARGE;
        Self::new(status, "event_too_large", "event_too_large", &message).at("data")
    }

    /// The body is not JSON, or it is compressed.
    pub(in crate::http) fn media_type(message: &str) -> Self {
        let status = StatusCode::UNSUPPORTED_MEDIA_TYPE;
        Self::new(status, "media_type", "unsupported_media_type", message)
    }

    /// The key sends more events than it may.
    pub(in crate::http) fn rate_limited(wait: Duration) -> Self {
        let message = "this key publishes faster than it may";
        let status = StatusCode::TOO_MANY_REQUESTS;
        Self::new(status, "other", "rate_limited", message)
            .counted("limit", "api_events")
            .after(wait)
    }

    /// More silent events of Pydio come than a realm may have.
    pub(in crate::http) fn too_many_silent(wait: Duration) -> Self {
        let message = "too many silent events: this one was not published";
        let status = StatusCode::TOO_MANY_REQUESTS;
        Self::new(status, "other", "rate_limited", message)
            .counted("limit", "silent_events")
            .at("payload.Silent")
            .after(wait)
    }

    /// What is asked can't be asked now.
    pub(in crate::http) fn unavailable(wait: Duration) -> Self {
        let message = "the node can't do this now; try again, with the same id if there was one";
        let status = StatusCode::SERVICE_UNAVAILABLE;
        Self::new(status, "unavailable", "unavailable", message).after(wait)
    }

    /// The shape inside the results of a batch.
    pub(in crate::http) fn into_detail(self) -> ErrorDetail {
        self.detail
    }
}

impl From<PublishError> for Problem {
    fn from(error: PublishError) -> Self {
        match error {
            PublishError::Conflict => {
                let message = "this id was used with another body";
                Self::new(StatusCode::CONFLICT, "conflict", "conflict", message).at("id")
            }
            PublishError::TooManyMemberships { limit } => {
                let message = format!("a user would be a member of more than {limit} topics");
                Self::new(StatusCode::BAD_REQUEST, "field", "too_many_memberships", &message)
                    .at("add")
            }
            PublishError::Waiting { .. } => Self::unavailable(Duration::from_secs(1)),
            PublishError::Unavailable { retry_after } => Self::unavailable(retry_after),
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response<Body> {
        let body = ErrorBody { error: self.detail };
        let text = serde_json::to_string(&body).unwrap_or_default();
        let mut response = json(self.status, text);
        if let Some(wait) = self.retry_after {
            set_retry_after(response.headers_mut(), wait);
        }
        if self.status == StatusCode::UNAUTHORIZED {
            let name = hyper::header::WWW_AUTHENTICATE;
            crate::http::answer::set(response.headers_mut(), name, "Bearer");
        }
        response.extensions_mut().insert(self.reason);
        response
    }
}

/// The errors of every call, for the document.
#[derive(IntoResponses)]
#[expect(dead_code, reason = "only its schema is used")]
pub(in crate::http) enum Problems {
    /// Malformed or out of range; `field` names what.
    #[response(status = 400)]
    Malformed(ErrorBody),
    /// No valid API key.
    #[response(status = 401)]
    Unauthorized(ErrorBody),
    /// The key may not use this realm.
    #[response(status = 403)]
    Forbidden(ErrorBody),
    /// There is no such thing, in this realm and on this node.
    #[response(status = 404)]
    NotFound(ErrorBody),
    /// The request target is too long.
    #[response(status = 414, content_type = "text/plain")]
    TargetTooLong(String),
    /// The request head is too large.
    #[response(status = 431, content_type = "text/plain")]
    HeadTooLarge(String),
    /// The log or the presence can't be asked; `Retry-After` says when to try again.
    #[response(status = 503)]
    Unavailable(ErrorBody),
}

/// What calls with a body may answer besides.
#[derive(IntoResponses)]
#[expect(dead_code, reason = "only its schema is used")]
pub(in crate::http) enum BodyProblems {
    /// The body did not come in time.
    #[response(status = 408)]
    Timeout(ErrorBody),
    /// The id was used with another body.
    #[response(status = 409)]
    Conflict(ErrorBody),
    /// The body, or the data of an event, is too large.
    #[response(status = 413)]
    TooLarge(ErrorBody),
    /// The body is not JSON, or it is compressed.
    #[response(status = 415)]
    MediaType(ErrorBody),
    /// The key publishes faster than it may; `Retry-After` says when to try again.
    #[response(status = 429)]
    RateLimited(ErrorBody),
}
