//! A log, a hub that lags behind it, and clients on real sockets.

use std::{
    collections::HashSet, io::Read as _, net::TcpStream as Client, sync::Arc, time::Duration,
};

use bytes::Bytes;
use serde_json::Value;
use tokio::{net::TcpListener, sync::oneshot};

use crate::{
    clock::{Clock, random_connection_id, random_tag},
    hub::{
        Attach, Attached, Link, LinkContext, LinkLimits, OutboxLimits, Reader, Realm, Ring, Start,
        shard::Shard,
    },
    lifecycle::Gate,
    metrics::Metrics,
    model::{
        Body, ConnectionId, Encoding, Event, Generation, Id, Identity, Memberships, Position,
        Record, Rendering, RenderingSlot, Renderings, Scope, Tag, Tail, Topic,
    },
    ws::frame,
};

pub(super) static ENCODING: Encoding = Encoding {
    slot: RenderingSlot::Mattermost,
    name: "mattermost",
    render: |record| {
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

pub(super) fn id(text: &str) -> Id {
    Id::parse(text).unwrap()
}

pub(super) fn channel(name: &str) -> Topic {
    Topic::Channel(id(name))
}

pub(super) fn event(to: Topic) -> Event {
    Event {
        name: Arc::from("posted"),
        data: Bytes::from_static(b"null"),
        to,
        omit_users: Vec::new(),
        omit_connection: None,
        ephemeral: false,
        binary: false,
        id: Arc::from(""),
        sender: None,
    }
}

pub(super) fn members(topic: &Topic, add: &[&str], remove: &[&str]) -> Body {
    let ids = |names: &[&str]| names.iter().map(|name| id(name)).collect();
    Body::Members { topic: topic.clone(), add: ids(add), remove: ids(remove) }
}

pub(super) fn identity(user: &str) -> Arc<Identity> {
    Arc::new(Identity {
        realm: id("default"),
        user: id(user),
        session: None,
        issued_at: Some(100),
        expires_at: u64::MAX,
        roles: Vec::new(),
        name: None,
        profile: None,
        seeds: Vec::new(),
    })
}

/// What a client reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Frame {
    /// `data` is the offset of the record that was sent; `None` is a no-op.
    Event {
        seq: u64,
        offset: Option<u64>,
    },
    Hello,
    Ping,
    Close(u16),
}

/// The place before any record.
pub(super) fn beginning() -> Position {
    Position { generation: Generation::new("1.test"), offset: 0, tag: Tag::default() }
}

/// One connection as the log's store keeps it.
#[derive(Debug, Clone)]
pub(super) struct Session {
    pub(super) id: ConnectionId,
    pub(super) user: &'static str,
    pub(super) scope: Scope,
    pub(super) base: u64,
}

/// One socket of a session.
#[derive(Debug)]
pub(super) struct Socket {
    pub(super) link: Arc<Link>,
    client: Client,
}

pub(super) struct Stage {
    pub(super) shard: Shard,
    pub(super) records: Vec<Arc<Record>>,
    pub(super) realm: Arc<Realm>,
    pub(super) context: Arc<LinkContext>,
    pub(super) replay_max: (usize, usize),
    pub(super) fed: usize,
    pub(super) fencing: u64,
}

impl Stage {
    pub(super) fn new(ring_records: usize) -> Self {
        let metrics = Metrics::new("test", 1);
        let limits = LinkLimits {
            outbox: OutboxLimits { events: 256, bytes: 256 * 1024 },
            stall: Duration::from_secs(15),
            ping_interval: Duration::from_secs(25),
            pong_timeout: Duration::from_secs(10),
            message_timeout: Duration::from_secs(30),
        };
        let context = Arc::new(LinkContext::new(limits, Arc::clone(&metrics)));
        let ring = Ring::new(0, ring_records, usize::MAX);
        let realm = Arc::new(Realm::new(id("default"), ring, beginning(), Gate::always()));
        let clock = Clock::manual(Duration::from_secs(1_000));
        let shard = Shard::new(&metrics, 0, clock);
        let replay_max = (5_000, 1 << 20);
        Self { shard, records: Vec::new(), realm, context, replay_max, fed: 0, fencing: 1 }
    }

    /// Appends to the log. The hub does not see it yet.
    pub(super) fn append(&mut self, mut body: Body) -> u64 {
        let offset = self.records.len() as u64 + 1;
        if let Body::Event(event) = &mut body {
            event.data = Bytes::from(offset.to_string());
        }
        let previous_tag = self.records.last().map_or(Tag::default(), |last| last.position.tag);
        let generation = Generation::new("1.test");
        let position = Position { generation, offset, tag: random_tag() };
        self.records.push(Arc::new(Record {
            position,
            previous_tag,
            accepted_at_us: 0,
            body,
            renderings: Renderings::default(),
            kept: None,
        }));
        offset
    }

    /// Lets the hub take up to `count` more records, in one turn.
    pub(super) fn feed(&mut self, count: usize) {
        let end = self.records.len().min(self.fed.saturating_add(count));
        for record in &self.records[self.fed..end] {
            self.realm.ring.push(record);
        }
        for record in &self.records[self.fed..end] {
            self.shard.realm(0, &self.realm).unwrap();
            self.shard.apply(0, record);
        }
        self.shard.flush();
        self.fed = end;
    }

    pub(super) fn seen(&self) -> u64 {
        self.fed as u64
    }

    /// What the log would answer about a session now.
    pub(super) fn reader(&self, session: &Session) -> Reader {
        let mut reader = Reader {
            connection: session.id,
            user: id(session.user),
            scope: session.scope.clone(),
            memberships: Memberships::default(),
            watches: Memberships::default(),
            known_from: 0,
            known_up_to: 0,
        };
        for record in &self.records {
            reader.learn(record);
        }
        // The log keeps subscriptions of a session from its beginning on.
        reader.known_up_to = self.records.len() as u64;
        reader
    }

    pub(super) fn session(&self, user: &'static str, scope: Scope) -> Session {
        let base = self.records.len() as u64;
        Session { id: random_connection_id(), user, scope, base }
    }

    /// Brings a session to the hub on a new socket.
    pub(super) async fn attach(&mut self, session: &Session, start: Start) -> (Attached, Socket) {
        let reader = self.reader(session);
        self.attach_as(reader, start).await
    }

    pub(super) async fn attach_as(&mut self, reader: Reader, start: Start) -> (Attached, Socket) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = Client::connect(listener.local_addr().unwrap()).unwrap();
        let server = listener.accept().await.unwrap().0;
        server.writable().await.unwrap();
        let link = Arc::new(Link::new(Arc::clone(&self.context), &ENCODING, Some(server)));
        let (answer, mut answered) = oneshot::channel();
        let identity = identity(reader.user.as_str());
        let hello = frame::message(frame::Opcode::Text, br#"{"hello":true,"seq":0}"#);
        self.shard.attach(Attach {
            realm_key: 0,
            realm: Arc::clone(&self.realm),
            identity,
            fencing: self.fencing,
            claimed_after: self.realm.claims.mark(),
            at: beginning(),
            begins_after: reader.known_up_to,
            reader,
            link: Arc::clone(&link),
            start,
            hello: Some(hello),
            replay_max: self.replay_max,
            answer,
        });
        self.shard.flush();
        (answered.try_recv().unwrap(), Socket { link, client })
    }

    pub(super) fn detach(&mut self, session: &Session, socket: &Socket) {
        self.shard.detach(0, session.id, &socket.link);
    }

    /// What a session is sent up to the record `up_to`, by the definition: the offsets
    /// in the order of their numbers, from number 1 on. Written without the product's
    /// own idea of it.
    pub(super) fn function(&self, session: &Session, up_to: u64) -> Vec<u64> {
        let user = id(session.user);
        let (mut topics, mut watched) = (HashSet::new(), HashSet::new());
        let mut sent = Vec::new();
        for record in self.records.iter().take(usize::try_from(up_to).unwrap()) {
            match &record.body {
                Body::Members { topic, add, remove } => {
                    if add.contains(&user) {
                        topics.insert(topic.clone());
                    }
                    if remove.contains(&user) {
                        topics.remove(topic);
                    }
                }
                Body::Watch { connection, add, remove } if *connection == session.id => {
                    watched.extend(add.iter().cloned());
                    for topic in remove {
                        watched.remove(topic);
                    }
                }
                Body::Event(event) if record.position.offset > session.base => {
                    let is_member = session.scope == Scope::Member;
                    let is_addressed = match &event.to {
                        Topic::User(to) => is_member && *to == user,
                        Topic::Status(to) => {
                            is_member && (*to == user || watched.contains(&event.to))
                        }
                        Topic::Connection(to) => *to == session.id,
                        Topic::Everyone => is_member,
                        Topic::Room(room) => session.scope == Scope::Room(room.clone()),
                        Topic::Chat(_) => {
                            matches!(session.scope, Scope::Chat(_)) && watched.contains(&event.to)
                        }
                        to @ (Topic::Channel(_) | Topic::Team(_) | Topic::Workspace(_)) => {
                            is_member && topics.contains(to)
                        }
                    };
                    let by_connection = !matches!(event.to, Topic::Connection(_))
                        && event.omit_connection == Some(session.id);
                    let to_many = !matches!(
                        event.to,
                        Topic::Connection(_) | Topic::User(_) | Topic::Status(_)
                    );
                    let by_user = to_many && event.omit_users.contains(&user);
                    if is_addressed && !by_connection && !by_user {
                        sent.push(record.position.offset);
                    }
                }
                Body::Bus(_) if record.position.offset > session.base => {
                    let faces = session.faces(record, |topic| topics.contains(topic));
                    sent.extend(std::iter::repeat_n(record.position.offset, faces));
                }
                Body::Event(_)
                | Body::Seeds { .. }
                | Body::Watch { .. }
                | Body::Revocation(_)
                | Body::Disconnect { .. }
                | Body::Bus(_)
                | Body::Workspace { .. }
                | Body::Nodes(_)
                | Body::Unknown => {}
            }
        }
        sent
    }
}

impl Socket {
    /// Ends the socket and returns everything that the client can read.
    pub(super) fn end(self) -> Vec<Frame> {
        let Self { link, mut client } = self;
        assert_eq!(Arc::strong_count(&link), 1, "nobody else holds the socket open");
        drop(link);
        let mut bytes = Vec::new();
        client.read_to_end(&mut bytes).unwrap();
        frames(&bytes)
    }
}

/// Cuts bytes into frames, strictly: whole ones, and nothing behind the close.
pub(super) fn frames(mut bytes: &[u8]) -> Vec<Frame> {
    let mut all = Vec::new();
    while let [first, second, rest @ ..] = bytes {
        assert!(!matches!(all.last(), Some(Frame::Close(_))), "a frame behind the close");
        let (length, rest) = match second {
            126 => (usize::from(rest[0]) << 8 | usize::from(rest[1]), &rest[2..]),
            127 => panic!("no test sends as much"),
            short => (usize::from(*short), rest),
        };
        let (payload, rest) = rest.split_at(length);
        all.push(match first {
            0x81 => text(&serde_json::from_slice(payload).unwrap()),
            0x88 => Frame::Close(u16::from_be_bytes([payload[0], payload[1]])),
            0x89 => Frame::Ping,
            other => panic!("unexpected frame {other:#x}"),
        });
        bytes = rest;
    }
    assert!(bytes.is_empty(), "half a frame is left");
    all
}

fn text(json: &Value) -> Frame {
    if json.get("hello").is_some() {
        return Frame::Hello;
    }
    let seq = json["seq"].as_u64().unwrap();
    let offset = json.get("noop").is_none().then(|| json["data"].as_u64().unwrap());
    Frame::Event { seq, offset }
}
