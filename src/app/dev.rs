//! What a node of `--dev` has to play with.

use std::sync::Arc;

use super::banner::DEV_WORKSPACE;
use crate::{
    auth::DEFAULT_REALM,
    bus,
    log::Draft,
    model::{Body, Id},
    node::Node,
};

/// The root of the workspace, as a backend names it in events.
const ROOT: &str = "common";

/// Defines the workspace of the demo: without a root nobody sees what happens in it.
///
/// # Cancel safety
///
/// Dropping the future leaves it open whether it was defined.
pub(super) async fn define_workspace(node: &Node) {
    let workspace = bus::workspace("Common".to_owned(), vec![(ROOT.into(), ROOT.into())], vec![]);
    let (Ok(workspace), Ok(id), Ok(realm)) =
        (workspace, Id::parse(DEV_WORKSPACE), Id::parse(DEFAULT_REALM))
    else {
        return;
    };
    let body = Body::Workspace { id, is: Some(Arc::new(workspace)), was: None };
    if let Err(error) = node.publish_one(&realm, Draft { body, id: None }).await {
        tracing::warn!(%error, "the workspace of the demo is not defined");
    }
}
