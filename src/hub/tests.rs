//! Goal: what a connection is sent, live and over resumes, is exactly what the pure
//! function in `addressed` says of the log.
//!
//! Method: random logs over few users and channels, from fixed seeds. The hub lags
//! behind the log, connections come at snapshots ahead of it and behind it, and go on
//! from random numbers. Every socket is real; its bytes are read back and compared
//! with the function over the whole log, number by number.

use std::sync::Arc;

use bytes::Bytes;
use tokio::{
    io::AsyncReadExt as _,
    net::{TcpListener, TcpStream},
    sync::oneshot,
};

use super::{shard::Shard, *};
use crate::model::{
    Body, Encoding, Event, Generation, Id, Identity, Memberships, Position, Rendering,
    RenderingSlot, Renderings, Scope, Tag, Tail,
};

static ENCODING: Encoding = Encoding {
    slot: RenderingSlot::Mattermost,
    name: "mattermost",
    render: |record| Rendering {
        payload: format!(r#"{{"offset":{}"#, record.position.offset).into(),
        binary: false,
    },
    tail: Tail::Seq,
    noop: br#"{"noop":1"#,
    withheld: |_, _| false,
};

/// Numbers that look random and are the same in every run.
struct Chance(u64);

impl Chance {
    fn below(&mut self, below: u64) -> u64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % below
    }

    fn user(&mut self) -> Id {
        Id::parse(["ann", "ben", "cat"][usize::try_from(self.below(3)).unwrap()]).unwrap()
    }

    fn channel(&mut self) -> Topic {
        Topic::Channel(Id::parse(["x", "y"][usize::try_from(self.below(2)).unwrap()]).unwrap())
    }
}

/// One session over all its sockets.
struct Client {
    reader: Reader,
    base: u64,
    link: Arc<Link>,
    socket: TcpStream,
    /// The number that this socket must begin with.
    first: u64,
}

/// A log, a hub that lags behind it, and clients.
struct World {
    chance: Chance,
    shard: Shard,
    realm: Arc<Realm>,
    context: Arc<LinkContext>,
    log: Vec<Arc<Record>>,
    applied: usize,
    listener: TcpListener,
    clients: Vec<Client>,
}

impl World {
    async fn new(seed: u64) -> Self {
        let metrics = Metrics::new("node", 1);
        let clock = Clock::manual(Duration::from_secs(1_700_000_000));
        let limits = LinkLimits {
            outbox: OutboxLimits { events: 10_000, bytes: 1_000_000 },
            stall: Duration::from_secs(15),
            ping_interval: Duration::from_secs(25),
            pong_timeout: Duration::from_secs(10),
            message_timeout: Duration::from_secs(30),
        };
        Self {
            chance: Chance(seed),
            shard: Shard::new(&metrics, 0, clock),
            realm: Arc::new(Realm {
                id: Id::parse("default").unwrap(),
                ring: Ring::new(0, 100_000, usize::MAX),
                began_at: 0,
            }),
            context: Arc::new(LinkContext::new(limits, Arc::clone(&metrics))),
            log: Vec::new(),
            applied: 0,
            listener: TcpListener::bind("127.0.0.1:0").await.unwrap(),
            clients: Vec::new(),
        }
    }

    fn append(&mut self, body: Body) {
        let offset = self.log.len() as u64 + 1;
        let record = Arc::new(Record {
            position: Position { generation: Generation::new("1"), offset, tag: Tag(offset) },
            previous_tag: Tag(offset - 1),
            accepted_at_us: 0,
            body,
            renderings: Renderings::default(),
            kept: None,
        });
        self.realm.ring.push(&record);
        self.log.push(record);
    }

