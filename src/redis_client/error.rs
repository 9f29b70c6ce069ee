//! Why Redis did not do what it was asked for.
//!
//! Invariants: every error tells whether the request may have been carried out; no
//! text shows a password.
//!
//! Not here: what each word of a server means (`reply`).

use super::reply::{self, Reaction};

/// The reason of an answer that did not come in time.
const LATE: &str = "no answer in time";

/// The reason of a server that said what it is.
const NO_PRIMARY: &str = "the server is no primary";

/// Whose fault an error is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Blame {
    /// Who runs Redis or this node must change something.
    Operator,
    /// Time heals it: repeat later.
    Transient,
    /// A defect of this program.
    Bug,
}

/// Why Redis did not answer as expected.
///
/// `Display` prints this level only; walk `source()` for the cause.
#[derive(Debug, thiserror::Error)]
pub enum RedisError {
    /// The settings can't be used. The operator's fault; nothing was sent.
    #[error("redis.{key}: {reason}")]
    Settings {
        /// The key below `redis.`.
        key: &'static str,
        /// What is wrong with it, without secrets.
        reason: String,
    },
    /// No connection to the server in charge. Nothing was carried out.
    #[error("redis is unavailable: {reason}")]
    Unavailable {
        /// What failed.
        reason: &'static str,
        /// What the library or the server said.
        #[source]
        source: Option<Box<dyn std::error::Error + Send + Sync>>,
    },
    /// The request was sent and not answered: it may have been carried out, or may
    /// still be.
    #[error("redis may have done it: {reason}")]
    Indeterminate {
        /// What failed.
        reason: &'static str,
        /// What the library said.
        #[source]
        source: Option<Box<dyn std::error::Error + Send + Sync>>,
    },
    /// Every pooled connection is in use. Nothing was sent.
    #[error("every connection to redis is in use")]
    Busy,
    /// The server refused. Nothing was carried out, unless a script stopped half-way
    /// by its own fault.
    #[error("redis refused: {code} {message}")]
    Server {
        /// The word that the answer begins with, such as `OOM`.
        code: String,
        /// The rest of it.
        message: String,
    },
    /// The answer has another shape than expected. A bug, here or there; the request
    /// was carried out.
    #[error("redis answered something else than {expected}")]
    Unexpected {
        /// What was expected.
        expected: &'static str,
    },
}

impl RedisError {
    pub(super) fn settings(key: &'static str, reason: impl Into<String>) -> Self {
        Self::Settings { key, reason: reason.into() }
    }

    pub(super) fn unavailable(reason: &'static str) -> Self {
        Self::Unavailable { reason, source: None }
    }

    /// What `error` of the library means before anything was sent.
    pub(super) fn unsent(reason: &'static str, error: redis::RedisError) -> Self {
        Self::Unavailable { reason, source: Some(Box::new(error)) }
    }

    /// What `error` of the library means once the request was handed to it.
    pub(super) fn sent(error: redis::RedisError) -> Self {
        match redis::ServerError::try_from(error) {
            Ok(error) => Self::refused(&error),
            Err(error) => {
                let late = error.is_timeout();
                let reason = if late { LATE } else { "the connection broke" };
                Self::Indeterminate { reason, source: Some(Box::new(error)) }
            }
        }
    }

    /// The answer did not come in time.
    pub(super) fn late() -> Self {
        Self::Indeterminate { reason: LATE, source: None }
    }

    /// True when the wait for the answer ended.
    pub(super) fn is_timeout(&self) -> bool {
        matches!(self, Self::Indeterminate { reason: LATE, .. })
    }

    /// The server says that it is no primary.
    pub(super) fn no_primary() -> Self {
        Self::unavailable(NO_PRIMARY)
    }

    /// True for [`RedisError::no_primary`].
    pub(super) fn is_no_primary(&self) -> bool {
        matches!(self, Self::Unavailable { reason: NO_PRIMARY, .. })
    }

    /// What a server's refusal means.
    pub(super) fn refused(error: &redis::ServerError) -> Self {
        let message = error.details().unwrap_or_default().to_owned();
        Self::Server { code: error.code().to_owned(), message }
    }

