//! Decides who may open a socket, before anything is opened.
//!
//! Invariants:
//! - a socket that is denied costs no more than its HTTP request;
//! - what is counted for a socket is counted down when the socket ends;
//! - a bad token costs its sender a share of few, whatever the dialect.

use std::{net::IpAddr, sync::Arc, time::Duration};

use parking_lot::Mutex;
use tokio::{sync::watch, time::Instant};

use super::{
    context::Context,
    echo, guest,
    handler::{Handle, Host, Hosted},
    hosted,
    knock::{Denial, Knock, Route, Run},
    mattermost, pydio,
    room::{self, RoomEntry},
};
use crate::{
    clock::random_below,
    config::Limits,
    dialect::room::{SUBPROTOCOL, room_name},
    lifecycle::CancellationToken,
    limits::{Bucket, Counted, CountedGuard, KeyedBuckets, Rate},
    model::{Identity, RealmId, UserId},
};

/// Peers whose failed logins, or users whose resumes, are remembered at once.
const PEERS_MAX: usize = 100_000;

/// Decides about requests to open sockets, and counts who has how many. Cloning
/// shares the counts.
#[derive(Debug, Clone)]
pub struct Doorkeeper {
    pub(super) context: Arc<Context>,
    limits: Arc<Admission>,
    host: Option<Arc<Host>>,
}

/// What is counted over all sockets of the node.
#[derive(Debug)]
pub(super) struct Admission {
    sockets: Counted,
    by_address: Counted,
    by_user: Counted,
    handshakes: Mutex<Bucket>,
    login_failures: KeyedBuckets<IpAddr>,
    resumes: KeyedBuckets<(RealmId, UserId)>,
}

/// The counts of one socket. Dropping it counts down.
#[derive(Debug)]
pub(super) struct Ticket {
    _socket: CountedGuard,
    _address: Option<CountedGuard>,
    user: Option<CountedGuard>,
    address: Option<IpAddr>,
}

impl Doorkeeper {
    /// A doorkeeper for the sockets of one node.
    #[must_use]
    pub fn new(context: Arc<Context>) -> Self {
        let (failures, resumes) = rates(&context.limits());
        let limits = Arc::new(Admission {
            sockets: Counted::default(),
            by_address: Counted::default(),
            by_user: Counted::default(),
            handshakes: Mutex::new(Bucket::new(Instant::now())),
            login_failures: KeyedBuckets::new(failures, PEERS_MAX),
            resumes: KeyedBuckets::new(resumes, PEERS_MAX),
        });
        Self { context, limits, host: None }
    }

    /// The same, with a handler for the sockets of an embedded server, which
    /// cancelling `stop` stops.
    #[must_use]
    pub fn hosting(
        self,
        Hosted(handler): Hosted,
        limits: watch::Receiver<Arc<Limits>>,
        stop: CancellationToken,
    ) -> Self {
        let handle = Handle::new(Arc::clone(&self.context.node), limits, stop);
        Self { host: Some(Arc::new(Host { handle, handler })), ..self }
    }

    /// What reaches the sockets of an embedded server.
    #[must_use]
    pub fn handle(&self) -> Option<Handle> {
        self.host.as_ref().map(|host| host.handle.clone())
    }

    /// Takes new limits, for sockets that are open, too.
    pub fn apply_limits(&self, limits: &Limits) {
        self.context.apply_limits(limits);
        let (failures, resumes) = rates(limits);
        self.limits.login_failures.set_rate(failures);
        self.limits.resumes.set_rate(resumes);
    }

    /// How many sockets are open.
    #[must_use]
    pub fn sockets(&self) -> u32 {
        self.limits.sockets.count(&())
    }

