//! Errors of the REST twins in Mattermost's shape.
//!
//! Invariants: ids are Mattermost's, because its clients look at them; the wording
//! is ours; nothing that the client sent comes back.

use std::time::Duration;

use axum::body::Body;
use hyper::{Response, StatusCode, header};

use super::wire::AppError;
use crate::{
    clock::random_connection_id,
    http::answer::{json, set, set_retry_after},
};

/// Why a twin did not do it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TwinError {
    /// No token, or not a good one.
    Session,
    /// A page that may not use the cookie.
    Csrf,
    /// It is not this user's to do.
    Permission,
    /// The path is malformed.
    Path,
    /// The body is malformed.
    Body,
    /// The body is too large.
    TooLarge,
    /// The body is compressed.
    MediaType,
    /// The path knows other methods, which are these.
    Method(&'static str),
    /// Too often.
    TooOften(Duration),
    /// It can't be done now.
    Unavailable(Duration),
}

impl TwinError {
    /// Status, Mattermost's id, and the message.
    fn row(self) -> (StatusCode, &'static str, &'static str) {
        match self {
            Self::Session => (
                StatusCode::UNAUTHORIZED,
                "api.context.session_expired.app_error",
                "the session is missing, malformed or has ended",
            ),
            Self::Csrf => (
                StatusCode::FORBIDDEN,
                "api.context.csrf.app_error",
                "with a cookie, a page of this origin or X-Requested-With is needed",
            ),
            Self::Permission => {
                (StatusCode::FORBIDDEN, "api.context.permissions.app_error", "you may not do this")
            }
            Self::Path => (
                StatusCode::BAD_REQUEST,
                "api.context.invalid_url_param.app_error",
                "the user in the path is malformed",
            ),
            Self::Body => (
                StatusCode::BAD_REQUEST,
                "api.context.invalid_body_param.app_error",
                "the body is malformed",
            ),
            Self::TooLarge => (
                StatusCode::PAYLOAD_TOO_LARGE,
                "api.context.request_body_too_large.app_error",
                "the body is too large",
            ),
            Self::MediaType => (
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "api.context.media_type.app_error",
                "a compressed body is not accepted",
            ),
            Self::Method(_) => (
                StatusCode::METHOD_NOT_ALLOWED,
                "api.context.method_not_allowed.app_error",
                "this method is not served here",
            ),
            Self::TooOften(_) => (
                StatusCode::TOO_MANY_REQUESTS,
                "api.context.rate_limit.app_error",
                "this was asked too often",
            ),
            Self::Unavailable(_) => (
                StatusCode::SERVICE_UNAVAILABLE,
                "api.context.server_busy.app_error",
                "the server can't do this now",
            ),
        }
    }

    /// Stage and reason in the metrics; `None` for what was counted where it was found.
    pub(super) fn label(self) -> Option<(&'static str, &'static str)> {
        match self {
            Self::Session => None,
            Self::Csrf => Some(("http", "csrf")),
            Self::Permission => Some(("api", "forbidden")),
            Self::Path | Self::Body => Some(("api", "field")),
            Self::TooLarge => Some(("http", "body_too_large")),
            Self::MediaType => Some(("http", "media_type")),
            Self::Method(_) => Some(("http", "method")),
            Self::TooOften(_) => Some(("limit", "commands")),
            Self::Unavailable(_) => Some(("api", "unavailable")),
        }
    }

    /// The answer.
    pub(super) fn response(self) -> Response<Body> {
        let (status, id, message) = self.row();
        let request = random_connection_id();
        let body = AppError {
            id,
            message,
            detailed_error: "",
            request_id: request.as_str(),
            status_code: status.as_u16(),
        };
        let mut response = json(status, serde_json::to_string(&body).unwrap_or_default());
        let headers = response.headers_mut();
        set(headers, header::HeaderName::from_static("x-request-id"), request.as_str());
        match self {
            Self::Method(allow) => set(headers, header::ALLOW, allow),
            Self::TooOften(wait) | Self::Unavailable(wait) => set_retry_after(headers, wait),
            Self::Session => set(headers, header::WWW_AUTHENTICATE, "Bearer"),
            Self::Csrf
            | Self::Permission
            | Self::Path
            | Self::Body
            | Self::TooLarge
            | Self::MediaType => {}
        }
        response
    }
}