    /// The same for a request that only reads: it can't have changed anything.
    pub(super) fn of_reading(self) -> Self {
        match self {
            Self::Indeterminate { reason, source } => Self::Unavailable { reason, source },
            Self::Settings { .. }
            | Self::Unavailable { .. }
            | Self::Busy
            | Self::Server { .. }
            | Self::Unexpected { .. } => self,
        }
    }

    /// What to do about it; see [`reply::REPLIES`] for the words of servers.
    #[must_use]
    pub fn reaction(&self) -> Reaction {
        match self {
            Self::Settings { .. } | Self::Unexpected { .. } => Reaction::Never,
            Self::Unavailable { .. } | Self::Indeterminate { .. } => Reaction::Resolve,
            Self::Busy => Reaction::Later,
            Self::Server { code, message } => reply::meaning(code, message).reaction,
        }
    }

    /// Whose fault it is.
    #[must_use]
    pub fn blame(&self) -> Blame {
        match self {
            Self::Settings { .. } => Blame::Operator,
            Self::Unavailable { .. } | Self::Indeterminate { .. } | Self::Busy => Blame::Transient,
            Self::Unexpected { .. } => Blame::Bug,
            Self::Server { code, message } => reply::meaning(code, message).blame,
        }
    }

    /// True when the user that logged in may not do it.
    #[must_use]
    pub fn is_forbidden(&self) -> bool {
        match self {
            Self::Server { code, message } => reply::is_forbidden(code, message),
            Self::Settings { .. }
            | Self::Unavailable { .. }
            | Self::Indeterminate { .. }
            | Self::Busy
            | Self::Unexpected { .. } => false,
        }
    }

    /// True when repeating later can help. Repeat what [may have been
    /// done](Self::may_be_applied) only where that is harmless.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        match self.reaction() {
            Reaction::Resolve | Reaction::Wait | Reaction::SendText | Reaction::Later => true,
            Reaction::Never => false,
        }
    }

    /// True when nobody knows whether the request was carried out.
    #[must_use]
    pub fn may_be_applied(&self) -> bool {
        match self {
            Self::Indeterminate { .. } | Self::Unexpected { .. } => true,
            Self::Server { code, message } => reply::meaning(code, message).may_be_applied,
            Self::Settings { .. } | Self::Unavailable { .. } | Self::Busy => false,
        }
    }

    /// True when who repeats the request in a moment may be answered. What [may have been
    /// done](Self::may_be_applied) is repeated only when that `is_harmless`.
    #[must_use]
    pub fn is_passing(&self, is_harmless: bool) -> bool {
        let is_soon = match self.reaction() {
            // Nothing heals a deaf server within the patience of who asks.
            Reaction::Resolve | Reaction::Wait => !self.is_timeout(),
            Reaction::SendText | Reaction::Later | Reaction::Never => false,
        };
        is_soon && (is_harmless || !self.may_be_applied())
    }

    /// One word for logs and metrics.
    #[must_use]
    pub fn label(&self) -> &'static str {
        match self {
            Self::Settings { .. } => "settings",
            Self::Unavailable { .. } => "unavailable",
            Self::Indeterminate { .. } => "indeterminate",
            Self::Busy => "busy",
            Self::Server { .. } => "refused",
            Self::Unexpected { .. } => "unexpected",
        }
    }
}

/// Why a node must not start with these servers. The operator's fault, but for
/// [`StartError::Unreachable`].
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The servers can't be asked.
    #[error("redis can't be asked")]
    Unreachable(#[source] RedisError),
    /// The user that logs in may not do what is needed.
    #[error(
        "redis refuses what is needed: its user lacks {lacks} (docs/operations.md has them all)"
    )]
    Forbidden {
        /// The rights, as `ACL SETUSER` has them.
        lacks: String,
    },
    /// The server lacks what is needed.
    #[error("redis {found} is too old: 7.0 or newer is needed")]
    TooOld {
        /// Its version.
        found: String,
    },
    /// The server would drop keys of the log when its memory is full.
    #[error("redis would evict the log: `maxmemory-policy` is {found}, it must be noeviction")]
    Evicts {
        /// The policy.
        found: String,
    },
    /// `log.profile = "ha"` without replicas that count.
    #[error("`log.profile` is ha, which needs `min-replicas-to-write` of at least 1 in redis")]
    NoReplicasNeeded,
}
