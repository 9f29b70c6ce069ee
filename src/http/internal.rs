//! The internal door: metrics, probes, drain and the server API, on threads and a
//! runtime of its own, so that it answers when the node's runtime is stuck.
//!
//! Invariants: `/live` says that these threads run; `/ready` says what the node's
//! parts say; a page of another origin can't call anything.
//!
//! Not here: what a drain does (`app`), what the calls do (`api`).

use std::{io, net::SocketAddr, num::NonZero, sync::Arc, thread};

use axum::{
    Router,
    body::Body,
    extract::{MatchedPath, Request, State},
    middleware::{self, Next},
    response::{IntoResponse as _, Response},
    routing::{get, post},
};
use hyper::{
    StatusCode,
    body::Incoming,
    header::{self, HeaderValue},
};
use tokio::sync::{oneshot, watch};
use tokio_util::sync::DropGuard;
use tower::ServiceExt as _;

use super::{
    answer::{Answer, json, text},
    api::{Api, Reason},
    connection::Door,
    host,
    listener::{Listener, Shared},
    peer::Peer,
};
use crate::{
    config::Limits,
    lifecycle::{CancellationToken, Readiness, Sessions},
    metrics::{CONTENT_TYPE, Metrics, ROUTES},
};

const OTHER: &str = "internal_other";

/// What the internal listener is made of.
#[derive(Debug)]
pub struct InternalParts {
    /// Where it listens.
    pub listen: SocketAddr,
    /// The calls of the server API.
    pub api: Api,
    /// True on a development node: it answers to loopback names only.
    pub dev: bool,
    /// Why the node is not ready.
    pub readiness: Readiness,
    /// Cancelled by `POST /drain`.
    pub drain: CancellationToken,
    /// The limits of now.
    pub limits: watch::Receiver<Arc<Limits>>,
    /// What `/metrics` shows.
    pub metrics: Arc<Metrics>,
}

/// The running internal listener.
#[derive(Debug)]
pub struct Internal {
    address: SocketAddr,
    /// Ends the thread, also when the node is dropped without a stop.
    stop: DropGuard,
    ended: oneshot::Receiver<()>,
}

impl Internal {
    /// Binds the port and starts the thread.
    ///
    /// # Errors
    ///
    /// When the address is taken, or no thread can be made. The operator's fault.
    pub fn start(parts: InternalParts) -> io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(threads())
            .thread_name("internal")
            .enable_all()
            .build()?;
        let stop = CancellationToken::new();
        let (bound, was_bound) = std::sync::mpsc::sync_channel(1);
        let (done, ended) = oneshot::channel();
        let token = stop.clone();
        thread::Builder::new().name("internal".to_owned()).spawn(move || {
            runtime.block_on(run(parts, token, bound));
            // Nobody waits any more when the node was dropped without a stop.
            done.send(()).ok();
        })?;
        let gone = || io::Error::other("the internal listener's thread ended");
        let address = was_bound.recv().map_err(|_| gone())??;
        Ok(Self { address, stop: stop.drop_guard(), ended })
    }

    /// The address that was bound, with its real port.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Ends it after the requests that it is in.
    ///
    /// # Cancel safety
    ///
    /// Safe: it goes on ending.
    pub async fn stop(self) {
        drop(self.stop);
        // An error means that the thread has ended already.
        self.ended.await.ok();
    }
}

/// Half of the cores: with one thread alone, all that is published through the API would
/// have to go through it.
fn threads() -> usize {
    thread::available_parallelism().map_or(1, NonZero::get).div_ceil(2).max(2)
}

async fn run(
    parts: InternalParts,
    stop: CancellationToken,
    bound: std::sync::mpsc::SyncSender<io::Result<SocketAddr>>,
) {
    let listener = match Listener::bind(parts.listen).await {
        Ok(listener) => listener,
        Err(error) => {
            // The one who waits gets it; there is nobody else to tell.
            bound.send(Err(error)).ok();
            return;
        }
    };
    if bound.send(Ok(listener.address())).is_err() {
        return;
    }
    let sessions = Sessions::default();
    let shared = Shared {
        name: "internal",
        tls: None,
        proxies: Vec::new(),
        limits: parts.limits.clone(),
        sessions: sessions.clone(),
        metrics: Arc::clone(&parts.metrics),
        door: InternalDoor::new(parts),
    };
    let grace = shared.limits.borrow().head_timeout;
    listener.serve(shared, stop).await;
    sessions.drain(grace).await;
}

