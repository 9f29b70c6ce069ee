//! Shapes of Pydio's bus.

use serde::Deserialize;
use serde_json::value::RawValue;
use utoipa::ToSchema;

use crate::http::api::wire::{Name, present};

/// A workspace.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct WorkspaceRequest {
    /// The tenant.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = String, pattern = "^[A-Za-z0-9_.@-]{1,64}$", default = "default")]
    pub(in crate::http) realm: Option<String>,
    /// For people.
    #[serde(default)]
    #[schema(max_length = 1024)]
    pub(in crate::http) label: String,
    /// Its folders.
    #[schema(min_items = 1, max_items = 1000)]
    pub(in crate::http) roots: Vec<RootWire>,
    /// What narrows the rights of its members. The longest path wins, then a rule for the
    /// user before one for a role. A path that several roots may mean is a rule for each.
    #[serde(default)]
    #[schema(max_items = 1000)]
    pub(in crate::http) rules: Vec<RuleWire>,
    /// Name of this request: repeating it within five minutes changes nothing.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = String, pattern = "^[!-~]{1,128}$", required = false)]
    pub(in crate::http) id: Option<String>,
}

/// A folder of a workspace.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct RootWire {
    /// Its unique name.
    pub(in crate::http) uuid: String,
    /// Its full path.
    pub(in crate::http) path: String,
}

/// What a user, or everybody with a role, may do at a path and below.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct RuleWire {
    /// The user; or else a role is named.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = String, pattern = "^[A-Za-z0-9_.@-]{1,64}$", required = false)]
    pub(in crate::http) user: Option<Name>,
    /// The role; or else a user is named.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = String, pattern = "^[A-Za-z0-9_.@-]{1,64}$", required = false)]
    pub(in crate::http) role: Option<Name>,
    /// A full path, or one as members see it; empty for the whole workspace.
    #[serde(default)]
    pub(in crate::http) path: String,
    /// May read.
    #[serde(default = "yes")]
    pub(in crate::http) read: bool,
    /// May write; who may not read may not write either.
    #[serde(default = "yes")]
    pub(in crate::http) write: bool,
}

fn yes() -> bool {
    true
}

/// Where nodes are.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct NodesRequest {
    /// The tenant.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = String, pattern = "^[A-Za-z0-9_.@-]{1,64}$", default = "default")]
    pub(in crate::http) realm: Option<String>,
    /// Nodes and their full paths.
    #[serde(default)]
    #[schema(max_items = 1000)]
    pub(in crate::http) nodes: Vec<RootWire>,
    /// Nodes that are gone.
    #[serde(default)]
    #[schema(max_items = 1000)]
    pub(in crate::http) remove: Vec<String>,
    /// Name of this request: repeating it within five minutes changes nothing.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = String, pattern = "^[!-~]{1,128}$", required = false)]
    pub(in crate::http) id: Option<String>,
}

/// A bus event.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct BusRequest {
    /// The tenant.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = String, pattern = "^[A-Za-z0-9_.@-]{1,64}$", default = "default")]
    pub(in crate::http) realm: Option<String>,
    /// What it is about: `tree`, `meta`, `task`, `idm` or `activity`.
    #[schema(pattern = "^(tree|meta|task|idm|activity)$")]
    pub(in crate::http) topic: String,
    /// What happened, in protobuf's JSON, with full paths.
    #[schema(value_type = Object)]
    pub(in crate::http) payload: Box<RawValue>,
    /// Name of this request: repeating it within five minutes publishes nothing new.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = String, pattern = "^[!-~]{1,128}$", required = false)]
    pub(in crate::http) id: Option<String>,
}
