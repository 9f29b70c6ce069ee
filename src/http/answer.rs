//! What a door answers.
//!
//! Invariants: an answer names its route from the closed set of the metrics.

use std::time::Duration;

use axum::body::Body;
use hyper::{
    HeaderMap, Response, StatusCode,
    header::{self, HeaderValue},
};

use crate::session::Run;

/// What a door answers to one request.
pub struct Answer {
    /// What is sent.
    pub response: Response<Body>,
    /// The route in the metrics.
    pub route: &'static str,
    /// What happens to the connection when the status is 101.
    pub run: Option<Run>,
}

impl std::fmt::Debug for Answer {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let status = self.response.status();
        formatter
            .debug_struct("Answer")
            .field("route", &self.route)
            .field("status", &status)
            .finish()
    }
}

impl Answer {
    /// An answer on `route` that leaves the connection to HTTP.
    #[must_use]
    pub fn new(route: &'static str, response: Response<Body>) -> Self {
        Self { response, route, run: None }
    }
}

/// An answer with one line of plain text.
#[must_use]
pub(super) fn text(status: StatusCode, line: &str) -> Response<Body> {
    let mut response = Response::new(Body::from(format!("{line}\n")));
    *response.status_mut() = status;
    set(response.headers_mut(), header::CONTENT_TYPE, "text/plain; charset=utf-8");
    response
}

/// An answer with a JSON body that is already written.
#[must_use]
pub(super) fn json(status: StatusCode, body: impl Into<Body>) -> Response<Body> {
    let mut response = Response::new(body.into());
    *response.status_mut() = status;
    set(response.headers_mut(), header::CONTENT_TYPE, "application/json");
    set(response.headers_mut(), header::CACHE_CONTROL, "no-store");
    response
}

/// Sets a header whose value is known to be printable ASCII; another is left out.
pub(super) fn set(headers: &mut HeaderMap, name: header::HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(name, value);
    }
}

/// Tells the peer to come back after `wait`, in whole seconds, at least one.
pub(super) fn set_retry_after(headers: &mut HeaderMap, wait: Duration) {
    let seconds = wait.as_millis().div_ceil(1000).max(1);
    set(headers, header::RETRY_AFTER, &seconds.to_string());
}
