//! The REST twins of Mattermost's socket: statuses and typing for clients that ask
//! over HTTP, and the posts of the demo page.
//!
//! Invariants: a twin does what its action on a socket does, under the same rules;
//! a user sets only their own status; a cookie counts for a change only when the
//! page is of this origin or says so by `X-Requested-With`.
//!
//! Not here: `GET /api/v4/system/ping`, which needs no user (`public`).

mod error;
mod posts;
mod wire;

use std::{sync::Arc, time::Duration};

use axum::body::{Body, to_bytes};
use hyper::{Method, Request, Response, StatusCode, body::Incoming, header};

use self::{
    error::TwinError,
    wire::{StatusChange, Typing, UserIds},
};
pub use wire::{DemoSession, DemoUser};

use super::{answer::json, host::is_same_origin};
use crate::{
    auth::{Verifier, token_from_headers},
    config::Config,
    dialect::{
        json::{JsonLimits, parse},
        mattermost::{status_record, status_records, typing_data},
    },
    limits::{KeyedBuckets, Rate},
    model::{Id, Identity, ManualStatus, RealmId, Status, Topic, UserId},
    node::Node,
};

/// Bytes of a body: a thousand ids and what stands around them.
const BODY_BYTES_MAX: usize = 128 * 1024;
/// Users of one question.
const USERS_MAX: usize = 1_000;
/// Users whose rates are remembered.
const USERS_REMEMBERED_MAX: usize = 100_000;
/// When to ask again after something could not be asked.
const RETRY_AFTER: Duration = Duration::from_secs(1);
/// Timed statuses end at whole minutes.
const MINUTE: u64 = 60;

/// Answers the requests of the twins.
#[derive(Debug)]
pub struct Twins {
    node: Arc<Node>,
    verifier: Arc<Verifier>,
    cookie: String,
    has_typing: bool,
    typing: KeyedBuckets<(RealmId, UserId)>,
    posts: KeyedBuckets<(RealmId, UserId)>,
}

/// What a path asks for. All but the last are below `/api/v4/users/`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Twin<'path> {
    /// `{id}/status`
    Status(&'path str),
    /// `status/ids`
    StatusIds,
    /// `{id}/typing`
    Typing(&'path str),
    /// `/demo/posts`
    Posts,
}

impl<'path> Twin<'path> {
    /// Reads what follows `/api/v4/users/`.
    pub(super) fn of(rest: &'path str) -> Option<Self> {
        match rest.split_once('/')? {
            ("status", "ids") => Some(Self::StatusIds),
            (user, "status") => Some(Self::Status(user)),
            (user, "typing") => Some(Self::Typing(user)),
            _ => None,
        }
    }

    /// The route in the metrics.
    pub(super) fn label(self) -> &'static str {
        match self {
            Self::Status(_) => "/api/v4/users/{id}/status",
            Self::StatusIds => "/api/v4/users/status/ids",
            Self::Typing(_) => "/api/v4/users/{id}/typing",
            Self::Posts => "/demo/posts",
        }
    }
}

impl Twins {
    /// The twins of one node.
    #[must_use]
    pub fn new(node: Arc<Node>, verifier: Arc<Verifier>, config: &Config) -> Self {
        let per_second = config.limits.typing_per_second;
        let typing = Rate { per_second, burst: per_second.max(1.0) };
        let posts = Rate {
            per_second: config.limits.commands_per_second,
            burst: f64::from(config.limits.commands_burst),
        };
        Self {
            node,
            verifier,
            cookie: config.auth.cookie.clone(),
            has_typing: config.dialects.mattermost.typing,
            typing: KeyedBuckets::new(typing, USERS_REMEMBERED_MAX),
            posts: KeyedBuckets::new(posts, USERS_REMEMBERED_MAX),
        }
    }

    /// Answers one request for `twin`.
    pub(super) async fn answer(
        &self,
        twin: Twin<'_>,
        request: Request<Incoming>,
    ) -> Response<Body> {
        match self.respond(twin, request).await {
            Ok(body) => json(StatusCode::OK, body),
            Err(error) => {
                if let Some((stage, reason)) = error.label() {
                    self.node.metrics().rejected(stage, reason);
                }
                error.response()
            }
        }
    }

    async fn respond(
        &self,
        twin: Twin<'_>,
        request: Request<Incoming>,
    ) -> Result<String, TwinError> {
        let method = request.method().clone();
        match (twin, &method) {
            (Twin::Status(user), &Method::GET | &Method::HEAD) => {
                let identity = self.identify(&request).await?;
                self.status(&identity, user).await
            }
            (Twin::Status(user), &Method::PUT) => {
                let identity = self.identify(&request).await?;
                let own = own(&identity, user)?;
                self.choose(&identity, own, &body_of(request).await?).await
            }
            (Twin::StatusIds, &Method::POST) => {
                let identity = self.identify(&request).await?;
                self.statuses(&identity, &body_of(request).await?).await
            }
            (Twin::Typing(user), &Method::POST) => {
                let identity = self.identify(&request).await?;
                own(&identity, user)?;
                self.typing(&identity, &body_of(request).await?).await
            }
            (Twin::Posts, &Method::POST) => {
                let identity = self.identify(&request).await?;
                self.post(&identity, &body_of(request).await?).await
            }
            (Twin::Status(_), _) => Err(TwinError::Method("GET, HEAD, PUT")),
            (Twin::StatusIds | Twin::Typing(_) | Twin::Posts, _) => Err(TwinError::Method("POST")),
        }
    }

