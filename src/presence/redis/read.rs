//! Asking: what users show, their devices on every node, and why.
//!
//! A status is read from one row of each user, which says until when it holds; the
//! records of the nodes are merged where it does not, or where they are asked for.
//!
//! Invariants: devices of this node are read from its own table, which is never behind.

use std::sync::Arc;

use redis::{Pipeline, Value};

use super::{
    context::{Context, node_name},
    realm::Realm,
    scripts::{Own, READ},
    wire::{self, Row},
};
use crate::{
    model::{Status, StatusRecord, UserId},
    presence::{
        DeviceRecord, Explanation, PresenceError, UserPresence,
        merge::{self, Derived},
    },
    redis_client::RedisError,
};

/// Users in one request.
const CHUNK: usize = 1_000;

/// Requests in a search for all who are not offline.
const PAGES: usize = 200;

/// What is known of one user, everywhere.
struct Gathered {
    row: Row,
    devices: Vec<DeviceRecord>,
}

impl Gathered {
    fn derive(&self, context: &Context, now_ms: u64) -> Derived {
        let sightings = self.devices.iter().map(Into::into);
        merge::status(sightings, self.row.overlay, now_ms, context.settings.rules)
    }
}

/// The statuses of `users`, in their order.
pub(super) async fn status(
    context: &Context,
    realm: &Realm,
    users: &[UserId],
) -> Result<Vec<StatusRecord>, PresenceError> {
    let rows = rows(context, realm, users).await.map_err(failed)?;
    let now_ms = context.clock.now_ms();
    let mut records = Vec::with_capacity(users.len());
    let mut late = Vec::new();
    for (place, (user, row)) in users.iter().zip(rows).enumerate() {
        if row.due_ms <= now_ms {
            late.push((place, user.clone()));
        }
        let mut record = row.record(user.clone(), now_ms);
        let local = context.local(user).status(&realm.id, user, now_ms);
        record.last_activity_at_ms = record.last_activity_at_ms.max(local.last_activity_at_ms);
        records.push(record);
    }
    if !late.is_empty() {
        let (places, users): (Vec<_>, Vec<_>) = late.into_iter().unzip();
        let gathered = gather(context, realm, &users, now_ms).await?;
        for ((place, user), known) in places.into_iter().zip(users).zip(gathered) {
            if let Some(record) = records.get_mut(place) {
                *record = known.derive(context, now_ms).record(user);
            }
        }
    }
    Ok(records)
}

/// The statuses and devices of `users`, in their order.
pub(super) async fn devices(
    context: &Context,
    realm: &Realm,
    users: &[UserId],
) -> Result<Vec<UserPresence>, PresenceError> {
    let now_ms = context.clock.now_ms();
    let rules = context.settings.rules;
    let gathered = gather(context, realm, users, now_ms).await?;
    let presence = |(user, mut known): (&UserId, Gathered)| {
        let record = known.derive(context, now_ms).record(user.clone());
        known.devices.retain(|device| {
            device.dropped_at_ms.is_none_or(|dropped_at_ms| rules.gone_at(dropped_at_ms) > now_ms)
        });
        UserPresence { record, devices: known.devices }
    };
    Ok(users.iter().zip(gathered).map(presence).collect())
}

/// The status of `user`, and all it comes from.
pub(super) async fn explain(
    context: &Context,
    realm: &Realm,
    user: &UserId,
) -> Result<Explanation, PresenceError> {
    let now_ms = context.clock.now_ms();
    let mut gathered = gather(context, realm, std::slice::from_ref(user), now_ms).await?;
    let known = gathered.pop().unwrap_or(Gathered { row: Row::NONE, devices: Vec::new() });
    let derived = known.derive(context, now_ms);
    Ok(Explanation {
        record: derived.record(user.clone()),
        rule: derived.rule,
        holds_until_ms: derived.holds_until_ms,
        now_ms,
        rules: context.settings.rules,
        overlay: known.row.overlay,
        devices: known.devices,
    })
}

