//! Records that the log keeps.
//!
//! Invariants: what is read is in order; a record that can't be read keeps its place.

use std::sync::Arc;

use bytes::Bytes;
use redis::{Pipeline, Value};

use super::{
    super::LogError,
    context::{Context, arg, nonsense, unavailable},
    reply::{as_bytes, as_text},
    scripts::MEND,
};
use crate::{
    log::frame,
    model::{RealmId, Record},
};

/// Entries that one command reads; one has up to 64 records, and 4 KiB or a single record.
pub(super) const READ_AT_ONCE: usize = 128;

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
        let mut command = Pipeline::new();
        command.cmd("XRANGE").arg(&key).arg(format!("({after}-0")).arg("+");
        let count = READ_AT_ONCE.min(limit - records.len());
        command.arg("COUNT").arg(count);
        let reply = context.client.query("range", &key, &command).await;
        let reply = reply.map_err(|error| unavailable("range", &error))?.pop();
        let Some(Value::Array(entries)) = reply else { return Err(nonsense("records")) };
        let is_last = entries.len() < count;
        let Some(found) = after_of(entries, after) else {
            // The next try finds the log in order.
            Box::pin(mend(context, realm, after)).await?;
            return Err(nonsense("records"));
        };
        records.extend(found);
        if is_last {
            break;
        }
    }
    records.truncate(limit);
    Ok(records)
}

/// Puts the log in order where somebody else wrote to it, above all after `after`; how many
/// things were not.
pub(super) async fn mend(context: &Context, realm: &RealmId, after: u64) -> Result<u64, LogError> {
    let reply = context.run(realm, &MEND, [arg(after)]).await;
    let reply = reply.map_err(|error| unavailable("mend", &error))?;
    let found = reply.number(2).ok_or_else(|| nonsense("a mend"))?;
    tracing::error!(%realm, after, found, "somebody else wrote to the log");
    Ok(found)
}

/// The records of some entries that come after `after`, in order.
pub(super) fn after_of(entries: Vec<Value>, after: u64) -> Option<Vec<Arc<Record>>> {
    let mut found = Vec::new();
    for entry in entries {
        let records = records(entry)?;
        found.extend(records.into_iter().filter(|record| record.position.offset > after));
    }
    Some(found)
}

/// The records of one entry of the stream.
fn records(entry: Value) -> Option<Vec<Arc<Record>>> {
    let Value::Array(entry) = entry else { return None };
    let [id, fields] = <[Value; 2]>::try_from(entry).ok()?;
    let (last, _) = as_text(&id)?.split_once('-')?;
    let last = frame::number(last).ok()?;
    let Value::Array(fields) = fields else { return None };
    let mut found: [Bytes; 4] = Default::default();
    let mut fields = fields.into_iter();
    while let (Some(name), Some(value)) = (fields.next(), fields.next()) {
        let place = match as_text(&name)? {
            "r" => 0,
            "p" => 1,
            "g" => 2,
            "n" => 3,
            // A newer version may have more to say.
            _ => continue,
        };
        if let (Some(slot), Some(value)) = (found.get_mut(place), as_bytes(value)) {
            *slot = value;
        }
    }
    let [mut pieces, previous_tag, generation, count] = found;
    let text = |bytes| std::str::from_utf8(bytes).ok();
    let generation = frame::generation(text(&generation)?).ok()?;
    let previous_tag = frame::tag(text(&previous_tag)?).ok()?;
    let count = if count.is_empty() { 1 } else { frame::number(text(&count)?).ok()? };
    let first = last.checked_sub(count)?.checked_add(1)?;
    let count = usize::try_from(count).ok()?;
    frame::records(&mut pieces, (&generation, first, previous_tag), count).ok()
}
