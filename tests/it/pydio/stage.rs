//! A backend of Pydio and its clients, for the tests.

use std::{net::SocketAddr, time::Duration};

use hubbub::auth::MintClaims;
use hubbub::model::Id;
use serde_json::{Value, json};

use crate::{
    http::client::{Reply, Server},
    support::socket::{Frame, Socket},
};

/// What is said to the server API, on a server or behind an address.
pub(super) struct Backend<'a>(pub(super) &'a Server);

impl Backend<'_> {
    /// Calls, and expects success.
    pub(super) async fn call(&self, method: &str, path: &str, body: Value) -> Value {
        let reply = self.try_call(method, path, body).await;
        assert_eq!(reply.status, 200, "{reply:?}");
        reply.json()
    }

    pub(super) async fn try_call(&self, method: &str, path: &str, body: Value) -> Reply {
        let lines = "Content-Type: application/json\r\n";
        let request = format!("{method} /api/v1/{path}");
        crate::http::client::ask(self.0.internal, &request, lines, &body.to_string()).await
    }

    pub(super) async fn members(&self, workspace: &str, users: &[&str]) {
        let body = json!({"topic": {"workspace": workspace}, "add": users});
        self.call("POST", "members", body).await;
    }

    pub(super) async fn workspace(&self, id: &str, path: &str) {
        self.ruled_workspace(id, path, json!([])).await;
    }

    pub(super) async fn ruled_workspace(&self, id: &str, path: &str, rules: Value) {
        let roots = json!([{"uuid": format!("root-{id}"), "path": path}]);
        let body = json!({"label": id, "roots": roots, "rules": rules});
        self.call("PUT", &format!("pydio/workspaces/{id}"), body).await;
    }

    pub(super) async fn event(&self, topic: &str, payload: Value) -> Value {
        self.call("POST", "pydio/events", json!({"topic": topic, "payload": payload})).await
    }

    pub(super) fn claims(user: &str) -> MintClaims {
        MintClaims::new(Id::parse(user).unwrap(), Duration::from_secs(600))
    }
}

/// A socket of `/ws/event`, before it subscribes.
pub(super) async fn open(address: SocketAddr) -> Socket {
    Socket::open(address, "/ws/event", "").await.unwrap()
}

/// Subscribes with a token.
pub(super) async fn subscribe(socket: &mut Socket, token: &str) {
    socket.send(&json!({"@type": "subscribe", "jwt": token}).to_string()).await;
}

/// Waits until the server has read everything that was sent: what it answers to a ping
/// comes after what it did before.
pub(super) async fn settled(socket: &mut Socket) {
    socket.send_frame(0x89, b"settled").await;
    let frame = socket.next().await;
    assert_eq!(frame, Frame::Pong(b"settled".to_vec()), "nothing else was sent");
}

/// The next push.
pub(super) async fn push(socket: &mut Socket) -> Value {
    serde_json::from_str(&socket.text().await).unwrap()
}

/// A node as it is published.
pub(super) fn node(uuid: &str, path: &str) -> Value {
    json!({"Uuid": uuid, "Path": path, "Type": "LEAF"})
}
