//! Answers of scripts, read strictly.
//!
//! Invariants: an answer of another shape is an error, never a default.

use bytes::Bytes;
use redis::Value;

use crate::{
    log::frame::{self, generation, tag},
    model::{Generation, Position, Tag},
    redis_client::RedisError,
};

/// One answer, or a part of it.
#[derive(Debug, Clone)]
pub(super) struct Reply(Value);

/// The error for an answer of another shape.
pub(super) fn unexpected(expected: &'static str) -> RedisError {
    RedisError::Unexpected { expected }
}

impl Reply {
    pub(super) fn new(value: Value) -> Self {
        Self(value)
    }

    /// The first word of an answer.
    pub(super) fn word(&self) -> Option<&str> {
        self.parts()?.first().and_then(as_text)
    }

    /// The parts of a list.
    pub(super) fn parts(&self) -> Option<&[Value]> {
        if let Value::Array(parts) = &self.0 { Some(parts) } else { None }
    }

    /// Part `index` of a list.
    pub(super) fn part(&self, index: usize) -> Option<Self> {
        self.parts()?.get(index).cloned().map(Self)
    }

    /// Part `index` of a list, as text.
    pub(super) fn text(&self, index: usize) -> Option<&str> {
        as_text(self.parts()?.get(index)?)
    }

    /// Part `index` of a list, as a number.
    pub(super) fn number(&self, index: usize) -> Option<u64> {
        frame::number(self.text(index)?).ok()
    }

    /// Part `index` of a list, when a script answered a number there.
    pub(super) fn integer(&self, index: usize) -> Option<u64> {
        let Value::Int(number) = self.parts()?.get(index)? else { return None };
        u64::try_from(*number).ok()
    }

    /// Part `index` of a list, as a tag.
    pub(super) fn tag(&self, index: usize) -> Option<Tag> {
        tag(self.text(index)?).ok()
    }

    /// Part `index` of a list, as a generation.
    pub(super) fn generation(&self, index: usize) -> Option<Generation> {
        generation(self.text(index)?).ok()
    }

    /// Three parts from `index` on: generation, offset, tag.
    pub(super) fn position(&self, index: usize) -> Option<Position> {
        Some(Position {
            generation: self.generation(index)?,
            offset: self.number(index + 1)?,
            tag: self.tag(index + 2)?,
        })
    }

    /// A flat list of names and values.
    pub(super) fn pairs(&self) -> Option<Vec<(&str, &str)>> {
        if let Value::Map(pairs) = &self.0 {
            return pairs.iter().map(|(name, value)| as_both(name, value)).collect();
        }
        self.parts()?.chunks(2).map(as_pair).collect()
    }
}

fn as_pair(two: &[Value]) -> Option<(&str, &str)> {
    let [name, value] = two else { return None };
    as_both(name, value)
}

fn as_both<'a>(name: &'a Value, value: &'a Value) -> Option<(&'a str, &'a str)> {
    Some((as_text(name)?, as_text(value)?))
}

/// The text in a value.
pub(super) fn as_text(value: &Value) -> Option<&str> {
    if let Value::BulkString(bytes) = value {
        return std::str::from_utf8(bytes).ok();
    }
    if let Value::SimpleString(text) = value { Some(text) } else { None }
}

/// The bytes in a value.
pub(super) fn as_bytes(value: Value) -> Option<Bytes> {
    if let Value::BulkString(bytes) = value { Some(Bytes::from(bytes)) } else { None }
}
