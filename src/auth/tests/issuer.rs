//! An issuer of tokens on the loopback address, for tests: it answers every request
//! with the same bytes, counts, and can be told to answer something else.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    task::JoinSet,
};

/// What the issuer does with a request.
#[derive(Debug, Clone)]
pub(super) enum Answer {
    /// Sends these bytes and closes.
    Bytes(Vec<u8>),
    /// Sends this many bytes of body, without knowing an end.
    Flood(usize),
    /// Sends a head and then nothing.
    Silence,
}

/// A running issuer; it stops when dropped.
pub(super) struct Issuer {
    pub address: SocketAddr,
    requests: Arc<AtomicUsize>,
    answer: Arc<Mutex<Answer>>,
    _tasks: JoinSet<()>,
}

impl Issuer {
    pub(super) async fn start(answer: Answer) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let requests = Arc::new(AtomicUsize::new(0));
        let answer = Arc::new(Mutex::new(answer));
        let mut tasks = JoinSet::new();
        tasks.spawn(serve(listener, Arc::clone(&requests), Arc::clone(&answer)));
        Self { address, requests, answer, _tasks: tasks }
    }

    pub(super) fn url(&self) -> String {
        format!("http://{}/jwks.json", self.address)
    }

    pub(super) fn requests(&self) -> usize {
        self.requests.load(Ordering::SeqCst)
    }

    pub(super) fn answer_with(&self, answer: Answer) {
        *self.answer.lock() = answer;
    }
}

async fn serve(listener: TcpListener, requests: Arc<AtomicUsize>, answer: Arc<Mutex<Answer>>) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        let (requests, answer) = (Arc::clone(&requests), Arc::clone(&answer));
        connections.spawn(async move {
            // A client that hangs up early is part of some tests.
            drop(talk(stream, &requests, &answer).await);
        });
    }
}

async fn talk(
    mut stream: TcpStream,
    requests: &AtomicUsize,
    answer: &Mutex<Answer>,
) -> std::io::Result<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await?);
    }
    requests.fetch_add(1, Ordering::SeqCst);
    let answer = answer.lock().clone();
    match answer {
        Answer::Bytes(bytes) => stream.write_all(&bytes).await?,
        Answer::Flood(length) => {
            stream.write_all(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n").await?;
            for _ in 0..length / 65_536 {
                stream.write_all(&[b' '; 65_536]).await?;
            }
        }
        Answer::Silence => {
            stream.write_all(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n{").await?;
            std::future::pending::<()>().await;
        }
    }
    stream.shutdown().await
}

/// An answer with a status line of its own.
pub(super) fn response(status: &str, headers: &str, body: &str) -> Answer {
    let length = body.len();
    Answer::Bytes(
        format!(
            "HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n{headers}\r\n{body}"
        )
        .into_bytes(),
    )
}

/// A key set with these keys.
pub(super) fn key_set(keys: &[Value]) -> Answer {
    response("200 OK", "Content-Type: application/json\r\n", &json!({ "keys": keys }).to_string())
}