/// Answers the requests of the internal listener.
struct InternalDoor {
    router: Router,
    dev: bool,
    metrics: Arc<Metrics>,
}

/// What the small routes work with.
#[derive(Clone)]
struct Probes {
    api: Api,
    metrics: Arc<Metrics>,
    readiness: Readiness,
    drain: CancellationToken,
}

/// The route that answered, for the metrics.
#[derive(Debug, Clone)]
struct Matched(&'static str);

impl InternalDoor {
    fn new(parts: InternalParts) -> Self {
        let InternalParts { api, dev, readiness, drain, metrics, .. } = parts;
        let probes = Probes { api: api.clone(), metrics: Arc::clone(&metrics), readiness, drain };
        let open = Router::new()
            .route("/metrics", get(scrape))
            .route("/live", get(live))
            .route("/ready", get(ready))
            .with_state(probes.clone());
        let drain = api.clone().guarded(Router::new().route("/drain", post(start_drain)), probes);
        let router = open.merge(drain).merge(api.router()).layer(middleware::from_fn(note_route));
        Self { router, dev, metrics }
    }

    fn refusal(&self, request: &hyper::Request<Incoming>) -> Option<Response<Body>> {
        if self.dev && !host::is_loopback(request.headers()) {
            self.metrics.rejected("http", "host");
            let line = "a development node answers to loopback names only";
            return Some(text(StatusCode::MISDIRECTED_REQUEST, line));
        }
        if !host::is_same_origin(request.headers()) {
            self.metrics.rejected("http", "csrf");
            return Some(text(StatusCode::FORBIDDEN, "pages may not call this"));
        }
        None
    }
}

impl Door for InternalDoor {
    // A backend calls from one address, with as many connections as it needs.
    const IS_CROWD_LIMITED: bool = false;

    async fn answer(&self, request: hyper::Request<Incoming>, _peer: Peer) -> Answer {
        if let Some(refusal) = self.refusal(&request) {
            return Answer::new(OTHER, refusal);
        }
        let request = request.map(Body::new);
        let mut response = match self.router.clone().oneshot(request).await {
            Ok(response) => response,
            Err(never) => match never {},
        };
        let route = response.extensions_mut().remove::<Matched>().map_or(OTHER, |route| route.0);
        if let Some(Reason(stage, reason)) = response.extensions_mut().remove::<Reason>() {
            self.metrics.rejected(stage, reason);
        }
        Answer::new(route, response)
    }
}

/// Remembers which route a request matched.
async fn note_route(request: Request, next: Next) -> Response {
    let path = request.extensions().get::<MatchedPath>().map(MatchedPath::as_str);
    let known = ROUTES.iter().map(|(route, _)| *route);
    let route = path.and_then(|path| known.into_iter().find(|route| *route == path));
    let mut response = next.run(request).await;
    response.extensions_mut().insert(Matched(route.unwrap_or(OTHER)));
    response
}

async fn scrape(State(probes): State<Probes>) -> Response {
    let is_ready = probes.readiness.reasons().is_empty();
    probes.metrics.ready.set(i64::from(is_ready));
    let page = probes.api.node().metrics_page();
    ([(header::CONTENT_TYPE, HeaderValue::from_static(CONTENT_TYPE))], page).into_response()
}

async fn live() -> Response {
    json(StatusCode::OK, r#"{"live":true}"#)
}

async fn ready(State(probes): State<Probes>) -> Response {
    let reasons = probes.readiness.reasons();
    if reasons.is_empty() {
        return json(StatusCode::OK, r#"{"ready":true,"reasons":[]}"#);
    }
    // Reasons are words of ours: nothing to escape.
    let body = format!(r#"{{"ready":false,"reasons":["{}"]}}"#, reasons.join("\",\""));
    json(StatusCode::SERVICE_UNAVAILABLE, body)
}

async fn start_drain(State(probes): State<Probes>) -> Response {
    probes.drain.cancel();
    json(StatusCode::ACCEPTED, r#"{"draining":true}"#)
}
