//! One accepted TCP connection, until it is closed or becomes a WebSocket.
//!
//! Invariants:
//! - from accept to the first complete head at most `limits.head_timeout` passes,
//!   TLS included, whatever the peer sends or does not send;
//! - between two requests, and for what is left of an answer, the same time; for a
//!   body and what is done with it, `limits.message_timeout`;
//! - after a 101 nothing of hyper stays in memory;
//! - what was refused is told why before its connection is closed.
//!
//! Not here: what requests mean (the doors), frames (`ws`).

use std::{
    convert::Infallible,
    future::{Future, poll_fn},
    net::SocketAddr,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use axum::body::Body;
use bytes::{Bytes, BytesMut};
use hyper::{
    Request, Response, StatusCode,
    body::Incoming,
    header::{self, HeaderName, HeaderValue},
    server::conn::http1,
    service::Service,
};
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    sync::Notify,
    time::{Instant, timeout, timeout_at},
};

use super::{
    answer::Answer,
    gate::Gate,
    head::{self, HeadLimits, Refusal},
    listener::Shared,
    peer::{self, Peer},
};
use crate::{
    lifecycle::CancellationToken,
    metrics::{IntCounter, Metrics},
    session::Run,
    ws::Stream,
};

/// Longest time that a closed connection is read, so that the peer can read why.
const LINGER: Duration = Duration::from_millis(500);
/// Most bytes that are read from a closed connection.
const LINGER_BYTES: u64 = 1024 * 1024;

/// What answers the requests of one listener.
pub trait Door: Send + Sync + 'static {
    /// True when one address may hold only so many connections.
    const IS_CROWD_LIMITED: bool;

    /// Answers one request of `peer`.
    ///
    /// # Cancel safety
    ///
    /// The future is dropped when the peer takes too long to send its body.
    fn answer(&self, request: Request<Incoming>, peer: Peer)
    -> impl Future<Output = Answer> + Send;
}

/// How far the request that is served now has come.
#[derive(Debug)]
pub(super) struct Progress {
    busy: AtomicBool,
    deadlines: Mutex<Deadlines>,
    /// Wakes who waits for a deadline that has come closer.
    moved: Notify,
}

#[derive(Debug)]
struct Deadlines {
    /// The one that counts.
    now: Instant,
    /// When the timer looks again. Moving it with each request would cost as much as
    /// reading one, so it is moved only when it would come too late.
    timer: Instant,
}

impl Progress {
    fn new(deadline: Instant) -> Arc<Self> {
        let busy = AtomicBool::new(false);
        let deadlines = Mutex::new(Deadlines { now: deadline, timer: deadline });
        Arc::new(Self { busy, deadlines, moved: Notify::new() })
    }

    /// True from a complete head until its answer is made.
    pub(super) fn is_busy(&self) -> bool {
        self.busy.load(Ordering::Relaxed)
    }

    fn set(&self, busy: bool, allowance: Duration) {
        self.busy.store(busy, Ordering::Relaxed);
        let is_late = {
            let mut deadlines = self.deadlines.lock();
            deadlines.now = Instant::now() + allowance;
            deadlines.now < deadlines.timer
        };
        if is_late {
            self.moved.notify_one();
        }
    }

    /// Waits until the deadline has passed.
    async fn expired(&self) {
        loop {
            let deadline = {
                let mut deadlines = self.deadlines.lock();
                if deadlines.now <= Instant::now() {
                    return;
                }
                deadlines.timer = deadlines.now;
                deadlines.now
            };
            // Which of both it was is decided by the look at the clock.
            timeout_at(deadline, self.moved.notified()).await.ok();
        }
    }
}

