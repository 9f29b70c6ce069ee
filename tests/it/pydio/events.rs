//! Goal: an event of the bus reaches the sessions that may see it, and no others.
//!
//! Method: the scenarios of the protocol, on one node.

use serde_json::json;

use super::stage::{Backend, node, open, push, settled, subscribe};
use crate::http::client::development;

#[tokio::test]
async fn s5_a_node_that_two_workspaces_share_comes_once_for_each() {
    let server = development().await;
    let backend = Backend(&server);
    backend.workspace("ws-1", "common").await;
    backend.workspace("ws-2", "common/reports").await;
    backend.members("ws-1", &["alice"]).await;
    backend.members("ws-2", &["alice"]).await;
    let mut alice = open(server.public).await;
    subscribe(&mut alice, &server.token("alice")).await;
    settled(&mut alice).await;
    backend.event("tree", json!({"Type": "DELETE", "Source": node("n", "common/reports/a")})).await;
    let both = [push(&mut alice).await, push(&mut alice).await];
    assert_eq!(both[0]["Source"]["Path"], "reports/a");
    assert_eq!(both[0]["Source"]["MetaStore"]["EventWorkspaceId"], "\"ws-1\"");
    assert_eq!(both[1]["Source"]["Path"], "a");
    assert_eq!(both[1]["Source"]["MetaStore"]["EventWorkspaceId"], "\"ws-2\"");
    settled(&mut alice).await;
}
