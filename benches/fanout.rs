//! What a hub needs to bring events to a thousand sockets, beside the floor.
//!
//! The floor writes frames that are ready to the same sockets, one `send` each, on
//! the same thread. Both wait until every reader has everything before they go on.
//! Prints microseconds of the hub's thread per delivery, and the ratio; fails at nothing.
//! `cargo bench --bench fanout [-- WINDOW…]`, a window being how many events wait.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::cast_precision_loss,
    reason = "a bench prints its figures and may stop at the first surprise"
)]

mod support;

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::Duration,
};

use hubbub::{
    clock::{Clock, random_connection_id},
    hub::{
        Attach, Attached, Command, Hub, HubHandle, Link, LinkContext, LinkLimits, OutboxLimits,
        Parcel, Reader, Realm, Ring, Start,
    },
    lifecycle::{CancellationToken, Drained, Gate, Tasks},
    metrics::Metrics,
    model::{Generation, Id, Identity, Memberships, Position, Scope, Tag, UserId},
    ws::frame,
};
use rustix::{
    net::{SendFlags, send},
    time::{ClockId, clock_gettime},
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{Notify, oneshot},
    task::JoinSet,
};

use support::{NUMBERED, channel, event, median};

const SOCKETS: usize = 1_000;
const ROUNDS: usize = 9;
const WARM_UP: u64 = 96;
const EVENTS: u64 = 192;

/// First byte of every text frame; it is nowhere else in these frames.
const FRAME_MARK: u8 = 0x81;

/// Frames that came in, over all sockets, and a bell for who waits.
#[derive(Default)]
struct Received {
    frames: AtomicU64,
    bell: Notify,
}

impl Received {
    /// Waits until so many frames came in altogether.
    async fn reach(&self, frames: u64) {
        while self.frames.load(Ordering::Acquire) < frames {
            self.bell.notified().await;
        }
    }
}

/// Reads all `sockets` on a thread of its own and counts frames.
fn read_all(sockets: Vec<std::net::TcpStream>, received: Arc<Received>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async move {
        let mut readers = JoinSet::new();
        for socket in sockets {
            let received = Arc::clone(&received);
            let socket = TcpStream::from_std(socket).unwrap();
            readers.spawn(async move {
                let mut buffer = [0; 8192];
                while socket.readable().await.is_ok() {
                    let Ok(length) = socket.try_read(&mut buffer) else { continue };
                    if length == 0 {
                        break;
                    }
                    let bytes = buffer.get(..length).unwrap_or_default();
                    let frames = bytes.iter().filter(|byte| **byte == FRAME_MARK).count() as u64;
                    let before = received.frames.fetch_add(frames, Ordering::AcqRel);
                    // Whole rounds end at a multiple of the sockets.
                    if (before + frames).is_multiple_of(SOCKETS as u64) {
                        received.bell.notify_one();
                    }
                }
            });
        }
        while readers.join_next().await.is_some() {}
    });
}

fn user(number: usize) -> UserId {
    Id::parse(&format!("u{number}")).unwrap()
}

/// Loopback connections: the server's ends, and the clients' ends for another runtime.
async fn connect() -> (Vec<TcpStream>, Vec<std::net::TcpStream>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (mut servers, mut clients) = (Vec::new(), Vec::new());
    for _ in 0..SOCKETS {
        let (client, accepted) = tokio::join!(TcpStream::connect(address), listener.accept());
        let (server, _) = accepted.unwrap();
        server.set_nodelay(true).unwrap();
        servers.push(server);
        clients.push(client.unwrap().into_std().unwrap());
    }
    (servers, clients)
}

/// A hub that serves `sockets`, all of them members of the channel.
struct Bench {
    hub: HubHandle,
    realm: Arc<Realm>,
    links: Vec<Arc<Link>>,
    received: Arc<Received>,
    /// Frames that were sent so far, by hub and floor.
    sent: u64,
    offset: u64,
}

impl Bench {
    async fn attach(&mut self, number: usize, socket: TcpStream, context: &Arc<LinkContext>) {
        let realm_id = self.realm.id.clone();
        let mut memberships = Memberships::default();
        memberships.open(channel(), 0);
        let link = Arc::new(Link::new(Arc::clone(context), &NUMBERED, Some(socket)));
        let reader = Reader {
            connection: random_connection_id(),
            user: user(number),
            scope: Scope::Member,
            memberships,
            watches: Memberships::default(),
            known_from: 0,
            known_up_to: 0,
        };
        let identity = Identity {
            realm: realm_id,
            user: user(number),
            session: None,
            issued_at: None,
            expires_at: u64::MAX,
            roles: Vec::new(),
            name: None,
            profile: None,
            seeds: Vec::new(),
        };
        let (answer, attached) = oneshot::channel();
        let attach = Attach {
            realm_key: 0,
            realm: Arc::clone(&self.realm),
            identity: Arc::new(identity),
            fencing: 1,
            claimed_after: 0,
            at: self.realm.began.clone(),
            begins_after: self.realm.began.offset,
            reader,
            link: Arc::clone(&link),
            start: Start::Fresh,
            hello: None,
            replay_max: (0, 0),
            answer,
        };
        self.hub.commands.send(Command::Attach(Box::new(attach))).await.unwrap();
        assert_eq!(attached.await.unwrap(), Attached::Fresh);
        self.links.push(link);
    }

