//! Bad input against a whole node on real sockets: one test per row of the list of
//! what is sent and what must happen.
//!
//! Every test has a witness: another user in the same channel, who must get the next
//! event under the next number, whatever the attacker does.

mod auth;
mod close;
mod frames;
mod limits;
mod protocol;
mod races;
mod requests;
mod resume;
mod rooms;
mod slow;
mod slow_tls;

use std::time::Duration;

use hubbub::config::Config;
use serde_json::{Value, json};
use tokio::{
    net::{TcpSocket, TcpStream},
    time::{Instant, interval, timeout},
};

use super::{
    http::client::{Server, start},
    ws::client::{Client, Frame, frame, request_of},
};

/// Longer than anything here may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// Longer than a test without pings takes.
const QUIET: Duration = Duration::from_secs(3_600);

/// Bytes of the receive buffer of a client that means not to read.
const SMALL_BUFFER: u32 = 4096;

/// A node and its witness.
struct Lab {
    server: Server,
    witness: Person,
    published: u64,
}

/// A client that speaks Mattermost's protocol.
struct Person {
    client: Client<TcpStream>,
    /// The name of its connection; empty before hello.
    connection: String,
    /// The number that the next event must have.
    next: u64,
    /// The names of the events that came.
    heard: Vec<String>,
}

/// The head of an upgrade request: the way and its query, and more header lines.
struct Ask<'a> {
    target: &'a str,
    lines: &'a [&'a str],
}

const SOCKET: &str = "/api/v4/websocket";

impl Lab {
    async fn new() -> Self {
        Self::with(|_config| {}).await
    }

    /// A node with a changed configuration. `alice`, `bob` and `witness` are members
    /// of the channel `town`.
    async fn with(change: impl FnOnce(&mut Config)) -> Self {
        let mut config = Config::for_tests();
        // The witness does not answer pings before the end, however slow the machine is.
        config.limits.ping_interval = QUIET;
        change(&mut config);
        let server = start(config).await;
        let body = json!({"topic": {"channel": "town"}, "add": ["alice", "bob", "witness"]});
        assert_eq!(server.post("/api/v1/members", &body.to_string()).await.status, 200);
        let token = server.token("witness");
        let witness = Person::enter(&server, SOCKET, &token).await;
        Self { server, witness, published: 0 }
    }

    /// Opens a socket of `user`, up to its hello.
    async fn join(&self, user: &str) -> Person {
        Person::enter(&self.server, SOCKET, &self.server.token(user)).await
    }

    /// Opens a socket that has not authenticated.
    async fn stranger(&self) -> Person {
        Person::open(&self.server, &Ask { target: SOCKET, lines: &[] }).await.expect("a socket")
    }

    /// Opens a socket of `token` that goes on with `connection`, and returns it with
    /// what came first.
    async fn resume(&self, token: &str, connection: &str, next: u64) -> (Person, Value) {
        let target = format!("{SOCKET}?connection_id={connection}&sequence_number={next}");
        let lines = [format!("Authorization: Bearer {token}")];
        let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
        let ask = Ask { target: &target, lines: &lines };
        let mut person = Person::open(&self.server, &ask).await.expect("a socket");
        let first = person.message().await;
        if first["event"] == "hello" {
            person.greeted(&first);
        } else {
            connection.clone_into(&mut person.connection);
            person.next = next + 1;
        }
        (person, first)
    }

    /// Publishes an event to `town` and returns its offset.
    async fn publish(&mut self) -> u64 {
        self.published += 1;
        self.publish_data(&json!({"n": self.published})).await
    }

    async fn publish_data(&self, data: &Value) -> u64 {
        let body = json!({"event": "posted", "to": {"channel": "town"}, "data": data});
        let reply = self.server.post("/api/v1/publish", &body.to_string()).await;
        assert_eq!(reply.status, 200, "{reply:?}");
        reply.json()["position"]["offset"].as_u64().unwrap()
    }

    /// The witness gets the next event, and everything before it in order.
    async fn is_undisturbed(&mut self) {
        self.publish().await;
        let wanted = self.published;
        while self.witness.event("posted").await["data"]["n"] != json!(wanted) {}
    }

    /// Sends `bytes` as `person`, who must be closed with `code` for that reason.
    async fn refuses(
        &mut self,
        mut person: Person,
        bytes: &[u8],
        (code, stage, reason): (u16, &str, &str),
    ) {
        let before = self.server.rejected(stage, reason);
        person.client.send(bytes).await;
        let shown = bytes.get(..bytes.len().min(40)).unwrap().escape_ascii();
        assert_eq!(person.closed().await, code, "{shown}");
        assert_eq!(self.server.rejected(stage, reason), before + 1, "{stage} {reason}: {shown}");
    }

    /// Waits until a counter has the value that it must get.
    async fn until(&self, what: &str, mut condition: impl FnMut(&Server) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        let mut looks = interval(Duration::from_millis(20));
        while !condition(&self.server) {
            assert!(Instant::now() < deadline, "{what}");
            looks.tick().await;
        }
    }

    fn resumes(&self, result: &str) -> u64 {
        self.server.node.metrics().resumes_total.with_label_values(&[result]).get()
    }

