//! The seam between HTTP and connected clients: what a request to open a socket
//! says, and what is decided about it.
//!
//! Invariants: what is handed over was checked by RFC 6455, its origin is allowed,
//! and its query has one reading; a refused request opens nothing.
//!
//! Not here: authentication, limits and resume (`session`), RFC 6455 (`ws`).

use std::{future::Future, net::IpAddr, time::Duration};

use hyper::{
    HeaderMap,
    header::{self, HeaderName},
};

use super::answer::Run;
use crate::model::{ConnectionId, Id};

#[cfg(test)]
mod tests;

/// Most parameters of a query.
const PARAMETERS_MAX: usize = 64;
/// The largest number that a client may expect next.
const NEXT_MAX: u64 = i64::MAX.cast_unsigned();

/// Where a socket is opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SocketRoute {
    /// `/api/v4/websocket`
    Mattermost,
    /// `/ws` (no name) and `/ws/room/{name}`
    Room(Option<Id>),
    /// `/echo`
    Echo,
}

/// A request to open a socket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upgrade {
    /// Where.
    pub route: SocketRoute,
    /// The subprotocol that the 101 will name.
    pub protocol: Option<&'static str>,
    /// What the query says.
    pub query: SocketQuery,
    /// The token that the request carries.
    pub token: Option<BearerToken>,
    /// The client's address, as limits count it.
    pub client: IpAddr,
    /// False for a trusted proxy that speaks for itself.
    pub is_limited: bool,
}

/// The query of a request to open a socket.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SocketQuery {
    /// Which connection to go on with, and the next number that is expected.
    pub resume: Option<(ConnectionId, u64)>,
    /// Mattermost: mark `posted` events so that the client acknowledges them.
    pub posted_ack: bool,
    /// Rooms: the name that a guest wants to be shown by.
    pub name: Option<String>,
    /// Mattermost: why the client's socket before this one ended.
    pub disconnect_code: Option<u16>,
}

/// A token and where it was found.
#[derive(Clone, PartialEq, Eq)]
pub struct BearerToken {
    /// The token as sent, not yet verified.
    pub text: String,
    /// True when a cookie carried it, which a browser adds by itself.
    pub from_cookie: bool,
}

impl std::fmt::Debug for BearerToken {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("BearerToken").field("from_cookie", &self.from_cookie).finish()
    }
}

/// What is decided about an [`Upgrade`].
pub enum Verdict {
    /// The 101 is sent, and this runs on the connection.
    Open(Run),
    /// An HTTP answer is sent.
    Refuse(Denial),
}

impl std::fmt::Debug for Verdict {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Open(_) => formatter.write_str("Open"),
            Self::Refuse(denial) => denial.fmt(formatter),
        }
    }
}

/// Why no socket is opened. Whoever denies counts it in `rejections_total`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Denial {
    /// 401, 403, 429 or 503.
    pub status: u16,
    /// What the answer says.
    pub text: &'static str,
    /// When to try again.
    pub retry_after: Option<Duration>,
}

/// Decides about requests to open sockets, and runs what was opened.
pub trait UpgradeHandler: Send + Sync + 'static {
    /// Decides about `upgrade`. Holds what limits count until the socket ends.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future must open nothing.
    fn accept(&self, upgrade: Upgrade) -> impl Future<Output = Verdict> + Send;
}

/// The query breaks a rule. The client's fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct QueryError(pub(super) &'static str);

impl SocketQuery {
    /// Reads the text behind `?`.
    ///
    /// A client that opens its first socket may send `connection_id=` without a
    /// value. Unknown parameters are ignored, as proxies add their own.
    ///
    /// # Errors
    ///
    /// [`QueryError`] when a parameter comes twice, when there are too many, or when
    /// `connection_id` or `sequence_number` is malformed.
    pub fn parse(text: &str) -> Result<Self, QueryError> {
        let mut seen: Vec<(&str, &str)> = Vec::new();
        for pair in text.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            if seen.len() >= PARAMETERS_MAX {
                return Err(QueryError("the query has too many parameters"));
            }
            if seen.iter().any(|(other, _)| *other == name) {
                return Err(QueryError("a parameter comes twice"));
            }
            seen.push((name, value));
        }
        let value = |name| seen.iter().find(|(other, _)| *other == name).map(|(_, value)| *value);
        let next = match value("sequence_number") {
            None | Some("") => None,
            Some(digits) => Some(number(digits)?),
        };
        let resume = match (value("connection_id"), next) {
            (None | Some(""), _) => None,
            (Some(_), None) => return Err(QueryError("sequence_number is missing")),
            (Some(text), Some(next)) => {
                let malformed = QueryError("connection_id is malformed");
                Some((ConnectionId::parse(text).map_err(|_| malformed)?, next))
            }
        };
        let code = value("disconnect_err_code").and_then(|code| code.parse().ok());
        let known = |code: &u16| (1000..=1016).contains(code) || [4000, 4001].contains(code);
        Ok(Self {
            resume,
            name: value("name").filter(|name| !name.is_empty()).map(str::to_owned),
            posted_ack: value("posted_ack") == Some("true"),
            disconnect_code: code.filter(known),
        })
    }
}

fn number(digits: &str) -> Result<u64, QueryError> {
    let plain = digits.bytes().all(|byte| byte.is_ascii_digit());
    let number = digits.parse().ok().filter(|number| plain && *number <= NEXT_MAX);
    number.ok_or(QueryError("sequence_number is not a number from 0"))
}

impl BearerToken {
    /// The token of a request: of the cookie `cookie` (empty: no cookie counts), else
    /// of `Authorization: Bearer`, else of `Authorization: Token`.
    #[must_use]
    pub fn find(headers: &HeaderMap, cookie: &str) -> Option<Self> {
        let lines = |name: HeaderName| {
            headers.get_all(name).into_iter().filter_map(|value| value.to_str().ok())
        };
        let cookies = lines(header::COOKIE).flat_map(|line| line.split(';'));
        let baked = cookies
            .filter_map(|pair| pair.trim().split_once('='))
            .find(|(name, value)| !cookie.is_empty() && *name == cookie && !value.is_empty())
            .map(|(_, value)| Self { text: value.trim_matches('"').to_owned(), from_cookie: true });
        let scheme = |wanted: &str| {
            lines(header::AUTHORIZATION)
                .filter_map(|line| line.trim().split_once(' '))
                .find(|(scheme, _)| scheme.eq_ignore_ascii_case(wanted))
                .map(|(_, token)| Self { text: token.trim().to_owned(), from_cookie: false })
        };
        baked.or_else(|| scheme("bearer")).or_else(|| scheme("token"))
    }
}
