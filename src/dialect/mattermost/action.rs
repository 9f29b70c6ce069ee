//! What a client can ask for.

use std::{fmt, num::NonZeroU64};

use crate::model::{Id, UserId, View};

use super::Refusal;

/// One message of a client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// The client's number, which the reply repeats.
    pub seq: NonZeroU64,
    /// What it asks, or why the reply is a refusal.
    pub action: Result<Action, Refusal>,
}

/// What a request asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Wants to hear that the server is there. Every reply would do.
    Ping,
    /// Proves who it is.
    AuthenticationChallenge(Token),
    /// Says what is on its screen.
    Presence(Presence),
    /// Its user is typing.
    UserTyping {
        /// Where. Not checked for membership yet.
        channel: Id,
        /// The post that is answered; empty outside of a thread.
        parent: Option<Id>,
    },
    /// Its user came back to the device, or left it.
    UserUpdateActiveStatus {
        /// True when the user is there.
        active: bool,
        /// True when the user chose so.
        manual: bool,
    },
    /// Wants the status of all users who are not offline.
    GetStatuses,
    /// Wants the status of these users, each named once.
    GetStatusesByIds(Vec<UserId>),
    /// Says what became of a notification. Nothing uses it; it gets its reply.
    PostedNotifyAck,
    /// Wants each change of these users' status, until it says otherwise.
    SubscribeStatuses(Vec<UserId>),
    /// No longer wants the changes of these users' status.
    UnsubscribeStatuses(Vec<UserId>),
}

/// A token as a client sent it. `Debug` never shows it.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(String);

/// What changed on a client's screen. `None` was not mentioned; the empty text is "nowhere".
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Presence {
    /// The channel in the middle.
    pub channel: Option<Box<str>>,
    /// The channel of the thread at the side.
    pub thread_at_side: Option<Box<str>>,
    /// The channel of the thread in the threads view.
    pub thread_in_view: Option<Box<str>>,
}

/// One row of the table of actions.
#[derive(Debug, Clone, Copy)]
pub struct ActionRow {
    /// The name on the wire.
    pub name: &'static str,
    /// What `data` holds.
    pub data: &'static str,
    /// What the `data` of the reply holds.
    pub reply: &'static str,
    /// What it does.
    pub meaning: &'static str,
}

const fn row(
    name: &'static str,
    data: &'static str,
    reply: &'static str,
    meaning: &'static str,
) -> ActionRow {
    ActionRow { name, data, reply, meaning }
}

/// The table of actions, in the order of the documents.
pub const ACTIONS: [ActionRow; 10] = [
    row(
        "ping",
        "nothing",
        "`text` (`pong`), `version`, `server_time` in milliseconds, `node_id`",
        "Asks whether the server is there.",
    ),
    row(
        "authentication_challenge",
        "`token`",
        "nothing",
        "Authenticates a socket that was opened without a token. Hello comes before the reply.",
    ),
    row(
        "presence",
        "any of `channel_id`, `team_id`, `thread_channel_id` with `is_thread_view`",
        "nothing",
        "Says what is on the screen. An empty id means nowhere; `team_id` changes nothing.",
    ),
    row(
        "user_typing",
        "`channel_id`, optional `parent_id`",
        "nothing",
        "Tells the members of the channel that the user types, the user apart.",
    ),
    row(
        "user_update_active_status",
        "`user_is_active`, optional `manual`",
        "nothing",
        "Says that the user came back to this device, or left it.",
    ),
    row(
        "get_statuses",
        "nothing",
        "`{user id: status}`",
        "Asks for every user who is not offline.",
    ),
    row(
        "get_statuses_by_ids",
        "`user_ids`",
        "`{user id: status}`",
        "Asks for these users; unknown ones are `offline`.",
    ),
    row(
        "posted_notify_ack",
        "anything",
        "nothing",
        "Says what became of a notification. It is accepted and not used.",
    ),
    row(
        "subscribe_statuses",
        "`user_ids`",
        "nothing",
        "Added by hubbub: `status_change` events of these users come to this connection, too.",
    ),
    row(
        "unsubscribe_statuses",
        "`user_ids`",
        "nothing",
        "Added by hubbub: ends `subscribe_statuses` for these users.",
    ),
];

impl Action {
    /// The name on the wire, for logs and metrics.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Ping => "ping",
            Self::AuthenticationChallenge(_) => "authentication_challenge",
            Self::Presence(_) => "presence",
            Self::UserTyping { .. } => "user_typing",
            Self::UserUpdateActiveStatus { .. } => "user_update_active_status",
            Self::GetStatuses => "get_statuses",
            Self::GetStatusesByIds(_) => "get_statuses_by_ids",
            Self::PostedNotifyAck => "posted_notify_ack",
            Self::SubscribeStatuses(_) => "subscribe_statuses",
            Self::UnsubscribeStatuses(_) => "unsubscribe_statuses",
        }
    }
}

impl Token {
    /// Wraps `text`.
    #[must_use]
    pub fn new(text: &str) -> Self {
        Self(text.to_owned())
    }

    /// The text. Only for the code that verifies it.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("(token)")
    }
}

impl Presence {
    /// Puts what changed into `view`.
    pub fn apply(self, view: &mut View) {
        let put = |place: &mut Option<Box<str>>, change: Option<Box<str>>| {
            if change.is_some() {
                *place = change;
            }
        };
        put(&mut view.channel, self.channel);
        put(&mut view.thread_at_side, self.thread_at_side);
        put(&mut view.thread_in_view, self.thread_in_view);
    }
}
