//! Puts a node together, top to bottom: to know who gets what, read one function.
//!
//! Invariants: nothing is served before everything is built.

use std::{net::SocketAddr, sync::Arc};

use tokio::sync::watch;

use super::{
    AppError, Banner, Stopped,
    backends::{self, Backends},
    banner::demo_session,
    reload::Reloads,
    stop,
    watchdog::Watchdog,
};
use crate::{
    auth::{ApiKeys, Verifier},
    clock::Clock,
    config::Config,
    http::{
        Api, ApiParts, Internal, InternalParts, Listener, PublicDoor, PublicRoutes, PublicSettings,
        Rest, RestParts, Shared,
    },
    lifecycle::{CancellationToken, Readiness, Sessions, Tasks},
    log::{AnyLog, NodeFacts},
    metrics::Metrics,
    node::{Node, NodeLimits, Parts},
    presence::AnyPresence,
    session::{Context, Doorkeeper, Handle, Hosted},
    ws::Tls,
};

/// A built node: bound, not yet stopped.
#[derive(Debug)]
pub struct App {
    pub(super) config: Arc<Config>,
    pub(super) metrics: Arc<Metrics>,
    pub(super) readiness: Readiness,
    pub(super) sessions: Sessions,
    pub(super) tasks: Tasks,
    pub(super) tokens: Tokens,
    /// `None` for an embedded server.
    pub(super) internal: Option<Internal>,
    pub(super) reloads: Reloads,
    clock: Clock,
    public: SocketAddr,
}

/// What ends the parts of a node, in the order in which it is cancelled.
#[derive(Debug, Clone)]
pub(super) struct Tokens {
    /// Cancelled by a signal, or by `POST /drain`.
    pub(super) stop: CancellationToken,
    /// Cancelled when no more sockets are opened.
    pub(super) draining: CancellationToken,
    /// Cancelled when the last socket was closed: the public port is given up.
    pub(super) closing: CancellationToken,
    /// Cancelled at the end, or by a core task that ends before.
    pub(super) end: CancellationToken,
}

impl App {
    /// Builds a node and starts its tasks. It accepts connections when this returns.
    ///
    /// Cancelling `stop` drains it.
    ///
    /// # Errors
    ///
    /// [`AppError`]: nothing is left behind.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future stops what was started.
    pub async fn start(config: Config, stop: CancellationToken) -> Result<Self, AppError> {
        Self::build(config, stop, None).await
    }

    /// As [`App::start`], for a program's own handler: no dialect, no internal listener.
    pub(crate) async fn host(
        config: Config,
        stop: CancellationToken,
        hosted: Hosted,
    ) -> Result<Self, AppError> {
        Self::build(config, stop, Some(hosted)).await
    }

    async fn build(
        config: Config,
        stop: CancellationToken,
        hosted: Option<Hosted>,
    ) -> Result<Self, AppError> {
        let config = Arc::new(config);
        let clock = Clock::system();
        let tls = config.public.tls.as_ref().map(Tls::open).transpose()?;
        let verifier = Verifier::new(&config.auth, clock.clone()).map_err(AppError::Keys)?;
        let verifier = Arc::new(verifier);
        let api_keys = ApiKeys::new(&config.internal.api_keys);
        let public = bind(config.public.listen).await?;

        let metrics = metrics(&config);
        let [draining, closing, end] = std::array::from_fn(|_| CancellationToken::new());
        let tokens = Tokens { stop, draining, closing, end };
        let mut tasks = Tasks::new(tokens.end.clone());
        let sessions = Sessions::default();
        let readiness = Readiness::blocked("starting");
        let (limits, limits_now) = watch::channel(Arc::new(config.limits.clone()));

        let Backends { log, presence, facts } =
            Box::pin(backends::open(&config, &metrics, &clock, &mut tasks)).await?;
        let parts = parts((&config, facts), (&log, presence), &metrics, &clock);
        let node = Node::start(parts, &mut tasks);
        let context = Context::new(
            Arc::clone(&node),
            Arc::clone(&verifier),
            (Arc::clone(&config), limits_now.clone()),
            tokens.draining.clone(),
            sessions.clone(),
        );
        let mut doorkeeper = Doorkeeper::new(Arc::clone(&context));
        let mut settings = PublicSettings::of(&config);
        let has_internal = hosted.is_none();
        if let Some(hosted) = hosted {
            doorkeeper = doorkeeper.hosting(hosted, limits_now.clone(), tokens.stop.clone());
            settings.routes = PublicRoutes::EMBEDDED;
        }
        let demo = demo_session(&config, &clock);
        let rest = Rest::new(RestParts { doorkeeper: doorkeeper.clone(), context, demo });
        let door = PublicDoor::new(settings, Arc::clone(&metrics), doorkeeper.clone());
        let (cookie, door) = (door.cookie(), door.with_calls(rest));
        let reloads = Reloads { verifier, api_keys, cookie, limits, doorkeeper, node, log, tls };
        let app = Base { config: &config, metrics: &metrics, readiness: &readiness };
        let internal = || app.internal(&reloads, &tokens);
        let internal = has_internal.then(internal).transpose()?;
        let public_address = public.address();
        let shared = app.public(door, &reloads, &sessions);
        let closing = tokens.closing.clone();
        tasks.spawn("public", |stop| async move {
            public.serve(shared, closing).await;
            stop.cancelled().await;
        });
        app.keepers(&reloads, &mut tasks);
        readiness.clear("starting");
        Ok(Self {
            config,
            metrics,
            readiness,
            sessions,
            tasks,
            tokens,
            internal,
            reloads,
            clock,
            public: public_address,
        })
    }