    fn publish(&mut self) {
        let to = match self.chance.below(6) {
            0 => Topic::User(self.chance.user()),
            1 => Topic::Everyone,
            2 => Topic::Status(self.chance.user()),
            3 if !self.clients.is_empty() => {
                let which = self.chance.below(self.clients.len() as u64);
                let client = &self.clients[usize::try_from(which).unwrap()];
                Topic::Connection(client.reader.connection)
            }
            _ => self.chance.channel(),
        };
        let omit_users = if self.chance.below(4) == 0 { vec![self.chance.user()] } else { vec![] };
        let ephemeral = self.chance.below(5) == 0;
        self.append(Body::Event(Event {
            name: Arc::from("e"),
            data: Bytes::from_static(b"{}"),
            to,
            omit_users,
            omit_connection: None,
            ephemeral,
            binary: false,
            id: Arc::from(""),
            sender: None,
        }));
    }

    fn change_members(&mut self) {
        let (topic, user) = (self.chance.channel(), vec![self.chance.user()]);
        let (add, remove) = if self.chance.below(2) == 0 { (user, vec![]) } else { (vec![], user) };
        self.append(Body::Members { topic, add, remove });
    }

    /// Lets the hub apply some of what it has not applied yet, as one turn.
    fn turn(&mut self, records: usize) {
        let end = (self.applied + records).min(self.log.len());
        assert!(self.shard.realm(0, &self.realm).is_some());
        for record in &self.log[self.applied..end] {
            self.shard.apply(0, record);
        }
        self.applied = end;
        self.shard.flush();
    }

    /// What the log knew of a user after the record at `upto`.
    fn snapshot(&self, connection: ConnectionId, user: &Id, upto: u64) -> Reader {
        let mut reader = Reader {
            connection,
            user: user.clone(),
            scope: Scope::Member,
            memberships: Memberships::default(),
            watches: Memberships::default(),
            known_up_to: 0,
        };
        for record in self.log.iter().take(usize::try_from(upto).unwrap()) {
            reader.learn(record);
        }
        reader
    }

    async fn socket(&self) -> (Arc<Link>, TcpStream) {
        let client = TcpStream::connect(self.listener.local_addr().unwrap()).await.unwrap();
        let (server, _) = self.listener.accept().await.unwrap();
        server.writable().await.unwrap();
        (Arc::new(Link::new(Arc::clone(&self.context), &ENCODING, Some(server))), client)
    }

    fn attach(&mut self, reader: Reader, link: &Arc<Link>, start: Start) -> Attached {
        let (answer, mut answered) = oneshot::channel();
        let identity = Identity {
            realm: self.realm.id.clone(),
            user: reader.user.clone(),
            session: None,
            issued_at: Some(0),
            expires_at: u64::MAX,
            roles: Vec::new(),
            name: None,
            profile: None,
            seeds: Vec::new(),
        };
        self.shard.attach(Attach {
            realm_key: 0,
            realm: Arc::clone(&self.realm),
            identity: Arc::new(identity),
            reader,
            link: Arc::clone(link),
            start,
            hello: None,
            replay_max: (10_000, usize::MAX / 2),
            answer,
        });
        self.shard.flush();
        answered.try_recv().unwrap()
    }

    async fn come(&mut self) {
        let user = self.chance.user();
        let connection = crate::clock::random_connection_id();
        // The snapshot may be ahead of the hub, or behind it.
        let end = self.log.len() as u64;
        let base = end - self.chance.below(end.min(5) + 1);
        let reader = self.snapshot(connection, &user, base);
        let (link, socket) = self.socket().await;
        assert_eq!(self.attach(reader.clone(), &link, Start::Fresh), Attached::Fresh);
        self.clients.push(Client { reader, base, link, socket, first: 1 });
    }

