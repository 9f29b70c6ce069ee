//! The errors that a reply can carry.
//!
//! Ids and statuses are Mattermost's, so that its clients' logs read as usual;
//! the wording is ours, and no client decides by it.

/// Why a request is answered with `FAIL`. The socket stays open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// The request names no action.
    NoAction,
    /// No action has this name, which is safe to show.
    BadAction(String),
    /// The parameter of this name is missing, malformed, or not for this user.
    InvalidParam(&'static str),
    /// The connection has not authenticated yet.
    NotAuthenticated,
    /// The token of a challenge was refused.
    InvalidToken,
    /// The server can't do it now.
    Busy,
}

/// One row of the table of error ids.
#[derive(Debug, Clone, Copy)]
pub struct ErrorRow {
    /// The id on the wire.
    pub id: &'static str,
    /// The status on the wire, as HTTP counts.
    pub status: u16,
    /// When it is sent.
    pub when: &'static str,
}

const NO_ACTION: ErrorRow = ErrorRow {
    id: "api.web_socket_router.no_action.app_error",
    status: 400,
    when: "The request names no action.",
};
const BAD_ACTION: ErrorRow = ErrorRow {
    id: "api.web_socket_router.bad_action.app_error",
    status: 500,
    when: "No action has this name; there are no plugins, so no `custom_…` action either.",
};
const INVALID_PARAM: ErrorRow = ErrorRow {
    id: "api.websocket_handler.invalid_param.app_error",
    status: 400,
    when: "A parameter is missing, malformed or not for this user. The message names it.",
};
const NOT_AUTHENTICATED: ErrorRow = ErrorRow {
    id: "api.web_socket_router.not_authenticated.app_error",
    status: 401,
    when: "The connection has not authenticated yet.",
};
const INVALID_TOKEN: ErrorRow = ErrorRow {
    id: "api.context.invalid_token.error",
    status: 401,
    when: "The token of the challenge was refused.",
};
const BUSY: ErrorRow = ErrorRow {
    id: "api.websocket_handler.server_busy.app_error",
    status: 503,
    when: "The server can't do it now; the client may ask again.",
};

impl Refusal {
    /// The table of error ids, in the order of the documents.
    pub const ROWS: [ErrorRow; 6] =
        [NO_ACTION, BAD_ACTION, INVALID_PARAM, NOT_AUTHENTICATED, INVALID_TOKEN, BUSY];

    /// The row of this error.
    #[must_use]
    pub fn row(&self) -> ErrorRow {
        match self {
            Self::NoAction => NO_ACTION,
            Self::BadAction(_) => BAD_ACTION,
            Self::InvalidParam(_) => INVALID_PARAM,
            Self::NotAuthenticated => NOT_AUTHENTICATED,
            Self::InvalidToken => INVALID_TOKEN,
            Self::Busy => BUSY,
        }
    }

    /// The reason in metrics.
    #[must_use]
    pub fn label(&self) -> &'static str {
        match self {
            Self::NoAction | Self::BadAction(_) => "action",
            Self::InvalidParam(_) => "id",
            Self::NotAuthenticated | Self::InvalidToken | Self::Busy => "other",
        }
    }

    /// The text for people.
    #[must_use]
    pub fn message(&self) -> String {
        match self {
            Self::NoAction => "the request names no action".to_owned(),
            Self::BadAction(name) if name.starts_with("custom_") => {
                format!("no action is named {name}: this server has no plugins")
            }
            Self::BadAction(name) => format!("no action is named {name}"),
            Self::InvalidParam(name) => {
                format!("parameter {name} is missing, malformed or not for you")
            }
            Self::NotAuthenticated => "this connection is not authenticated".to_owned(),
            Self::InvalidToken => "the token is not valid".to_owned(),
            Self::Busy => "the server is busy, ask again later".to_owned(),
        }
    }
}
