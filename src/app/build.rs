//! Puts a node together, top to bottom: to know who gets what, read one function.
//!
//! Invariants: nothing is served before everything is built.

use std::{net::SocketAddr, sync::Arc};

use tokio::sync::watch;

use super::{AppError, Banner, Stopped, banner::demo_session, stop};
use crate::{
    auth::{ApiKeys, Verifier},
    clock::Clock,
    config::{Config, Limits},
    http::{
        Api, ApiParts, Internal, InternalParts, Listener, PublicDoor, PublicSettings, Rest,
        RestParts, Shared,
    },
    lifecycle::{CancellationToken, Readiness, Sessions, Tasks},
    log::{AnyLog, MemoryLimits, MemoryLog},
    metrics::Metrics,
    node::{Node, NodeLimits, Parts},
    presence::{AnyPresence, MemoryPresence, Rules},
    session::{Context, Doorkeeper},
    ws::Tls,
};

/// Sessions that ended and can still be resumed, over all realms.
const ENDED_SESSIONS_MAX: usize = 500_000;

/// A built node: bound, not yet stopped.
#[derive(Debug)]
pub struct App {
    pub(super) config: Arc<Config>,
    pub(super) node: Arc<Node>,
    pub(super) verifier: Arc<Verifier>,
    pub(super) metrics: Arc<Metrics>,
    pub(super) clock: Clock,
    pub(super) readiness: Readiness,
    pub(super) sessions: Sessions,
    pub(super) tasks: Tasks,
    /// Cancelled by a signal, by `POST /drain` or by a core task that ended.
    pub(super) stop: CancellationToken,
    /// Cancelled when the node stops accepting.
    pub(super) draining: CancellationToken,
    /// Ends the core tasks.
    pub(super) end: CancellationToken,
    pub(super) tls: Option<Tls>,
    pub(super) limits: watch::Sender<Arc<Limits>>,
    pub(super) api_keys: watch::Sender<Arc<ApiKeys>>,
    pub(super) context: Arc<Context>,
    public: SocketAddr,
    pub(super) internal: Internal,
}

impl App {
    /// Builds a node and starts its tasks. It accepts connections when this returns.
    ///
    /// # Errors
    ///
    /// [`AppError`]: nothing is left behind.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future stops what was started.
    pub async fn start(config: Config, stop: CancellationToken) -> Result<Self, AppError> {
        let config = Arc::new(config);
        let clock = Clock::system();
        let tls = config.public.tls.as_ref().map(Tls::open).transpose()?;
        let verifier = Verifier::new(&config.auth, clock.clone()).map_err(AppError::Keys)?;
        let verifier = Arc::new(verifier);
        let public = bind(config.public.listen).await?;

        let metrics = metrics(&config);
        let end = CancellationToken::new();
        let draining = CancellationToken::new();
        let mut tasks = Tasks::new(end.clone());
        let sessions = Sessions::default();
        let readiness = Readiness::blocked("starting");
        let (limits, limits_now) = watch::channel(Arc::new(config.limits.clone()));

        let node = Node::start(parts(&config, &metrics, &clock), &mut tasks);
        let jwks = verifier.jwks();
        tasks.spawn("jwks", |stop| async move { jwks.run(stop).await });
        let context = Context::new(
            Arc::clone(&node),
            Arc::clone(&verifier),
            Arc::clone(&config),
            draining.clone(),
            sessions.clone(),
        );
        let shared = Shared {
            door: door(&context, &clock),
            name: "public",
            tls: tls.clone(),
            proxies: config.public.trusted_proxies.clone(),
            limits: limits_now.clone(),
            sessions: sessions.clone(),
            metrics: Arc::clone(&metrics),
        };
        let known = ApiKeys::new(&config.internal.api_keys);
        let (api_keys, api_keys_now) = watch::channel(Arc::new(known));
        let now = (api_keys_now, limits_now);
        let internal = internal(&config, &node, now, (readiness.clone(), stop.clone()))?;
        let public_address = public.address();
        let accepting = draining.clone();
        tasks.spawn("public", |stop| async move {
            public.serve(shared, accepting).await;
            stop.cancelled().await;
        });
        readiness.clear("starting");
        metrics.ready.set(1);
        Ok(Self {
            config,
            node,
            verifier,
            metrics,
            clock,
            readiness,
            sessions,
            tasks,
            stop,
            draining,
            end,
            tls,
            limits,
            api_keys,
            context,
            public: public_address,
            internal,
        })
    }

