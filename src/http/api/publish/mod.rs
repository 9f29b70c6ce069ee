//! `POST /publish` and `POST /publish/batch`.
//!
//! Invariants: an answer of 200 means that the event is in the log; a batch is
//! appended in its order, and an event of it that is refused does not stop the
//! others.

mod wire;

use std::{sync::Arc, time::Duration};

use axum::{Extension, Json, extract::State};
use bytes::Bytes;
use serde_json::value::RawValue;

use super::{
    Api,
    body::{Checked, parse},
    caller::Caller,
    problem::{BodyProblems, Problem, Problems},
    wire::Position,
};
use crate::{
    clock,
    model::{Body, ConnectionId, Event, Topic},
    node::{Draft, PublishError, Published},
};
pub(super) use wire::REQUEST_ID_PATTERN;
use wire::{BatchAnswer, BatchRequest, BatchResult, PublishAnswer, PublishRequest, To};

/// Most users that one event leaves out.
const OMIT_USERS_MAX: usize = 1_000;
/// Longest name of an event in bytes.
const EVENT_NAME_BYTES_MAX: usize = 128;
/// Longest id of a request in bytes.
const REQUEST_ID_BYTES_MAX: usize = 128;

/// Publishes one event.
#[utoipa::path(
    post,
    path = "/api/v1/publish",
    tag = "events",
    request_body = PublishRequest,
    responses((status = 200, body = PublishAnswer), Problems, BodyProblems)
)]
pub(super) async fn publish(
    State(api): State<Api>,
    Extension(caller): Extension<Caller>,
    Checked(request): Checked<PublishRequest>,
) -> Result<Json<PublishAnswer>, Problem> {
    let realm = caller.realm(request.realm.as_deref().unwrap_or(Api::DEFAULT_REALM))?;
    let draft = draft(request, api.limits().event_bytes)?;
    api.admit(&caller, 1)?;
    let published = api.node().publish_one(&realm, draft).await?;
    Ok(Json(answer(&published)))
}

/// Publishes up to 256 events in one step.
///
/// Events are judged one by one: the answer is 200 with a result for each, in
/// order. What is malformed, too large or in conflict is not published; the rest is.
#[utoipa::path(
    post,
    path = "/api/v1/publish/batch",
    tag = "events",
    request_body = BatchRequest,
    responses((status = 200, body = BatchAnswer), Problems, BodyProblems)
)]
pub(super) async fn batch(
    State(api): State<Api>,
    Extension(caller): Extension<Caller>,
    Checked(request): Checked<BatchRequest>,
) -> Result<Json<BatchAnswer>, Problem> {
    let realm = caller.realm(request.realm.as_deref().unwrap_or(Api::DEFAULT_REALM))?;
    let limits = api.limits();
    let most = limits.api_batch_events;
    if request.events.len() > most {
        return Err(Problem::field("events", &format!("a batch has at most {most} events")));
    }
    if let Some(index) = request.events.iter().position(|event| !is_object(event)) {
        return Err(Problem::field(&format!("events[{index}]"), "an event is an object"));
    }
    let mut drafts = Vec::new();
    let mut refused = Vec::new();
    for event in &request.events {
        match one_of_batch(event, limits.event_bytes) {
            Ok(draft) => {
                drafts.push(draft);
                refused.push(None);
            }
            Err(problem) => refused.push(Some(problem)),
        }
    }
    api.admit(&caller, drafts.len())?;
    let mut published =
        if drafts.is_empty() { Vec::new() } else { api.node().publish(&realm, drafts).await }
            .into_iter();
    let result = |problem: Option<Problem>| match problem {
        Some(problem) => BatchResult::Failed { error: problem.into_detail() },
        None => match published.next().unwrap_or(Err(LOST)) {
            Ok(published) => BatchResult::Done(answer(&published)),
            Err(error) => BatchResult::Failed { error: Problem::from(error).into_detail() },
        },
    };
    Ok(Json(BatchAnswer { results: refused.into_iter().map(result).collect() }))
}

/// A log that gives too few answers did not say what became of the others.
const LOST: PublishError = PublishError::Unavailable { retry_after: Duration::from_secs(1) };

fn one_of_batch(event: &RawValue, bytes_max: usize) -> Result<Draft, Problem> {
    let request: PublishRequest = parse(event.get())?;
    if request.realm.is_some() {
        return Err(Problem::field("realm", "the realm belongs to the batch"));
    }
    draft(request, bytes_max)
}

fn answer(published: &Published) -> PublishAnswer {
    PublishAnswer { position: Position::from(&published.position), duplicate: published.duplicate }
}

fn is_object(json: &RawValue) -> bool {
    json.get().starts_with('{')
}

/// The record that `request` asks for.
fn draft(request: PublishRequest, bytes_max: usize) -> Result<Draft, Problem> {
    check_name(&request.event)?;
    let data = match request.data {
        Some(data) if !is_object(&data) => return Err(Problem::field("data", "data is an object")),
        Some(data) => Bytes::from(String::from(Box::<str>::from(data))),
        None => Bytes::from_static(b"{}"),
    };
    if data.len() > bytes_max {
        return Err(Problem::event_too_large(bytes_max));
    }
    if request.omit_users.len() > OMIT_USERS_MAX {
        let message = format!("at most {OMIT_USERS_MAX} users can be left out");
        return Err(Problem::field("omit_users", &message));
    }
    let omit_connection = match request.omit_connection.as_str() {
        "" => None,
        text => Some(
            ConnectionId::parse(text)
                .map_err(|error| Problem::field("omit_connection", &error.to_string()))?,
        ),
    };
    let id = request_id(request.id.as_deref())?;
    let event = Event {
        name: Arc::from(request.event),
        data,
        to: topic(request.to)?,
        omit_users: request.omit_users.into_iter().map(|name| name.0).collect(),
        omit_connection,
        ephemeral: request.ephemeral,
        binary: false,
        id: id.clone().unwrap_or_else(|| Arc::from(clock::random_connection_id().as_str())),
        sender: None,
    };
    Ok(Draft { body: Body::Event(event), id })
}

fn check_name(name: &str) -> Result<(), Problem> {
    let fine = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte);
    if name.is_empty() || name.len() > EVENT_NAME_BYTES_MAX || !name.bytes().all(fine) {
        let message = "a name has 1 to 128 letters, digits and _ . -";
        return Err(Problem::field("event", message));
    }
    if name == "hello" || name.starts_with("hb_") {
        return Err(Problem::field("event", "this name is reserved"));
    }
    Ok(())
}

/// The id of a request, checked.
pub(super) fn request_id(id: Option<&str>) -> Result<Option<Arc<str>>, Problem> {
    let Some(id) = id else { return Ok(None) };
    let printable = id.bytes().all(|byte| byte.is_ascii_graphic());
    if id.is_empty() || id.len() > REQUEST_ID_BYTES_MAX || !printable {
        return Err(Problem::field("id", "an id has 1 to 128 printable characters"));
    }
    Ok(Some(Arc::from(id)))
}

fn topic(to: To) -> Result<Topic, Problem> {
    Ok(match to {
        To::User(name) => Topic::User(name.0),
        To::Channel(name) => Topic::Channel(name.0),
        To::Team(name) => Topic::Team(name.0),
        To::Connection(name) => Topic::Connection(name.0),
        To::Everyone(true) => Topic::Everyone,
        To::Everyone(false) => {
            return Err(Problem::field("to.everyone", "everyone can only be true"));
        }
        To::Room(name) => Topic::Room(name.0),
        To::Workspace(name) => Topic::Workspace(name.0),
    })
}
