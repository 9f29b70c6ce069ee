//! The public door: sockets of the dialects, the REST twins, the pages.
//!
//! Invariants: a path has one spelling, else it is 404; what is switched off does
//! not exist; no internal route exists here.
//!
//! Not here: what sockets say (`session`), the twins' answers (`rest`).

use std::sync::Arc;

use axum::body::Body;
use hyper::{
    Method, Request, Response, StatusCode,
    body::Incoming,
    header::{self, HeaderName},
};
use ipnet::IpNet;
use parking_lot::RwLock;

use super::{
    answer::{Answer, json, set, set_retry_after, text},
    connection::Door,
    demo, host,
    peer::{self, Peer},
    rest::{Call, Rest},
    upgrade::{SocketQuery, UpgradeHandler},
};
use crate::{
    auth::token_from_headers,
    config::{AllowedOrigins, Config},
    dialect::room::SUBPROTOCOL,
    metrics::Metrics,
    model::Id,
    session::{Denial, Knock, PydioRoute, Route},
    ws::upgrade::{Refusal, UpgradePolicy, check, respond},
};

const OTHER: &str = "public_other";
const PAGES: &str = "/demo/{file}";

/// What the public door needs of the configuration.
#[derive(Debug, Clone)]
pub struct PublicSettings {
    /// `--dev`: only loopback names are answered.
    pub dev: bool,
    /// `public.base_path`
    pub base_path: String,
    /// `public.allowed_origins`
    pub allowed_origins: AllowedOrigins,
    /// `public.trusted_proxies`
    pub trusted_proxies: Vec<IpNet>,
    /// `auth.cookie` at the start; [`PublicDoor::cookie`] has newer ones.
    pub cookie: String,
    /// Which routes exist.
    pub routes: PublicRoutes,
    /// The paths of the pydio dialect: events, chat, and chat again.
    pub pydio_paths: [String; 3],
}

/// Which routes exist on the public listener.
#[derive(Debug, Clone, Copy)]
#[expect(clippy::struct_excessive_bools, reason = "one switch for each group of routes")]
pub struct PublicRoutes {
    /// `dialects.mattermost.enabled`
    pub mattermost: bool,
    /// `dialects.pydio.enabled`
    pub pydio: bool,
    /// `dialects.room.enabled`
    pub room: bool,
    /// `dialects.echo.enabled`
    pub echo: bool,
    /// `demo.enabled`
    pub pages: bool,
    /// The program's own socket, at the root.
    pub embedded: bool,
}

impl PublicRoutes {
    /// Those of an embedded server.
    pub const EMBEDDED: Self = Self {
        mattermost: false,
        pydio: false,
        room: false,
        echo: false,
        pages: false,
        embedded: true,
    };
}

impl PublicSettings {
    /// Takes them out of `config`.
    #[must_use]
    pub fn of(config: &Config) -> Self {
        Self {
            dev: config.dev,
            base_path: config.public.base_path.clone(),
            allowed_origins: config.public.allowed_origins.clone(),
            trusted_proxies: config.public.trusted_proxies.clone(),
            cookie: config.auth.cookie.clone(),
            routes: PublicRoutes {
                mattermost: config.dialects.mattermost.enabled,
                pydio: config.dialects.pydio.enabled,
                room: config.dialects.room.enabled,
                echo: config.dialects.echo,
                pages: config.demo,
                embedded: false,
            },
            pydio_paths: [
                config.dialects.pydio.event_path.clone(),
                config.dialects.pydio.chat_path.clone(),
                config.dialects.pydio.chat_alias.clone(),
            ],
        }
    }
}

/// Answers the requests of the public listener.
#[derive(Debug)]
pub struct PublicDoor<H> {
    settings: PublicSettings,
    cookie: CookieName,
    metrics: Arc<Metrics>,
    handler: H,
    rest: Option<Rest>,
}

/// Which cookie may carry a token; empty: none. Cloning shares it.
#[derive(Debug, Clone)]
pub struct CookieName(Arc<RwLock<Arc<str>>>);

impl CookieName {
    /// Begins with `name`.
    pub(super) fn new(name: &str) -> Self {
        Self(Arc::new(RwLock::new(Arc::from(name))))
    }

    /// Takes another name, for requests that come later.
    pub fn replace(&self, name: &str) {
        *self.0.write() = Arc::from(name);
    }

    /// The name of now.
    #[must_use]
    pub fn get(&self) -> Arc<str> {
        Arc::clone(&self.0.read())
    }
}

