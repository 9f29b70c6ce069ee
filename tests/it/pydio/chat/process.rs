//! Nodes that are processes of their own, and their room.

use serde_json::{Value, json};

use super::Client;
use crate::{
    pydio::stage::KeyFile,
    support::{process::Process, redis::Redis},
};

/// Everybody of a development node is in this one.
pub(super) fn room() -> Value {
    json!({"Type": "WORKSPACE", "RoomTypeObject": "ws-common"})
}

/// One of several nodes: nobody is too fast for it or too long elsewhere, and its rooms
/// keep much.
pub(super) async fn node(name: &str, redis: &Redis, key: &KeyFile) -> Process {
    let (id, key, url) = (format!("node.id={name}"), key.setting(), redis.url());
    let mut args = vec!["--redis-url", &url];
    let settings = [
        &id,
        &key,
        "limits.commands_per_second=50000",
        "limits.commands_burst=50000",
        "limits.ping_interval=3600s",
        "dialects.pydio.history=50000",
    ];
    args.extend(settings.iter().flat_map(|setting| ["--set", setting]));
    Process::dev(&args).await
}

/// A subscribed socket of `/ws/chat`.
pub(super) async fn client(node: &Process, user: &str) -> Client {
    let mut client = Client::open(node.public, "/ws/chat").await;
    client.subscribe(&node.tokens[user]).await;
    client
}
