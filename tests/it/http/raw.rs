//! A public listener on a free port, and a client that sends bytes.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use hubbub::{
    config::{AllowedOrigins, Limits},
    http::{Listener, PublicDoor, PublicRoutes, PublicSettings, Shared, UpgradeHandler},
    lifecycle::{CancellationToken, Sessions, Tasks},
    metrics::Metrics,
    session::{Denial, Knock, Run},
    ws::Tls,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::watch,
    time::timeout,
};

/// No answer takes longer, on a slow machine neither.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// Opens every socket, and sends back what came behind the request, and then the
/// first four bytes that come later.
#[derive(Debug, Clone)]
pub(crate) struct Opens;

impl UpgradeHandler for Opens {
    async fn accept(&self, knock: Knock) -> Result<Run, Denial> {
        Ok(Box::new(move |mut stream, rest| {
            Box::pin(async move {
                let mut later = [0; 4];
                stream.write_all(&rest).await.unwrap();
                if stream.read_exact(&mut later).await.is_ok() {
                    stream.write_all(&later).await.unwrap();
                    stream.write_all(knock.client.to_string().as_bytes()).await.unwrap();
                }
                stream.shutdown().await.ok();
            })
        }))
    }
}

/// A listener that runs until it is dropped.
pub(crate) struct Door {
    pub(crate) address: SocketAddr,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) sessions: Sessions,
    pub(crate) stop: CancellationToken,
    _tasks: Tasks,
    _limits: watch::Sender<Arc<Limits>>,
}

pub(crate) fn settings() -> PublicSettings {
    PublicSettings {
        dev: false,
        base_path: "/".to_owned(),
        allowed_origins: AllowedOrigins::SameOrigin,
        trusted_proxies: Vec::new(),
        cookie: "MMAUTHTOKEN".to_owned(),
        pydio_paths: ["/ws/event", "/ws/chat", "/chat"].map(str::to_owned),
        routes: PublicRoutes {
            pydio: true,
            mattermost: true,
            room: true,
            echo: false,
            pages: true,
            embedded: false,
        },
    }
}

/// Limits under which a test of patience does not need any.
pub(crate) fn quick() -> Limits {
    Limits { head_timeout: Duration::from_millis(400), ..Limits::default() }
}

pub(crate) async fn open(settings: PublicSettings, limits: Limits, tls: Option<Tls>) -> Door {
    let listener = Listener::bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
    let address = listener.address();
    let metrics = Metrics::new("test", 1);
    let (keep, limits) = watch::channel(Arc::new(limits));
    let sessions = Sessions::default();
    let shared = Shared {
        proxies: settings.trusted_proxies.clone(),
        door: PublicDoor::new(settings, Arc::clone(&metrics), Opens),
        name: "public",
        tls,
        limits,
        sessions: sessions.clone(),
        metrics: Arc::clone(&metrics),
    };
    let stop = CancellationToken::new();
    let mut tasks = Tasks::new(stop.clone());
    tasks.spawn("public", |stop| listener.serve(shared, stop));
    Door { address, metrics, sessions, stop, _tasks: tasks, _limits: keep }
}

impl Door {
    pub(crate) async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    /// Sends `bytes` and reads until the server closes.
    pub(crate) async fn ask(&self, bytes: &[u8]) -> String {
        let mut socket = self.connect().await;
        // The server may answer and close before everything was sent.
        socket.write_all(bytes).await.ok();
        rest_of(&mut socket).await
    }

    /// The status that `bytes` are answered with; the server must close then.
    pub(crate) async fn status(&self, bytes: &[u8]) -> u16 {
        status_of(&self.ask(bytes).await)
    }

    /// The status of a GET of `target` with `lines` of headers.
    pub(crate) async fn get(&self, target: &str, lines: &str) -> u16 {
        let head = format!("GET {target} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n{lines}\r\n");
        self.status(head.as_bytes()).await
    }

    pub(crate) fn rejected(&self, stage: &str, reason: &str) -> u64 {
        self.metrics.rejections_total.with_label_values(&[stage, reason]).get()
    }
}

pub(crate) async fn rest_of(socket: &mut TcpStream) -> String {
    let mut all = Vec::new();
    let read = timeout(PATIENCE, socket.read_to_end(&mut all)).await;
    // A reset after the answer is a close, too.
    drop(read.expect("the server closes"));
    String::from_utf8_lossy(&all).into_owned()
}

/// Reads until `end` has come, inclusive.
pub(crate) async fn read_until(socket: &mut TcpStream, end: &str) -> String {
    let mut seen = Vec::new();
    let all = async {
        while !seen.ends_with(end.as_bytes()) {
            seen.push(socket.read_u8().await.unwrap());
        }
    };
    timeout(PATIENCE, all).await.expect("the end comes");
    String::from_utf8(seen).unwrap()
}

pub(crate) fn status_of(answer: &str) -> u16 {
    let code = answer.strip_prefix("HTTP/1.1 ").and_then(|rest| rest.get(..3));
    code.and_then(|code| code.parse().ok()).unwrap_or_else(|| panic!("no status in {answer:?}"))
}

/// The lines of a good upgrade, `Host` apart.
pub(crate) const UPGRADE: &str = "Upgrade: websocket\r\nConnection: keep-alive, Upgrade\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n";
