//! Shapes of presence and status.

use serde::{Deserialize, Serialize};
use utoipa::{
    IntoParams, PartialSchema, ToSchema,
    openapi::{RefOr, Schema},
};

use crate::{
    http::api::wire::{ConnectionName, ID_PATTERN, Name, exactly_one, patterned, present, whole},
    model::StatusRecord,
};

/// Whose presence is asked for: exactly one of channel, team and room.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct PresenceQuery {
    pub(in crate::http) realm: Option<String>,
    pub(in crate::http) channel: Option<Name>,
    pub(in crate::http) team: Option<Name>,
    pub(in crate::http) room: Option<Name>,
}

/// The address in a [`PresenceQuery`], for the document.
#[derive(Debug)]
pub(in crate::http) struct Place;

impl PartialSchema for Place {
    fn schema() -> RefOr<Schema> {
        exactly_one(["channel", "team", "room"].map(|kind| (kind, patterned(ID_PATTERN))))
    }
}

impl ToSchema for Place {}

/// Whose presence is asked for.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct PresenceRequest {
    /// The tenant.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = String, pattern = "^[A-Za-z0-9_.@-]{1,64}$", default = "default")]
    pub(in crate::http) realm: Option<String>,
    /// Up to 1,000 users.
    #[schema(max_items = 1000)]
    pub(in crate::http) users: Vec<Name>,
}

/// Who is there.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::http) struct PresenceAnswer {
    /// At most 1,000 users, in the order in which they joined or were asked for.
    pub(in crate::http) users: Vec<UserPresence>,
    /// True when there are more than 1,000.
    pub(in crate::http) more: bool,
}

/// One user's status and devices.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::http) struct UserPresence {
    /// The user.
    pub(in crate::http) user: Name,
    /// What others see.
    #[schema(value_type = StatusWord)]
    pub(in crate::http) status: &'static str,
    /// Milliseconds since 1970; 0 when never active.
    pub(in crate::http) last_activity_at: u64,
    /// The connections that count, those in their grace after a drop included.
    pub(in crate::http) devices: Vec<Device>,
}

/// One connection of a user.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::http) struct Device {
    /// The node that it is, or was, connected to.
    pub(in crate::http) node: String,
    /// The connection.
    pub(in crate::http) connection: ConnectionName,
    /// When it began, in milliseconds since 1970.
    pub(in crate::http) since: u64,
    /// When the user last did something on it, in milliseconds since 1970.
    pub(in crate::http) active_at: u64,
    /// When it was lost, in milliseconds since 1970; absent while it is there.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub(in crate::http) dropped_at: Option<u64>,
}

/// The five values of a status.
#[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(in crate::http) enum StatusWord {
    /// Connected and active.
    Online,
    /// Connected, but without activity for a while.
    Away,
    /// Does not want to be disturbed.
    Dnd,
    /// Not connected, or invisible.
    Offline,
    /// Out of office.
    Ooo,
}

/// How a status is asked for.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(in crate::http) struct StatusQuery {
    /// The tenant; `default` when absent.
    #[param(value_type = String, required = false, pattern = "^[A-Za-z0-9_.@-]{1,64}$")]
    pub(in crate::http) realm: Option<String>,
    /// True: also what it was decided from.
    #[serde(default)]
    #[param(required = false)]
    pub(in crate::http) explain: bool,
}

/// A status that a user chooses.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct StatusRequest {
    /// The tenant.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = String, pattern = "^[A-Za-z0-9_.@-]{1,64}$", default = "default")]
    pub(in crate::http) realm: Option<String>,
    /// `online` gives the choice back to the devices.
    pub(in crate::http) status: StatusWord,
    /// When `dnd` ends by itself, in seconds since 1970; 0 when it does not.
    #[serde(default, deserialize_with = "whole")]
    pub(in crate::http) dnd_ends_at: u64,
}

/// A user's status.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::http) struct StatusAnswer {
    /// The user.
    pub(in crate::http) user: Name,
    /// What others see.
    #[schema(value_type = StatusWord)]
    pub(in crate::http) status: &'static str,
    /// True when the user chose it.
    pub(in crate::http) manual: bool,
    /// Milliseconds since 1970; 0 when never active.
    pub(in crate::http) last_activity_at: u64,
    /// When `dnd` ends by itself, in seconds since 1970; 0 when it does not.
    pub(in crate::http) dnd_ends_at: u64,
    /// What it was decided from, when that was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub(in crate::http) explanation: Option<StatusExplanation>,
}

/// What a status was decided from.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::http) struct StatusExplanation {
    /// The rule that decided.
    pub(in crate::http) rule: &'static str,
    /// When it was decided, in milliseconds since 1970.
    pub(in crate::http) decided_at: u64,
    /// Until then, in milliseconds since 1970, only new facts can change it; absent
    /// when time alone never does.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub(in crate::http) holds_until: Option<u64>,
    /// The records of every node.
    pub(in crate::http) devices: Vec<Device>,
}

impl From<StatusRecord> for StatusAnswer {
    fn from(record: StatusRecord) -> Self {
        Self {
            user: Name(record.user),
            status: record.status.as_str(),
            manual: record.manual,
            last_activity_at: record.last_activity_at_ms,
            dnd_ends_at: record.dnd_ends_at,
            explanation: None,
        }
    }
}