    fn resets(&self, cause: &str) -> u64 {
        self.server.node.metrics().resets_total.with_label_values(&[cause]).get()
    }
}

impl Person {
    /// Asks for a socket; the status when there is none.
    async fn open(server: &Server, ask: &Ask<'_>) -> Result<Self, u16> {
        Self::open_over(TcpStream::connect(server.public).await.unwrap(), server, ask).await
    }

    async fn open_over(stream: TcpStream, server: &Server, ask: &Ask<'_>) -> Result<Self, u16> {
        let mut client = Client::over(stream);
        client.send(request_of(server.public, ask.target, ask.lines).as_bytes()).await;
        let head = client.head().await;
        match head.get(9..12).and_then(|status| status.parse().ok()) {
            Some(101) => Ok(Self { client, connection: String::new(), next: 0, heard: Vec::new() }),
            Some(status) => Err(status),
            None => panic!("{head}"),
        }
    }

    /// Opens a socket with a token and reads the hello.
    async fn enter(server: &Server, target: &str, token: &str) -> Self {
        let line = format!("Authorization: Bearer {token}");
        let mut person = Self::open(server, &Ask { target, lines: &[&line] }).await.unwrap();
        let hello = person.message().await;
        person.greeted(&hello);
        person
    }

    /// As [`Person::enter`], for somebody who means not to read.
    async fn enter_with_small_buffer(server: &Server, token: &str) -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(SMALL_BUFFER).unwrap();
        let stream = socket.connect(server.public).await.unwrap();
        let line = format!("Authorization: Bearer {token}");
        let ask = Ask { target: SOCKET, lines: &[&line] };
        let mut person = Self::open_over(stream, server, &ask).await.unwrap();
        let hello = person.message().await;
        person.greeted(&hello);
        person
    }

    fn greeted(&mut self, hello: &Value) {
        assert_eq!((&hello["event"], &hello["seq"]), (&json!("hello"), &json!(0)), "{hello}");
        hello["data"]["connection_id"].as_str().unwrap().clone_into(&mut self.connection);
        self.next = 1;
    }

    async fn text(&mut self, text: &str) {
        self.client.send(&text_frame(text)).await;
    }

    /// The next text message. Pings are answered.
    async fn message(&mut self) -> Value {
        loop {
            let got = self.client.frame().await.expect("a message before the end");
            match got.first {
                0x81 => return serde_json::from_slice(&got.payload).unwrap(),
                0x89 => self.client.send_if_open(&frame(0x8a, &got.payload)).await,
                0x8a => {}
                _ => panic!("{got:?}"),
            }
        }
    }

    /// The next event of this name; the numbers on the way have no gap.
    async fn event(&mut self, name: &str) -> Value {
        loop {
            let message = self.message().await;
            if self.counts(&message) && message["event"] == name {
                return message;
            }
        }
    }

    /// The reply to the request `seq`; events before it are counted.
    async fn reply(&mut self, seq: u64) -> Value {
        loop {
            let message = self.message().await;
            if message["seq_reply"] == json!(seq) {
                return message;
            }
            self.counts(&message);
        }
    }

    /// Counts an event, which must have the next number. False for a reply.
    fn counts(&mut self, message: &Value) -> bool {
        let Some(seq) = message["seq"].as_u64() else { return false };
        assert_eq!(seq, self.next, "{message}");
        self.next += 1;
        self.heard.push(message["event"].as_str().unwrap().to_owned());
        true
    }

    /// Sends a request and returns its reply.
    async fn ask(&mut self, seq: u64, action: &str, data: Value) -> Value {
        self.text(&json!({"seq": seq, "action": action, "data": data}).to_string()).await;
        self.reply(seq).await
    }

    /// The code of the close frame, which is answered. Behind it the server must end
    /// its side soon.
    async fn closed(&mut self) -> u16 {
        loop {
            let got = self.client.frame().await.expect("a close frame before the end");
            if let Some(code) = code_of(&got) {
                self.client.send_if_open(&frame(0x88, &got.payload)).await;
                let end = timeout(PATIENCE, self.client.frame()).await;
                assert_eq!(end.expect("the end"), None, "nothing behind a close frame");
                return code;
            }
            self.counts(&serde_json::from_slice(&got.payload).unwrap_or_default());
        }
    }
}

/// The code of a close frame; 1005 when it has none.
fn code_of(frame: &Frame) -> Option<u16> {
    let code = frame.payload.first_chunk().map_or(1005, |code| u16::from_be_bytes(*code));
    (frame.first == 0x88).then_some(code)
}

/// A masked text frame of any length.
fn text_frame(text: &str) -> Vec<u8> {
    if text.len() < 65_536 {
        return frame(0x81, text.as_bytes());
    }
    let mut bytes = vec![0x81, 0xff];
    bytes.extend(u64::try_from(text.len()).unwrap().to_be_bytes());
    bytes.extend([0; 4]);
    bytes.extend(text.as_bytes());
    bytes
}

/// A request that is answered.
fn ping(seq: u64) -> String {
    json!({"seq": seq, "action": "ping"}).to_string()
}
