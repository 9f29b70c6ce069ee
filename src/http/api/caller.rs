//! Who calls the server API, and which realms they may use.
//!
//! Invariants: without a known key nothing of `/api/v1` is answered, not even
//! that a path does not exist; only a development node without keys lets
//! everybody in; a key works in its header only.

use axum::{
    extract::{Request, State},
    middleware::Next,
    response::{IntoResponse as _, Response},
};

use super::{Api, problem::Problem};
use crate::{
    auth::{ApiCaller, api_key_from_headers},
    model::{Id, RealmId},
};

/// Who calls.
#[derive(Debug, Clone)]
pub(in crate::http) enum Caller {
    /// Anybody, on a development node.
    Developer,
    /// The owner of a key.
    Key(ApiCaller),
}

impl Caller {
    /// The realm `name`, if this caller may use it.
    pub(in crate::http) fn realm(&self, name: &str) -> Result<RealmId, Problem> {
        let may_use = match self {
            Self::Developer => true,
            Self::Key(key) => key.may_use(name),
        };
        if !may_use {
            return Err(Problem::realm());
        }
        Id::parse(name).map_err(|error| Problem::field("realm", &error.to_string()))
    }
}

/// Finds out who calls, and turns strangers away.
pub(in crate::http) async fn identify(
    State(api): State<Api>,
    mut request: Request,
    next: Next,
) -> Response {
    let lines = request.headers().iter().map(|(name, value)| (name.as_str(), value.as_bytes()));
    let known = api_key_from_headers(lines).and_then(|key| api.keys().find(key));
    let caller = match known {
        Some(key) => Caller::Key(key),
        None if api.is_open() => Caller::Developer,
        None => return Problem::unauthorized().into_response(),
    };
    request.extensions_mut().insert(caller);
    next.run(request).await
}