/// What a path leads to.
#[derive(Debug)]
enum Target<'a> {
    Call(&'a Rest, Call),
    Socket(Route),
    Ping,
    Page(&'static str, demo::Asset),
    Redirect(&'static str),
}

impl<H: UpgradeHandler> PublicDoor<H> {
    /// A door that hands sockets to `handler`, and takes no calls.
    pub fn new(settings: PublicSettings, metrics: Arc<Metrics>, handler: H) -> Self {
        let cookie = CookieName::new(&settings.cookie);
        Self { settings, cookie, metrics, handler, rest: None }
    }

    /// The name of the cookie, for who changes it later.
    #[must_use]
    pub fn cookie(&self) -> CookieName {
        self.cookie.clone()
    }

    /// The same, with the REST twins of the mattermost dialect and the calls of the pages.
    #[must_use]
    pub fn with_calls(self, rest: Rest) -> Self {
        let rest = Some(rest.with_cookie(self.cookie.clone()));
        Self { rest, ..self }
    }

    fn target(&self, path: &str) -> Option<Target<'_>> {
        let routes = self.settings.routes;
        let base = self.settings.base_path.trim_end_matches('/');
        let path = path.strip_prefix(base)?;
        let socket = |enabled: bool, route| enabled.then_some(Target::Socket(route));
        match path {
            "/api/v4/websocket" | "/api/v4/websocket/" => {
                socket(routes.mattermost, Route::Mattermost)
            }
            "/api/v4/system/ping" => routes.mattermost.then_some(Target::Ping),
            "/ws" => socket(routes.room, Route::Room(None)),
            "/echo" => socket(routes.echo, Route::Echo),
            "" | "/" if routes.embedded => Some(Target::Socket(Route::Embedded)),
            _ if routes.pydio && self.pydio(path).is_some() => {
                self.pydio(path).map(|route| Target::Socket(Route::Pydio(route)))
            }
            _ if path.starts_with("/api/v4/users/") => {
                let rest = self.rest.as_ref().filter(|_| routes.mattermost)?;
                Call::twin(path).map(|call| Target::Call(rest, call))
            }
            _ if path.starts_with("/ws/room/") => {
                let name = Id::parse(path.strip_prefix("/ws/room/")?).ok()?;
                socket(routes.room, Route::Room(Some(name)))
            }
            _ if routes.pages => {
                if let (Some(rest), Some(call)) = (&self.rest, Call::of_pages(path)) {
                    return Some(Target::Call(rest, call));
                }
                let label = if path == "/" { "/" } else { PAGES };
                let page = demo::asset(path).map(|asset| Target::Page(label, asset));
                page.or_else(|| demo::redirect(path).map(Target::Redirect))
            }
            _ => None,
        }
    }

    /// The route of the pydio dialect that has this path.
    fn pydio(&self, path: &str) -> Option<PydioRoute> {
        let [event, chat, alias] = &self.settings.pydio_paths;
        if path == event {
            return Some(PydioRoute::Event);
        }
        (!path.is_empty() && (path == chat || path == alias)).then_some(PydioRoute::Chat)
    }

    async fn socket(&self, route: Route, mut request: Request<Incoming>, peer: Peer) -> Answer {
        let label = label(&route);
        let policy = UpgradePolicy {
            origins: &self.settings.allowed_origins,
            protocols: if matches!(route, Route::Room(_)) { &[SUBPROTOCOL] } else { &[] },
            tls: peer.tls,
        };
        let accepted = match check(&request, &policy) {
            Ok(accepted) => accepted,
            Err(refusal) => return Answer::new(label, self.refused(refusal)),
        };
        let query = match SocketQuery::parse(request.uri().query().unwrap_or_default()) {
            Ok(query) => query,
            Err(error) => {
                self.metrics.rejected("handshake", "query");
                return Answer::new(label, text(StatusCode::BAD_REQUEST, error.0));
            }
        };
        let headers = request.headers();
        let lines = headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes()));
        let token = token_from_headers(lines, &self.cookie.get());
        let proxies = &self.settings.trusted_proxies;
        let client = peer.client(headers, proxies);
        let knock = Knock {
            route,
            protocol: accepted.protocol,
            resume: query.resume,
            token: token.map(|token| token.token.to_owned()),
            guest_name: query.guest_name,
            client,
            is_limited: !peer::is_trusted(client, proxies),
        };
        let run = match self.handler.accept(knock).await {
            Ok(run) => run,
            Err(denial) => return Answer::new(label, denied(&denial)),
        };
        match respond(&mut request, accepted) {
            // The connection takes its stream back itself, so that nothing of hyper stays.
            Ok(response) => {
                let response = response.map(Body::new);
                Answer { response, route: label, run: Some(run) }
            }
            Err(refusal) => Answer::new(label, self.refused(refusal)),
        }
    }

    fn refused(&self, refusal: Refusal) -> Response<Body> {
        self.metrics.rejected("handshake", refusal.label());
        let mut response = text(refusal.status(), refusal.message());
        for (name, value) in refusal.headers() {
            set(response.headers_mut(), HeaderName::from_static(name), value);
        }
        response
    }

    fn not_allowed(&self, allow: &str) -> Response<Body> {
        self.metrics.rejected("http", "method");
        let mut response = text(StatusCode::METHOD_NOT_ALLOWED, "this method is not served here");
        set(response.headers_mut(), header::ALLOW, allow);
        response
    }
}

