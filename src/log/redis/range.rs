//! Records that the log keeps.
//!
//! Invariants: what is read is in order; a record that can't be read keeps its place.

use std::sync::Arc;

use bytes::Bytes;
use redis::{Pipeline, Value};

use super::{
    super::LogError,
    context::{Context, nonsense, unavailable},
    reply::{as_bytes, as_text},
};
use crate::{
    log::frame,
    model::{Position, RealmId, Record},
};

/// Records that one command reads.
pub(super) const READ_AT_ONCE: usize = 512;

/// The records after `after`, oldest first, at most `limit`.
pub(super) async fn read(
    context: &Context,
    realm: &RealmId,
    after: u64,
    limit: usize,
) -> Result<Vec<Arc<Record>>, LogError> {
    let key = context.key(realm, "l");
    let mut records: Vec<Arc<Record>> = Vec::new();
    while records.len() < limit {
        let after = records.last().map_or(after, |last| last.position.offset);
        let count = (limit - records.len()).min(READ_AT_ONCE);
        let mut command = Pipeline::new();
        command.cmd("XRANGE").arg(&key).arg(format!("({after}-0")).arg("+");
        command.arg("COUNT").arg(count);
        let reply = context.client.query("range", &key, &command).await;
        let reply = reply.map_err(|error| unavailable("range", &error))?.pop();
        let Some(Value::Array(entries)) = reply else { return Err(nonsense("records")) };
        let is_last = entries.len() < count;
        for entry in entries {
            records.push(record(entry).ok_or_else(|| nonsense("records"))?);
        }
        if is_last {
            break;
        }
    }
    Ok(records)
}

/// One entry of the stream.
pub(super) fn record(entry: Value) -> Option<Arc<Record>> {
    let Value::Array(entry) = entry else { return None };
    let [id, fields] = <[Value; 2]>::try_from(entry).ok()?;
    let (offset, _) = as_text(&id)?.split_once('-')?;
    let offset = frame::number(offset).ok()?;
    let Value::Array(fields) = fields else { return None };
    let mut found: [Bytes; 3] = Default::default();
    let mut fields = fields.into_iter();
    while let (Some(name), Some(value)) = (fields.next(), fields.next()) {
        let place = match as_text(&name)? {
            "r" => 0,
            "p" => 1,
            "g" => 2,
            // A newer version may have more to say.
            _ => continue,
        };
        if let (Some(slot), Some(value)) = (found.get_mut(place), as_bytes(value)) {
            *slot = value;
        }
    }
    let [mut piece, previous_tag, generation] = found;
    let piece = frame::piece(&mut piece).ok()?;
    let generation = frame::generation(std::str::from_utf8(&generation).ok()?).ok()?;
    let previous_tag = frame::tag(std::str::from_utf8(&previous_tag).ok()?).ok()?;
    let position = Position { generation, offset, tag: piece.tag };
    Some(frame::record((position, previous_tag), &piece))
}