/// Up to `limit` users of `realm` who are not offline, on any node.
pub(super) async fn all(
    context: &Context,
    realm: &Realm,
    limit: usize,
) -> Result<Vec<StatusRecord>, PresenceError> {
    if let Some(list) = realm.list(limit) {
        return Ok(list);
    }
    let (key, mut cursor) = (rows_key(context, realm), "0".to_owned());
    let mut users = Vec::new();
    for _ in 0..PAGES {
        let mut page = Pipeline::new();
        page.cmd("HSCAN").arg(&key).arg(&cursor).arg("COUNT").arg(CHUNK);
        let answer = context.client.query("status", &key, &page).await.map_err(failed)?;
        let answer = answer.first().map(wire::list).unwrap_or_default();
        if let Some(found) = answer.get(1) {
            let found: Vec<_> = wire::texts(found).collect();
            users.extend(found.chunks_exact(2).filter_map(not_offline));
        }
        cursor = answer.first().and_then(wire::text).unwrap_or("0").to_owned();
        if cursor == "0" || users.len() >= limit {
            break;
        }
    }
    // A row may be found twice.
    users.sort_unstable();
    users.dedup();
    users.truncate(limit);
    let mut records = status(context, realm, &users).await?;
    records.retain(|record| record.status != Status::Offline);
    realm.remember_list(limit, &records);
    Ok(records)
}

fn not_offline(pair: &[&str]) -> Option<UserId> {
    let [user, row] = pair else {
        return None;
    };
    let user = UserId::parse(user).ok()?;
    (Row::parse(row).shown != Status::Offline).then_some(user)
}

async fn rows(context: &Context, realm: &Realm, users: &[UserId]) -> Result<Vec<Row>, RedisError> {
    if users.is_empty() {
        return Ok(Vec::new());
    }
    let key = rows_key(context, realm);
    let mut commands = Pipeline::new();
    for chunk in users.chunks(CHUNK) {
        let command = commands.cmd("HMGET").arg(&key);
        for user in chunk {
            command.arg(user.as_str());
        }
    }
    let answers = context.client.query("status", &key, &commands).await?;
    let values = answers.iter().flat_map(wire::list);
    let rows: Vec<_> = values.map(|row| wire::text(row).map_or(Row::NONE, Row::parse)).collect();
    if rows.len() == users.len() {
        Ok(rows)
    } else {
        Err(RedisError::Unexpected { expected: "one row for each user" })
    }
}

/// The rows and devices of `users`, in their order.
async fn gather(
    context: &Context,
    realm: &Realm,
    users: &[UserId],
    now_ms: u64,
) -> Result<Vec<Gathered>, PresenceError> {
    let mut gathered = Vec::with_capacity(users.len());
    for chunk in users.chunks(CHUNK) {
        let mut own = Own::default();
        for user in chunk {
            own.push(user.as_str().to_owned());
        }
        let answer = context.read(&realm.key, &READ, own).await.map_err(failed)?;
        let mut parts = answer.iter();
        let rows = parts.next().map(wire::list).unwrap_or_default();
        let nodes: Vec<_> =
            parts.as_slice().chunks_exact(2).filter_map(|of| node(context, of)).collect();
        for (place, user) in chunk.iter().enumerate() {
            let row = rows.get(place).and_then(wire::text).map_or(Row::NONE, Row::parse);
            let mut devices = context.local(user).facts(&realm.id, user, now_ms).devices;
            for (node, records) in &nodes {
                if let Some(record) = records.get(place).and_then(wire::text) {
                    devices.extend(wire::decode(record, node));
                }
            }
            gathered.push(Gathered { row, devices });
        }
    }
    Ok(gathered)
}

/// Another node's name and its records.
fn node<'a>(context: &Context, pair: &'a [Value]) -> Option<(Arc<str>, &'a [Value])> {
    let [me, records] = pair else {
        return None;
    };
    let me = wire::text(me)?;
    (*me != *context.settings.me).then(|| (node_name(me), wire::list(records)))
}

/// The key of the rows of a realm.
fn rows_key(context: &Context, realm: &Realm) -> String {
    format!("{}:{{{}}}:st", context.client.prefix(), realm.id)
}

fn failed(error: RedisError) -> PresenceError {
    PresenceError::Unavailable { source: Box::new(error) }
}
