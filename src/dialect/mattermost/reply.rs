//! Replies, hello, and the data of the events that the server makes itself.

use std::{fmt::Write, num::NonZeroU64};

use bytes::Bytes;

use crate::{
    dialect::json::push_string,
    model::{ConnectionId, Status, StatusRecord, UserId},
};

use super::{Refusal, render::push_broadcast};

/// What a hello says.
#[derive(Debug, Clone, Copy)]
pub struct Hello<'a> {
    /// The connection, which a client names when it resumes.
    pub connection: ConnectionId,
    /// Its user.
    pub user: &'a UserId,
    /// The node.
    pub server_hostname: &'a str,
    /// What clients compare to notice an upgrade.
    pub server_version: &'a str,
}

/// What the reply to a ping says.
#[derive(Debug, Clone, Copy)]
pub struct Pong<'a> {
    /// As in hello.
    pub server_version: &'a str,
    /// Milliseconds since 1970.
    pub server_time_ms: u64,
    /// The node.
    pub node: &'a str,
}

/// The first event of a numbering, complete with its `seq` 0.
#[must_use]
pub fn hello(hello: &Hello<'_>) -> Bytes {
    let mut json = String::from(r#"{"event":"hello","data":{"connection_id":"#);
    push_string(&mut json, hello.connection.as_str());
    json.push_str(r#","server_hostname":"#);
    push_string(&mut json, hello.server_hostname);
    json.push_str(r#","server_version":"#);
    push_string(&mut json, hello.server_version);
    json.push_str("},");
    push_broadcast(&mut json, |key| if key == "user_id" { hello.user.as_str() } else { "" }, &[]);
    json.push_str(r#","seq":0}"#);
    json.into()
}

/// The reply that says only that the request `seq` was done.
#[must_use]
pub fn reply_ok(seq: NonZeroU64) -> Bytes {
    format!(r#"{{"status":"OK","seq_reply":{seq}}}"#).into()
}

/// The reply to the request `seq` with `data`, a JSON object.
#[must_use]
pub fn reply_ok_with(seq: NonZeroU64, data: &str) -> Bytes {
    format!(r#"{{"status":"OK","seq_reply":{seq},"data":{data}}}"#).into()
}

/// The reply that refuses the request `seq`.
#[must_use]
pub fn reply_fail(seq: NonZeroU64, refusal: &Refusal) -> Bytes {
    let row = refusal.row();
    let mut json = format!(r#"{{"status":"FAIL","seq_reply":{seq},"error":{{"id":"#);
    push_string(&mut json, row.id);
    json.push_str(r#","message":"#);
    push_string(&mut json, &refusal.message());
    push(&mut json, format_args!(r#","detailed_error":"","status_code":{}}}}}"#, row.status));
    json.into()
}

impl Pong<'_> {
    /// The `data` of the reply to a ping.
    #[must_use]
    pub fn data(&self) -> String {
        let mut json = String::from(r#"{"text":"pong","version":"#);
        push_string(&mut json, self.server_version);
        push(&mut json, format_args!(r#","server_time":{},"node_id":"#, self.server_time_ms));
        push_string(&mut json, self.node);
        json.push('}');
        json
    }
}

/// The `data` of a `status_change` event.
#[must_use]
pub fn status_change_data(user: &UserId, status: Status) -> Bytes {
    format!(r#"{{"status":"{}","user_id":"{user}"}}"#, status.as_str()).into()
}

/// The `data` of a `typing` event. `parent` is empty outside of a thread.
#[must_use]
pub fn typing_data(parent: &str, user: &UserId) -> Bytes {
    let mut json = String::from(r#"{"parent_id":"#);
    push_string(&mut json, parent);
    push(&mut json, format_args!(r#","user_id":"{user}"}}"#));
    json.into()
}

/// The `data` of the replies with statuses: an object from user id to status.
#[must_use]
pub fn statuses<'a>(statuses: impl IntoIterator<Item = (&'a UserId, Status)>) -> String {
    let mut json = String::from("{");
    for (user, status) in statuses {
        separate(&mut json, '{');
        push(&mut json, format_args!(r#""{user}":"{}""#, status.as_str()));
    }
    json.push('}');
    json
}

/// A status in the shape of Mattermost's REST interface.
#[must_use]
pub fn status_record(record: &StatusRecord) -> String {
    format!(
        r#"{{"user_id":"{}","status":"{}","manual":{},"last_activity_at":{},"dnd_end_time":{}}}"#,
        record.user,
        record.status.as_str(),
        record.manual,
        record.last_activity_at_ms,
        record.dnd_ends_at,
    )
}

/// Statuses in the shape of Mattermost's REST interface: an array.
#[must_use]
pub fn status_records<'a>(records: impl IntoIterator<Item = &'a StatusRecord>) -> String {
    let mut json = String::from("[");
    for record in records {
        separate(&mut json, '[');
        json.push_str(&status_record(record));
    }
    json.push(']');
    json
}

/// Appends a comma unless `json` has just begun with `opening`.
pub(super) fn separate(json: &mut String, opening: char) {
    if !json.ends_with(opening) {
        json.push(',');
    }
}

/// Appends formatted text.
fn push(json: &mut String, text: std::fmt::Arguments<'_>) {
    let written = json.write_fmt(text);
    debug_assert!(written.is_ok(), "writing to a string can't fail");
}