    /// The address of the public listener.
    #[must_use]
    pub fn public(&self) -> SocketAddr {
        self.public
    }

    /// The address of the internal listener; an embedded server has none but the
    /// public one.
    #[must_use]
    pub fn internal(&self) -> SocketAddr {
        self.internal.as_ref().map_or(self.public, Internal::address)
    }

    /// What reaches the sockets of an embedded server.
    pub(crate) fn handle(&self) -> Option<Handle> {
        self.reloads.doorkeeper.handle()
    }

    /// The page of metrics, as `/metrics` shows it.
    #[must_use]
    pub fn metrics_page(&self) -> String {
        self.metrics.ready.set(i64::from(self.readiness.reasons().is_empty()));
        self.node().metrics_page()
    }

    /// The node, for those who embed it.
    #[must_use]
    pub fn node(&self) -> &Arc<Node> {
        &self.reloads.node
    }

    /// What to print when the node is ready.
    #[must_use]
    pub fn banner(&self) -> Banner {
        Banner::of(&self.config, &self.clock, self.public, self.internal())
    }

    /// Serves until it is told to stop, then drains and stops.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future drops every socket without a word.
    pub async fn run(self) -> Stopped {
        stop::run(self).await
    }
}

/// What both listeners share.
struct Base<'a> {
    config: &'a Config,
    metrics: &'a Arc<Metrics>,
    readiness: &'a Readiness,
}

impl Base<'_> {
    /// Starts the tasks that look after what others do.
    fn keepers(&self, parts: &Reloads, tasks: &mut Tasks) {
        let jwks = parts.verifier.jwks();
        tasks.spawn("jwks", |stop| async move { jwks.run(stop).await });
        let watchdog = Watchdog {
            node: Arc::clone(&parts.node),
            readiness: self.readiness.clone(),
            limits: parts.limits.subscribe(),
        };
        tasks.spawn("watchdog", |stop| watchdog.run(stop));
    }

    fn public(
        &self,
        door: PublicDoor<Doorkeeper>,
        parts: &Reloads,
        sessions: &Sessions,
    ) -> Shared<PublicDoor<Doorkeeper>> {
        Shared {
            door,
            name: "public",
            tls: parts.tls.clone(),
            proxies: self.config.public.trusted_proxies.clone(),
            limits: parts.limits.subscribe(),
            sessions: sessions.clone(),
            metrics: Arc::clone(self.metrics),
        }
    }

    fn internal(&self, parts: &Reloads, tokens: &Tokens) -> Result<Internal, AppError> {
        let api = Api::new(ApiParts {
            node: Arc::clone(&parts.node),
            keys: parts.api_keys.clone(),
            dev: self.config.dev,
            limits: parts.limits.subscribe(),
            readiness: self.readiness.clone(),
        });
        let address = self.config.internal.listen;
        let internal = Internal::start(InternalParts {
            listen: address,
            api,
            dev: self.config.dev,
            readiness: self.readiness.clone(),
            drain: tokens.stop.clone(),
            limits: parts.limits.subscribe(),
            metrics: Arc::clone(self.metrics),
        });
        internal.map_err(|source| AppError::Bind { address, source })
    }
}

fn metrics(config: &Config) -> Arc<Metrics> {
    if config.mattermost_metric_names {
        Metrics::with_mattermost_names(&config.node.id, config.hubs.count)
    } else {
        Metrics::new(&config.node.id, config.hubs.count)
    }
}

async fn bind(address: SocketAddr) -> Result<Listener, AppError> {
    Listener::bind(address).await.map_err(|source| AppError::Bind { address, source })
}

fn parts(
    (config, facts): (&Config, Arc<NodeFacts>),
    (log, presence): (&AnyLog, AnyPresence),
    metrics: &Arc<Metrics>,
    clock: &Clock,
) -> Parts {
    Parts {
        id: Arc::from(config.node.id.as_str()),
        log: log.clone(),
        presence,
        hubs: (config.hubs.count, config.hubs.queue),
        limits: node_limits(config),
        facts,
        metrics: Arc::clone(metrics),
        clock: clock.clone(),
    }
}

/// What bounds the node.
pub(super) fn node_limits(config: &Config) -> NodeLimits {
    NodeLimits {
        ring_events: config.log.retention_events,
        ring_bytes: config.log.retention_bytes,
        replay_events: config.limits.resume_replay_events,
        replay_bytes: config.limits.resume_replay_bytes,
        session_ttl: config.limits.session_ttl,
    }
}
