//! A bound port and the loop that accepts its connections.
//!
//! Invariants: a port is bound before anything is served, so that its number is
//! known and a taken port is an error at the start; the loop never spins, whatever
//! accepting returns; one address holds at most `limits.connections_per_ip`
//! connections of the public listener that are not upgraded, trusted proxies
//! excepted.
//!
//! Not here: what happens on a connection (`connection`).

use std::{
    collections::HashMap,
    io,
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use ipnet::IpNet;
use parking_lot::Mutex;
use tokio::{
    io::AsyncWriteExt as _,
    net::{TcpListener, TcpStream},
    sync::watch,
};

use super::{
    connection::{self, Door},
    peer,
};
use crate::{
    config::Limits,
    lifecycle::{CancellationToken, Sessions},
    metrics::{Counter, Gauge, Metrics},
    ws::Tls,
};

/// First wait after accepting failed for want of something.
const BACKOFF_MIN: Duration = Duration::from_millis(20);
/// Longest wait after accepting failed.
const BACKOFF_MAX: Duration = Duration::from_secs(1);

/// A bound port.
#[derive(Debug)]
pub struct Listener {
    socket: TcpListener,
    address: SocketAddr,
}

/// What the connections of one listener share.
pub struct Shared<D> {
    /// Answers requests.
    pub door: D,
    /// `public` or `internal`, in the metrics.
    pub name: &'static str,
    /// Certificates, when this listener speaks TLS.
    pub tls: Option<Tls>,
    /// Peers that may speak for others.
    pub proxies: Vec<IpNet>,
    /// The limits of now.
    pub limits: watch::Receiver<Arc<Limits>>,
    /// Owns the tasks of connections and of the sockets that come out of them.
    pub sessions: Sessions,
    /// Where everything is counted.
    pub metrics: Arc<Metrics>,
}

impl<D> std::fmt::Debug for Shared<D> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Shared").field("name", &self.name).finish_non_exhaustive()
    }
}

impl Listener {
    /// Binds `address`; port 0 takes any free port.
    ///
    /// # Errors
    ///
    /// When the address is taken or not of this machine. The operator's fault.
    ///
    /// # Cancel safety
    ///
    /// Safe: nothing is bound when the future is dropped.
    pub async fn bind(address: SocketAddr) -> io::Result<Self> {
        let socket = TcpListener::bind(address).await?;
        let address = socket.local_addr()?;
        Ok(Self { socket, address })
    }

    /// The address that was bound, with its real port.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Accepts connections until `stop` is cancelled. Connections end after the
    /// request that they are in; upgraded ones go on.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future stops accepting; connections go on.
    pub async fn serve<D: Door>(self, shared: Shared<D>, stop: CancellationToken) {
        let shared = Arc::new(shared);
        let errors = shared.metrics.http_accept_errors_total.with_label_values(&[shared.name]);
        let open = shared.metrics.http_connections.with_label_values(&[shared.name]).clone();
        let crowd = Crowd::default();
        let mut backoff = BACKOFF_MIN;
        loop {
            // Order: stop, then work. Accepting is cancel safe.
            let accepted = tokio::select! {
                biased;
                () = stop.cancelled() => return,
                accepted = self.socket.accept() => accepted,
            };
            match accepted {
                Ok((socket, peer)) => {
                    backoff = BACKOFF_MIN;
                    admit(&shared, socket, peer, &crowd, (&open, &stop));
                }
                Err(error) => pause(&error, errors, &mut backoff).await,
            }
        }
    }
}

/// Starts the task of one connection, or refuses it.
fn admit<D: Door>(
    shared: &Arc<Shared<D>>,
    socket: TcpStream,
    peer: SocketAddr,
    crowd: &Crowd,
    (open, stop): (&Gauge, &CancellationToken),
) {
    let most = shared.limits.borrow().connections_per_ip;
    let address = peer.ip().to_canonical();
    let place = if !D::IS_CROWD_LIMITED || most == 0 || peer::is_trusted(address, &shared.proxies) {
        Some(None)
    } else {
        crowd.enter(address, most).map(Some)
    };
    let Some(place) = place else {
        shared.metrics.rejected("limit", "connections_per_ip");
        return shared.sessions.spawn(turn_away(socket, shared.tls.is_some()));
    };
    // Everything is written in whole answers or whole turns of a hub: waiting for more
    // would only make it late. A peer that is gone already can't mind.
    socket.set_nodelay(true).ok();
    let guard = Open::new(open);
    let (shared, stop) = (Arc::clone(shared), stop.clone());
    let sessions = shared.sessions.clone();
    sessions.spawn(async move {
        let _held_until_http_is_done = (place, guard);
        connection::serve(shared, socket, stop).await;
    });
}

/// Says 429 without waiting for a request. Nothing is said to a peer that expects TLS.
async fn turn_away(mut socket: TcpStream, tls: bool) {
    const ANSWER: &[u8] = b"HTTP/1.1 429 Too Many Requests\r\nconnection: close\r\n\
        retry-after: 5\r\ncontent-length: 0\r\n\r\n";
    if !tls {
        // A fresh socket has room for so few bytes; a peer that is gone needs none.
        socket.write_all(ANSWER).await.ok();
        socket.shutdown().await.ok();
    }
}

/// Waits after an error that waiting can heal.
async fn pause(error: &io::Error, errors: &Counter, backoff: &mut Duration) {
    errors.inc();
    // The peer went away before it was accepted: the next one may be fine.
    if matches!(error.kind(), io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset) {
        return;
    }
    tracing::warn!(%error, wait = ?backoff, "accepting failed");
    tokio::time::sleep(*backoff).await;
    *backoff = (*backoff * 2).min(BACKOFF_MAX);
}

/// Counts a connection for as long as it lives.
#[derive(Debug)]
struct Open(Gauge);

impl Open {
    fn new(gauge: &Gauge) -> Self {
        gauge.inc();
        Self(gauge.clone())
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.dec();
    }
}

/// How many connections each address holds.
#[derive(Debug, Clone, Default)]
struct Crowd(Arc<Mutex<HashMap<IpAddr, usize>>>);

impl Crowd {
    /// Counts one more connection of `address`, unless it has `most` already.
    fn enter(&self, address: IpAddr, most: usize) -> Option<Place> {
        let mut counts = self.0.lock();
        let count = counts.entry(address).or_default();
        if *count >= most {
            return None;
        }
        *count += 1;
        Some(Place { crowd: self.clone(), address })
    }
}

/// The place of one connection in the crowd.
#[derive(Debug)]
struct Place {
    crowd: Crowd,
    address: IpAddr,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut counts = self.crowd.0.lock();
        if let Some(count) = counts.get_mut(&self.address) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.address);
            }
        }
    }
}
