//! What is known of Pydio's nodes in Redis.
//!
//! Invariants: what is read is what the newest record says.

use std::sync::Arc;

use redis::{Pipeline, Value};

use super::{
    super::LogError,
    context::{Context, nonsense, unavailable},
    reply::as_text,
};
use crate::model::RealmId;

/// The full path of a node.
pub(super) async fn node_path(
    context: &Context,
    realm: &RealmId,
    uuid: &str,
) -> Result<Option<Arc<str>>, LogError> {
    let key = context.key(realm, "pf");
    let mut command = Pipeline::new();
    command.cmd("HGET").arg(&key).arg(uuid);
    let reply = context.client.query("node_path", &key, &command).await;
    match reply.map_err(|error| unavailable("a node", &error))?.pop() {
        Some(Value::Nil) => Ok(None),
        Some(value) => Ok(Some(Arc::from(as_text(&value).ok_or_else(|| nonsense("a node"))?))),
        None => Err(nonsense("a node")),
    }
}
