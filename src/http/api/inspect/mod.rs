//! Questions of operators: connections, deliveries, the log, the nodes.
//!
//! Invariants: nothing here changes anything; an answer has at most 4 MiB of
//! records.

mod wire;

use axum::{
    Extension, Json,
    extract::{Path, State},
};
use serde_json::value::RawValue;

use super::{
    Api,
    body::Asked,
    caller::Caller,
    members::RealmQuery,
    problem::{Problem, Problems},
    wire::{ConnectionName, Name, Position},
};
use crate::{
    model::{Body, BusStage, ConnectionId, Event, Record, RevocationScope, Topic, UserId},
    node::{ClusterNode as Peer, Delivery, Located, RealmInfo, Verdict},
};
use wire::{
    ClusterNode, ConnectionAnswer, DeliveryAnswer, DeliveryQuery, HubAnswer, LogAnswer, LogBody,
    LogEvent, LogQuery, LogRecord, NodeAnswer, NodesAnswer, Outbox, RealmAnswer, TopicName,
};

/// Most records of one answer.
const RECORDS_MAX: usize = 1_000;
/// Most bytes of event data of one answer.
const RECORDS_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Tells about one connection, on whatever node it is. When its node does not answer, or
/// its socket has ended, it is told what was last written down.
#[utoipa::path(
    get,
    path = "/api/v1/connections/{id}",
    tag = "operators",
    params(
        ("id" = String, Path, description = "The connection.", pattern = "^[a-z0-9]{26}$"),
        RealmQuery
    ),
    responses((status = 200, body = ConnectionAnswer), Problems)
)]
pub(super) async fn connection(
    State(api): State<Api>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
    Asked(query): Asked<RealmQuery>,
) -> Result<Json<ConnectionAnswer>, Problem> {
    let realm = caller.realm(query.realm.as_deref().unwrap_or(Api::DEFAULT_REALM))?;
    let id = ConnectionId::parse(&id).map_err(|error| Problem::field("id", &error.to_string()))?;
    let found = api.node().connection(&realm, id).await;
    let found = found.map_err(|error| Problem::unavailable(error.retry_after))?;
    let found = found.ok_or_else(|| Problem::not_found("no such connection"))?;
    let Located { node, user, seq, cursor, socket } = found;
    let outbox = socket
        .as_ref()
        .map(|socket| Outbox { events: socket.outbox_events, bytes: socket.outbox_bytes });
    Ok(Json(ConnectionAnswer {
        connection: ConnectionName(id),
        user: Name(user),
        node,
        connected: socket.is_some(),
        seq,
        cursor,
        outbox,
        since: socket.as_ref().map(|socket| socket.since_ms),
        dialect: socket.map(|socket| socket.dialect),
    }))
}

/// Tells why a connection got an event, or did not: the rule that decided.
#[utoipa::path(
    get,
    path = "/api/v1/explain/delivery",
    tag = "operators",
    params(DeliveryQuery),
    responses((status = 200, body = DeliveryAnswer), Problems)
)]
pub(super) async fn delivery(
    State(api): State<Api>,
    Extension(caller): Extension<Caller>,
    Asked(query): Asked<DeliveryQuery>,
) -> Result<Json<DeliveryAnswer>, Problem> {
    let realm = caller.realm(query.realm.as_deref().unwrap_or(Api::DEFAULT_REALM))?;
    let told = api.node().explain_delivery(&realm, query.connection.0, query.offset).await;
    let told = told.map_err(|error| Problem::unavailable(error.retry_after))?;
    let told = told.ok_or_else(|| Problem::not_found("no such connection"))?;
    let (delivered, rule, explanation) = match told {
        Delivery::BeforeHello => {
            (false, "before_hello", "the record is older than the connection's hello")
        }
        Delivery::NotKept => {
            (false, "not_kept", "the record is no longer kept, or not yet written")
        }
        Delivery::Decided(Verdict::Sent) => {
            (true, "addressed", "the event is addressed to this connection")
        }
        Delivery::Decided(Verdict::Skipped(rule)) => (false, rule.label(), rule.explanation()),
    };
    Ok(Json(DeliveryAnswer { delivered, rule, explanation }))
}