    /// Decides about `knock`: what to run after the 101, or what to answer.
    ///
    /// # Errors
    ///
    /// [`Denial`] is the HTTP answer. It has been counted.
    ///
    /// # Cancel safety
    ///
    /// Safe: nothing is opened before the returned value runs.
    pub async fn accept(&self, knock: Knock) -> Result<Run, Denial> {
        let mut ticket = self.admit(&knock)?;
        if knock.route == Route::Echo {
            let context = Arc::clone(&self.context);
            return Ok(Box::new(move |stream, leftover| {
                Box::pin(echo::run(context, ticket, stream, leftover))
            }));
        }
        if let (Route::Embedded, Some(host)) = (&knock.route, &self.host) {
            let (context, entry) = (Arc::clone(&self.context), (Arc::clone(host), knock.client));
            return Ok(Box::new(move |stream, leftover| {
                hosted::run(context, ticket, entry, (stream, leftover))
            }));
        }
        if let Route::Pydio(route) = knock.route {
            // Only its first message says who it is.
            let (context, limits) = (Arc::clone(&self.context), Arc::clone(&self.limits));
            let entry = pydio::Entry { route, resume: knock.resume, limits };
            return Ok(Box::new(move |stream, leftover| {
                pydio::run(context, ticket, entry, (stream, leftover))
            }));
        }
        let identity = self.identify(&knock).await?;
        if let Some(identity) = &identity
            && !guest::is_guest(identity)
        {
            let max = self.context.limits().connections_per_user;
            let seat = self.limits.seat(identity, max);
            ticket.user = Some(seat.ok_or_else(|| self.deny("limit", "connections_per_user"))?);
        }
        if let (Some(identity), Some(_)) = (&identity, knock.resume) {
            self.limits.wait_for_resume(identity).await;
        }
        let context = Arc::clone(&self.context);
        let limits = Arc::clone(&self.limits);
        let Knock { route, protocol, resume, .. } = knock;
        match (route, identity) {
            (Route::Room(name), Some(identity)) => {
                let room = room_name(name.as_ref().map(crate::model::Id::as_str))
                    .map_err(|_malformed| self.deny("handshake", "query"))?;
                let is_numbered = protocol == Some(SUBPROTOCOL);
                let since = match is_numbered {
                    true => None,
                    false => context.node.place(&identity.realm).await,
                };
                let entry = RoomEntry { identity, room, is_numbered, resume, since };
                Ok(Box::new(move |stream, leftover| {
                    room::run(context, ticket, entry, (stream, leftover))
                }))
            }
            (Route::Room(_), None) => Err(self.deny("auth", "missing")),
            (Route::Mattermost | Route::Pydio(_) | Route::Echo | Route::Embedded, identity) => {
                Ok(Box::new(move |stream, leftover| {
                    let entry = mattermost::Entry { identity, resume, limits };
                    mattermost::run(context, ticket, entry, (stream, leftover))
                }))
            }
        }
    }

    /// Counts the socket, or denies it.
    fn admit(&self, knock: &Knock) -> Result<Ticket, Denial> {
        let limits = self.context.limits();
        if self.context.draining.is_cancelled() {
            return Err(self.deny("handshake", "draining"));
        }
        if self.context.node.is_cut_off() {
            return Err(self.deny("handshake", "log_away"));
        }
        let rate = Rate {
            per_second: limits.handshakes_per_second,
            burst: f64::from(limits.handshakes_burst),
        };
        let taken = self.limits.handshakes.lock().take(1.0, rate, Instant::now());
        taken.map_err(|_wait| self.deny("limit", "handshakes"))?;
        let socket = self.limits.sockets.add(&(), limits.connections);
        let socket = socket.ok_or_else(|| self.deny("limit", "connections"))?;
        let address = knock.is_limited.then_some(knock.client);
        let by_address = match address {
            Some(client) => {
                let guard = self.limits.by_address.add(&client, limits.connections_per_ip);
                Some(guard.ok_or_else(|| self.deny("limit", "connections_per_ip"))?)
            }
            None => None,
        };
        self.check_failures(address)?;
        Ok(Ticket { _socket: socket, _address: by_address, user: None, address })
    }

    /// Denies an address that has failed too often.
    pub(super) fn check_failures(&self, address: Option<IpAddr>) -> Result<(), Denial> {
        if address.is_some_and(|client| !self.limits.login_failures.has_token(&client)) {
            return Err(self.deny("limit", "auth_failures"));
        }
        Ok(())
    }

