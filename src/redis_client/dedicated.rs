//! A connection that belongs to one user of it and is never shared with requests
//! that may be slow.
//!
//! Invariants:
//! - while it is down, calls fail at once and nothing is sent;
//! - it is not used any more once an answer was late, its server refused as one that
//!   is not in charge, or it fell silent: a new one is opened, to the server that is in
//!   charge then;
//! - a wait for replicas follows its script directly on the same connection.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use redis::{Cmd, PushKind, Value, aio::MultiplexedConnection};
use tokio::{
    sync::{Notify, watch},
    task::JoinSet,
    time::{Instant, sleep},
};

use super::{
    Reaction, RedisClient, RedisError, Script,
    backoff::Backoff,
    connect, reply,
    roles::Wanted,
    settings::{Address, COMMAND_TIMEOUT},
};

/// How long the connection may be idle before it is tried.
const IDLE: Duration = Duration::from_secs(1);

/// A connection of its own. Clones share it; it closes with the last of them.
#[derive(Debug, Clone)]
pub struct Dedicated {
    shared: Arc<Shared>,
    /// Ends its task when dropped.
    _keeper: Arc<JoinSet<()>>,
}

#[derive(Debug)]
struct Shared {
    client: RedisClient,
    key: String,
    /// The open connection.
    current: watch::Sender<Option<Live>>,
    /// Calls that wait for an answer.
    in_flight: AtomicUsize,
    /// Calls that were answered.
    answered: AtomicU64,
    /// Somebody wants another connection.
    renew: Notify,
}

#[derive(Debug, Clone)]
struct Live {
    connection: MultiplexedConnection,
    address: Address,
    /// Says that this one is of no use.
    broken: Arc<Notify>,
}

impl Dedicated {
    pub(super) fn new(client: RedisClient, key: &str, role: &'static str) -> Self {
        let wanted = client.0.roles.want(role);
        let shared = Arc::new(Shared {
            client,
            key: key.to_owned(),
            current: watch::Sender::new(None),
            in_flight: AtomicUsize::new(0),
            answered: AtomicU64::new(0),
            renew: Notify::new(),
        });
        let mut keeper = JoinSet::new();
        keeper.spawn(keep(Arc::clone(&shared), wanted));
        Self { shared, _keeper: Arc::new(keeper) }
    }

    /// Waits until the connection is open.
    ///
    /// # Cancel safety
    ///
    /// Safe.
    pub async fn ready(&self) {
        let mut current = self.shared.current.subscribe();
        // The sender lives as long as `self`.
        drop(current.wait_for(Option::is_some).await);
    }

    /// Opens another connection to the server that is in charge now. Calls without an
    /// answer fail as [`RedisError::Indeterminate`].
    pub fn renew(&self) {
        self.shared.renew.notify_one();
    }

    /// Whether the server of this connection is the primary by the word of those who appoint
    /// primaries, and no other one is being appointed; `None` where nobody does.
    ///
    /// # Cancel safety
    ///
    /// Safe.
    pub async fn is_appointed(&self) -> Option<bool> {
        let live = self.shared.current.borrow().clone();
        let Some(live) = live else { return Some(false) };
        self.shared.client.0.topology.is_appointed(&live.address).await
    }

    /// Runs `script` and returns what it returns. With `wait_replicas`, then waits
    /// until so many replicas have what was written on this connection, at most so
    /// long, and also returns how many have it. Calls are sent in the order in which
    /// they are first polled.
    ///
    /// # Errors
    ///
    /// [`RedisError::Unavailable`] while the connection is down, and
    /// [`RedisError::Indeterminate`] when it breaks or no answer comes within 2 s and
    /// the time to wait for replicas. Nothing is repeated.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future is the same as [`RedisError::Indeterminate`].
    pub async fn run<A>(
        &self,
        script: &Script,
        keys: &[&str],
        args: &[A],
        wait_replicas: Option<(u32, Duration)>,
    ) -> Result<(Value, Option<i64>), RedisError>
    where
        A: AsRef<[u8]> + Sync,
    {
        let began = Instant::now();
        let live = self.shared.current.borrow().clone();
        let mut live = live.ok_or_else(|| RedisError::unavailable("no connection"))?;
        let _in_flight = InFlight::new(&self.shared.in_flight);
        let call = script.by_hash(keys, args);
        let mut result = self.exchange(&mut live.connection, call, wait_replicas).await;
        if result.as_ref().is_err_and(|error| error.reaction() == Reaction::SendText) {
            let text = script.by_text(keys, args);
            result = self.exchange(&mut live.connection, text, wait_replicas).await;
        }
        match &result {
            Ok(_) => {
                self.shared.answered.fetch_add(1, Ordering::Relaxed);
            }
            Err(error) => {
                self.shared.client.learn_from(&live.address, error);
                if error.reaction() == Reaction::Resolve {
                    live.broken.notify_one();
                }
            }
        }
        let seconds = began.elapsed().as_secs_f64();
        let metrics = &self.shared.client.0.metrics;
        metrics.redis_command_seconds.with_label_values(&[script.name]).observe(seconds);
        result
    }

