//! Shapes of the REST twins: Mattermost's, as far as its clients look at them.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

/// An error, as Mattermost's clients expect it.
#[derive(Debug, Serialize)]
pub(super) struct AppError<'a> {
    /// Which error, for machines.
    pub(super) id: &'a str,
    /// Which error, for people.
    pub(super) message: &'a str,
    /// Always empty: details are for the log.
    pub(super) detailed_error: &'a str,
    /// Names this answer in the log.
    pub(super) request_id: &'a str,
    /// The status of the answer.
    pub(super) status_code: u16,
}

/// A status that a user chooses. Other keys are ignored.
#[derive(Debug, Deserialize)]
pub(super) struct StatusChange<'a> {
    /// Must be the user of the path.
    #[serde(borrow)]
    pub(super) user_id: Cow<'a, str>,
    /// `online`, `away`, `dnd` or `offline`.
    #[serde(borrow)]
    pub(super) status: Cow<'a, str>,
    /// When `dnd` ends by itself, in seconds since 1970; 0 when it does not.
    #[serde(default)]
    pub(super) dnd_end_time: u64,
}

/// Whose statuses are asked for.
#[derive(Debug, Deserialize)]
pub(super) struct UserIds<'a>(#[serde(borrow)] pub(super) Vec<Cow<'a, str>>);

/// Somebody types. Other keys are ignored.
#[derive(Debug, Deserialize)]
pub(super) struct Typing<'a> {
    /// In which channel.
    #[serde(borrow)]
    pub(super) channel_id: Cow<'a, str>,
    /// In answer to which post.
    #[serde(borrow, default)]
    pub(super) parent_id: Cow<'a, str>,
}

/// A message of the demo page.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NewPost<'a> {
    /// In which channel.
    #[serde(borrow)]
    pub(super) channel_id: Cow<'a, str>,
    /// What it says.
    #[serde(borrow)]
    pub(super) message: Cow<'a, str>,
    /// Its name, made by the page: sending it again posts it once.
    #[serde(borrow)]
    pub(super) id: Cow<'a, str>,
}

/// A post in Mattermost's shape.
#[derive(Debug, Serialize)]
pub(super) struct Post<'a> {
    pub(super) id: &'a str,
    pub(super) create_at: u64,
    pub(super) update_at: u64,
    pub(super) edit_at: u64,
    pub(super) delete_at: u64,
    pub(super) user_id: &'a str,
    pub(super) channel_id: &'a str,
    pub(super) root_id: &'a str,
    pub(super) message: &'a str,
    #[serde(rename = "type")]
    pub(super) kind: &'a str,
}

/// The data of a `posted` event in Mattermost's shape.
#[derive(Debug, Serialize)]
pub(super) struct Posted<'a> {
    pub(super) channel_display_name: &'a str,
    pub(super) channel_name: &'a str,
    pub(super) channel_type: &'a str,
    /// A [`Post`] as text.
    pub(super) post: &'a str,
    pub(super) sender_name: &'a str,
    pub(super) set_online: bool,
    pub(super) team_id: &'a str,
}

/// What the demo page gets from a development node.
#[derive(Debug, Clone, Serialize)]
pub struct DemoSession {
    /// The channels that the users are in.
    pub channels: Vec<String>,
    /// Users to be.
    pub users: Vec<DemoUser>,
}

/// A user of the demo page.
#[derive(Debug, Clone, Serialize)]
pub struct DemoUser {
    /// The user.
    pub user: String,
    /// A token for them.
    pub token: String,
}