/// Lists records of a realm's log, for debugging.
#[utoipa::path(
    get,
    path = "/api/v1/log",
    tag = "operators",
    params(LogQuery),
    responses((status = 200, body = LogAnswer), Problems)
)]
pub(super) async fn log(
    State(api): State<Api>,
    Extension(caller): Extension<Caller>,
    Asked(query): Asked<LogQuery>,
) -> Result<Json<LogAnswer>, Problem> {
    let realm = caller.realm(query.realm.as_deref().unwrap_or(Api::DEFAULT_REALM))?;
    if !(1..=RECORDS_MAX).contains(&query.limit) {
        let message = format!("a limit is 1 to {RECORDS_MAX}");
        return Err(Problem::field("limit", &message));
    }
    let after = query.from.saturating_sub(1);
    let records = api.node().log_range(&realm, after, query.limit).await;
    let records = records.map_err(|error| Problem::unavailable(error.retry_after))?;
    let mut bytes = 0;
    let fits = |record: &&std::sync::Arc<Record>| {
        let first = bytes == 0;
        bytes += size(record);
        first || bytes <= RECORDS_BYTES_MAX
    };
    let records = records.iter().take_while(fits).map(|record| shown(record)).collect();
    Ok(Json(LogAnswer { records }))
}

/// Tells what this node is doing: realms, positions, hubs, queues.
#[utoipa::path(
    get,
    path = "/api/v1/node",
    tag = "operators",
    responses((status = 200, body = NodeAnswer), Problems)
)]
pub(super) async fn node(
    State(api): State<Api>,
    Extension(caller): Extension<Caller>,
) -> Json<NodeAnswer> {
    let info = api.node().describe().await;
    let hubs = info.hubs.into_iter().enumerate().map(|(number, (hub, queue))| HubAnswer {
        hub: number,
        connections: hub.connections,
        topics: hub.topics,
        queue,
    });
    let hubs = hubs.collect();
    let reasons = api.readiness().reasons();
    let mine = info.realms.into_iter().filter(|realm| caller.realm(realm.id.as_str()).is_ok());
    Json(NodeAnswer {
        id: info.id.as_ref().to_owned(),
        version: env!("CARGO_PKG_VERSION"),
        realms: mine.map(RealmAnswer::from).collect(),
        hubs,
        ready: reasons.is_empty(),
        reasons,
    })
}

/// Lists the nodes of the cluster.
#[utoipa::path(
    get,
    path = "/api/v1/nodes",
    tag = "operators",
    responses((status = 200, body = NodesAnswer), Problems)
)]
pub(super) async fn nodes(State(api): State<Api>) -> Result<Json<NodesAnswer>, Problem> {
    let nodes = api.node().nodes().await;
    let mut nodes = nodes.map_err(|error| Problem::unavailable(error.retry_after))?;
    nodes.sort_by(|one, other| one.id.cmp(&other.id));
    let shown = |node: Peer| ClusterNode {
        id: node.id.as_ref().to_owned(),
        incarnation: node.incarnation,
        lease_expires_at: node.lease_expires_at_ms,
        connections: node.connections,
        draining: node.is_draining,
    };
    Ok(Json(NodesAnswer { nodes: nodes.into_iter().map(shown).collect() }))
}

impl From<RealmInfo> for RealmAnswer {
    fn from(info: RealmInfo) -> Self {
        Self {
            realm: Name(info.id),
            position: info.position.as_ref().map(Position::from),
            ring_first: info.ring.first,
            ring_events: info.ring.records,
            ring_bytes: info.ring.bytes,
        }
    }
}

