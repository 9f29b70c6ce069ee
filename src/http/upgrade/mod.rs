//! The seam between HTTP and connected clients: the query of a request to open a
//! socket, and who decides about it.
//!
//! Invariants: a query has one reading, or is refused.
//!
//! Not here: authentication, limits and resume (`session`), RFC 6455 (`ws`).

use std::future::Future;

use crate::{
    model::ConnectionId,
    node::Resume,
    session::{Denial, Doorkeeper, Knock, Run},
};

#[cfg(test)]
mod tests;

/// Most parameters of a query.
const PARAMETERS_MAX: usize = 64;
/// The largest number that a client may expect next.
const NEXT_MAX: u64 = i64::MAX.cast_unsigned();

/// The query of a request to open a socket.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct SocketQuery {
    /// Which connection to go on with, and the next number that is expected.
    pub(super) resume: Option<Resume>,
    /// The name that a guest of a room wants to be shown by.
    pub(super) guest_name: Option<String>,
}

/// Decides about requests to open sockets, and runs what was opened.
pub trait UpgradeHandler: Send + Sync + 'static {
    /// Decides about `knock`: what to run after the 101, or what to answer.
    ///
    /// # Errors
    ///
    /// [`Denial`] is the answer, and has been counted.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future must open nothing.
    fn accept(&self, knock: Knock) -> impl Future<Output = Result<Run, Denial>> + Send;
}

impl UpgradeHandler for Doorkeeper {
    async fn accept(&self, knock: Knock) -> Result<Run, Denial> {
        self.accept(knock).await
    }
}

/// The query breaks a rule. The client's fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(super) struct QueryError(pub(super) &'static str);

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
    pub(super) fn parse(text: &str) -> Result<Self, QueryError> {
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
                let connection = ConnectionId::parse(text).map_err(|_| malformed)?;
                Some(Resume { connection, next })
            }
        };
        let guest_name = value("name").map(decoded).transpose()?;
        Ok(Self { resume, guest_name })
    }
}

/// The text that `value` encodes (application/x-www-form-urlencoded).
fn decoded(value: &str) -> Result<String, QueryError> {
    let malformed = QueryError("name is malformed");
    let mut bytes = Vec::with_capacity(value.len());
    let mut rest = value.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => {
                let digit = |byte: Option<u8>| char::from(byte?).to_digit(16);
                let (Some(high), Some(low)) = (digit(rest.next()), digit(rest.next())) else {
                    return Err(malformed);
                };
                u8::try_from(high << 4 | low).map_err(|_| malformed)?
            }
            other => other,
        });
    }
    String::from_utf8(bytes).map_err(|_| malformed)
}

fn number(digits: &str) -> Result<u64, QueryError> {
    let plain = digits.bytes().all(|byte| byte.is_ascii_digit());
    let number = digits.parse().ok().filter(|number| plain && *number <= NEXT_MAX);
    number.ok_or(QueryError("sequence_number is not a number from 0"))
}
