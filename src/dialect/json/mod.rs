//! The gate that a client's JSON passes before anything reads it.
//!
//! One walk over the text, without building a tree, refuses what parsers
//! disagree about or what costs more than it is worth.
//!
//! Invariants:
//! - what passes is exactly one JSON value, with bounded depth, elements and strings;
//! - no object in it names a key twice, at any level;
//! - the walk recurses at most [`JsonLimits::depth`] levels and keeps nothing but
//!   the keys of the objects that are open.
//!
//! Not here: what a message means (`mattermost`, `room`).

mod gate;
mod text;

#[cfg(test)]
mod tests;

use serde::Deserialize;

use crate::model::CloseCode;

pub use text::{push_string, shown};

/// What one JSON text may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct JsonLimits {
    /// Nesting: a number alone has depth 0, `[]` has depth 1.
    pub depth: usize,
    /// Elements of one array, or members of one object.
    pub elements: usize,
    /// Bytes of one string or key, after unescaping.
    pub string_bytes: usize,
}

impl Default for JsonLimits {
    /// The values of the default configuration.
    fn default() -> Self {
        Self { depth: 32, elements: 256, string_bytes: 32 * 1024 }
    }
}

/// Why a text is refused. Always the sender's fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum JsonError {
    /// It is not one JSON value, or a number in it has no finite value.
    #[error("message is not one JSON value")]
    Syntax,
    /// It is nested too deeply.
    #[error("JSON is nested too deeply")]
    Depth,
    /// An array or object has too many elements.
    #[error("JSON array or object has too many elements")]
    Elements,
    /// A string is too long.
    #[error("JSON string is too long")]
    StringBytes,
    /// An object names a key twice.
    #[error("JSON object names a key twice")]
    DuplicateKey,
    /// It is JSON, but not in the shape of a message.
    #[error("JSON has not the shape of a message")]
    Shape,
}

impl JsonError {
    /// All values, for documents and tests.
    pub const ALL: [Self; 6] = [
        Self::Syntax,
        Self::Depth,
        Self::Elements,
        Self::StringBytes,
        Self::DuplicateKey,
        Self::Shape,
    ];

    /// The reason in metrics.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Syntax => "json",
            Self::Depth => "depth",
            Self::Elements => "elements",
            Self::StringBytes => "string_bytes",
            Self::DuplicateKey => "duplicate_key",
            Self::Shape => "shape",
        }
    }

    /// How the socket that sent it ends.
    #[must_use]
    pub fn close(self) -> CloseCode {
        CloseCode::InvalidData
    }
}

/// Checks that `text` is one JSON value inside `limits`, with white space around it at most.
///
/// # Errors
///
/// The first rule that `text` breaks, in the order of its bytes. Never
/// [`JsonError::Shape`].
pub fn check(text: &str, limits: &JsonLimits) -> Result<(), JsonError> {
    gate::walk(text, limits)
}

/// Checks `text`, then reads it as a `T`, which may borrow from it.
///
/// # Errors
///
/// As [`check`], and [`JsonError::Shape`] when the value is no `T`.
pub fn parse<'text, T: Deserialize<'text>>(
    text: &'text str,
    limits: &JsonLimits,
) -> Result<T, JsonError> {
    check(text, limits)?;
    serde_json::from_str(text).map_err(|_| JsonError::Shape)
}

/// As [`parse`], for a `T` with named members. A list is refused, from which a derived
/// `T` would take its members in order.
///
/// # Errors
///
/// As [`parse`].
pub fn parse_object<'text, T: Deserialize<'text>>(
    text: &'text str,
    limits: &JsonLimits,
) -> Result<T, JsonError> {
    check(text, limits)?;
    if !text.trim_start().starts_with('{') {
        return Err(JsonError::Shape);
    }
    serde_json::from_str(text).map_err(|_| JsonError::Shape)
}
