//! Who belongs where, whose tokens end, whose sockets are closed.
//!
//! Invariants: every change is a record of the log, so that it stands in one order
//! with the events that it concerns.

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
    problem::{BodyProblems, Problem, Problems},
    publish::request_id,
    wire::{Name, Position, Recorded},
};
use crate::{
    model::{Body, Id, Revocation, RevocationScope, Topic, UserId},
    node::Draft,
};
pub(super) use wire::RealmQuery;
use wire::{
    DISCONNECT_CODES, DisconnectRequest, Group, MembersAnswer, MembersQuery, MembersRequest,
    MembershipsAnswer, RevokeRequest,
};

/// Most users that one change adds or removes.
const USERS_MAX: usize = 1_000;
/// Longest reason of a close in bytes (RFC 6455 §5.5).
const REASON_BYTES_MAX: usize = 123;

/// Changes who belongs to a channel, a team or a workspace.
///
/// Events after the answered position obey the change, events before it do not.
#[utoipa::path(
    post,
    path = "/api/v1/members",
    tag = "members",
    request_body = MembersRequest,
    responses((status = 200, body = Recorded), Problems, BodyProblems)
)]
pub(super) async fn change(
    State(api): State<Api>,
    Extension(caller): Extension<Caller>,
    Checked(request): Checked<MembersRequest>,
) -> Result<Json<Recorded>, Problem> {
    let realm = caller.realm(request.realm.as_deref().unwrap_or(Api::DEFAULT_REALM))?;
    for (field, users) in [("add", &request.add), ("remove", &request.remove)] {
        if users.len() > USERS_MAX {
            return Err(Problem::field(field, &format!("at most {USERS_MAX} users at once")));
        }
    }
    let users = |names: Vec<Name>| names.into_iter().map(|name| name.0).collect::<Vec<UserId>>();
    let body = Body::Members {
        topic: topic(request.topic),
        add: users(request.add),
        remove: users(request.remove),
    };
    let draft = Draft { body, id: request_id(request.id.as_deref())? };
    api.admit(&caller, 1)?;
    recorded(api.node().publish_one(&realm, draft).await?.position)
}

/// Lists who belongs to a channel, a team or a workspace.
#[utoipa::path(
    get,
    path = "/api/v1/members",
    tag = "members",
    params(
        RealmQuery,
        ("topic" = Group, Query, style = Form, explode,
            description = "Exactly one of `channel`, `team` and `workspace`."),
    ),
    responses((status = 200, body = MembersAnswer), Problems)
)]
pub(super) async fn list(
    State(api): State<Api>,
    Extension(caller): Extension<Caller>,
    Asked(query): Asked<MembersQuery>,
) -> Result<Json<MembersAnswer>, Problem> {
    let realm = caller.realm(query.realm.as_deref().unwrap_or(Api::DEFAULT_REALM))?;
    let topic = match (query.channel, query.team, query.workspace) {
        (Some(name), None, None) => Topic::Channel(name.0),
        (None, Some(name), None) => Topic::Team(name.0),
        (None, None, Some(name)) => Topic::Workspace(name.0),
        _ => {
            let message = "exactly one of channel, team and workspace is needed";
            return Err(Problem::field("channel", message));
        }
    };
    let members = api.node().members(&realm, &topic).await;
    let members = members.map_err(|error| Problem::unavailable(error.retry_after))?;
    Ok(Json(MembersAnswer { users: members.into_iter().map(Name).collect() }))
}

/// Lists what a user belongs to.
#[utoipa::path(
    get,
    path = "/api/v1/users/{id}/memberships",
    tag = "members",
    params(
        ("id" = String, Path, description = "The user.", pattern = "^[A-Za-z0-9_.@-]{1,64}$"),
        RealmQuery
    ),
    responses((status = 200, body = MembershipsAnswer), Problems)
)]
pub(super) async fn memberships(
    State(api): State<Api>,
    Extension(caller): Extension<Caller>,
    Path(user): Path<String>,
    Asked(query): Asked<RealmQuery>,
) -> Result<Json<MembershipsAnswer>, Problem> {
    let realm = caller.realm(query.realm.as_deref().unwrap_or(Api::DEFAULT_REALM))?;
    let user = user_id(&user)?;
    let found = api.node().memberships(&realm, &user).await;
    let (position, memberships) = found.map_err(|error| Problem::unavailable(error.retry_after))?;
    let of = |kind: &str| {
        let topics = memberships.open_topics().filter(|topic| topic.kind() == kind);
        topics.map(|topic| topic.id().to_owned()).collect()
    };
    Ok(Json(MembershipsAnswer {
        position: Position::from(&position),
        channels: of("channel"),
        teams: of("team"),
        workspaces: of("workspace"),
    }))
}