/// Serves `socket` until HTTP is done with it. A WebSocket that came out of it goes
/// on in a task of its own.
pub(super) async fn serve<D: Door>(
    shared: Arc<Shared<D>>,
    mut socket: TcpStream,
    stop: CancellationToken,
) {
    let deadline = Instant::now() + shared.limits.borrow().head_timeout;
    let late = |_elapsed| {
        shared.metrics.rejected("http", "head_timeout");
    };
    let Ok(address) = timeout_at(deadline, origin(&shared, &mut socket)).await.map_err(late) else {
        return;
    };
    let Some(address) = address else { return refuse_raw(socket, &shared.metrics).await };
    let Ok(secured) = timeout_at(deadline, secure(&shared, socket)).await.map_err(late) else {
        return;
    };
    let Some(stream) = secured else { return };
    let peer = Peer { address, tls: stream.is_tls() };
    let progress = Progress::new(deadline);
    let (stream, rest, run) = talk(&shared, stream, peer, &progress, stop).await;
    match run {
        Some(run) => {
            let panics = CountPanic(shared.metrics.session_panics_total.clone());
            shared.sessions.spawn(async move {
                let _counts = panics;
                run(stream, rest).await;
            });
        }
        None => close(stream).await,
    }
}

/// Counts the panic that ends a session.
struct CountPanic(IntCounter);

impl Drop for CountPanic {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.inc();
        }
    }
}

/// Finds out who is there; `None` when a proxy's header can't be read.
async fn origin<D>(shared: &Shared<D>, socket: &mut TcpStream) -> Option<SocketAddr> {
    let address = socket.peer_addr().ok()?;
    if !peer::is_trusted(address.ip(), &shared.proxies) {
        return Some(address);
    }
    let named = peer::take_proxy_header(socket).await.ok()?;
    Some(named.unwrap_or(address))
}

async fn refuse_raw(socket: TcpStream, metrics: &Metrics) {
    let mut stream = Stream::Plain(socket);
    refuse(&mut stream, metrics, head::MALFORMED).await;
    close(stream).await;
}

/// Adds TLS when the listener speaks it.
async fn secure<D>(shared: &Shared<D>, socket: TcpStream) -> Option<Stream> {
    let Some(tls) = &shared.tls else { return Some(Stream::Plain(socket)) };
    match tls.accept(socket).await {
        Ok(stream) => Some(stream),
        Err(error) => {
            tracing::debug!(%error, "tls handshake failed");
            shared.metrics.rejected("http", "tls");
            None
        }
    }
}

/// Speaks HTTP until the connection ends or is upgraded. Returns the stream, the
/// bytes that were read and belong to nobody yet, and what to do after a 101.
async fn talk<D: Door>(
    shared: &Arc<Shared<D>>,
    stream: Stream,
    peer: Peer,
    progress: &Arc<Progress>,
    stop: CancellationToken,
) -> (Stream, Bytes, Option<Run>) {
    let limits = HeadLimits::of(&shared.limits.borrow());
    let adapter = Adapter {
        shared: Arc::clone(shared),
        peer,
        idle: idle(shared.limits.borrow().head_timeout),
        progress: Arc::clone(progress),
        upgrade: Arc::default(),
    };
    let upgrade = Arc::clone(&adapter.upgrade);
    let gate = TokioIo::new(Gate::new(stream, limits, Arc::clone(progress)));
    let mut connection = http1::Builder::new()
        .half_close(true)
        .header_read_timeout(None)
        .max_headers(limits.headers)
        .max_buf_size(limits.bytes.max(HYPER_BUFFER_BYTES_MIN))
        .serve_connection(gate, adapter);
    let mut stopping = false;
    let is_late = loop {
        // Order: stop, deadline, work. Every arm is cancel safe: the connection keeps
        // its state outside the future that polls it.
        tokio::select! {
            biased;
            () = stop.cancelled(), if !stopping => {
                stopping = true;
                Pin::new(&mut connection).graceful_shutdown();
            }
            () = progress.expired() => break true,
            ended = poll_fn(|ctx| connection.poll_without_shutdown(ctx)) => {
                if let Err(error) = ended {
                    tracing::debug!(%error, "http connection ended early");
                }
                break false;
            }
        }
    };
    let parts = connection.into_parts();
    let gate = parts.io.into_inner();
    let late =
        (is_late && (progress.is_busy() || gate.is_inside_head())).then_some(head::TIMED_OUT);
    let refusal = gate.refused().or(late);
    if is_late && refusal.is_none() && !gate.has_passed() {
        shared.metrics.rejected("http", "head_timeout");
    }
    let (mut stream, unread) = gate.into_parts();
    let run = upgrade.lock().take().filter(|_| !is_late);
    if let Some(refusal) = refusal {
        refuse(&mut stream, &shared.metrics, refusal).await;
    }
    (stream, joined(parts.read_buf, &unread), run)
}