/// About how many bytes of an answer a record takes.
fn size(record: &Record) -> usize {
    const REST: usize = 512;
    match &record.body {
        Body::Event(event) => event.data.len() + event.omit_users.len() * 64 + REST,
        Body::Members { add, remove, .. } => (add.len() + remove.len()) * 64 + REST,
        Body::Watch { add, remove, .. } => (add.len() + remove.len()) * 80 + REST,
        Body::Seeds { topics, .. } => topics.len() * 80 + REST,
        Body::Bus(bus) => bus.data.len() + REST,
        Body::Workspace { is, .. } => {
            is.as_ref().map_or(0, |is| (is.roots.len() + is.rules.len()) * 128) + REST
        }
        Body::Nodes(nodes) => (nodes.set.len() + nodes.remove.len()) * 128 + REST,
        Body::Revocation(_) | Body::Disconnect { .. } | Body::Unknown => REST,
    }
}

fn shown(record: &Record) -> LogRecord {
    let users = |users: &[UserId]| users.iter().cloned().map(Name).collect();
    let body = match &record.body {
        Body::Event(event) => LogBody::Event(shown_event(event)),
        Body::Members { topic, add, remove } => {
            LogBody::Members { topic: topic_name(topic), add: users(add), remove: users(remove) }
        }
        Body::Seeds { user, topics } => LogBody::Seeds {
            user: Name(user.clone()),
            topics: topics.iter().map(topic_name).collect(),
        },
        Body::Watch { connection, add, remove } => LogBody::Watch {
            connection: ConnectionName(*connection),
            add: add.iter().map(topic_name).collect(),
            remove: remove.iter().map(topic_name).collect(),
        },
        Body::Revocation(revocation) => {
            let (scope, id) = match &revocation.scope {
                RevocationScope::User(user) => ("user", user.to_string()),
                RevocationScope::Session(session) => ("session", session.to_string()),
                RevocationScope::Everyone => ("everyone", String::new()),
            };
            LogBody::Revocation { scope, id, before: revocation.at_ms }
        }
        Body::Bus(bus) => LogBody::Bus {
            topic: bus.topic.label(),
            stage: match bus.stage {
                BusStage::Whole => "whole",
                BusStage::Part => "part",
                BusStage::Merged { .. } => "merged",
                BusStage::Void => "void",
            },
            payload: raw(&bus.data),
        },
        Body::Workspace { id, is, .. } => {
            LogBody::Workspace { id: Name(id.clone()), exists: is.is_some() }
        }
        Body::Nodes(nodes) => LogBody::Nodes { set: nodes.set.len(), removed: nodes.remove.len() },
        Body::Unknown => LogBody::Unknown,
        Body::Disconnect { target, code, reason } => LogBody::Disconnect {
            target: topic_name(target),
            code: *code,
            reason: reason.as_ref().to_owned(),
        },
    };
    let at = record.accepted_at_us / 1_000;
    LogRecord { position: Position::from(&record.position), at, body }
}

/// JSON as it is; `None` when it is none.
fn raw(json: &[u8]) -> Option<Box<RawValue>> {
    String::from_utf8(json.to_vec()).ok().and_then(|text| RawValue::from_string(text).ok())
}

fn shown_event(event: &Event) -> LogEvent {
    let data = (!event.binary).then(|| raw(&event.data)).flatten();
    let connection = event.omit_connection.map(|connection| connection.to_string());
    LogEvent {
        event: event.name.as_ref().to_owned(),
        data,
        to: topic_name(&event.to),
        omit_users: event.omit_users.iter().cloned().map(Name).collect(),
        omit_connection: connection.unwrap_or_default(),
        ephemeral: event.ephemeral,
        id: event.id.as_ref().to_owned(),
    }
}

fn topic_name(topic: &Topic) -> TopicName {
    TopicName { kind: topic.kind(), id: topic.id().to_owned() }
}
