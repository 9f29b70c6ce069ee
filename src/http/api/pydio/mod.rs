//! What Pydio's services tell: workspaces, where nodes are, what happened.
//!
//! Invariants: every change of a right is a record of the log, so that it stands in one
//! order with the events that it governs.

mod wire;

use std::sync::Arc;

use axum::{
    Extension, Json,
    extract::{Path, State},
};

use super::{
    Api,
    body::{Asked, Checked},
    caller::Caller,
    members::RealmQuery,
    problem::{BodyProblems, Problem, Problems},
    publish::request_id,
    wire::{Position, Recorded},
};
use crate::{
    bus::{self, RuleDraft},
    model::{Body, BusTopic, Id, NodePaths},
    node::Draft,
};
use wire::{BusRequest, NodesRequest, RuleWire, WorkspaceRequest};

/// Most roots, rules or nodes of one request.
const LIST_MAX: usize = 1_000;
/// Longest unique name of a node in bytes.
const UUID_BYTES_MAX: usize = 256;
/// Longest label of a workspace in bytes.
const LABEL_BYTES_MAX: usize = 1_024;
/// Longest path in bytes.
const PATH_BYTES_MAX: usize = 4_096;

/// Defines a workspace: its folders, and who may do less than everything in them.
///
/// It replaces an earlier definition. Who is in it is said by `POST /api/v1/members`.
#[utoipa::path(
    put,
    path = "/api/v1/pydio/workspaces/{id}",
    tag = "pydio",
    params(
        ("id" = String, Path, description = "The workspace.", pattern = "^[A-Za-z0-9_.@-]{1,64}$"),
    ),
    request_body = WorkspaceRequest,
    responses((status = 200, body = Recorded), Problems, BodyProblems)
)]
pub(super) async fn define(
    State(api): State<Api>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
    Checked(request): Checked<WorkspaceRequest>,
) -> Result<Json<Recorded>, Problem> {
    let realm = caller.realm(request.realm.as_deref().unwrap_or(Api::DEFAULT_REALM))?;
    let id = workspace_id(&id)?;
    for (field, count) in [("roots", request.roots.len()), ("rules", request.rules.len())] {
        check_count(field, count)?;
    }
    check_length("label", &request.label, LABEL_BYTES_MAX)?;
    for (at, root) in request.roots.iter().enumerate() {
        check_length(&format!("roots[{at}].uuid"), &root.uuid, UUID_BYTES_MAX)?;
        check_length(&format!("roots[{at}].path"), &root.path, PATH_BYTES_MAX)?;
    }
    for (at, rule) in request.rules.iter().enumerate() {
        check_length(&format!("rules[{at}].path"), &rule.path, PATH_BYTES_MAX)?;
    }
    let roots = request.roots.into_iter().map(|root| (root.uuid, root.path)).collect();
    let rule = |rule: RuleWire| RuleDraft {
        user: rule.user.map(|name| name.0),
        role: rule.role.map(|name| name.0),
        path: rule.path,
        read: rule.read,
        write: rule.write,
    };
    let rules = request.rules.into_iter().map(rule).collect();
    let workspace = bus::workspace(request.label, roots, rules);
    let workspace =
        workspace.map_err(|refusal| Problem::field(&refusal.field, &refusal.message))?;
    let body = Body::Workspace { id, is: Some(Arc::new(workspace)), was: None };
    let draft = Draft { body, id: request_id(request.id.as_deref())? };
    api.admit(&caller, 1)?;
    recorded(api.node().publish_one(&realm, draft).await?.position)
}

/// Removes a workspace. Its members stay, and are told nothing of it any more.
#[utoipa::path(
    delete,
    path = "/api/v1/pydio/workspaces/{id}",
    tag = "pydio",
    params(
        ("id" = String, Path, description = "The workspace.", pattern = "^[A-Za-z0-9_.@-]{1,64}$"),
        RealmQuery
    ),
    responses((status = 200, body = Recorded), Problems)
)]
pub(super) async fn remove(
    State(api): State<Api>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
    Asked(query): Asked<RealmQuery>,
) -> Result<Json<Recorded>, Problem> {
    let realm = caller.realm(query.realm.as_deref().unwrap_or(Api::DEFAULT_REALM))?;
    let body = Body::Workspace { id: workspace_id(&id)?, is: None, was: None };
    api.admit(&caller, 1)?;
    recorded(api.node().publish_one(&realm, Draft { body, id: None }).await?.position)
}

