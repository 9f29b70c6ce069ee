//! Why a socket is closed: the one table of close codes.
//!
//! Invariants: every code that the server sends has a row in [`CloseCode::ALL`];
//! codes of the server's own are 4400 to 4499, because Mattermost's clients use
//! 4000 and 4001 for reasons of theirs.

/// A close code that this server sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CloseCode {
    /// The conversation is over.
    Normal,
    /// The server or the page goes away.
    GoingAway,
    /// The peer broke RFC 6455.
    Protocol,
    /// The peer sent a kind of message that this route does not take.
    Unsupported,
    /// The peer sent text that is not UTF-8, or JSON that is not what the dialect speaks.
    InvalidData,
    /// The peer broke a rule of this server.
    Policy,
    /// The peer sent too much.
    TooBig,
    /// The server made a mistake.
    Internal,
    /// The node stops: reconnect at once.
    Restart,
    /// The node is overloaded or without its log: reconnect later.
    TryLater,
    /// No authentication, or not in time.
    AuthRequired,
    /// The user may not be here.
    Forbidden,
    /// Another socket took over the connection.
    ResumedElsewhere,
    /// The token ended or was revoked.
    SessionEnded,
    /// Too many messages.
    RateLimited,
    /// The peer does not read fast enough; it may resume.
    SlowReader,
}

/// One row of the table of close codes.
#[derive(Debug, Clone, Copy)]
pub struct CloseRow {
    /// The code.
    pub close: CloseCode,
    /// The number on the wire.
    pub number: u16,
    /// The name in documents and logs.
    pub name: &'static str,
    /// Whether a client may connect again by itself, and how.
    pub reconnect: &'static str,
    /// What it means, for the documents.
    pub meaning: &'static str,
}

const fn row(
    close: CloseCode,
    number: u16,
    name: &'static str,
    reconnect: &'static str,
    meaning: &'static str,
) -> CloseRow {
    CloseRow { close, number, name, reconnect, meaning }
}

impl CloseCode {
    /// The table: number, name, whether a client may reconnect, meaning.
    pub const ALL: [CloseRow; 16] = [
        row(Self::Normal, 1000, "normal", "as it likes", "The conversation is over."),
        row(Self::GoingAway, 1001, "going_away", "yes, with backoff", "The peer goes away."),
        row(Self::Protocol, 1002, "protocol_error", "no", "RFC 6455 was broken."),
        row(
            Self::Unsupported,
            1003,
            "unsupported",
            "no",
            "This kind of message is not taken here.",
        ),
        row(
            Self::InvalidData,
            1007,
            "invalid_data",
            "no",
            "Text is not UTF-8, or a message is not what the dialect speaks.",
        ),
        row(Self::Policy, 1008, "policy", "no", "A rule of this server was broken."),
        row(Self::TooBig, 1009, "too_big", "no", "A message is over the limit."),
        row(
            Self::Internal,
            1011,
            "internal_error",
            "yes, with backoff",
            "The server made a mistake.",
        ),
        row(Self::Restart, 1012, "restart", "yes, at once; resumes", "The node stops."),
        row(
            Self::TryLater,
            1013,
            "try_later",
            "yes, with backoff; resumes",
            "The node is overloaded or without its log.",
        ),
        row(
            Self::AuthRequired,
            4401,
            "authentication_required",
            "with a token",
            "No authentication, or not in time.",
        ),
        row(Self::Forbidden, 4403, "forbidden", "no", "The user may not be here."),
        row(
            Self::ResumedElsewhere,
            4409,
            "resumed_elsewhere",
            "no",
            "Another socket took over this connection.",
        ),
        row(
            Self::SessionEnded,
            4419,
            "session_ended",
            "with a new token",
            "The token expired or was revoked.",
        ),
        row(
            Self::RateLimited,
            4429,
            "rate_limited",
            "yes, with backoff; resumes",
            "Too many messages.",
        ),
        row(
            Self::SlowReader,
            4431,
            "slow_reader",
            "yes; resumes",
            "The peer did not read fast enough.",
        ),
    ];

    /// The row of this code.
    #[must_use]
    pub fn row(self) -> CloseRow {
        let found = Self::ALL.into_iter().find(|row| row.close == self);
        // A test proves that every variant has its row.
        found.unwrap_or(row(self, 1011, "internal_error", "yes, with backoff", ""))
    }

    /// The number on the wire.
    #[must_use]
    pub fn number(self) -> u16 {
        self.row().number
    }

    /// The name in logs and metrics.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.row().name
    }
}
