//! Shapes of memberships, revocations and disconnects.

use serde::{Deserialize, Serialize};
use utoipa::{
    IntoParams, PartialSchema, ToSchema,
    openapi::{
        ObjectBuilder, RefOr, Schema,
        schema::{AdditionalProperties, OneOfBuilder, SchemaType, Type},
    },
};

use crate::http::api::{
    publish::REQUEST_ID_PATTERN,
    wire::{
        ConnectionName, ID_PATTERN, Name, Position, exactly_one, only_true, patterned, present,
        whole,
    },
};

/// A change of who belongs to a topic.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct MembersRequest {
    /// The tenant.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = String, pattern = "^[A-Za-z0-9_.@-]{1,64}$", default = "default")]
    pub(in crate::http) realm: Option<String>,
    /// What the users belong to.
    pub(in crate::http) topic: Group,
    /// Who joins.
    #[serde(default)]
    #[schema(max_items = 1000)]
    pub(in crate::http) add: Vec<Name>,
    /// Who leaves; wins over `add`.
    #[serde(default)]
    #[schema(max_items = 1000)]
    pub(in crate::http) remove: Vec<Name>,
    /// Name of this request: repeating it within five minutes changes nothing.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = String, pattern = "^[!-~]{1,128}$", required = false)]
    pub(in crate::http) id: Option<String>,
}

/// What users belong to: exactly one of these.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(in crate::http) enum Group {
    /// A channel.
    Channel(Name),
    /// A team.
    Team(Name),
    /// A workspace.
    Workspace(Name),
}

impl PartialSchema for Group {
    fn schema() -> RefOr<Schema> {
        exactly_one(["channel", "team", "workspace"].map(|kind| (kind, patterned(ID_PATTERN))))
    }
}

impl ToSchema for Group {}

/// Whose members are asked for: exactly one of channel, team and workspace.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct MembersQuery {
    pub(in crate::http) realm: Option<String>,
    pub(in crate::http) channel: Option<Name>,
    pub(in crate::http) team: Option<Name>,
    pub(in crate::http) workspace: Option<Name>,
}

/// The realm of a question.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(in crate::http) struct RealmQuery {
    /// The tenant; `default` when absent.
    #[param(value_type = String, required = false, pattern = "^[A-Za-z0-9_.@-]{1,64}$")]
    pub(in crate::http) realm: Option<String>,
}

/// Who belongs to a topic.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::http) struct MembersAnswer {
    /// In the order in which they joined.
    pub(in crate::http) users: Vec<Name>,
}

/// What a user belongs to.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::http) struct MembershipsAnswer {
    /// Where in the log this was true.
    pub(in crate::http) position: Position,
    /// Channels.
    pub(in crate::http) channels: Vec<String>,
    /// Teams.
    pub(in crate::http) teams: Vec<String>,
    /// Workspaces.
    pub(in crate::http) workspaces: Vec<String>,
}

/// Whose tokens end: exactly one of `user`, `session` and `everyone`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct RevokeRequest {
    #[serde(default, deserialize_with = "present")]
    pub(in crate::http) realm: Option<String>,
    #[serde(default, deserialize_with = "present")]
    pub(in crate::http) user: Option<Name>,
    #[serde(default, deserialize_with = "present")]
    pub(in crate::http) session: Option<Name>,
    #[serde(default, deserialize_with = "present")]
    pub(in crate::http) everyone: Option<bool>,
    #[serde(default, deserialize_with = "present")]
    pub(in crate::http) id: Option<String>,
}

impl PartialSchema for RevokeRequest {
    fn schema() -> RefOr<Schema> {
        one_target(
            [
                ("user", patterned(ID_PATTERN)),
                ("session", patterned(ID_PATTERN)),
                ("everyone", only_true()),
            ],
            &[("realm", patterned(ID_PATTERN)), ("id", patterned(REQUEST_ID_PATTERN))],
        )
    }
}

impl ToSchema for RevokeRequest {}

/// Whose sockets are closed: exactly one of `user` and `connection`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct DisconnectRequest {
    #[serde(default, deserialize_with = "present")]
    pub(in crate::http) realm: Option<String>,
    #[serde(default, deserialize_with = "present")]
    pub(in crate::http) user: Option<Name>,
    #[serde(default, deserialize_with = "present")]
    pub(in crate::http) connection: Option<ConnectionName>,
    #[serde(default = "policy", deserialize_with = "whole")]
    pub(in crate::http) code: u64,
    #[serde(default)]
    pub(in crate::http) reason: String,
}

/// The close code of a disconnect that names none: a rule was broken.
fn policy() -> u64 {
    1008
}

/// Lowest and highest code of each range that a disconnect may use.
pub(in crate::http) const DISCONNECT_CODES: [(u16, u16); 4] =
    [(1000, 1001), (1008, 1008), (1011, 1013), (3000, 4999)];

impl PartialSchema for DisconnectRequest {
    fn schema() -> RefOr<Schema> {
        let number = |(low, high): (u16, u16)| {
            let whole = ObjectBuilder::new().schema_type(SchemaType::new(Type::Integer));
            whole.minimum(Some(low)).maximum(Some(high)).build()
        };
        let codes = DISCONNECT_CODES.into_iter().map(number);
        let code = codes.fold(OneOfBuilder::new(), |one, range| one.item(Schema::from(range)));
        let more = [
            ("realm", patterned(ID_PATTERN)),
            ("code", RefOr::T(code.build().into())),
            ("reason", patterned("^[ -~]{0,123}$")),
        ];
        let targets = [("user", patterned(ID_PATTERN)), ("connection", ConnectionName::schema())];
        one_target(targets, &more)
    }
}

impl ToSchema for DisconnectRequest {}

/// An object with exactly one of `targets`, and any of `more`.
fn one_target(
    targets: impl IntoIterator<Item = (&'static str, RefOr<Schema>)>,
    more: &[(&'static str, RefOr<Schema>)],
) -> RefOr<Schema> {
    let choice = |(name, schema): (&'static str, RefOr<Schema>)| {
        let closed = AdditionalProperties::FreeForm(false);
        let target = ObjectBuilder::new().property(name, schema).required(name);
        let all =
            more.iter().fold(target, |all, (name, schema)| all.property(*name, schema.clone()));
        Schema::from(all.additional_properties(Some(closed)).build())
    };
    let one = targets.into_iter().map(choice).fold(OneOfBuilder::new(), OneOfBuilder::item);
    RefOr::T(one.build().into())
}
