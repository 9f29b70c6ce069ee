//! A TCP proxy that breaks connections on demand.
//!
//! Every connection is carried in both directions as it comes, until a rule says
//! otherwise. A stalled direction keeps what it has: when the stall ends, it flows
//! on, as after a network partition that TCP survives.

#[cfg(test)]
mod tests;

use std::{
    collections::HashMap,
    io,
    net::SocketAddr,
    ops::Range,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering},
    },
    time::Duration,
};

use anyhow::{Context as _, Result};
use parking_lot::Mutex;
use rustix::net::{Shutdown, shutdown, sockopt::set_socket_linger};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{Notify, mpsc, watch},
    task::JoinSet,
    time::{Instant, sleep, sleep_until},
};

use crate::system::free_port;

/// What is done to every connection.
#[derive(Debug, Clone, Default)]
pub struct Rules {
    /// New connections are reset at once.
    pub refuse: bool,
    /// Nothing flows towards the server.
    pub stall_up: bool,
    /// Nothing flows towards the client.
    pub stall_down: bool,
    /// Added to the way of each byte, in each direction.
    pub delay: Duration,
    /// Bytes per second of each direction. 0: no limit.
    pub throttle: u64,
    /// Each new connection is reset after so many bytes.
    pub cut_after: Option<Range<i64>>,
}

/// A listening proxy. Dropping it resets nothing, but ends everything.
#[derive(Debug)]
pub struct Proxy {
    /// Where clients connect.
    pub address: SocketAddr,
    shared: Arc<Shared>,
    _carrying: JoinSet<()>,
}

#[derive(Debug)]
struct Shared {
    target: Mutex<SocketAddr>,
    rules: watch::Sender<Rules>,
    connections: Mutex<HashMap<u64, Arc<Connection>>>,
    /// Text that marks a request whose answer gets lost, and how many still do.
    losing: Mutex<(Vec<u8>, u64)>,
    lost: AtomicU64,
    cuts: AtomicU64,
}

#[derive(Debug)]
struct Connection {
    cut: Notify,
    /// Bytes until it is cut.
    budget: AtomicI64,
    /// The next answer ends the connection instead of being carried.
    swallow: AtomicBool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Direction {
    Up,
    Down,
}

impl Proxy {
    /// Listens on a free port for `target`.
    ///
    /// # Errors
    ///
    /// When no port is free.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub async fn start(target: SocketAddr) -> Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", free_port()?)).await.context("a proxy")?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared {
            target: Mutex::new(target),
            rules: watch::Sender::new(Rules::default()),
            connections: Mutex::default(),
            losing: Mutex::default(),
            lost: AtomicU64::new(0),
            cuts: AtomicU64::new(0),
        });
        let mut carrying = JoinSet::new();
        carrying.spawn(accept(listener, Arc::clone(&shared)));
        Ok(Self { address, shared, _carrying: carrying })
    }

    /// Changes the rules.
    pub fn rule(&self, change: impl FnOnce(&mut Rules)) {
        self.shared.rules.send_modify(change);
    }

    /// Ends all rules.
    pub fn heal(&self) {
        self.rule(|rules| *rules = Rules::default());
    }

    /// Stops or continues both directions of everything, also of new connections.
    pub fn stall(&self, stalled: bool) {
        self.rule(|rules| (rules.stall_up, rules.stall_down) = (stalled, stalled));
    }

    /// Resets every connection.
    pub fn cut_all(&self) -> usize {
        let connections = self.shared.connections.lock();
        connections.values().for_each(|connection| connection.cut.notify_one());
        connections.len()
    }

    /// Resets each connection with this chance, after a number of further bytes.
    pub fn cut_some(&self, chance: f64, after: Range<i64>) -> usize {
        let connections = self.shared.connections.lock();
        let chosen = connections.values().filter(|_| fastrand::f64() < chance);
        chosen.map(|one| one.budget.store(fastrand::i64(after.clone()), Ordering::Relaxed)).count()
    }

    /// Carries the next `count` requests that contain `marker`, and resets their
    /// connections when the answer comes.
    pub fn lose_answers(&self, marker: &str, count: u64) {
        *self.shared.losing.lock() = (marker.as_bytes().to_vec(), count);
    }

    /// How many answers were lost.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.shared.lost.load(Ordering::Relaxed)
    }

    /// How many connections were reset by this proxy.
    #[must_use]
    pub fn cuts(&self) -> u64 {
        self.shared.cuts.load(Ordering::Relaxed)
    }

    /// How many connections it carries.
    #[must_use]
    pub fn carried(&self) -> usize {
        self.shared.connections.lock().len()
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    let mut carrying = JoinSet::new();
    let mut number = 0;
    loop {
        let Ok((near, _)) = listener.accept().await else {
            sleep(Duration::from_millis(10)).await;
            continue;
        };
        while carrying.try_join_next().is_some() {}
        let rules = shared.rules.borrow().clone();
        if rules.refuse {
            reset(&near);
            continue;
        }
        number += 1;
        let budget = rules.cut_after.map_or(i64::MAX, fastrand::i64);
        let connection = Arc::new(Connection {
            cut: Notify::new(),
            budget: AtomicI64::new(budget),
            swallow: AtomicBool::new(false),
        });
        shared.connections.lock().insert(number, Arc::clone(&connection));
        let shared = Arc::clone(&shared);
        carrying.spawn(async move {
            carry(&shared, &connection, near).await;
            shared.connections.lock().remove(&number);
        });
    }
}

