//! A whole node, its page, and clients of its dialects.

use std::{cell::RefCell, net::SocketAddr, sync::Arc, time::Duration};

use hubbub::{
    app::App,
    auth::{MintClaims, mint},
    clock::Clock,
    config::Config,
    lifecycle::CancellationToken,
    metrics::Metrics,
    model::Id,
};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
    time::timeout,
};

use super::page::Page;
use crate::{
    support::{PATIENCE, until},
    ws::client::{Client, KEY, frame},
};

/// A node that runs until it is dropped, or told to run to its end.
pub(super) struct Live {
    pub(super) app: App,
    pub(super) stop: CancellationToken,
    config: Config,
}

/// A node for tests. Who leaves keeps the status, so that no event comes of it.
pub(super) async fn start(change: impl FnOnce(&mut Config)) -> Live {
    let mut config = Config::for_tests();
    config.status.offline_after = Duration::from_secs(3_600);
    config.dialects.echo = true;
    change(&mut config);
    let stop = CancellationToken::new();
    let app = Box::pin(App::start(config.clone(), stop.clone())).await.unwrap();
    Live { app, stop, config }
}

impl Live {
    pub(super) fn metrics(&self) -> Arc<Metrics> {
        Arc::clone(self.app.node().metrics())
    }

    pub(super) async fn page(&self) -> Page {
        page_of(self.app.internal()).await
    }

    /// Waits until `name` with `labels` is `value`, and returns that page.
    pub(super) async fn until(&self, name: &str, labels: &[(&str, &str)], value: f64) -> Page {
        let last = RefCell::new(None);
        until(&format!("{name} {labels:?} = {value}"), || async {
            let page = self.page().await;
            let is = page.get(name, labels);
            last.replace(Some(page));
            is == value
        })
        .await;
        last.into_inner().unwrap()
    }

    /// A token of `user`, who is a member of the channel `town`.
    pub(super) fn token(&self, user: &str) -> String {
        let key = self.config.auth.signing_key().unwrap();
        let claims = MintClaims {
            channels: vec![Id::parse("town").unwrap()],
            ..MintClaims::new(Id::parse(user).unwrap(), Duration::from_secs(3_600))
        };
        mint(key, &claims, &Clock::system()).unwrap()
    }

    /// Calls the server API; the answer's status and body.
    pub(super) async fn post(&self, path: &str, body: &Value) -> (u16, Value) {
        let body = body.to_string();
        let (address, length) = (self.app.internal(), body.len());
        let request = format!(
            "POST {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\
             Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
        );
        let answer = exchange(address, &request).await;
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        (head[9..12].parse().unwrap(), serde_json::from_str(body).unwrap())
    }

    /// Publishes `count` events called `name`, one after the other.
    pub(super) async fn publish(&self, count: usize, name: &str, to: Value, ephemeral: bool) {
        let event = json!({"event": name, "data": {}, "to": to, "ephemeral": ephemeral});
        for _ in 0..count {
            let (status, answer) = self.post("/api/v1/publish", &event).await;
            assert_eq!(status, 200, "{answer}");
        }
    }

    /// Opens a socket at `path`; `lines` are more lines of the head.
    pub(super) async fn open(&self, path: &str, lines: &str) -> Client<TcpStream> {
        let socket = TcpStream::connect(self.app.public()).await.unwrap();
        self.open_over(socket, path, lines).await
    }

    /// The same, over a socket whose kernel holds little that is not read.
    pub(super) async fn open_narrow(&self, path: &str, lines: &str) -> Client<TcpStream> {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(4 * 1_024).unwrap();
        let socket = socket.connect(self.app.public()).await.unwrap();
        self.open_over(socket, path, lines).await
    }

    async fn open_over(&self, socket: TcpStream, path: &str, lines: &str) -> Client<TcpStream> {
        let mut client = Client::over(socket);
        client.send(self.request(path, lines).as_bytes()).await;
        let head = client.head().await;
        assert!(head.starts_with("http/1.1 101 "), "{head}");
        client
    }

    /// The status of an upgrade that is refused.
    pub(super) async fn refused(&self, path: &str, lines: &str) -> u16 {
        let answer = exchange(self.app.public(), &self.request(path, lines)).await;
        answer[9..12].parse().unwrap()
    }

    fn request(&self, path: &str, lines: &str) -> String {
        let host = self.app.public();
        format!(
            "GET {path} HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\n\
             Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
             Sec-WebSocket-Key: {KEY}\r\n{lines}\r\n"
        )
    }

    /// Opens a mattermost socket of `user` and reads its hello.
    pub(super) async fn mattermost(&self, user: &str) -> (Client<TcpStream>, String) {
        let mut client = self.open("/api/v4/websocket", &self.bearer(user)).await;
        let hello = client.json().await;
        assert_eq!(hello["event"], json!("hello"), "{hello}");
        (client, hello["data"]["connection_id"].as_str().unwrap().to_owned())
    }

    /// Opens a mattermost socket of `user` that goes on with `connection` at `next`.
    pub(super) async fn resume(
        &self,
        user: &str,
        connection: &str,
        next: u64,
    ) -> Client<TcpStream> {
        let path = format!("/api/v4/websocket?connection_id={connection}&sequence_number={next}");
        self.open(&path, &self.bearer(user)).await
    }

    pub(super) fn bearer(&self, user: &str) -> String {
        format!("Authorization: Bearer {}\r\n", self.token(user))
    }
}

pub(super) async fn page_of(address: SocketAddr) -> Page {
    let request = format!("GET /metrics HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    let answer = exchange(address, &request).await;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
    assert!(head.to_ascii_lowercase().contains("content-type: text/plain; version=0.0.4"));
    Page::parse(body)
}

async fn exchange(address: SocketAddr, request: &str) -> String {
    let mut socket = TcpStream::connect(address).await.unwrap();
    socket.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    timeout(PATIENCE, socket.read_to_string(&mut answer)).await.unwrap().unwrap();
    answer
}

impl Client<TcpStream> {
    /// The next text message, parsed.
    pub(super) async fn json(&mut self) -> Value {
        let frame = self.frame().await.expect("a message");
        assert_eq!(frame.first, 0x81, "{frame:?}");
        serde_json::from_slice(&frame.payload).unwrap()
    }

    /// Reads `count` text messages.
    pub(super) async fn skip(&mut self, count: usize) {
        for _ in 0..count {
            self.json().await;
        }
    }

    pub(super) async fn say(&mut self, text: &str) {
        self.send(&frame(0x81, text.as_bytes())).await;
    }

    /// Sends a close frame with `code`, and reads to the end.
    pub(super) async fn close(&mut self, code: u16) {
        self.send(&frame(0x88, &code.to_be_bytes())).await;
        self.rest().await;
    }
}
