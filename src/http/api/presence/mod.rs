//! Who is there, and what their status is.
//!
//! Invariants: a list has at most 1,000 users, and says when there are more.

mod wire;

use std::time::Duration;

use axum::{
    Extension, Json,
    extract::{Path, State},
};

use super::{
    Api,
    body::{Asked, Checked},
    caller::Caller,
    members::{RealmQuery, user_id},
    problem::{BodyProblems, Problem, Problems},
    wire::{ConnectionName, Name},
};
use crate::model::{ConnectionId, ManualStatus, RealmId, Status, Topic, UserId};
pub(super) use wire::Place;
use wire::{
    Device, PresenceAnswer, PresenceQuery, PresenceRequest, StatusAnswer, StatusExplanation,
    StatusQuery, StatusRequest, StatusWord, UserPresence,
};

/// Most users of one answer.
const USERS_MAX: usize = 1_000;
/// When to ask again after presence could not be asked.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// Tells who of a channel, of a team or in a room is there.
#[utoipa::path(
    get,
    path = "/api/v1/presence",
    tag = "presence",
    params(
        RealmQuery,
        ("place" = Place, Query, style = Form, explode,
            description = "Exactly one of `channel`, `team` and `room`."),
    ),
    responses((status = 200, body = PresenceAnswer), Problems)
)]
pub(super) async fn of_topic(
    State(api): State<Api>,
    Extension(caller): Extension<Caller>,
    Asked(query): Asked<PresenceQuery>,
) -> Result<Json<PresenceAnswer>, Problem> {
    let realm = caller.realm(query.realm.as_deref().unwrap_or(Api::DEFAULT_REALM))?;
    let topic = match (query.channel, query.team, query.room) {
        (Some(name), None, None) => Topic::Channel(name.0),
        (None, Some(name), None) => Topic::Team(name.0),
        (None, None, Some(name)) => return of_room(&api, &realm, name).await,
        _ => {
            let message = "exactly one of channel, team and room is needed";
            return Err(Problem::field("channel", message));
        }
    };
    let members = api.node().members(&realm, &topic).await;
    let members = members.map_err(|error| Problem::unavailable(error.retry_after))?;
    answer(&api, &realm, members, None).await
}

async fn of_room(api: &Api, realm: &RealmId, room: Name) -> Result<Json<PresenceAnswer>, Problem> {
    let inside = api.node().in_room(realm, &room.0).await;
    let inside = inside.map_err(|error| Problem::unavailable(error.retry_after))?;
    let mut users: Vec<UserId> = inside.iter().map(|(user, _)| user.clone()).collect();
    users.sort();
    users.dedup();
    let connections: Vec<ConnectionId> = inside.into_iter().map(|(_, id)| id).collect();
    answer(api, realm, users, Some(connections)).await
}

/// Tells who of some users is there.
#[utoipa::path(
    post,
    path = "/api/v1/presence",
    tag = "presence",
    request_body = PresenceRequest,
    responses((status = 200, body = PresenceAnswer), Problems, BodyProblems)
)]
pub(super) async fn of_users(
    State(api): State<Api>,
    Extension(caller): Extension<Caller>,
    Checked(request): Checked<PresenceRequest>,
) -> Result<Json<PresenceAnswer>, Problem> {
    let realm = caller.realm(request.realm.as_deref().unwrap_or(Api::DEFAULT_REALM))?;
    if request.users.len() > USERS_MAX {
        return Err(Problem::field("users", &format!("at most {USERS_MAX} users at once")));
    }
    let users = request.users.into_iter().map(|name| name.0).collect();
    answer(&api, &realm, users, None).await
}

