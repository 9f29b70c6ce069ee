//! What is known of Pydio's nodes in Redis.
//!
//! Invariants: what is read is what the newest record says.

use std::sync::Arc;

use super::{
    super::LogError,
    context::{Context, nonsense, text, unavailable},
    scripts::PLACE,
};
use crate::model::RealmId;

/// The full path of a node.
pub(super) async fn node_path(
    context: &Context,
    realm: &RealmId,
    uuid: &str,
) -> Result<Option<Arc<str>>, LogError> {
    let reply = context.run(realm, &PLACE, [text(uuid)]).await;
    let reply = reply.map_err(|error| unavailable("a node", &error))?;
    match (reply.word(), reply.text(1)) {
        (Some("OK"), Some(path)) => Ok(Some(Arc::from(path))),
        (Some("UNKNOWN"), _) => Ok(None),
        (_, _) => Err(nonsense("a node")),
    }
}