    /// Publishes by the hub, `window` events at once.
    async fn by_hub(&mut self, events: u64, window: u64) {
        for _ in 0..events / window {
            for _ in 0..window {
                self.offset += 1;
                let record = event(self.offset);
                self.realm.ring.push(&record);
                let parcel = Parcel { realm_key: 0, realm: Arc::clone(&self.realm), record };
                self.hub.records.try_send(parcel).unwrap();
            }
            self.wait(window).await;
        }
    }

    /// Writes ready frames, `window` at once.
    async fn by_floor(&mut self, events: u64, window: u64) {
        let record = event(1);
        let mut payload = NUMBERED.shared(&record).payload.to_vec();
        payload.extend_from_slice(br#","seq":1000}"#);
        let frames = frame::message(frame::Opcode::Text, &payload);
        let frames = frames.repeat(usize::try_from(window).unwrap());
        for _ in 0..events / window {
            for link in &self.links {
                let sent = send(link.socket().unwrap(), &frames, SendFlags::NOSIGNAL).unwrap();
                assert_eq!(sent, frames.len(), "the reader keeps up");
            }
            self.wait(window).await;
        }
    }

    async fn wait(&mut self, window: u64) {
        self.sent += window * SOCKETS as u64;
        let received = self.received.reach(self.sent);
        tokio::time::timeout(Duration::from_secs(20), received).await.unwrap();
    }

    /// Microseconds of this thread per delivery, by hub and by floor.
    async fn round(&mut self, window: u64) -> (f64, f64) {
        let deliveries = EVENTS as f64 * SOCKETS as f64;
        self.by_hub(WARM_UP, window).await;
        let before = cpu_us();
        self.by_hub(EVENTS, window).await;
        let hub = (cpu_us() - before) / deliveries;
        self.by_floor(WARM_UP, window).await;
        let before = cpu_us();
        self.by_floor(EVENTS, window).await;
        (hub, (cpu_us() - before) / deliveries)
    }
}

/// CPU time of this thread.
fn cpu_us() -> f64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    time.tv_sec as f64 * 1e6 + time.tv_nsec as f64 / 1e3
}

async fn run() {
    let metrics = Metrics::new("bench", 1);
    let (hub, handle) = Hub::new(0, 4_096, &metrics, Clock::system());
    let mut tasks = Tasks::new(CancellationToken::new());
    tasks.spawn("hub", |stop| hub.run(stop));

    let (servers, clients) = connect().await;
    let received = Arc::new(Received::default());
    let reader = thread::spawn({
        let received = Arc::clone(&received);
        move || read_all(clients, received)
    });
    let limits = LinkLimits {
        outbox: OutboxLimits { events: 256, bytes: 256 * 1024 },
        stall: Duration::from_secs(15),
        ping_interval: Duration::from_secs(600),
        pong_timeout: Duration::from_secs(10),
        message_timeout: Duration::from_secs(30),
    };
    let context = Arc::new(LinkContext::new(limits, metrics));
    let id = Id::parse("default").unwrap();
    let began = Position { generation: Generation::new("1.0"), offset: 0, tag: Tag::default() };
    let realm = Realm::new(id, Ring::new(0, 100_000, 1 << 28), began, Gate::always());
    let mut bench = Bench {
        hub: handle,
        realm: Arc::new(realm),
        links: Vec::new(),
        received,
        sent: 0,
        offset: 0,
    };
    for (number, socket) in servers.into_iter().enumerate() {
        bench.attach(number, socket, &context).await;
    }

    println!("{SOCKETS} sockets, {} bytes of data", support::DATA_BYTES);
    let mut windows: Vec<u64> = std::env::args().filter_map(|word| word.parse().ok()).collect();
    if windows.is_empty() {
        windows = vec![1, 4, 16, 64];
    }
    for window in windows {
        let mut figures: Vec<(f64, f64)> = Vec::new();
        for _ in 0..ROUNDS {
            figures.push(bench.round(window).await);
        }
        let hub = median(&mut figures.iter().map(|figure| figure.0).collect::<Vec<_>>());
        let floor = median(&mut figures.iter().map(|figure| figure.1).collect::<Vec<_>>());
        let ratio = hub / floor;
        println!("{window:2} waiting: hub {hub:6.3} us, floor {floor:6.3} us, ratio {ratio:.2}");
    }
    assert_eq!(tasks.drain(Duration::from_secs(5)).await, Drained::Clean);
    drop(bench);
    reader.join().unwrap();
}

fn main() {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(run());
}