    /// Sends one script, and the wait behind it.
    async fn exchange(
        &self,
        connection: &mut MultiplexedConnection,
        script: Cmd,
        wait_replicas: Option<(u32, Duration)>,
    ) -> Result<(Value, Option<i64>), RedisError> {
        let Some((replicas, longest)) = wait_replicas else {
            return Ok((connect::send(connection, &script).await?, None));
        };
        let mut both = redis::Pipeline::with_capacity(2);
        let millis = u64::try_from(longest.as_millis()).unwrap_or(u64::MAX);
        both.add_command(script).cmd("WAIT").arg(replicas).arg(millis);
        let answers = connect::send_all(connection, &both, COMMAND_TIMEOUT + longest).await?;
        let mut answers = answers.into_iter();
        let (Some(answer), Some(waited)) = (answers.next(), answers.next()) else {
            return Err(RedisError::Unexpected { expected: "two answers" });
        };
        let answer = reply::accepted(answer)?;
        // A wait that is refused proves nothing: no replica is known to have it.
        let waited =
            reply::accepted(waited).inspect_err(|error| self.shared.client.note_right(error));
        let replicas = waited.ok().and_then(|waited| reply::number(&waited));
        Ok((answer, Some(replicas.unwrap_or(0))))
    }
}

/// Counts a call that waits for its answer.
struct InFlight<'a>(&'a AtomicUsize);

impl<'a> InFlight<'a> {
    fn new(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count)
    }
}

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Opens the connection again and again until the task is dropped.
async fn keep(shared: Arc<Shared>, wanted: Wanted) {
    let mut backoff = Backoff::new();
    loop {
        match opened(&shared).await {
            Ok(live) => {
                if wanted.up() {
                    tracing::info!(address = %live.address, "redis is connected again");
                }
                let (began, ended) = (Instant::now(), live.clone());
                shared.current.send_replace(Some(live));
                let cause = end_of(&shared, &ended).await;
                backoff.lasted(began.elapsed());
                shared.current.send_replace(None);
                wanted.down();
                shared.client.0.topology.forget(&ended.address, None);
                tracing::warn!(address = %ended.address, cause, "redis connection ended");
            }
            Err(error) => {
                let error = &error as &dyn std::error::Error;
                if backoff.is_first() {
                    tracing::warn!(error, key = shared.key, "no redis connection");
                } else {
                    tracing::debug!(error, key = shared.key, "still no redis connection");
                }
            }
        }
        tokio::select! {
            biased;
            () = shared.renew.notified() => {}
            () = sleep(backoff.next()) => {}
        }
    }
}

async fn opened(shared: &Shared) -> Result<Live, RedisError> {
    let client = &shared.client.0;
    let address = client.topology.primary(&shared.key).await?;
    let broken = Arc::new(Notify::new());
    let notice = Arc::clone(&broken);
    let push = Box::new(move |info: redis::PushInfo| {
        if info.kind == PushKind::Disconnection {
            notice.notify_one();
        }
    });
    match connect::open(&client.settings, &address, push).await {
        Ok(connection) => Ok(Live { connection, address, broken }),
        Err(error) => {
            client.topology.forget(&address, None);
            Err(error)
        }
    }
}

/// Waits until `live` is of no use, and says why.
async fn end_of(shared: &Shared, live: &Live) -> &'static str {
    tokio::select! {
        biased;
        () = shared.renew.notified() => "renewed",
        () = live.broken.notified() => "broken",
        () = replaced(shared, &live.address) => "replaced",
        () = silence(shared, live.connection.clone()) => "silent",
    }
}

/// Ends when another server has taken the place of the one at `address`. Also a busy
/// connection can't know.
async fn replaced(shared: &Shared, address: &Address) {
    while shared.client.is_in_charge(address).await {
        sleep(IDLE).await;
    }
}

/// Tries a connection that has nothing to do; ends when it does not answer, or its
/// server is no primary any more. One that has something to do is tried by that.
async fn silence(shared: &Shared, mut connection: MultiplexedConnection) {
    loop {
        let answered = shared.answered.load(Ordering::Relaxed);
        sleep(IDLE).await;
        let is_busy = shared.in_flight.load(Ordering::Relaxed) > 0
            || shared.answered.load(Ordering::Relaxed) != answered;
        if is_busy {
            continue;
        }
        if connect::require_primary(&mut connection).await.is_err() {
            return;
        }
    }
}
