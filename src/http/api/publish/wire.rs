//! Shapes of publishing.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{RefOr, Schema},
};

use crate::http::api::wire::{
    ConnectionName, ErrorDetail, ID_PATTERN, Name, Position, exactly_one, only_true, patterned,
    present,
};

/// What ids of requests look like.
pub(in crate::http) const REQUEST_ID_PATTERN: &str = "^[!-~]{1,128}$";

/// An event to publish.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct PublishRequest {
    /// The tenant.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = String, pattern = "^[A-Za-z0-9_.@-]{1,64}$", default = "default")]
    pub(in crate::http) realm: Option<String>,
    /// Name of the event, as clients see it. `hello` and `hb_…` are reserved.
    #[schema(pattern = "^(?!hello$|hb_)[A-Za-z0-9_.-]{1,128}$")]
    pub(in crate::http) event: String,
    /// What the event says: an object of up to 256 KiB; left out, an empty one.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Object)]
    pub(in crate::http) data: Option<Box<RawValue>>,
    /// Who gets it.
    pub(in crate::http) to: To,
    /// Members who do not get it.
    #[serde(default)]
    #[schema(max_items = 1000)]
    pub(in crate::http) omit_users: Vec<Name>,
    /// A connection that does not get it; empty for none.
    #[serde(default)]
    #[schema(pattern = "^([a-z0-9]{26})?$")]
    pub(in crate::http) omit_connection: String,
    /// True: a replay sends a no-op in its place.
    #[serde(default)]
    pub(in crate::http) ephemeral: bool,
    /// Name of this request: repeating it within five minutes publishes nothing new.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = String, pattern = "^[!-~]{1,128}$", required = false)]
    pub(in crate::http) id: Option<String>,
}

/// Who gets an event: exactly one of these.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(in crate::http) enum To {
    /// Every connection of a user.
    User(Name),
    /// The members of a channel.
    Channel(Name),
    /// The members of a team.
    Team(Name),
    /// One connection.
    Connection(ConnectionName),
    /// Every connection of the realm; always `true`.
    Everyone(bool),
    /// Who is in a room.
    Room(Name),
    /// The members of a workspace.
    Workspace(Name),
}

impl PartialSchema for To {
    fn schema() -> RefOr<Schema> {
        let named = ["user", "channel", "team", "room", "workspace"];
        let named = named.into_iter().map(|kind| (kind, patterned(ID_PATTERN)));
        let others = [("connection", ConnectionName::schema()), ("everyone", only_true())];
        exactly_one(named.chain(others))
    }
}

impl ToSchema for To {}

/// The acknowledgement of an event.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::http) struct PublishAnswer {
    /// Where it is in the log.
    pub(in crate::http) position: Position,
    /// True when an earlier request with this id published it.
    pub(in crate::http) duplicate: bool,
}

/// Events to publish in one step.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct BatchRequest {
    /// The tenant.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = String, pattern = "^[A-Za-z0-9_.@-]{1,64}$", default = "default")]
    pub(in crate::http) realm: Option<String>,
    /// Up to 256 events, each as the body of `POST /publish` without `realm`.
    #[schema(value_type = Vec<Object>, max_items = 256)]
    pub(in crate::http) events: Vec<Box<RawValue>>,
}

/// What became of each event, in the order of the request.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::http) struct BatchAnswer {
    /// One result for each event.
    pub(in crate::http) results: Vec<BatchResult>,
}

/// What became of one event.
#[derive(Debug, Serialize, ToSchema)]
#[serde(untagged)]
pub(in crate::http) enum BatchResult {
    /// It is in the log.
    Done(PublishAnswer),
    /// It is not in the log, or may not be.
    Failed {
        /// Why.
        error: ErrorDetail,
    },
}