    /// The address of the public listener.
    #[must_use]
    pub fn public(&self) -> SocketAddr {
        self.public
    }

    /// The address of the internal listener.
    #[must_use]
    pub fn internal(&self) -> SocketAddr {
        self.internal.address()
    }

    /// The node, for those who embed it.
    #[must_use]
    pub fn node(&self) -> &Arc<Node> {
        &self.node
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

fn metrics(config: &Config) -> Arc<Metrics> {
    if config.mattermost_metric_names {
        Metrics::with_mattermost_names(&config.node.id, config.hubs.count)
    } else {
        Metrics::new(&config.node.id, config.hubs.count)
    }
}

/// Answers on the public listener.
fn door(context: &Arc<Context>, clock: &Clock) -> PublicDoor<Doorkeeper> {
    let doorkeeper = Doorkeeper::new(Arc::clone(context));
    let rest = Rest::new(RestParts {
        doorkeeper: doorkeeper.clone(),
        context: Arc::clone(context),
        demo: demo_session(&context.config, clock),
    });
    let settings = PublicSettings::of(&context.config);
    PublicDoor::new(settings, Arc::clone(context.node.metrics()), doorkeeper).with_calls(rest)
}

/// Starts the internal listener, which obeys the keys and limits of `now`.
fn internal(
    config: &Config,
    node: &Arc<Node>,
    now: (watch::Receiver<Arc<ApiKeys>>, watch::Receiver<Arc<Limits>>),
    (readiness, drain): (Readiness, CancellationToken),
) -> Result<Internal, AppError> {
    let (keys, limits) = now;
    let api = Api::new(ApiParts {
        node: Arc::clone(node),
        keys,
        dev: config.dev,
        limits: limits.clone(),
        readiness: readiness.clone(),
        incarnation: node.clock().now_us(),
    });
    let address = config.internal.listen;
    Internal::start(InternalParts {
        listen: address,
        api,
        dev: config.dev,
        readiness,
        drain,
        limits,
        metrics: Arc::clone(node.metrics()),
    })
    .map_err(|source| AppError::Bind { address, source })
}

async fn bind(address: SocketAddr) -> Result<Listener, AppError> {
    Listener::bind(address).await.map_err(|source| AppError::Bind { address, source })
}

fn parts(config: &Config, metrics: &Arc<Metrics>, clock: &Clock) -> Parts {
    let limits = &config.limits;
    let log = MemoryLog::new(
        MemoryLimits {
            retention_events: config.log.retention_events,
            retention_bytes: config.log.retention_bytes,
            idempotency_window: limits.idempotency_window,
            idempotency_ids: limits.idempotency_ids,
            memberships_per_user: limits.memberships_per_user,
            session_ttl: limits.session_ttl,
            ended_sessions: ENDED_SESSIONS_MAX,
        },
        clock.clone(),
    );
    let rules = Rules::new(&config.status);
    let presence = MemoryPresence::new(&config.node.id, rules, clock.clone());
    Parts {
        id: Arc::from(config.node.id.as_str()),
        log: AnyLog::Memory(Arc::new(log)),
        presence: AnyPresence::Memory(Arc::new(presence)),
        hubs: (config.hubs.count, config.hubs.queue),
        limits: NodeLimits {
            ring_events: config.log.retention_events,
            ring_bytes: config.log.retention_bytes,
            replay_events: limits.resume_replay_events,
            replay_bytes: limits.resume_replay_bytes,
        },
        metrics: Arc::clone(metrics),
        clock: clock.clone(),
    }
}
