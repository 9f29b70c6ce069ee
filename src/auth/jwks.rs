//! Keys that are fetched from one fixed address.
//!
//! The address comes from the configuration and from nowhere else: no token ever
//! makes this node connect anywhere. The set is fetched at the start, every ten
//! minutes, and when a token names an unknown key.
//!
//! Invariants:
//! - fetches begin at least 10 s apart, whatever tokens ask for;
//! - an answer has at most 256 KiB and 64 keys, comes within 2 s, and is not a
//!   redirect; what breaks this changes nothing, so known keys go on working;
//! - a key that is too weak costs itself, not its set.
//!
//! Not here: what makes a key weak (`key`).

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use parking_lot::RwLock;
use reqwest::{Client, Url, redirect};
use tokio::{
    sync::{Notify, watch},
    time::{Instant, sleep_until, timeout},
};
use tokio_util::sync::CancellationToken;

use super::{
    error::KeyProblem,
    key::Key,
    wire::{KeySet, SetKey, read_object},
};
use crate::clock::random_below;

/// Longest answer in bytes.
const BODY_BYTES_MAX: usize = 256 * 1024;

/// Most keys of one answer.
const KEYS_MAX: usize = 64;

/// Longest time from the beginning of a fetch to the last byte of its answer.
const FETCH_TIMEOUT: Duration = Duration::from_secs(2);

/// Longest time that a login waits for a fetch.
const WAIT_MAX: Duration = Duration::from_millis(1_900);

/// Shortest time between the beginnings of two fetches.
const GATE: Duration = Duration::from_secs(10);

/// Time between fetches that nobody asked for; up to a tenth more at random.
const PERIOD: Duration = Duration::from_secs(600);

/// Where keys are fetched from.
pub(super) struct Source {
    url: Url,
    client: Client,
}

impl Source {
    /// Checks `url`: https, or http on a loopback address; no credentials in it.
    pub(super) fn new(url: &str) -> Result<Self, KeyProblem> {
        let url: Url = url.parse().map_err(|_| KeyProblem::Url)?;
        let scheme_fits = match url.scheme() {
            "https" => true,
            "http" => is_loopback(&url),
            _ => false,
        };
        if !scheme_fits || !url.username().is_empty() || url.password().is_some() {
            return Err(KeyProblem::Url);
        }
        let client = Client::builder()
            .redirect(redirect::Policy::none())
            .no_proxy()
            .timeout(FETCH_TIMEOUT)
            .pool_max_idle_per_host(0)
            .build()
            .map_err(|_| KeyProblem::Client)?;
        Ok(Self { url, client })
    }
}

fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    let address = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || address.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

/// How far the fetches are.
#[derive(Debug, Clone, Copy, Default)]
struct Progress {
    /// Fetches that began.
    begun: u64,
    /// Fetches that ended, well or not.
    ended: u64,
    /// When the last one began; `None` lets the next one begin at once.
    begun_at: Option<Instant>,
    /// Whether the last one failed.
    failed: bool,
}

/// Why a fetch brought no keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
enum FetchError {
    #[error("no answer")]
    Connection,
    #[error("no complete answer within 2 s")]
    Timeout,
    #[error("the status is {0}, not 200")]
    Status(u16),
    #[error("the answer has more than 256 KiB")]
    TooLong,
    #[error("the answer is not a key set")]
    Malformed,
    #[error("the set has more than 64 keys")]
    TooMany,
    #[error("the set has no key that can be used")]
    Useless,
}

/// Where keys come from, and those that came from there.
#[derive(Default)]
struct State {
    source: Option<Arc<Source>>,
    keys: Arc<[Key]>,
}

/// The fetched key set. Without a configured address it is empty for ever.
pub struct Jwks {
    state: RwLock<State>,
    /// Set by logins that need a fresh set, cleared when a fetch begins.
    wanted: AtomicBool,
    wake: Notify,
    progress: watch::Sender<Progress>,
}

impl fmt::Debug for Jwks {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Jwks").field("keys", &self.keys()).finish_non_exhaustive()
    }
}

impl Jwks {
    pub(super) fn new(source: Option<Source>) -> Self {
        Self {
            state: RwLock::new(State { source: source.map(Arc::new), keys: Arc::default() }),
            wanted: AtomicBool::new(false),
            wake: Notify::new(),
            progress: watch::Sender::new(Progress::default()),
        }
    }

    /// Changes the address. Keys of another address are dropped, because that one is
    /// no longer trusted.
    pub(super) fn replace_source(&self, source: Option<Source>) {
        {
            let mut state = self.state.write();
            let old = state.source.as_ref().map(|source| &source.url);
            if old == source.as_ref().map(|source| &source.url) {
                return;
            }
            *state = State { source: source.map(Arc::new), keys: Arc::default() };
        }
        self.progress.send_modify(|progress| progress.begun_at = None);
        self.want();
    }

    pub(super) fn is_configured(&self) -> bool {
        self.state.read().source.is_some()
    }

    pub(super) fn keys(&self) -> Arc<[Key]> {
        Arc::clone(&self.state.read().keys)
    }

