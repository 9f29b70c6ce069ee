//! Names of things: users, realms, sessions, channels, connections.
//!
//! Invariants: an [`Id`] is safe inside key names, log lines and JSON without
//! escaping; a [`ConnectionId`] is 26 bytes that Mattermost's clients accept.

use std::{borrow::Borrow, fmt, sync::Arc};

/// Longest [`Id`] in bytes.
const ID_BYTES_MAX: usize = 64;

/// Length of a [`ConnectionId`] in bytes.
const CONNECTION_ID_BYTES: usize = 26;

/// The alphabet of the ids that this server makes: 32 symbols, so that 26 of
/// them carry 130 bits. It is a subset of what Mattermost's clients accept.
const ALPHABET: &[u8; 32] = b"ybndrfg8ejkmcpqxot1uwisza345h769";

/// A validated identifier: `^[A-Za-z0-9_.@-]{1,64}$`. Cloning shares the text.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Id(Arc<str>);

/// The tenant that owns a log.
pub type RealmId = Id;
/// A user inside a realm.
pub type UserId = Id;
/// A login session of a user (`sid` of the token).
pub type SessionId = Id;

/// Why a text is not an identifier. The sender's fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum IdError {
    /// It has no characters.
    #[error("id is empty")]
    Empty,
    /// It is longer than 64 bytes.
    #[error("id is longer than 64 bytes")]
    TooLong,
    /// It has a character outside `A-Z a-z 0-9 _ . @ -`.
    #[error("id has a character outside A-Z a-z 0-9 _ . @ -")]
    Character,
    /// A connection id must be 26 lower-case letters and digits.
    #[error("connection id is not 26 lower-case letters and digits")]
    ConnectionShape,
}

impl Id {
    /// Parses `text`.
    ///
    /// # Errors
    ///
    /// [`IdError`] names the first rule that `text` breaks.
    pub fn parse(text: &str) -> Result<Self, IdError> {
        if text.is_empty() {
            return Err(IdError::Empty);
        }
        if text.len() > ID_BYTES_MAX {
            return Err(IdError::TooLong);
        }
        let fine = |byte: u8| byte.is_ascii_alphanumeric() || b"_.@-".contains(&byte);
        if !text.bytes().all(fine) {
            return Err(IdError::Character);
        }
        Ok(Self(Arc::from(text)))
    }

    /// The text of this id.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Id {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl fmt::Debug for Id {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl Borrow<str> for Id {
    fn borrow(&self) -> &str {
        &self.0
    }
}

/// The name of one connection: it survives its sockets and its node.
///
/// Made only by the server, from 130 random bits, so it can't be guessed.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ConnectionId([u8; CONNECTION_ID_BYTES]);

impl ConnectionId {
    /// Makes an id from random bytes. One byte gives one symbol of 5 bits.
    #[must_use]
    pub fn from_random(bytes: [u8; CONNECTION_ID_BYTES]) -> Self {
        let symbol = |byte: u8| ALPHABET.get(usize::from(byte & 31)).copied().unwrap_or(b'y');
        Self(bytes.map(symbol))
    }

    /// Parses an id that a client sent. A well-formed id may still be unknown.
    ///
    /// # Errors
    ///
    /// [`IdError::ConnectionShape`] when `text` is not 26 lower-case letters and digits.
    pub fn parse(text: &str) -> Result<Self, IdError> {
        let bytes = <[u8; CONNECTION_ID_BYTES]>::try_from(text.as_bytes())
            .map_err(|_| IdError::ConnectionShape)?;
        let fine = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
        if bytes.iter().all(fine) { Ok(Self(bytes)) } else { Err(IdError::ConnectionShape) }
    }

    /// The text of this id.
    #[must_use]
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl fmt::Display for ConnectionId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

impl fmt::Debug for ConnectionId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}