/// Tells where nodes are, and which are gone.
#[utoipa::path(
    post,
    path = "/api/v1/pydio/nodes",
    tag = "pydio",
    request_body = NodesRequest,
    responses((status = 200, body = Recorded), Problems, BodyProblems)
)]
pub(super) async fn nodes(
    State(api): State<Api>,
    Extension(caller): Extension<Caller>,
    Checked(request): Checked<NodesRequest>,
) -> Result<Json<Recorded>, Problem> {
    let realm = caller.realm(request.realm.as_deref().unwrap_or(Api::DEFAULT_REALM))?;
    for (field, count) in [("nodes", request.nodes.len()), ("remove", request.remove.len())] {
        check_count(field, count)?;
    }
    let mut paths = NodePaths::default();
    for (at, node) in request.nodes.into_iter().enumerate() {
        check_uuid(&format!("nodes[{at}].uuid"), &node.uuid)?;
        let field = format!("nodes[{at}].path");
        check_length(&field, &node.path, PATH_BYTES_MAX)?;
        let path = bus::clean_path(&node.path);
        let path = path.ok_or_else(|| Problem::field(&field, "a path has no .. in it"))?;
        if path.is_empty() {
            let message = "a node has a path; one that is gone belongs into remove";
            return Err(Problem::field(&field, message));
        }
        paths.set.push((Arc::from(node.uuid), Arc::from(path)));
    }
    for (at, uuid) in request.remove.into_iter().enumerate() {
        check_uuid(&format!("remove[{at}]"), &uuid)?;
        paths.remove.push(Arc::from(uuid));
    }
    let draft = Draft { body: Body::Nodes(paths), id: request_id(request.id.as_deref())? };
    api.admit(&caller, 1)?;
    recorded(api.node().publish_one(&realm, draft).await?.position)
}

/// Publishes a bus event to the sessions that may see it.
///
/// Changes of one node that come close together are delivered as one.
#[utoipa::path(
    post,
    path = "/api/v1/pydio/events",
    tag = "pydio",
    request_body = BusRequest,
    responses((status = 200, body = Recorded), Problems, BodyProblems)
)]
pub(super) async fn publish(
    State(api): State<Api>,
    Extension(caller): Extension<Caller>,
    Checked(request): Checked<BusRequest>,
) -> Result<Json<Recorded>, Problem> {
    let realm = caller.realm(request.realm.as_deref().unwrap_or(Api::DEFAULT_REALM))?;
    let topic = BusTopic::parse(&request.topic)
        .ok_or_else(|| Problem::field("topic", "a topic is tree, meta, task, idm or activity"))?;
    let max = api.limits().event_bytes;
    if request.payload.get().len() > max {
        return Err(Problem::event_too_large(max).at("payload"));
    }
    let accepted = bus::accept(topic, request.payload.get()).map_err(|refusal| {
        let field = if refusal.field.is_empty() {
            "payload".to_owned()
        } else {
            format!("payload.{}", refusal.field)
        };
        Problem::field(&field, &refusal.message)
    })?;
    let id = request_id(request.id.as_deref())?;
    api.admit(&caller, 1)?;
    if accepted.is_silent {
        api.admit_silent(&realm)?;
    }
    recorded(api.node().publish_bus(&realm, topic, accepted, id).await?.position)
}

#[expect(clippy::unnecessary_wraps, reason = "the end of each handler")]
#[expect(clippy::needless_pass_by_value, reason = "the end of each handler")]
fn recorded(position: crate::model::Position) -> Result<Json<Recorded>, Problem> {
    Ok(Json(Recorded { position: Position::from(&position) }))
}

fn workspace_id(text: &str) -> Result<Id, Problem> {
    Id::parse(text).map_err(|error| Problem::field("id", &error.to_string()))
}

fn check_count(field: &str, count: usize) -> Result<(), Problem> {
    if count > LIST_MAX {
        return Err(Problem::field(field, &format!("at most {LIST_MAX} at once")));
    }
    Ok(())
}

fn check_length(field: &str, text: &str, max: usize) -> Result<(), Problem> {
    if text.len() > max {
        return Err(Problem::field(field, &format!("at most {max} bytes")));
    }
    Ok(())
}

fn check_uuid(field: &str, uuid: &str) -> Result<(), Problem> {
    if uuid.is_empty() {
        return Err(Problem::field(field, "a node has a name"));
    }
    check_length(field, uuid, UUID_BYTES_MAX)
}
