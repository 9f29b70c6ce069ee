//! The REST twins of the mattermost dialect: statuses and typing for clients that ask
//! by HTTP, in Mattermost's shapes and with its errors; and the calls of the pages.
//!
//! Invariants:
//! - nothing is answered without a token that is good now, revocations included;
//! - a change needs more than a cookie: a page of another site can't make it;
//! - a user changes only what is theirs, and speaks only where they are a member;
//! - a body is read at most up to [`BODY_BYTES_MAX`], and has one reading.
//!
//! Not here: which paths lead here (`public`), the server API (`api`).

mod body;
mod demo;
mod fault;
mod status;
mod typing;

#[cfg(test)]
mod tests;

use std::{net::IpAddr, sync::Arc};

use hyper::{
    HeaderMap, Method, Request, StatusCode,
    body::Incoming,
    header::{self, HeaderName},
};

pub use self::demo::DemoSession;
use self::fault::Fault;
use super::{
    answer::{Answer, json},
    host,
    peer::{Peer, is_trusted},
    public::CookieName,
};
use crate::{
    auth::token_from_headers,
    config::{Config, Limits},
    limits::{KeyedBuckets, Rate},
    model::{Id, Identity, RealmId, UserId},
    node::Node,
    session::{Caller, Context, Credentials, Doorkeeper},
};

/// Longest body of a call.
const BODY_BYTES_MAX: usize = 64 * 1024;

/// Users whose pace is remembered at once.
const USERS_MAX: usize = 100_000;

/// Says that a script of the same site made the request: another site's can't set it.
const REQUESTED_WITH: HeaderName = HeaderName::from_static("x-requested-with");

/// What the calls work with.
#[derive(Debug)]
pub struct RestParts {
    /// Who calls.
    pub doorkeeper: Doorkeeper,
    /// What sessions work with, too.
    pub context: Arc<Context>,
    /// What the pages are told.
    pub demo: DemoSession,
}

/// Answers the calls of the public listener.
#[derive(Debug)]
pub struct Rest {
    doorkeeper: Doorkeeper,
    context: Arc<Context>,
    demo: DemoSession,
    cookie: CookieName,
    /// What each user may ask, on all their devices together.
    commands: KeyedBuckets<(RealmId, UserId)>,
    typing: KeyedBuckets<(RealmId, UserId)>,
}

/// A call, by its path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Call {
    /// `/api/v4/users/{id|me}/status`
    Status(String),
    /// `/api/v4/users/status/ids`
    Statuses,
    /// `/api/v4/users/{id|me}/typing`
    Typing(String),
    /// `/demo/session.json`
    Session,
    /// `/demo/posts`
    Posts,
}

impl Call {
    /// The twin at `path`.
    pub(super) fn twin(path: &str) -> Option<Self> {
        let rest = path.strip_prefix("/api/v4/users/")?;
        match rest.split_once('/')? {
            ("status", "ids") => Some(Self::Statuses),
            (id, "status") if !id.is_empty() => Some(Self::Status(id.to_owned())),
            (id, "typing") if !id.is_empty() => Some(Self::Typing(id.to_owned())),
            _ => None,
        }
    }

    /// The call of the pages at `path`.
    pub(super) fn of_pages(path: &str) -> Option<Self> {
        match path {
            "/demo/session.json" => Some(Self::Session),
            "/demo/posts" => Some(Self::Posts),
            _ => None,
        }
    }

    /// The route in the metrics.
    fn label(&self) -> &'static str {
        match self {
            Self::Status(_) => "/api/v4/users/{id}/status",
            Self::Statuses => "/api/v4/users/status/ids",
            Self::Typing(_) => "/api/v4/users/{id}/typing",
            Self::Session => "/demo/{file}",
            Self::Posts => "/demo/posts",
        }
    }

    /// The methods that it takes.
    fn methods(&self) -> &'static str {
        match self {
            Self::Status(_) => "GET, HEAD, PUT",
            Self::Statuses | Self::Typing(_) | Self::Posts => "POST",
            Self::Session => "GET, HEAD",
        }
    }
}

impl Rest {
    /// Puts the parts together.
    #[must_use]
    pub fn new(parts: RestParts) -> Self {
        let RestParts { doorkeeper, context, demo } = parts;
        let limits = context.limits();
        let commands = KeyedBuckets::new(commands(&limits), USERS_MAX);
        let typing = KeyedBuckets::new(typing::rate(&limits), USERS_MAX);
        let cookie = CookieName::new(&context.config.auth.cookie);
        Self { doorkeeper, context, demo, cookie, commands, typing }
    }