/// The presence of `users`; with `only`, of their devices those.
async fn answer(
    api: &Api,
    realm: &RealmId,
    mut users: Vec<UserId>,
    only: Option<Vec<ConnectionId>>,
) -> Result<Json<PresenceAnswer>, Problem> {
    let more = users.len() > USERS_MAX;
    users.truncate(USERS_MAX);
    let found = api.node().devices(realm, &users).await.map_err(|error| {
        tracing::warn!(%error, "presence can't be asked");
        Problem::unavailable(RETRY_AFTER)
    })?;
    let counts = |connection| only.as_ref().is_none_or(|only| only.contains(&connection));
    let users = found.into_iter().map(|presence| {
        let devices: Vec<Device> = presence
            .devices
            .into_iter()
            .filter(|device| counts(device.connection))
            .map(|device| Device {
                node: device.node.as_ref().to_owned(),
                connection: ConnectionName(device.connection),
                since: device.since_ms,
                active_at: device.active_at_ms,
                dropped_at: device.dropped_at_ms,
            })
            .collect();
        // Presence knows no guests, but one who is inside is there.
        let is_guest_inside = only.is_some() && devices.is_empty();
        let status = if is_guest_inside { Status::Online } else { presence.record.status };
        UserPresence {
            user: Name(presence.record.user),
            status: status.as_str(),
            last_activity_at: presence.record.last_activity_at_ms,
            devices,
        }
    });
    Ok(Json(PresenceAnswer { users: users.collect(), more }))
}

/// Tells a user's status, and with `explain=true` what it was decided from.
#[utoipa::path(
    get,
    path = "/api/v1/users/{id}/status",
    tag = "presence",
    params(
        ("id" = String, Path, description = "The user.", pattern = "^[A-Za-z0-9_.@-]{1,64}$"),
        StatusQuery
    ),
    responses((status = 200, body = StatusAnswer), Problems)
)]
pub(super) async fn status(
    State(api): State<Api>,
    Extension(caller): Extension<Caller>,
    Path(user): Path<String>,
    Asked(query): Asked<StatusQuery>,
) -> Result<Json<StatusAnswer>, Problem> {
    let realm = caller.realm(query.realm.as_deref().unwrap_or(Api::DEFAULT_REALM))?;
    let user = user_id(&user)?;
    let unavailable = |_error| Problem::unavailable(RETRY_AFTER);
    if !query.explain {
        let record = api.node().status_of(&realm, &user).await.map_err(unavailable)?;
        return Ok(Json(StatusAnswer::from(record)));
    }
    let told = api.node().explain_status(&realm, &user).await;
    let told = told.map_err(|_error| Problem::unavailable(RETRY_AFTER))?;
    let devices = told.devices.into_iter().map(|device| Device {
        node: device.node.as_ref().to_owned(),
        connection: ConnectionName(device.connection),
        since: device.since_ms,
        active_at: device.active_at_ms,
        dropped_at: device.dropped_at_ms,
    });
    let explanation = StatusExplanation {
        rule: told.rule.as_str(),
        decided_at: told.now_ms,
        holds_until: (told.holds_until_ms != u64::MAX).then_some(told.holds_until_ms),
        devices: devices.collect(),
    };
    Ok(Json(StatusAnswer { explanation: Some(explanation), ..StatusAnswer::from(told.record) }))
}

/// Chooses a user's status for them.
#[utoipa::path(
    put,
    path = "/api/v1/users/{id}/status",
    tag = "presence",
    params(("id" = String, Path, description = "The user.", pattern = "^[A-Za-z0-9_.@-]{1,64}$")),
    request_body = StatusRequest,
    responses((status = 200, body = StatusAnswer), Problems, BodyProblems)
)]
pub(super) async fn choose(
    State(api): State<Api>,
    Extension(caller): Extension<Caller>,
    Path(user): Path<String>,
    Checked(request): Checked<StatusRequest>,
) -> Result<Json<StatusAnswer>, Problem> {
    let realm = caller.realm(request.realm.as_deref().unwrap_or(Api::DEFAULT_REALM))?;
    let user = user_id(&user)?;
    let status = match request.status {
        StatusWord::Online => Status::Online,
        StatusWord::Away => Status::Away,
        StatusWord::Dnd => Status::Dnd,
        StatusWord::Offline => Status::Offline,
        StatusWord::Ooo => Status::Ooo,
    };
    let chosen = ManualStatus::new(status, request.dnd_ends_at);
    let record = api.node().choose_status(&realm, &user, chosen).await;
    let record = record.map_err(|_error| Problem::unavailable(RETRY_AFTER))?;
    Ok(Json(StatusAnswer::from(record)))
}