    /// Asks for a fresh set and waits until one attempt has ended, at most 1.9 s.
    /// Returns at once when the last attempt ended and began less than 10 s ago.
    pub(super) async fn refresh(&self) {
        let mut progress = self.progress.subscribe();
        let seen = *progress.borrow_and_update();
        let is_running = seen.begun > seen.ended;
        let gate_is_closed = seen.begun_at.is_some_and(|at| at.elapsed() < GATE);
        if !is_running {
            if gate_is_closed {
                return;
            }
            self.want();
        }
        // An error means neither keys nor a sender any more: the caller looks again.
        let ended = progress.wait_for(|now| now.ended > seen.ended);
        let _outcome = timeout(WAIT_MAX, ended).await.is_ok();
    }

    fn want(&self) {
        self.wanted.store(true, Ordering::Release);
        self.wake.notify_one();
    }

    /// Fetches when it is time, until `stop` is cancelled. To be run once.
    ///
    /// # Cancel safety
    ///
    /// Safe: a fetch that is cut off changes nothing.
    pub async fn run(&self, stop: CancellationToken) {
        let work = async {
            loop {
                self.wait_until_due().await;
                self.attempt().await;
            }
        };
        tokio::select! {
            biased;
            () = stop.cancelled() => {}
            () = work => {}
        }
    }

    async fn wait_until_due(&self) {
        loop {
            let progress = *self.progress.borrow();
            let due = match (self.is_configured(), progress.begun_at) {
                (false, _) => None,
                (true, None) => return,
                (true, Some(at)) if self.wanted.load(Ordering::Acquire) => Some(at + GATE),
                (true, Some(at)) => {
                    Some(at + jittered(if progress.failed { GATE } else { PERIOD }))
                }
            };
            let timer = async {
                match due {
                    Some(due) => sleep_until(due).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                // Both arms are cancel safe: a permit is taken only by the arm that wins.
                () = timer => return,
                () = self.wake.notified() => {}
            }
        }
    }

    async fn attempt(&self) {
        let Some(source) = self.state.read().source.clone() else {
            return;
        };
        self.wanted.store(false, Ordering::Release);
        self.progress.send_modify(|progress| {
            progress.begun += 1;
            progress.begun_at = Some(Instant::now());
        });
        let fetched = timeout(FETCH_TIMEOUT, fetch(&source)).await;
        let fetched = fetched.unwrap_or(Err(FetchError::Timeout));
        let failed = fetched.is_err();
        self.take(&source, fetched);
        self.progress.send_modify(|progress| {
            progress.ended = progress.begun;
            progress.failed = failed;
        });
    }

    fn take(&self, source: &Arc<Source>, fetched: Result<Fetched, FetchError>) {
        match fetched {
            Ok(Fetched { keys, refused }) => {
                if refused > 0 {
                    tracing::warn!(refused, "keys of the fetched set are weak or malformed");
                }
                tracing::debug!(keys = keys.len(), "key set was fetched");
                let mut state = self.state.write();
                // A reload may have changed the address meanwhile.
                if state.source.as_ref().is_some_and(|current| Arc::ptr_eq(current, source)) {
                    state.keys = Arc::from(keys);
                }
            }
            Err(error) => tracing::warn!(%error, "key set cannot be fetched, known keys stay"),
        }
    }
}

fn jittered(period: Duration) -> Duration {
    let tenth_ms = u64::try_from(period.as_millis() / 10).unwrap_or(u64::MAX);
    period + Duration::from_millis(random_below(tenth_ms))
}

/// The usable keys of one answer.
struct Fetched {
    keys: Vec<Key>,
    refused: usize,
}

async fn fetch(source: &Source) -> Result<Fetched, FetchError> {
    let sent = source.client.get(source.url.clone()).send().await;
    let mut response = sent.map_err(|_| FetchError::Connection)?;
    if response.status().as_u16() != 200 {
        return Err(FetchError::Status(response.status().as_u16()));
    }
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|_| FetchError::Connection)? {
        if body.len() + chunk.len() > BODY_BYTES_MAX {
            return Err(FetchError::TooLong);
        }
        body.extend_from_slice(&chunk);
    }
    parse(&body)
}

fn parse(body: &[u8]) -> Result<Fetched, FetchError> {
    let text = std::str::from_utf8(body).map_err(|_| FetchError::Malformed)?;
    let set: KeySet<'_> = read_object(text).map_err(|_| FetchError::Malformed)?;
    if set.keys.len() > KEYS_MAX {
        return Err(FetchError::TooMany);
    }
    let mut fetched = Fetched { keys: Vec::with_capacity(set.keys.len()), refused: 0 };
    for raw in set.keys {
        let key = read_object::<SetKey>(raw.get()).map_err(|_| KeyProblem::NotPublicKey);
        match key.and_then(Key::from_set) {
            // A name selects exactly one key: the first one.
            Ok(Some(key))
                if key.kid.is_some() && fetched.keys.iter().any(|other| other.kid == key.kid) =>
            {
                fetched.refused += 1;
            }
            Ok(Some(key)) => fetched.keys.push(key),
            Ok(None) => {}
            Err(_) => fetched.refused += 1,
        }
    }
    if fetched.keys.is_empty() { Err(FetchError::Useless) } else { Ok(fetched) }
}