const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");

/// A second less than it is: a client that believes it does not send into a closing one.
fn idle(allowance: Duration) -> HeaderValue {
    let seconds = allowance.as_secs().saturating_sub(1);
    HeaderValue::try_from(format!("timeout={seconds}"))
        .unwrap_or(HeaderValue::from_static("timeout=0"))
}

/// hyper's own least size of a buffer.
const HYPER_BUFFER_BYTES_MIN: usize = 8192;

fn joined(first: Bytes, second: &Bytes) -> Bytes {
    if second.is_empty() {
        return first;
    }
    let mut all = BytesMut::from(first.as_ref());
    all.extend_from_slice(second);
    all.freeze()
}

/// Tells the peer why there is no request, and counts it.
async fn refuse(stream: &mut Stream, metrics: &Metrics, refusal: Refusal) {
    let status = StatusCode::from_u16(refusal.status).unwrap_or(StatusCode::BAD_REQUEST);
    metrics.rejected("http", refusal.reason);
    metrics.http_requests_total.with_label_values(&["no_request", status.as_str()]).inc();
    let answer = format!(
        "HTTP/1.1 {status}\r\nconnection: close\r\ncontent-type: text/plain; charset=utf-8\r\n\
         content-length: {}\r\n\r\n{}\n",
        refusal.text.len() + 1,
        refusal.text,
    );
    // A peer that is gone can't be told anything.
    timeout(LINGER, stream.write_all(answer.as_bytes())).await.ok();
}

/// Ends the connection so that the peer can still read what was sent: a socket that
/// is closed with unread bytes is reset, and the reset may overtake the answer.
async fn close(mut stream: Stream) {
    let ending = async {
        stream.shutdown().await.ok();
        let mut rest = stream.take(LINGER_BYTES);
        tokio::io::copy(&mut rest, &mut tokio::io::sink()).await.ok();
    };
    timeout(LINGER, ending).await.ok();
}

/// The door as a service of hyper.
struct Adapter<D> {
    shared: Arc<Shared<D>>,
    peer: Peer,
    progress: Arc<Progress>,
    /// Says how long the connection is kept for the next request.
    idle: HeaderValue,
    /// What to do after the 101 that was answered.
    upgrade: Arc<Mutex<Option<Run>>>,
}

impl<D: Door> Service<Request<Incoming>> for Adapter<D> {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        self.progress.set(true, self.shared.limits.borrow().message_timeout);
        let (shared, progress) = (Arc::clone(&self.shared), Arc::clone(&self.progress));
        let (peer, upgrade) = (self.peer, Arc::clone(&self.upgrade));
        let idle = self.idle.clone();
        Box::pin(async move {
            let began = Instant::now();
            // Behind these the gate lets everything through, so they are the last ones.
            let is_last = request.headers().contains_key(header::UPGRADE)
                || request.headers().contains_key(header::TRANSFER_ENCODING);
            let asks = request.headers().get(header::CONNECTION);
            let is_kept = asks.is_none_or(|asks| !asks.as_bytes().eq_ignore_ascii_case(b"close"));
            let Answer { mut response, route, run } = shared.door.answer(request, peer).await;
            if response.status() == StatusCode::SWITCHING_PROTOCOLS {
                *upgrade.lock() = run;
            } else if is_last {
                let close = HeaderValue::from_static("close");
                response.headers_mut().insert(header::CONNECTION, close);
            } else if is_kept {
                response.headers_mut().insert(KEEP_ALIVE, idle);
            }
            let status = response.status();
            let labels = [route, status.as_str()];
            shared.metrics.http_requests_total.with_label_values(&labels).inc();
            let seconds = began.elapsed().as_secs_f64();
            shared.metrics.http_request_seconds.with_label_values(&labels).observe(seconds);
            progress.set(false, shared.limits.borrow().head_timeout);
            Ok(response)
        })
    }
}