    /// The same, with a cookie name that a reload changes.
    pub(super) fn with_cookie(self, cookie: CookieName) -> Self {
        Self { cookie, ..self }
    }

    fn node(&self) -> &Node {
        &self.context.node
    }

    /// Answers `request`, which `call` was found for.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future leaves it open whether the call was done.
    pub(super) async fn answer(
        &self,
        call: Call,
        request: Request<Incoming>,
        peer: Peer,
    ) -> Answer {
        let label = call.label();
        let response = match self.run(call, request, peer).await {
            Ok(body) => json(StatusCode::OK, body),
            Err(fault) => {
                if let Some((stage, reason)) = fault.counted() {
                    self.node().metrics().rejected(stage, reason);
                }
                fault.response(label)
            }
        };
        Answer::new(label, response)
    }

    async fn run(
        &self,
        call: Call,
        request: Request<Incoming>,
        peer: Peer,
    ) -> Result<String, Fault> {
        let method = request.method();
        if !call.methods().split(", ").any(|known| known == method.as_str()) {
            return Err(Fault::Method(call.methods()));
        }
        let reads = matches!(*method, Method::GET | Method::HEAD);
        if call == Call::Session {
            return Ok(self.demo.text());
        }
        let caller = self.caller(request.headers(), peer, reads).await?;
        match call {
            Call::Status(id) if reads => self.status(&caller, &user(&id, &caller)?).await,
            Call::Status(id) => {
                check_own(&id, &caller)?;
                let text = body::read(request).await?;
                self.choose(&caller, &text).await
            }
            Call::Statuses => {
                let text = body::read(request).await?;
                self.statuses(&caller, &text).await
            }
            Call::Typing(id) => {
                check_own(&id, &caller)?;
                let text = body::read(request).await?;
                self.type_in(&caller, &text).await
            }
            Call::Posts => {
                let text = body::read(request).await?;
                self.post(&caller, &text).await
            }
            Call::Session => Ok(self.demo.text()),
        }
    }

    /// Who calls. Takes one command from what the user may ask.
    async fn caller(&self, headers: &HeaderMap, peer: Peer, reads: bool) -> Result<Caller, Fault> {
        let config = &self.context.config;
        let lines = headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes()));
        let token = token_from_headers(lines, &self.cookie.get());
        let client = limited_client(headers, peer, config);
        let credentials = Credentials { token: token.map(|found| found.token), client };
        let caller = self.doorkeeper.identify_caller(credentials).await;
        let caller = caller.map_err(Fault::Denied)?;
        if !reads && token.is_some_and(|found| found.from_cookie) && !is_intended(headers) {
            return Err(Fault::Csrf);
        }
        self.commands.set_rate(commands(&self.context.limits()));
        self.commands.take(key(&caller.identity), 1.0).map_err(Fault::TooFast)?;
        Ok(caller)
    }
}

fn commands(limits: &Limits) -> Rate {
    Rate { per_second: limits.commands_per_second, burst: f64::from(limits.commands_burst) }
}

/// Whose bucket it is.
fn key(identity: &Identity) -> (RealmId, UserId) {
    (identity.realm.clone(), identity.user.clone())
}

/// The address that failed logins are counted for.
fn limited_client(headers: &HeaderMap, peer: Peer, config: &Config) -> Option<IpAddr> {
    let proxies = &config.public.trusted_proxies;
    let client = peer.client(headers, proxies);
    (!is_trusted(client, proxies)).then_some(client)
}

/// True when the user's own page made the request: a browser adds a cookie to what any
/// site makes it send, but lets no other site set this header or this origin.
fn is_intended(headers: &HeaderMap) -> bool {
    let requested = headers.get(REQUESTED_WITH).and_then(|value| value.to_str().ok());
    let is_script = requested.is_some_and(|with| with.eq_ignore_ascii_case("XMLHttpRequest"));
    is_script || (headers.contains_key(header::ORIGIN) && host::is_same_origin(headers))
}

/// The user whom `{id}` of a path names.
fn user(id: &str, caller: &Caller) -> Result<UserId, Fault> {
    if id == "me" {
        return Ok(caller.identity.user.clone());
    }
    Id::parse(id).map_err(|_malformed| Fault::UrlParam("user_id"))
}

/// Refuses a path that names somebody else.
fn check_own(id: &str, caller: &Caller) -> Result<(), Fault> {
    if user(id, caller)? == caller.identity.user { Ok(()) } else { Err(Fault::NotYours) }
}