    /// Whom `token` proves. A bad one is counted, and costs `address` one failure.
    pub(super) async fn verify(&self, token: &str, address: Option<IpAddr>) -> Option<Identity> {
        match self.context.verifier.verify(token).await {
            Ok(identity) => Some(identity),
            Err(error) => {
                self.context.node.metrics().rejected("auth", error.label());
                if let Some(client) = address {
                    self.limits.login_failures.take(client, 1.0).ok();
                }
                None
            }
        }
    }

    /// Whom the request proves: a user, a guest, or nobody yet.
    async fn identify(&self, knock: &Knock) -> Result<Option<Arc<Identity>>, Denial> {
        let address = knock.is_limited.then_some(knock.client);
        let verified = match &knock.token {
            Some(token) => Some(self.verify(token, address).await),
            None => None,
        };
        let is_room = matches!(knock.route, Route::Room(_));
        match verified {
            Some(Some(identity)) => Ok(Some(Arc::new(identity))),
            Some(None) if is_room => Err(self.answer(401, "the token is not valid")),
            None if is_room && self.context.config.dialects.room.anonymous => {
                let now = self.context.node.clock().now_seconds();
                let guest = guest::identity(knock.guest_name.as_deref(), now);
                Ok(Some(Arc::new(guest.ok_or_else(|| self.deny("handshake", "query"))?)))
            }
            None if is_room => Err(self.deny("auth", "missing")),
            // Mattermost opens the socket, and lets the client prove itself then.
            Some(None) | None => Ok(None),
        }
    }

    /// Counts a denial and makes its answer.
    pub(super) fn deny(&self, stage: &'static str, reason: &'static str) -> Denial {
        self.context.node.metrics().rejected(stage, reason);
        match (stage, reason) {
            ("limit", "handshakes" | "connections") => {
                self.answer(503, "the node is full, try again")
            }
            ("handshake", "draining") => self.answer(503, "the node is stopping, try another"),
            ("handshake", "log_away") => self.answer(503, "the log is away, try again"),
            ("limit", _) => self.answer(429, "too many from here, try again later"),
            ("auth", _) => self.answer(401, "a token is needed"),
            (_, _) => self.answer(400, "the name is not 1 to 64 of A-Z a-z 0-9 _ . @ -"),
        }
    }

    #[expect(clippy::unused_self, reason = "reads as the doorkeeper's answer")]
    pub(super) fn answer(&self, status: u16, text: &'static str) -> Denial {
        // Spread over some seconds, so that those who were denied do not come back at once.
        let wait = Duration::from_millis(1_000 + random_below(9_000));
        Denial { status, text, retry_after: matches!(status, 429 | 503).then_some(wait) }
    }
}

/// The rates of failed logins and of resumes.
fn rates(limits: &Limits) -> (Rate, Rate) {
    let failures = Rate {
        per_second: limits.auth_failures_per_second,
        burst: f64::from(limits.auth_failures_burst),
    };
    let resumes =
        Rate { per_second: limits.resumes_per_second, burst: f64::from(limits.resumes_burst) };
    (failures, resumes)
}

impl Admission {
    /// Counts one more socket of a user; `None` when there are too many.
    fn seat(&self, identity: &Identity, max: usize) -> Option<CountedGuard> {
        self.by_user.add(&(&identity.realm, &identity.user), max)
    }

    /// Waits until the user's bucket of resumes has one: they are not refused.
    pub(super) async fn wait_for_resume(&self, identity: &Identity) {
        let key = || (identity.realm.clone(), identity.user.clone());
        while let Err(wait) = self.resumes.take(key(), 1.0) {
            tokio::time::sleep(wait.max(Duration::from_millis(10))).await;
        }
    }
}

impl Ticket {
    /// Counts the socket for a user who proved themselves later. False when the user
    /// has too many.
    pub(super) fn count_user(
        &mut self,
        limits: &Admission,
        identity: &Identity,
        max: usize,
    ) -> bool {
        self.user = limits.seat(identity, max);
        self.user.is_some()
    }

    /// The socket is nobody's any more.
    pub(super) fn forget_user(&mut self) {
        self.user = None;
    }

    /// Counts a failed login. False when this address has failed too often.
    pub(super) fn count_failure(&self, limits: &Admission) -> bool {
        self.address.is_none_or(|client| limits.login_failures.take(client, 1.0).is_ok())
    }
}