    /// Finds out who asks.
    async fn identify(&self, request: &Request<Incoming>) -> Result<Identity, TwinError> {
        let refused = |reason| {
            self.node.metrics().rejected("auth", reason);
            TwinError::Session
        };
        let headers = request.headers();
        let lines = headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes()));
        let token = token_from_headers(lines, &self.cookie).ok_or_else(|| refused("missing"))?;
        let changes = !matches!(*request.method(), Method::GET | Method::HEAD);
        let is_own_page = headers.contains_key(header::ORIGIN) && is_same_origin(headers);
        let says_so = headers
            .get("x-requested-with")
            .is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"XMLHttpRequest"));
        if token.from_cookie && changes && !is_own_page && !says_so {
            return Err(TwinError::Csrf);
        }
        let verified = self.verifier.verify(token.token).await;
        let identity = verified.map_err(|error| refused(error.label()))?;
        match self.node.is_revoked(&identity).await {
            Ok(false) => Ok(identity),
            Ok(true) => Err(refused("revoked")),
            Err(error) => Err(TwinError::Unavailable(error.retry_after)),
        }
    }

    async fn status(&self, identity: &Identity, user: &str) -> Result<String, TwinError> {
        let user = named(identity, user)?;
        let record = self.node.status_of(&identity.realm, &user).await.map_err(|_| BUSY)?;
        Ok(status_record(&record))
    }

    async fn statuses(&self, identity: &Identity, body: &str) -> Result<String, TwinError> {
        let UserIds(ids) = read(body)?;
        if ids.len() > USERS_MAX {
            return Err(TwinError::Body);
        }
        let users: Result<Vec<UserId>, _> = ids.iter().map(|id| Id::parse(id)).collect();
        let users = users.map_err(|_| TwinError::Body)?;
        let records = self.node.statuses(&identity.realm, &users).await.map_err(|_| BUSY)?;
        Ok(status_records(&records))
    }

    async fn choose(
        &self,
        identity: &Identity,
        user: UserId,
        body: &str,
    ) -> Result<String, TwinError> {
        let change: StatusChange<'_> = read(body)?;
        if change.user_id != user.as_str() && change.user_id != "me" {
            return Err(TwinError::Body);
        }
        // Out of office is set by an automatic reply, not by its user.
        let status = Status::parse(&change.status).filter(|status| *status != Status::Ooo);
        let status = status.ok_or(TwinError::Body)?;
        let ends_at = change.dnd_end_time - change.dnd_end_time % MINUTE;
        let chosen = ManualStatus::new(status, ends_at);
        let record = self.node.choose_status(&identity.realm, &user, chosen).await;
        Ok(status_record(&record.map_err(|_| BUSY)?))
    }

    async fn typing(&self, identity: &Identity, body: &str) -> Result<String, TwinError> {
        let typing: Typing<'_> = read(body)?;
        let channel = Id::parse(&typing.channel_id).map_err(|_| TwinError::Body)?;
        if !typing.parent_id.is_empty() {
            Id::parse(&typing.parent_id).map_err(|_| TwinError::Body)?;
        }
        let topic = Topic::Channel(channel);
        // The same answer whether the channel exists or not.
        if !self.node.is_member(&identity.realm, &identity.user, topic.clone()).await {
            return Err(TwinError::Permission);
        }
        let key = (identity.realm.clone(), identity.user.clone());
        self.typing.take(key, 1.0).map_err(TwinError::TooOften)?;
        if self.has_typing {
            let data = typing_data(&typing.parent_id, &identity.user);
            let published = self.node.typing(&identity.realm, &identity.user, topic, data).await;
            published.map_err(|_unavailable| BUSY)?;
        }
        Ok(r#"{"status":"OK"}"#.to_owned())
    }
}

const BUSY: TwinError = TwinError::Unavailable(RETRY_AFTER);

/// The user that a path names; `me` is who asks.
fn named(identity: &Identity, user: &str) -> Result<UserId, TwinError> {
    if user == "me" {
        return Ok(identity.user.clone());
    }
    Id::parse(user).map_err(|_| TwinError::Path)
}

/// The same, when it must be who asks.
fn own(identity: &Identity, user: &str) -> Result<UserId, TwinError> {
    let named = named(identity, user)?;
    if named == identity.user { Ok(named) } else { Err(TwinError::Permission) }
}

async fn body_of(request: Request<Incoming>) -> Result<String, TwinError> {
    let encoding = request.headers().get(header::CONTENT_ENCODING);
    if encoding.is_some_and(|encoding| !encoding.as_bytes().eq_ignore_ascii_case(b"identity")) {
        return Err(TwinError::MediaType);
    }
    let bytes = to_bytes(Body::new(request.into_body()), BODY_BYTES_MAX).await;
    let bytes = bytes.map_err(|error| {
        let source = std::error::Error::source(&error);
        let is_large =
            source.is_some_and(<dyn std::error::Error>::is::<http_body_util::LengthLimitError>);
        if is_large { TwinError::TooLarge } else { TwinError::Body }
    })?;
    String::from_utf8(bytes.to_vec()).map_err(|_| TwinError::Body)
}

fn read<'text, T: serde::Deserialize<'text>>(body: &'text str) -> Result<T, TwinError> {
    let limits = JsonLimits { elements: USERS_MAX, ..JsonLimits::default() };
    parse(body, &limits).map_err(|_| TwinError::Body)
}