impl<H: UpgradeHandler> Door for PublicDoor<H> {
    const IS_CROWD_LIMITED: bool = true;

    async fn answer(&self, request: Request<Incoming>, peer: Peer) -> Answer {
        if self.settings.dev && !host::is_loopback(request.headers()) {
            self.metrics.rejected("http", "host");
            let line = "a development node answers to loopback names only";
            return Answer::new(OTHER, text(StatusCode::MISDIRECTED_REQUEST, line));
        }
        let path = request.uri().path().to_owned();
        let Some(target) = self.target(&path) else {
            self.metrics.rejected("http", "not_found");
            return Answer::new(OTHER, text(StatusCode::NOT_FOUND, "there is nothing here"));
        };
        let reads = matches!(*request.method(), Method::GET | Method::HEAD);
        match target {
            Target::Socket(route) => self.socket(route, request, peer).await,
            Target::Call(rest, call) => rest.answer(call, request, peer).await,
            Target::Ping if reads => {
                let ok = json(StatusCode::OK, r#"{"status":"OK"}"#);
                Answer::new("/api/v4/system/ping", ok)
            }
            Target::Ping => Answer::new("/api/v4/system/ping", self.not_allowed("GET, HEAD")),
            Target::Page(..) | Target::Redirect(_) if !reads => {
                Answer::new(PAGES, self.not_allowed("GET, HEAD"))
            }
            Target::Page(label, asset) => Answer::new(label, page(&asset, &request)),
            Target::Redirect(to) => {
                let mut response = text(StatusCode::PERMANENT_REDIRECT, "this page moved");
                set(response.headers_mut(), header::LOCATION, to);
                Answer::new(PAGES, response)
            }
        }
    }
}

/// The route in the metrics.
fn label(route: &Route) -> &'static str {
    match route {
        Route::Mattermost => "/api/v4/websocket",
        Route::Room(None) => "/ws",
        Route::Room(Some(_)) => "/ws/room/{name}",
        Route::Pydio(PydioRoute::Event) => "/ws/event",
        Route::Pydio(PydioRoute::Chat) => "/ws/chat",
        Route::Echo => "/echo",
        Route::Embedded => "embedded",
    }
}

fn denied(denial: &Denial) -> Response<Body> {
    let status = StatusCode::from_u16(denial.status).unwrap_or(StatusCode::FORBIDDEN);
    let mut response = text(status, denial.text);
    if let Some(wait) = denial.retry_after {
        set_retry_after(response.headers_mut(), wait);
    }
    if status == StatusCode::UNAUTHORIZED {
        set(response.headers_mut(), header::WWW_AUTHENTICATE, "Bearer");
    }
    response
}

fn page(asset: &demo::Asset, request: &Request<Incoming>) -> Response<Body> {
    let known = request.headers().get(header::IF_NONE_MATCH).and_then(|tags| tags.to_str().ok());
    let is_known = known.is_some_and(|tags| tags.split(',').any(|tag| tag.trim() == asset.etag));
    let mut response = Response::new(Body::from(asset.bytes));
    if is_known {
        response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::NOT_MODIFIED;
    }
    set(response.headers_mut(), header::CONTENT_TYPE, asset.content_type);
    set(response.headers_mut(), header::ETAG, &asset.etag);
    for (name, value) in demo::HEADERS {
        set(response.headers_mut(), HeaderName::from_static(name), value);
    }
    response
}