    async fn go_on(&mut self) {
        if self.clients.is_empty() {
            return;
        }
        let which = usize::try_from(self.chance.below(self.clients.len() as u64)).unwrap();
        let client = self.clients.swap_remove(which);
        let (connection, base) = (client.reader.connection, client.base);
        // The old socket may be gone, or half open.
        if self.chance.below(2) == 0 {
            self.shard.detach(0, connection, &client.link);
        }
        let (seq, cursor) = match client.link.left_at() {
            Some(place) => place,
            None => {
                let key = self.shard.known_realm(0).unwrap().key(connection).unwrap();
                let live = &self.shard.connections[key as usize];
                (live.seq, live.cursor)
            }
        };
        let next = seq - self.chance.below(seq.min(4));
        let user = client.reader.user.clone();
        let reader = self.snapshot(connection, &user, self.log.len() as u64);
        let start = Start::Resume { next, seq, cursor, base };
        let (link, socket) = self.socket().await;
        if cursor > self.applied as u64 {
            assert_eq!(self.attach(reader, &link, start), Attached::Behind);
            self.turn(usize::MAX / 2);
            let reader = self.snapshot(connection, &user, self.log.len() as u64);
            self.attach(reader, &link, start);
        } else {
            let attached = self.attach(reader, &link, start);
            assert!(matches!(attached, Attached::Resumed { .. }), "{attached:?}");
        }
        let ours = client.reader;
        self.clients.push(Client { reader: ours, base, link, socket, first: next.max(1) });
    }

    /// Compares what the newest socket of each client got with the function.
    async fn check(mut self, seed: u64) -> usize {
        self.turn(usize::MAX / 2);
        let mut compared = 0;
        for mut client in std::mem::take(&mut self.clients) {
            let mut reader = self.snapshot(client.reader.connection, &client.reader.user, 0);
            let mut expected = Vec::new();
            for record in &self.log {
                reader.learn(record);
                let is_after = record.position.offset > client.base;
                if is_after && reader.verdict(record) == Verdict::Sent {
                    expected.push(record);
                }
            }
            client.link.close(1000, "");
            self.shard.flush();
            client.link.flush(self.shard.writer());
            drop(
                self.shard.forget(
                    self.shard.known_realm(0).unwrap().key(client.reader.connection).unwrap(),
                ),
            );
            drop(client.link);
            let mut bytes = Vec::new();
            client.socket.read_to_end(&mut bytes).await.unwrap();
            let heard = messages(&bytes);
            let skip = usize::try_from(client.first - 1).unwrap();
            assert_eq!(heard.len(), expected.len() - skip, "seed {seed}: {heard:?}");
            for (index, (message, record)) in heard.iter().zip(&expected[skip..]).enumerate() {
                assert_eq!(message["seq"], client.first + index as u64, "seed {seed}");
                let Body::Event(event) = &record.body else { panic!("an event was expected") };
                if message.get("noop").is_none() {
                    assert_eq!(message["offset"], record.position.offset, "seed {seed}");
                } else {
                    // Withheld from a replay: what only live connections see, and what belongs
                    // to a topic that the user has left since.
                    let offset = record.position.offset;
                    let has_left = reader
                        .memberships
                        .intervals(&event.to)
                        .any(|interval| interval.covers(offset) && interval.to != 0);
                    assert!(event.ephemeral || has_left, "seed {seed}: a body is missing");
                }
                compared += 1;
            }
        }
        compared
    }
}

/// The messages of small unmasked frames, without the close frame at the end.
fn messages(mut bytes: &[u8]) -> Vec<serde_json::Value> {
    let mut all = Vec::new();
    while let [0x81, length, rest @ ..] = bytes {
        let (message, rest) = rest.split_at(usize::from(*length));
        all.push(serde_json::from_slice(message).unwrap());
        bytes = rest;
    }
    all
}

#[tokio::test]
async fn what_is_delivered_is_what_the_function_says() {
    let mut compared = 0;
    for seed in 0..150 {
        let mut world = World::new(seed).await;
        for _ in 0..80 {
            match world.chance.below(10) {
                0..5 => world.publish(),
                5 => world.change_members(),
                6 => world.come().await,
                7 => world.go_on().await,
                _ => {
                    let records = usize::try_from(world.chance.below(6)).unwrap();
                    world.turn(records);
                }
            }
        }
        compared += world.check(seed).await;
    }
    assert!(compared > 3_000, "the logs were too quiet: {compared}");
}