/// The peer of `stream` will see a reset instead of an end.
fn reset(stream: &TcpStream) {
    set_socket_linger(stream, Some(Duration::ZERO)).ok();
}

async fn carry(shared: &Shared, connection: &Connection, near: TcpStream) {
    let target = *shared.target.lock();
    let Ok(far) = TcpStream::connect(target).await else { return reset(&near) };
    near.set_nodelay(true).ok();
    far.set_nodelay(true).ok();
    let pipe = |direction| Pipe { shared, connection, direction };
    let up = pipe(Direction::Up);
    let down = pipe(Direction::Down);
    let both = async { tokio::try_join!(up.run(&near, &far), down.run(&far, &near)) };
    let cut = tokio::select! {
        biased;
        () = connection.cut.notified() => {
            shared.cuts.fetch_add(1, Ordering::Relaxed);
            true
        }
        ended = both => ended.is_err(),
    };
    if cut {
        reset(&near);
        reset(&far);
    }
}

/// One direction of one connection.
struct Pipe<'a> {
    shared: &'a Shared,
    connection: &'a Connection,
    direction: Direction,
}

impl Pipe<'_> {
    /// Carries until the end of `from`. An error means that the connection is broken.
    async fn run(&self, from: &TcpStream, to: &TcpStream) -> io::Result<()> {
        let (outbound, inbound) = mpsc::channel(256);
        tokio::try_join!(self.read(from, outbound), self.write(to, inbound))?;
        Ok(())
    }

    async fn read(
        &self,
        from: &TcpStream,
        outbound: mpsc::Sender<(Instant, Vec<u8>)>,
    ) -> io::Result<()> {
        loop {
            from.readable().await?;
            let mut chunk = vec![0; 16 * 1024];
            let read = match from.try_read(&mut chunk) {
                Ok(0) => return Ok(()),
                Ok(read) => read,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => continue,
                Err(error) => return Err(error),
            };
            chunk.truncate(read);
            if outbound.send((Instant::now(), chunk)).await.is_err() {
                return Ok(());
            }
        }
    }

    async fn write(
        &self,
        to: &TcpStream,
        mut inbound: mpsc::Receiver<(Instant, Vec<u8>)>,
    ) -> io::Result<()> {
        let mut rules = self.shared.rules.subscribe();
        while let Some((at, chunk)) = inbound.recv().await {
            self.flowing(&mut rules).await;
            let (delay, throttle) = {
                let rules = rules.borrow();
                (rules.delay, rules.throttle)
            };
            if !delay.is_zero() {
                sleep_until(at + delay).await;
            }
            self.lose(&chunk).await;
            let size = if throttle == 0 { chunk.len() } else { 1 };
            for part in chunk.chunks(size.max(1)) {
                self.send(to, part).await?;
                if throttle > 0 {
                    sleep(Duration::from_secs(1) / u32::try_from(throttle).unwrap_or(1)).await;
                }
            }
        }
        self.flowing(&mut rules).await;
        shutdown(to, Shutdown::Write).map_err(io::Error::from)
    }

    /// Waits until this direction is not stalled.
    async fn flowing(&self, rules: &mut watch::Receiver<Rules>) {
        let is_open = |rules: &Rules| match self.direction {
            Direction::Up => !rules.stall_up,
            Direction::Down => !rules.stall_down,
        };
        // The sender lives as long as the proxy.
        rules.wait_for(is_open).await.ok();
    }

    /// Marks the request whose answer gets lost, or loses an answer.
    async fn lose(&self, chunk: &[u8]) {
        if self.direction == Direction::Down {
            if self.connection.swallow.load(Ordering::Relaxed) {
                self.shared.lost.fetch_add(1, Ordering::Relaxed);
                self.cut().await;
            }
            return;
        }
        let mut losing = self.shared.losing.lock();
        let (marker, count) = &mut *losing;
        let found = *count > 0
            && !marker.is_empty()
            && chunk.windows(marker.len()).any(|window| window == marker.as_slice());
        if found {
            *count -= 1;
            self.connection.swallow.store(true, Ordering::Relaxed);
        }
    }

    async fn send(&self, to: &TcpStream, part: &[u8]) -> io::Result<()> {
        let size = i64::try_from(part.len()).unwrap_or(i64::MAX);
        let budget = self.connection.budget.fetch_sub(size, Ordering::Relaxed);
        let allowed = usize::try_from(budget.min(size)).unwrap_or(0);
        let mut left = part.get(..allowed).unwrap_or(part);
        while !left.is_empty() {
            to.writable().await?;
            match to.try_write(left) {
                Ok(written) => left = left.get(written..).unwrap_or_default(),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        }
        if budget <= size {
            self.cut().await;
        }
        Ok(())
    }

    /// Resets the connection; does not return.
    async fn cut(&self) {
        self.connection.cut.notify_one();
        std::future::pending::<()>().await;
    }
}
