//! What the words of a server mean, and how its values are read.
//!
//! Invariants: one table decides; a word that it lacks is refused for good, as a bug.

use redis::Value;

use super::error::{Blame, RedisError};

/// What to do about an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reaction {
    /// Another server is in charge, or this connection is no good: ask who is in
    /// charge, connect anew, repeat.
    Resolve,
    /// The same server will do it soon: repeat after a moment.
    Wait,
    /// The server does not know the script: send its text.
    SendText,
    /// Give up for now; whoever asked may repeat.
    Later,
    /// Give up: repeating does not help.
    Never,
}

/// One row of [`REPLIES`].
#[derive(Debug, Clone, Copy)]
pub struct Meaning {
    /// The first word of the answer.
    pub code: &'static str,
    /// A part of the rest that the row is for; empty: any rest.
    pub text: &'static str,
    /// What to do about it.
    pub reaction: Reaction,
    /// Whose fault it is.
    pub blame: Blame,
    /// True when a part of a script may have been carried out.
    pub may_be_applied: bool,
}

const fn row(code: &'static str, reaction: Reaction, blame: Blame) -> Meaning {
    Meaning { code, text: "", reaction, blame, may_be_applied: false }
}

/// What a script says that was refused a right: Redis 7.0, and what came later.
const FORBIDDEN_IN_SCRIPT: [&str; 2] =
    ["The user executing the script can't", "ACL failure in script"];

const fn forbidden_in_script(text: &'static str) -> Meaning {
    let (reaction, blame) = (Reaction::Never, Blame::Operator);
    Meaning { code: "ERR", text, reaction, blame, may_be_applied: true }
}

/// Every refusal that is expected from a server.
pub const REPLIES: &[Meaning] = &[
    // Another server is in charge, or will be.
    row("READONLY", Reaction::Resolve, Blame::Transient),
    row("MOVED", Reaction::Resolve, Blame::Transient),
    row("CLUSTERDOWN", Reaction::Resolve, Blame::Transient),
    row("MASTERDOWN", Reaction::Resolve, Blame::Transient),
    row("LOADING", Reaction::Resolve, Blame::Transient),
    row("UNBLOCKED", Reaction::Resolve, Blame::Transient),
    // The login ended; the operator may be changing the password.
    row("NOAUTH", Reaction::Resolve, Blame::Operator),
    row("WRONGPASS", Reaction::Resolve, Blame::Operator),
    row("NOPROTO", Reaction::Resolve, Blame::Operator),
    // A slot is on its way. Following `ASK` would run a script where only some of its
    // keys are, so that it would take the others for deleted.
    row("ASK", Reaction::Wait, Blame::Transient),
    row("TRYAGAIN", Reaction::Wait, Blame::Transient),
    Meaning {
        code: "ERR",
        text: "non local key",
        reaction: Reaction::Wait,
        blame: Blame::Transient,
        may_be_applied: true,
    },
    row("NOSCRIPT", Reaction::SendText, Blame::Transient),
    // The server can't right now.
    row("BUSY", Reaction::Later, Blame::Transient),
    row("MISCONF", Reaction::Later, Blame::Operator),
    row("OOM", Reaction::Later, Blame::Operator),
    row("NOREPLICAS", Reaction::Later, Blame::Transient),
    Meaning {
        code: "ERR",
        text: "max number of clients",
        reaction: Reaction::Later,
        blame: Blame::Operator,
        may_be_applied: false,
    },
    row("NOPERM", Reaction::Never, Blame::Operator),
    forbidden_in_script(FORBIDDEN_IN_SCRIPT[0]),
    forbidden_in_script(FORBIDDEN_IN_SCRIPT[1]),
    row("EXECABORT", Reaction::Never, Blame::Bug),
    row("CROSSSLOT", Reaction::Never, Blame::Bug),
    Meaning {
        code: "WRONGTYPE",
        text: "",
        reaction: Reaction::Never,
        blame: Blame::Operator,
        may_be_applied: true,
    },
];

/// A word that the table lacks: most of all `ERR`, by a script that failed.
const OTHER: Meaning = Meaning {
    code: "",
    text: "",
    reaction: Reaction::Never,
    blame: Blame::Bug,
    may_be_applied: true,
};

/// The row for an answer.
pub(super) fn meaning(code: &str, message: &str) -> Meaning {
    let fits = |row: &&Meaning| row.code == code && message.contains(row.text);
    REPLIES.iter().find(fits).copied().unwrap_or(OTHER)
}

/// Whether an answer says that the user lacks a right.
pub(super) fn is_forbidden(code: &str, message: &str) -> bool {
    let in_script = || FORBIDDEN_IN_SCRIPT.iter().any(|text| message.contains(text));
    code == "NOPERM" || code == "ERR" && in_script()
}

/// The answer, unless it is a refusal.
pub(super) fn accepted(answer: Value) -> Result<Value, RedisError> {
    if let Value::ServerError(error) = &answer {
        return Err(RedisError::refused(error));
    }
    Ok(answer)
}

/// The text in `value`, whatever kind of text it is.
pub(super) fn text(value: &Value) -> Option<&str> {
    if let Value::BulkString(bytes) = value {
        return std::str::from_utf8(bytes).ok();
    }
    if let Value::SimpleString(text) | Value::VerbatimString { text, .. } = value {
        return Some(text);
    }
    None
}

/// The parts of a list, or nothing.
pub(super) fn list(value: &Value) -> &[Value] {
    value.as_sequence().unwrap_or_default()
}

/// The value beside `name` in a map, or in a list of names and values.
pub(super) fn field<'a>(value: &'a Value, name: &str) -> Option<&'a Value> {
    let mut pairs = value.as_map_iter()?;
    pairs.find_map(|(key, value)| (text(key) == Some(name)).then_some(value))
}

/// The number in `value`.
pub(super) fn number(value: &Value) -> Option<i64> {
    if let Value::Int(number) = value { Some(*number) } else { text(value)?.parse().ok() }
}
