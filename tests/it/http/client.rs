//! A whole node on free ports, and a client that asks one question for each
//! connection.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use hubbub::{
    app::App,
    auth::{MintClaims, mint},
    clock::Clock,
    config::{ApiKey, AuthKey, Config, Secret},
    lifecycle::CancellationToken,
    model::Id,
    node::Node,
};
use serde_json::Value;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

/// No answer takes longer, on a slow machine neither.
const PATIENCE: Duration = Duration::from_secs(20);

/// The key of every realm.
pub(crate) const KEY: &str = "key-of-every-realm-0123456789abcdef";
/// A key of realm `a` only.
pub(crate) const KEY_OF_A: &str = "key-of-realm-a-0123456789abcdefghij";

/// A node that runs until it is dropped.
pub(crate) struct Server {
    pub(crate) public: SocketAddr,
    pub(crate) internal: SocketAddr,
    pub(crate) node: Arc<Node>,
    signing: AuthKey,
    _app: App,
}

/// A development node: no key is needed.
pub(crate) async fn development() -> Server {
    start(Config::for_tests()).await
}

/// A development node with a configuration of its own.
pub(crate) async fn development_with(change: impl FnOnce(&mut Config)) -> Server {
    let mut config = Config::for_tests();
    change(&mut config);
    start(config).await
}

/// A node with keys, as in production.
pub(crate) async fn production(change: impl FnOnce(&mut Config)) -> Server {
    let mut config = Config::for_tests();
    config.dev = false;
    let key = |name: &str, key, realms: &[&str]| ApiKey {
        name: name.to_owned(),
        key: Secret::new(key),
        realms: realms.iter().map(|&realm| realm.to_owned()).collect(),
    };
    config.internal.api_keys = vec![key("all", KEY, &[]), key("a", KEY_OF_A, &["a"])];
    change(&mut config);
    start(config).await
}

/// A node with `config`.
pub(crate) async fn start(config: Config) -> Server {
    let signing = config.auth.keys[0].clone();
    let app = App::start(config, CancellationToken::new()).await.unwrap();
    Server {
        public: app.public(),
        internal: app.internal(),
        node: Arc::clone(app.node()),
        signing,
        _app: app,
    }
}

/// An answer.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    head: String,
    pub(crate) text: String,
}

impl Reply {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let lines = self.head.lines().skip(1).filter_map(|line| line.split_once(": "));
        lines.into_iter().find(|(own, _)| own.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// Status, code and field of an error.
    pub(crate) fn error(&self) -> (u16, String, String) {
        let error = &self.json()["error"];
        let text = |name: &str| error[name].as_str().unwrap_or_default().to_owned();
        assert!(!text("message").is_empty(), "{self:?}");
        (self.status, text("code"), text("field"))
    }
}

/// Sends `bytes` and reads the answer until the server closes.
pub(crate) async fn send(address: SocketAddr, bytes: &[u8]) -> Reply {
    let mut socket = TcpStream::connect(address).await.unwrap();
    // The server may answer and close before everything was sent.
    socket.write_all(bytes).await.ok();
    let mut answer = Vec::new();
    let read = timeout(PATIENCE, socket.read_to_end(&mut answer)).await;
    drop(read.expect("the server closes"));
    let answer = String::from_utf8(answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("{answer:?}"));
    let status = head.get(9..12).and_then(|code| code.parse().ok()).unwrap();
    let chunked = head.to_ascii_lowercase().contains("transfer-encoding: chunked");
    assert!(!chunked, "answers have a length");
    Reply { status, head: head.to_owned(), text: body.to_owned() }
}

/// Sends one request with `lines` of headers and a body.
pub(crate) async fn ask(address: SocketAddr, request: &str, lines: &str, body: &str) -> Reply {
    let length = if body.is_empty() && request.starts_with("GET") {
        String::new()
    } else {
        format!("Content-Length: {}\r\n", body.len())
    };
    let head = format!(
        "{request} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n{lines}{length}\r\n{body}"
    );
    send(address, head.as_bytes()).await
}

/// The line of a key.
pub(crate) fn bearer(key: &str) -> String {
    format!("Authorization: Bearer {key}\r\n")
}

impl Server {
    /// A token of `user`.
    pub(crate) fn token(&self, user: &str) -> String {
        self.token_of(&MintClaims::new(Id::parse(user).unwrap(), Duration::from_secs(600)))
    }

    /// A token with `claims`.
    pub(crate) fn token_of(&self, claims: &MintClaims) -> String {
        mint(&self.signing, claims, &Clock::system()).unwrap()
    }

    pub(crate) async fn get(&self, path: &str) -> Reply {
        ask(self.internal, &format!("GET {path}"), &bearer(KEY), "").await
    }

    pub(crate) async fn post(&self, path: &str, body: &str) -> Reply {
        let lines = format!("{}Content-Type: application/json\r\n", bearer(KEY));
        ask(self.internal, &format!("POST {path}"), &lines, body).await
    }

    pub(crate) fn rejected(&self, stage: &str, reason: &str) -> u64 {
        self.node.metrics().rejections_total.with_label_values(&[stage, reason]).get()
    }
}
