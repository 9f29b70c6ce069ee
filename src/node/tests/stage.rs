//! Nodes, their log, and clients.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use serde_json::Value;
use tokio::time::Instant;

use crate::{
    clock::Clock,
    config::Config,
    hub::{Deliveries, Link, LinkContext, LinkLimits, OutboxLimits},
    lifecycle::{CancellationToken, Tasks},
    log::{AnyLog, ChatLimits, Draft, MemoryLimits, MemoryLog},
    metrics::Metrics,
    model::{
        Body, ConnectionId, Encoding, Event, Id, Identity, RealmId, Record, Rendering,
        RenderingSlot, Scope, Tail, Topic,
    },
    node::{Arrival, Node, NodeLimits, Parts, Resume, Seat, Welcome},
    presence::{AnyPresence, MemoryPresence, Rules},
    ws::frame,
};

/// Shows what a record says.
static ENCODING: Encoding = Encoding {
    slot: RenderingSlot::Mattermost,
    name: "mattermost",
    render: |record: &Record| {
        let data = match &record.body {
            Body::Event(event) => String::from_utf8_lossy(&event.data).into_owned(),
            Body::Members { .. }
            | Body::Seeds { .. }
            | Body::Watch { .. }
            | Body::Revocation(_)
            | Body::Disconnect { .. }
            | Body::Bus(_)
            | Body::Workspace { .. }
            | Body::Nodes(_)
            | Body::Unknown => "null".to_owned(),
        };
        Rendering { payload: format!(r#"{{"data":{data}"#).into(), binary: false }
    },
    tail: Tail::Seq,
    noop: br#"{"noop":true"#,
    withheld: |_, _| false,
    numbered: None,
};

pub(super) const LEASE: Duration = Duration::from_secs(10);

pub(super) fn id(text: &str) -> Id {
    Id::parse(text).unwrap()
}

pub(super) fn realm() -> RealmId {
    id("default")
}

/// Waits until `holds`, while paused time passes.
pub(super) async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !holds() {
        assert!(Instant::now() < deadline, "waited in vain: {what}");
        tokio::time::advance(Duration::from_millis(5)).await;
        // Everybody does what is due, and what follows from it.
        for _ in 0..8 {
            tokio::task::yield_now().await;
        }
    }
}

pub(super) fn log() -> Arc<MemoryLog> {
    let limits = MemoryLimits {
        retention_events: 10_000,
        retention_bytes: 1 << 24,
        idempotency_window: Duration::from_secs(60),
        idempotency_ids: 100,
        memberships_per_user: 100,
        session_ttl: Duration::from_secs(900),
        ended_sessions: 100,
        chat: ChatLimits { history: 100, silence: Duration::from_secs(20) },
    };
    Arc::new(MemoryLog::new(limits, Clock::system()))
}

/// One node.
pub(super) struct Stage {
    pub(super) node: Arc<Node>,
    pub(super) log: Arc<MemoryLog>,
    context: Arc<LinkContext>,
    _tasks: Tasks,
}

/// A client of a node.
#[derive(Clone)]
pub(super) struct Client {
    pub(super) seat: Seat,
    pub(super) link: Arc<Link>,
}

/// What came of an attempt to connect.
#[derive(Debug)]
pub(super) enum Arrived {
    Fresh(Client),
    Resumed(Client),
    /// The code that the node closed the link with, when it did.
    Refused(Option<u16>),
}

impl Stage {
    /// A node with two hubs on `log`.
    pub(super) fn new(log: &Arc<MemoryLog>) -> Self {
        Self::with_queue(log, 256)
    }

    /// The same, with so many places in front of each hub.
    pub(super) fn with_queue(log: &Arc<MemoryLog>, queue: usize) -> Self {
        let (clock, metrics) = (Clock::system(), Metrics::new("n", 2));
        let rules = Rules::new(&Config::for_tests().status);
        let presence = MemoryPresence::new("n", rules, clock.clone());
        let parts = Parts {
            id: Arc::from("n"),
            log: AnyLog::Memory(Arc::clone(log)),
            presence: AnyPresence::Memory(Arc::new(presence)),
            hubs: (2, queue),
            limits: NodeLimits {
                ring_events: 10_000,
                ring_bytes: 1 << 24,
                replay_events: 5_000,
                replay_bytes: 1 << 20,
                session_ttl: Duration::from_secs(900),
            },
            facts: Arc::default(),
            metrics: Arc::clone(&metrics),
            clock,
        };
        let mut tasks = Tasks::new(CancellationToken::new());
        let node = Node::start(parts, &mut tasks);
        let limits = LinkLimits {
            outbox: OutboxLimits { events: 10_000, bytes: 1 << 24 },
            stall: Duration::from_secs(86_400),
            ping_interval: Duration::from_secs(86_400),
            pong_timeout: Duration::from_secs(10),
            message_timeout: Duration::from_secs(30),
        };
        let context = Arc::new(LinkContext::new(limits, metrics));
        Self { node, log: Arc::clone(log), context, _tasks: tasks }
    }

    /// Publishes `count` events to everyone; each says its offset.
    pub(super) async fn publish(&self, count: u64) {
        self.publish_to(&Topic::Everyone, count).await;
    }

    pub(super) async fn publish_to(&self, to: &Topic, count: u64) {
        for _ in 0..count {
            let event = Event {
                name: Arc::from("posted"),
                data: Bytes::from_static(b"1"),
                to: to.clone(),
                omit_users: Vec::new(),
                omit_connection: None,
                ephemeral: false,
                binary: false,
                id: Arc::from(""),
                sender: None,
            };
            let draft = Draft { body: Body::Event(event), id: None };
            self.node.publish_one(&realm(), draft).await.unwrap();
        }
    }

    pub(super) async fn connect(&self, user: &str) -> Client {
        match self.arrive(user, None).await {
            Arrived::Fresh(client) => client,
            other @ (Arrived::Resumed(_) | Arrived::Refused(_)) => panic!("{other:?}"),
        }
    }

    pub(super) async fn resume(&self, user: &str, connection: ConnectionId, next: u64) -> Arrived {
        self.arrive(user, Some(Resume { connection, next })).await
    }

    pub(super) fn arrival(&self, user: &str, resume: Option<Resume>) -> Arrival {
        let link = Arc::new(Link::new(Arc::clone(&self.context), &ENCODING, None));
        let identity = Identity {
            realm: realm(),
            user: id(user),
            session: None,
            issued_at: Some(100),
            expires_at: u64::MAX,
            roles: Vec::new(),
            name: None,
            profile: None,
            seeds: Vec::new(),
        };
        Arrival {
            identity: Arc::new(identity),
            scope: Scope::Member,
            link,
            resume,
            since: None,
            greet: Box::new(|_| {
                Some(frame::message(frame::Opcode::Text, br#"{"data":"hello","seq":0}"#))
            }),
        }
    }

    async fn arrive(&self, user: &str, resume: Option<Resume>) -> Arrived {
        let arrival = self.arrival(user, resume);
        let link = Arc::clone(&arrival.link);
        match self.node.connect(arrival).await {
            Welcome::Fresh(seat) => Arrived::Fresh(Client { seat, link }),
            Welcome::Resumed(seat) => Arrived::Resumed(Client { seat, link }),
            Welcome::Ended | Welcome::Unavailable => Arrived::Refused(link.closed_with()),
        }
    }

    /// How many connections the hubs serve.
    pub(super) fn connections(&self) -> usize {
        use std::sync::atomic::Ordering;
        self.node.facts().connections.load(Ordering::Relaxed)
    }

    /// The key of the realm's life, and how far its tail is.
    pub(super) fn life(&self) -> Option<(usize, u64)> {
        let realms = self.node.realms.read();
        realms.get(&realm()).map(|entry| (entry.key, entry.realm.ring.fill().last))
    }
}

impl std::fmt::Debug for Client {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{} of {}", self.seat.connection, self.seat.identity.user)
    }
}

impl Client {
    pub(super) fn id(&self) -> ConnectionId {
        self.seat.connection
    }

    /// The numbers that wait in the outbox, the hello's is 0; reading takes them out.
    pub(super) fn read(&self) -> Vec<u64> {
        let mut deliveries = Deliveries::new(&Metrics::new("c", 1), Clock::system());
        let mut bytes = Vec::new();
        self.link.take(&mut bytes, &mut deliveries);
        self.link.progressed(true);
        let mut rest = bytes.as_slice();
        let mut numbers = Vec::new();
        while let [first, length, tail @ ..] = rest {
            assert!(*length < 126, "no test sends as much");
            let (payload, tail) = tail.split_at(usize::from(*length));
            if *first == 0x81 {
                let json: Value = serde_json::from_slice(payload).unwrap();
                numbers.push(json["seq"].as_u64().unwrap());
            }
            rest = tail;
        }
        numbers
    }

    /// Waits for the numbers from `first` up to `last`, and nothing else.
    pub(super) async fn reads(&self, first: u64, last: u64) {
        let mut numbers = Vec::new();
        let expected: Vec<u64> = (first..=last).collect();
        until("events", || {
            numbers.extend(self.read());
            numbers.len() >= expected.len()
        })
        .await;
        assert_eq!(numbers, expected);
    }

    pub(super) async fn closes_with(&self, code: u16) {
        until("a close", || self.link.closed_with().is_some()).await;
        assert_eq!(self.link.closed_with(), Some(code));
    }
}
