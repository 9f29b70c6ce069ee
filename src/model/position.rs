//! A place in a realm's log.
//!
//! Invariants: inside one generation, offsets are dense and start at 1; the
//! triple (generation, offset, tag) names one record for ever.

use std::{fmt, sync::Arc};

/// One life of a realm's log. It changes when the log may have lost records.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Generation(Arc<str>);

impl Generation {
    /// A generation from its text, `<counter>.<nonce>`.
    #[must_use]
    pub fn new(text: &str) -> Self {
        Self(Arc::from(text))
    }

    /// The text of this generation.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Generation {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// A random mark of one record. Two records with one offset differ in it, so a
/// log that lost writes and went on is noticed.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Tag(pub u64);

impl fmt::Display for Tag {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:016x}", self.0)
    }
}

impl fmt::Debug for Tag {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:016x}", self.0)
    }
}

/// A place in a log. Offset 0 with the zero tag is the place before any record.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Position {
    /// The life of the log.
    pub generation: Generation,
    /// Counts the records of the realm from 1.
    pub offset: u64,
    /// The record's random mark.
    pub tag: Tag,
}
