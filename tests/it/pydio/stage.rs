//! Nodes, a backend of Pydio and its clients, for the tests.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use hubbub::{
    auth::MintClaims,
    config::{Config, Secret},
    model::Id,
};
use serde_json::{Value, json};

use crate::{
    http::client::{Reply, Server, ask, start},
    support::{
        redis::Redis,
        socket::{Frame, Socket},
    },
};

/// One node, or two that share a Redis. Clients and calls take turns between them.
pub(super) struct Stage {
    pub(super) servers: Vec<Server>,
    turn: AtomicUsize,
    marks: AtomicUsize,
    redis: Option<Redis>,
}

impl Stage {
    pub(super) async fn one() -> Self {
        Self::one_with(|_| {}).await
    }

    pub(super) async fn one_with(change: impl Fn(&mut Config)) -> Self {
        let mut config = Config::for_tests();
        change(&mut config);
        Self::of(vec![start(config).await], None)
    }

    pub(super) async fn two_with(change: impl Fn(&mut Config)) -> Self {
        let redis = Redis::start().await;
        let mut servers = Vec::new();
        for name in ["one", "two"] {
            let mut config = Config::for_tests();
            config.redis.urls = vec![Secret::new(&redis.url())];
            config.node.id = name.into();
            change(&mut config);
            servers.push(start(config).await);
        }
        Self::of(servers, Some(redis))
    }

    fn of(servers: Vec<Server>, redis: Option<Redis>) -> Self {
        let (turn, marks) = (AtomicUsize::new(0), AtomicUsize::new(0));
        Self { servers, turn, marks, redis }
    }

    /// The Redis that the nodes share.
    pub(super) fn redis(&self) -> &Redis {
        self.redis.as_ref().unwrap()
    }

    pub(super) fn server(&self) -> &Server {
        &self.servers[self.turn.fetch_add(1, Ordering::Relaxed) % self.servers.len()]
    }

    /// Calls, and expects success.
    pub(super) async fn call(&self, method: &str, path: &str, body: Value) -> Value {
        let reply = self.try_call(method, path, body).await;
        assert_eq!(reply.status, 200, "{reply:?}");
        reply.json()
    }

    pub(super) async fn try_call(&self, method: &str, path: &str, body: Value) -> Reply {
        let lines = "Content-Type: application/json\r\n";
        let request = format!("{method} /api/v1/{path}");
        ask(self.server().internal, &request, lines, &body.to_string()).await
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

    /// Deletes a node: nothing waits for such an event.
    pub(super) async fn delete(&self, path: &str) {
        self.event("tree", json!({"Type": "DELETE", "Source": node("gone", path)})).await;
    }

    /// Deletes a folder with what is in it.
    pub(super) async fn delete_folder(&self, path: &str) {
        let source = json!({"Uuid": path, "Path": path, "Type": "COLLECTION"});
        self.event("tree", json!({"Type": "DELETE", "Source": source})).await;
    }

    pub(super) fn token(&self, user: &str) -> String {
        self.token_of(user, |_| {})
    }

    pub(super) fn token_of(&self, user: &str, change: impl FnOnce(&mut MintClaims)) -> String {
        let mut claims = MintClaims::new(id(user), Duration::from_secs(600));
        change(&mut claims);
        self.servers[0].token_of(&claims)
    }

    /// A socket of `/ws/event`, before it subscribes.
    pub(super) async fn open(&self) -> Client {
        Client::open(self.server().public, "/ws/event").await
    }

    /// A subscribed socket of `/ws/event`.
    pub(super) async fn client(&self, user: &str) -> Client {
        let mut client = self.open().await;
        client.subscribe(&self.token(user)).await;
        client
    }

    /// Proves that `client`, who is `user`, was sent nothing up to now.
    pub(super) async fn is_silent(&self, client: &mut Client, user: &str) {
        let mark = self.mark(user).await;
        assert_eq!(client.push().await["Activity"]["id"], mark.as_str(), "nothing came before");
    }

    /// Sends something to `user` alone.
    pub(super) async fn mark(&self, user: &str) -> String {
        let mark = format!("mark-{}", self.marks.fetch_add(1, Ordering::Relaxed));
        let activity = json!({"type": "Note", "id": mark, "actor": {"id": "a stranger"}});
        let event =
            json!({"OwnerType": "USER", "OwnerId": user, "BoxName": "inbox", "Activity": activity});
        self.event("activity", event).await;
        mark
    }
}

/// A file with a key, so that several processes know the same tokens.
pub(crate) struct KeyFile(tempfile::NamedTempFile);

impl KeyFile {
    pub(crate) fn new() -> Self {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "one-secret-for-all-nodes-of-the-test").unwrap();
        Self(file)
    }

    /// The setting that names it.
    pub(crate) fn setting(&self) -> String {
        format!("auth.secret_file={}", self.0.path().display())
    }
}

/// A client of Pydio.
pub(super) struct Client(pub(super) Socket);

impl Client {
    pub(super) async fn open(address: SocketAddr, path: &str) -> Self {
        Self(Socket::open(address, path, "").await.unwrap())
    }

    pub(super) async fn send(&mut self, message: Value) {
        self.0.send(&message.to_string()).await;
    }

    /// Subscribes with a token, and waits until that was done.
    pub(super) async fn subscribe(&mut self, token: &str) {
        self.send(json!({"@type": "subscribe", "jwt": token})).await;
        self.settled().await;
    }

    /// Waits until the server has done everything that was asked for: what it answers to
    /// a ping comes afterwards. Nothing else may have been sent.
    pub(super) async fn settled(&mut self) {
        self.0.send_frame(0x89, b"settled").await;
        let frame = self.0.next().await;
        assert_eq!(frame, Frame::Pong(b"settled".to_vec()), "nothing else was sent");
    }

    /// The next push.
    pub(super) async fn push(&mut self) -> Value {
        serde_json::from_str(&self.0.text().await).unwrap()
    }

    /// The error that is told, and the code that follows.
    pub(super) async fn refused(&mut self) -> (String, u16) {
        let error = self.push().await;
        assert_eq!(error["@type"], "error");
        assert_eq!(error["jwt"], "");
        (error["error"].as_str().unwrap().to_owned(), self.0.closed().await)
    }
}

/// A node as it is published.
pub(super) fn node(uuid: &str, path: &str) -> Value {
    json!({"Uuid": uuid, "Path": path, "Type": "LEAF"})
}

pub(super) fn id(text: &str) -> Id {
    Id::parse(text).unwrap()
}

pub(super) fn admin(claims: &mut MintClaims) {
    claims.profile = Some(Arc::from("admin"));
}
