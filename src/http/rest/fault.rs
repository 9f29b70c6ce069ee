//! Why a call is refused, in Mattermost's shape.
//!
//! Ids and statuses are Mattermost's where it has one; the wording is ours.

use std::time::Duration;

use axum::body::Body;
use hyper::{
    Response, StatusCode,
    header::{self, HeaderName},
};

use crate::{
    clock::random_connection_id,
    dialect::{json::push_string, mattermost::ErrorRow},
    http::answer::{json, set, set_retry_after},
    session::Denial,
};

/// Why a call is refused. Nothing happened, except where it says otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// There is no user, or too many failed. It has been counted.
    Denied(Denial),
    /// A cookie proves the user, but nothing proves their intent.
    Csrf,
    /// It is another user's.
    NotYours,
    /// The user is no member of the channel, or there is none.
    NotMember,
    /// A part of the path is malformed.
    UrlParam(&'static str),
    /// The body, or a member of it, is missing, malformed or out of range.
    Body {
        /// The member.
        name: &'static str,
        /// The reason in metrics.
        reason: &'static str,
    },
    /// The body is too long.
    TooLarge,
    /// The body is not JSON by its headers.
    Media(&'static str),
    /// The path takes these methods only.
    Method(&'static str),
    /// The user asks too much; come back after this time.
    TooFast(Duration),
    /// The id was used for another post.
    IdReused,
    /// The store can't be asked now. Whether it happened is open.
    Unavailable(Duration),
}

const SESSION: ErrorRow = ErrorRow {
    id: "api.context.session_expired.app_error",
    status: 401,
    when: "There is no token, or it is not valid, has expired or was revoked.",
};
const PERMISSIONS: ErrorRow = ErrorRow {
    id: "api.context.permissions.app_error",
    status: 403,
    when: "It is another user's, or the user is not a member of the channel.",
};
const CSRF: ErrorRow = ErrorRow {
    id: "api.context.csrf.app_error",
    status: 403,
    when: "A change with a cookie needs an `Origin` of this host, or `X-Requested-With: XMLHttpRequest`.",
};
const URL_PARAM: ErrorRow = ErrorRow {
    id: "api.context.invalid_url_param.app_error",
    status: 400,
    when: "The id in the path is malformed.",
};
const BODY_PARAM: ErrorRow = ErrorRow {
    id: "api.context.invalid_body_param.app_error",
    status: 400,
    when: "The body, or the member that the message names, is missing, malformed or out of range.",
};
const TOO_LARGE: ErrorRow = ErrorRow {
    id: "api.context.request_body_too_large.app_error",
    status: 413,
    when: "The body has more than 64 KiB.",
};
const MEDIA: ErrorRow = ErrorRow {
    id: "api.context.media_type.app_error",
    status: 415,
    when: "The body is not `application/json`, or is compressed.",
};
const METHOD: ErrorRow = ErrorRow {
    id: "api.context.method_not_allowed.app_error",
    status: 405,
    when: "The path has no such method; `Allow` names those that it has.",
};
const TOO_FAST: ErrorRow = ErrorRow {
    id: "api.context.rate_limited.app_error",
    status: 429,
    when: "The user asks more than `limits.commands_per_second`, or the address failed too often to log in. `Retry-After` says when to try again.",
};
const ID_REUSED: ErrorRow = ErrorRow {
    id: "api.post.create_post.id_reused.app_error",
    status: 409,
    when: "The id was used for another post. Only the calls of the pages say this.",
};
const BUSY: ErrorRow = ErrorRow {
    id: "api.context.server_busy.app_error",
    status: 503,
    when: "The server can't do it now. `Retry-After` says when to try again.",
};

/// The table of error ids, in the order of the documents.
#[cfg(test)]
pub(super) const ROWS: [ErrorRow; 11] = [
    URL_PARAM,
    BODY_PARAM,
    SESSION,
    PERMISSIONS,
    CSRF,
    METHOD,
    ID_REUSED,
    TOO_LARGE,
    MEDIA,
    TOO_FAST,
    BUSY,
];

impl Fault {
    fn row(self) -> ErrorRow {
        match self {
            Self::Denied(Denial { status: 401, .. }) => SESSION,
            Self::Denied(Denial { status: 429, .. }) | Self::TooFast(_) => TOO_FAST,
            Self::Denied(_) | Self::Unavailable(_) => BUSY,
            Self::Csrf => CSRF,
            Self::NotYours | Self::NotMember => PERMISSIONS,
            Self::UrlParam(_) => URL_PARAM,
            Self::Body { .. } => BODY_PARAM,
            Self::TooLarge => TOO_LARGE,
            Self::Media(_) => MEDIA,
            Self::Method(_) => METHOD,
            Self::IdReused => ID_REUSED,
        }
    }

    /// Stage and reason in the metrics; `None` when it was counted already.
    pub(super) fn counted(self) -> Option<(&'static str, &'static str)> {
        Some(match self {
            Self::Denied(_) => return None,
            Self::Csrf => ("http", "csrf"),
            Self::NotYours => ("auth", "other_user"),
            Self::NotMember => ("message", "not_member"),
            Self::UrlParam(_) | Self::IdReused => ("message", "id"),
            Self::Body { reason, .. } => ("message", reason),
            Self::TooLarge => ("http", "body_too_large"),
            Self::Media(_) => ("http", "media_type"),
            Self::Method(_) => ("http", "method"),
            Self::TooFast(_) => ("limit", "commands"),
            Self::Unavailable(_) => ("api", "unavailable"),
        })
    }

    fn message(self) -> String {
        match self {
            Self::Denied(denial) => denial.text.to_owned(),
            Self::Csrf => "the request does not come from a page of this host".to_owned(),
            Self::NotYours => "this is another user's".to_owned(),
            Self::NotMember => "you are not a member of this channel".to_owned(),
            Self::UrlParam(name) => format!("{name} in the path is malformed"),
            Self::Body { name, .. } => format!("{name} is missing, malformed or out of range"),
            Self::TooLarge => "the body has more than 64 KiB".to_owned(),
            Self::Media(text) => text.to_owned(),
            Self::Method(_) => "this path has no such method".to_owned(),
            Self::TooFast(_) => "too many requests, try again later".to_owned(),
            Self::IdReused => "the id was used for another post".to_owned(),
            Self::Unavailable(_) => "the server is busy, try again later".to_owned(),
        }
    }

    fn retry_after(self) -> Option<Duration> {
        match self {
            Self::Denied(denial) => denial.retry_after,
            Self::TooFast(wait) | Self::Unavailable(wait) => Some(wait),
            Self::Csrf
            | Self::NotYours
            | Self::NotMember
            | Self::UrlParam(_)
            | Self::Body { .. }
            | Self::TooLarge
            | Self::Media(_)
            | Self::Method(_)
            | Self::IdReused => None,
        }
    }

    /// The answer of `route`. Its `request_id` stands in the log, too.
    pub(super) fn response(self, route: &'static str) -> Response<Body> {
        let row = self.row();
        let request = random_connection_id();
        tracing::debug!(route, request_id = %request, id = row.id, "call refused");
        let mut text = String::from(r#"{"id":"#);
        push_string(&mut text, row.id);
        text.push_str(r#","message":"#);
        push_string(&mut text, &self.message());
        text.push_str(r#","detailed_error":"","request_id":"#);
        push_string(&mut text, request.as_str());
        text.push_str(&format!(r#","status_code":{}}}"#, row.status));
        let status = StatusCode::from_u16(row.status).unwrap_or(StatusCode::BAD_REQUEST);
        let mut response = json(status, text);
        let headers = response.headers_mut();
        set(headers, HeaderName::from_static("x-request-id"), request.as_str());
        if let Some(wait) = self.retry_after() {
            set_retry_after(headers, wait);
        }
        if let Self::Method(allow) = self {
            set(headers, header::ALLOW, allow);
        }
        if status == StatusCode::UNAUTHORIZED {
            set(headers, header::WWW_AUTHENTICATE, "Bearer");
        }
        response
    }
}