/// Ends tokens: of a user, of a login session, or of everyone.
///
/// Sockets close with 4419 within 5 s on every node, and can't be resumed.
#[utoipa::path(
    post,
    path = "/api/v1/revoke",
    tag = "members",
    request_body = RevokeRequest,
    responses((status = 200, body = Recorded), Problems, BodyProblems)
)]
pub(super) async fn revoke(
    State(api): State<Api>,
    Extension(caller): Extension<Caller>,
    Checked(request): Checked<RevokeRequest>,
) -> Result<Json<Recorded>, Problem> {
    let realm = caller.realm(request.realm.as_deref().unwrap_or(Api::DEFAULT_REALM))?;
    let scope = match (request.user, request.session, request.everyone) {
        (Some(user), None, None) => RevocationScope::User(user.0),
        (None, Some(session), None) => RevocationScope::Session(session.0),
        (None, None, Some(true)) => RevocationScope::Everyone,
        (None, None, Some(false)) => {
            return Err(Problem::field("everyone", "everyone can only be true"));
        }
        _ => {
            let message = "exactly one of user, session and everyone is needed";
            return Err(Problem::field("user", message));
        }
    };
    let at_ms = api.node().clock().now_ms();
    let body = Body::Revocation(Revocation { scope, at_ms });
    let draft = Draft { body, id: request_id(request.id.as_deref())? };
    api.admit(&caller, 1)?;
    recorded(api.node().publish_one(&realm, draft).await?.position)
}

/// Closes the sockets of a user, or of one connection, with a code.
#[utoipa::path(
    post,
    path = "/api/v1/disconnect",
    tag = "members",
    request_body = DisconnectRequest,
    responses((status = 200, body = Recorded), Problems, BodyProblems)
)]
pub(super) async fn disconnect(
    State(api): State<Api>,
    Extension(caller): Extension<Caller>,
    Checked(request): Checked<DisconnectRequest>,
) -> Result<Json<Recorded>, Problem> {
    let realm = caller.realm(request.realm.as_deref().unwrap_or(Api::DEFAULT_REALM))?;
    let target = match (request.user, request.connection) {
        (Some(user), None) => Topic::User(user.0),
        (None, Some(connection)) => Topic::Connection(connection.0),
        _ => return Err(Problem::field("user", "exactly one of user and connection is needed")),
    };
    let code = u16::try_from(request.code).unwrap_or_default();
    if !DISCONNECT_CODES.iter().any(|(low, high)| (*low..=*high).contains(&code)) {
        let message = "a code is 1000, 1001, 1008, 1011 to 1013 or 3000 to 4999";
        return Err(Problem::field("code", message));
    }
    let printable = |byte: u8| (b' '..=b'~').contains(&byte);
    if request.reason.len() > REASON_BYTES_MAX || !request.reason.bytes().all(printable) {
        let message = "a reason has at most 123 printable ASCII characters";
        return Err(Problem::field("reason", message));
    }
    let body = Body::Disconnect { target, code, reason: Arc::from(request.reason) };
    api.admit(&caller, 1)?;
    recorded(api.node().publish_one(&realm, Draft { body, id: None }).await?.position)
}

#[expect(clippy::unnecessary_wraps, reason = "the end of each handler")]
#[expect(clippy::needless_pass_by_value, reason = "the end of each handler")]
fn recorded(position: crate::model::Position) -> Result<Json<Recorded>, Problem> {
    Ok(Json(Recorded { position: Position::from(&position) }))
}

fn topic(group: Group) -> Topic {
    match group {
        Group::Channel(name) => Topic::Channel(name.0),
        Group::Team(name) => Topic::Team(name.0),
        Group::Workspace(name) => Topic::Workspace(name.0),
    }
}

/// The user that a path names.
pub(super) fn user_id(text: &str) -> Result<UserId, Problem> {
    Id::parse(text).map_err(|error| Problem::field("id", &error.to_string()))
}
