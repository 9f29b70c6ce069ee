//! What can be wrong with a configuration.
//!
//! Invariants: an error names its key and where the value came from, and never
//! shows a secret; all errors of one load are reported together.

use std::{fmt, path::Path};

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError {
    /// The key, such as `public.listen`; for a broken file, its path.
    pub key: String,
    /// Where the value came from, such as `environment HUBBUB_PUBLIC__LISTEN`;
    /// empty when the value is missing.
    pub origin: String,
    /// What is wrong with it.
    pub problem: Problem,
}

impl ConfigError {
    /// An error about a value from `origin`.
    pub(super) fn new(key: impl Into<String>, origin: impl fmt::Display, problem: Problem) -> Self {
        Self { key: key.into(), origin: origin.to_string(), problem }
    }

    /// An error about how values fit together.
    pub(super) fn rule(key: &str, text: impl Into<String>) -> Self {
        Self::new(key, "", Problem::Refused(text.into()))
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.origin.is_empty() {
            write!(formatter, "{}: {}", self.key, self.problem)
        } else {
            write!(formatter, "{}: {} ({})", self.key, self.problem, self.origin)
        }
    }
}

/// What is wrong with a value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// No such key.
    #[error("unknown key{}", similar.map_or_else(String::new, |key| format!("; did you mean `{key}`?")))]
    Unknown {
        /// A key that looks like it.
        similar: Option<&'static str>,
    },
    /// A text instead of a number, or alike.
    #[error("must be {0}")]
    WrongType(&'static str),
    /// A bare number where the unit decides.
    #[error("needs a unit, such as `{0}`")]
    UnitMissing(&'static str),
    /// Too small or too big.
    #[error("must be from {min} to {max}")]
    OutOfRange {
        /// The smallest value.
        min: String,
        /// The biggest value.
        max: String,
    },
    /// None of the words that exist.
    #[error("must be one of {0}")]
    NoSuchChoice(String),
    /// Two values in one place.
    #[error("is set twice")]
    Duplicate,
    /// A file that cannot be read.
    #[error("cannot read {path}: {reason}")]
    Unreadable {
        /// Its path.
        path: String,
        /// What the operating system says.
        reason: String,
    },
    /// Not TOML.
    #[error("line {line}: {reason}")]
    Syntax {
        /// Counted from 1.
        line: usize,
        /// What the parser says.
        reason: String,
    },
    /// Well formed, but not allowed.
    #[error("{0}")]
    Refused(String),
}

impl Problem {
    /// `path` cannot be read.
    pub(super) fn unreadable(path: &Path, error: &std::io::Error) -> Self {
        Self::Unreadable { path: path.display().to_string(), reason: error.to_string() }
    }
}

/// Everything that is wrong with a configuration; never empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigErrors(pub Vec<ConfigError>);

impl fmt::Display for ConfigErrors {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, error) in self.0.iter().enumerate() {
            let separator = if index == 0 { "" } else { "\n" };
            write!(formatter, "{separator}{error}")?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigErrors {}
