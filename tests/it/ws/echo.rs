//! A server that sends every message back, made of the WebSocket layer alone.

use std::{
    convert::Infallible,
    future::poll_fn,
    net::SocketAddr,
    sync::atomic::{AtomicBool, Ordering},
};

use bytes::Bytes;
use http_body_util::{Either, Empty, Full};
use hubbub::{
    config::AllowedOrigins,
    lifecycle::Sessions,
    ws::{
        Closing, Ended, FrameLimits, Incoming, Receiver, Stream, Tls, finish,
        frame::{self, Opcode},
        upgrade::{self, Refusal, UpgradePolicy},
    },
};
use hyper::{Request, Response, body::Incoming as Body, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::{
    io::AsyncWriteExt as _,
    net::{TcpListener, TcpStream},
    task::JoinSet,
    time::{Instant, timeout_at},
};

/// What the server's routes accept.
pub(super) struct Rules {
    /// Which pages may connect.
    pub(super) origins: AllowedOrigins,
    /// Subprotocols.
    pub(super) protocols: &'static [&'static str],
    /// Limits of every socket.
    pub(super) limits: FrameLimits,
}

impl Rules {
    /// Everything that a conformance suite needs.
    pub(super) fn echo() -> Self {
        Self {
            origins: AllowedOrigins::SameOrigin,
            protocols: &["hubbub.echo.v1", "other"],
            limits: FrameLimits::echo(),
        }
    }
}

/// A running server. It ends with the test.
pub(super) struct Server {
    /// Where it listens.
    pub(super) address: SocketAddr,
    /// One task per socket that speaks WebSocket.
    pub(super) sessions: Sessions,
    /// What accepts.
    _tasks: JoinSet<()>,
}

impl Server {
    /// Starts on a free port, with TLS when there is a certificate.
    pub(super) async fn start(rules: Rules, tls: Option<Tls>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let sessions = Sessions::default();
        let rules: &'static Rules = Box::leak(Box::new(rules));
        let mut tasks = JoinSet::new();
        let tracked = sessions.clone();
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((socket, _)) = listener.accept().await {
                connections.spawn(serve(socket, tls.clone(), rules, tracked.clone()));
            }
        });
        Self { address, sessions, _tasks: tasks }
    }
}

async fn serve(socket: TcpStream, tls: Option<Tls>, rules: &'static Rules, sessions: Sessions) {
    let is_tls = tls.is_some();
    let stream = match tls {
        None => Stream::Plain(socket),
        Some(tls) => match tls.accept(socket).await {
            Ok(stream) => stream,
            Err(_refused) => return,
        },
    };
    stream.set_nodelay(true).unwrap();
    let is_upgraded = AtomicBool::new(false);
    let service = service_fn(|mut request: Request<Body>| {
        let response = answer(&mut request, rules, is_tls);
        is_upgraded.store(response.is_ok(), Ordering::Relaxed);
        let response = response.map_or_else(refuse, |response| response.map(Either::Left));
        std::future::ready(Ok::<_, Infallible>(response))
    });
    let mut http = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
    // A client that goes away is no failure of the server.
    drop(poll_fn(|ctx| http.poll_without_shutdown(ctx)).await);
    let parts = http.into_parts();
    if is_upgraded.load(Ordering::Relaxed) {
        sessions.spawn(run(parts.io.into_inner(), parts.read_buf, rules.limits));
    }
}

fn answer(
    request: &mut Request<Body>,
    rules: &'static Rules,
    tls: bool,
) -> Result<Response<Empty<Bytes>>, Refusal> {
    let policy = UpgradePolicy { origins: &rules.origins, protocols: rules.protocols, tls };
    let accepted = upgrade::check(request, &policy)?;
    upgrade::respond(request, accepted)
}

fn refuse(refusal: Refusal) -> Response<Either<Empty<Bytes>, Full<Bytes>>> {
    let mut response = Response::builder().status(refusal.status()).header("connection", "close");
    for (name, value) in refusal.headers() {
        response = response.header(*name, *value);
    }
    response.body(Either::Right(Full::from(refusal.message()))).unwrap()
}

async fn run(mut stream: Stream, leftover: Bytes, limits: FrameLimits) {
    let mut receiver = Receiver::new(leftover);
    if let Some(closing) = echo(&mut stream, &mut receiver, &limits).await {
        finish(&mut stream, &mut receiver, closing, &limits).await;
    }
}

/// Answers until the conversation ends; returns how to close it.
async fn echo(
    stream: &mut Stream,
    receiver: &mut Receiver,
    limits: &FrameLimits,
) -> Option<Closing> {
    loop {
        let began = receiver.incomplete_since().unwrap_or_else(Instant::now);
        let deadline = began + limits.message_timeout;
        let received = match timeout_at(deadline, receiver.next(stream, limits)).await {
            Ok(received) => received,
            Err(_elapsed) if receiver.incomplete_since().is_some_and(|at| at <= began) => {
                let failure = hubbub::ws::Failure::MessageTimeout;
                return Some(Closing::by_failure(failure, Instant::now()));
            }
            Err(_elapsed) => continue,
        };
        let answer = match received {
            Ok(Incoming::Text(text)) => frame::message(Opcode::Text, text.as_bytes()),
            Ok(Incoming::Binary(bytes)) => frame::message(Opcode::Binary, &bytes),
            Ok(Incoming::Ping(payload)) => frame::pong(&payload),
            Ok(Incoming::Pong(_)) => continue,
            Ok(Incoming::Close { code, .. }) => {
                return Some(Closing::by_peer(code, Instant::now()));
            }
            Err(Ended::Failed(failure)) => {
                return Some(Closing::by_failure(failure, Instant::now()));
            }
            Err(Ended::Gone | Ended::Broken(_)) => return None,
        };
        stream.write_all(&answer).await.ok()?;
        stream.flush().await.ok()?;
    }
}
