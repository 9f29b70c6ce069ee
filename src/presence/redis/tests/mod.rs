//! The Redis backend against real servers: the contract, many nodes, the rules in Lua.

mod cluster;
mod failures;
mod many;
mod rules;

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use parking_lot::Mutex;

use super::{RedisPresence, RedisSettings, wire};
use crate::{
    clock::Clock,
    config::LogProfile,
    lifecycle::{CancellationToken, Tasks},
    model::{ConnectionId, Id, Status},
    presence::{
        AnyPresence, Ending, Presence as _, Rules,
        contract::{Backend, contract},
        memory::Bounds,
    },
    redis_client::{
        Pushed,
        testing::{Server, eventually, metrics},
    },
};

const RULES: Rules = Rules { away_after_ms: 300_000, offline_after_ms: 5_000 };
const START: Duration = Duration::from_secs(1_000_000);
/// Long enough that nobody dies by waiting.
const LEASE: Duration = Duration::from_secs(600);

fn id(text: &str) -> Id {
    Id::parse(text).unwrap()
}

fn connection(number: u8) -> ConnectionId {
    ConnectionId::from_random([number; 26])
}

/// What was published in the realm `default`, in order.
#[derive(Debug)]
struct Ear {
    heard: Arc<Mutex<Heard>>,
    _tasks: Tasks,
}

#[derive(Debug, Default)]
struct Heard {
    is_listening: bool,
    offset: u64,
    changes: Vec<(Id, Status)>,
}

impl Ear {
    async fn open(server: &Server) -> Self {
        let (subscription, mut inbox) = server.client().subscribe("hb:{default}:t", 100_000);
        let heard = Arc::new(Mutex::new(Heard::default()));
        let mut tasks = Tasks::new(CancellationToken::new());
        tasks.spawn("subscription", |stop| subscription.run(stop));
        let ear = Arc::clone(&heard);
        tasks.spawn("ear", |_stop| async move {
            while let Some(pushed) = inbox.recv().await {
                let mut heard = ear.lock();
                match pushed {
                    Pushed::Message(frame) => hear(&frame, &mut heard),
                    Pushed::Subscribed => heard.is_listening = true,
                    Pushed::Gap(_) => heard.is_listening = false,
                }
            }
        });
        let listens = async || heard.lock().is_listening.then_some(());
        eventually("listening", listens).await;
        Self { heard, _tasks: tasks }
    }

    /// What was published since this was asked last.
    async fn published(&self, server: &Server) -> Vec<(Id, Status)> {
        let top = number(server, &["HGET", "hb:{default}:m", "o"]).await;
        let caught_up = async || (self.heard.lock().offset >= top).then_some(());
        eventually("hearing all records", caught_up).await;
        std::mem::take(&mut self.heard.lock().changes)
    }
}

/// Reads a frame of records, strictly.
fn hear(frame: &Bytes, heard: &mut Heard) {
    let (head, mut rest) = line(frame);
    let words: Vec<_> = head.split(' ').collect();
    let ["R", _generation, first, _tag, count] = words.as_slice() else {
        return;
    };
    let (first, count): (u64, u64) = (first.parse().unwrap(), count.parse().unwrap());
    for _ in 0..count {
        let (head, body) = line(rest);
        let words: Vec<_> = head.split(' ').collect();
        let [tag, kind, address, header, data] = words.as_slice() else { panic!("{head}") };
        assert_eq!((tag.len(), *kind), (16, "f"));
        let [address, header, data] = [address, header, data].map(|it| it.parse().unwrap());
        let (address, body) = body.split_at(address);
        let (header, body) = body.split_at(header);
        let (data, body) = body.split_at(data);
        rest = body;
        let [address, header, data] =
            [address, header, data].map(|it| std::str::from_utf8(it).unwrap());
        let user = address.strip_prefix("s:").unwrap();
        assert!(header.starts_with(r#"{"n":"status_change","at":"#), "{header}");
        let status = data.strip_prefix(r#"{"status":""#).unwrap().split('"').next().unwrap();
        assert_eq!(data, format!(r#"{{"status":"{status}","user_id":"{user}"}}"#));
        heard.changes.push((id(user), Status::parse(status).unwrap()));
    }
    assert!(rest.is_empty());
    heard.offset = heard.offset.max(first + count - 1);
}

fn line(bytes: &[u8]) -> (&str, &[u8]) {
    let end = bytes.iter().position(|byte| *byte == b'\n').unwrap();
    (std::str::from_utf8(&bytes[..end]).unwrap(), &bytes[end + 1..])
}

/// A node: its presence, and the task that writes.
#[derive(Debug)]
struct Node {
    presence: Arc<RedisPresence>,
    tasks: Tasks,
    me: String,
}

impl Node {
    fn open(server: &Server, me: &str, clock: &Clock) -> Self {
        Self::with(server, clock, settings(me))
    }

    fn with(server: &Server, clock: &Clock, settings: RedisSettings) -> Self {
        let me = settings.me.to_string();
        let metrics = metrics();
        let (presence, writer) =
            RedisPresence::new(server.client(), settings, clock.clone(), metrics);
        let mut tasks = Tasks::new(CancellationToken::new());
        tasks.spawn("presence", |stop| writer.run(stop));
        Self { presence, tasks, me }
    }

    async fn connect(&self, user: &str, number: u8) {
        let (realm, user) = (id("default"), id(user));
        let connected = self.presence.connected(&realm, &user, connection(number)).await;
        assert_eq!(connected.unwrap(), None);
    }

    async fn act(&self, user: &str, number: u8) {
        let (realm, user) = (id("default"), id(user));
        let acted = self.presence.active(&realm, &user, connection(number)).await;
        assert_eq!(acted.unwrap(), None);
    }

    async fn end(&self, user: &str, number: u8, ending: Ending) {
        let (realm, user) = (id("default"), id(user));
        let ended = self.presence.disconnected(&realm, &user, connection(number), ending).await;
        assert_eq!(ended.unwrap(), None);
    }

    async fn shows(&self, user: &str) -> Status {
        self.presence.status(&id("default"), &[id(user)]).await.unwrap()[0].status
    }

    async fn sweep(&self) {
        assert_eq!(self.presence.sweep().await.unwrap(), []);
    }
}

fn settings(me: &str) -> RedisSettings {
    RedisSettings {
        me: me.into(),
        rules: RULES,
        lease: LEASE,
        profile: LogProfile::Log,
        retention_events: 100_000,
        retention_bytes: 256 * 1024 * 1024,
        is_sharded: false,
        bounds: Bounds::default(),
    }
}

/// Sets when the lease of a node ends, in milliseconds from now.
async fn lease(server: &Server, me: &str, from_now_ms: i64) {
    let ends_at = i64::try_from(Clock::system().now_ms()).unwrap() + from_now_ms;
    server.command(&["ZADD", "hb:{default}:n", &ends_at.to_string(), me]).await;
}

async fn number(server: &Server, command: &[&str]) -> u64 {
    wire::number(&server.command(command).await).unwrap_or(0)
}

async fn texts(server: &Server, command: &[&str]) -> Vec<String> {
    let answer = server.command(command).await;
    wire::texts(&answer).map(str::to_owned).collect()
}

/// A backend of the contract: one node and a server of its own.
struct Redis {
    server: Server,
    ear: Ear,
    _tasks: Tasks,
}

impl Backend for Redis {
    type Presence = AnyPresence;

    async fn open(node: &str, rules: Rules, clock: Clock) -> (AnyPresence, Self) {
        let server = Server::start().await;
        let ear = Ear::open(&server).await;
        let settings = RedisSettings { rules, ..settings(&format!("{node}#1")) };
        let Node { presence, tasks, .. } = Node::with(&server, &clock, settings);
        (AnyPresence::Redis(presence), Self { server, ear, _tasks: tasks })
    }

    async fn published(&self) -> Vec<(Id, Status)> {
        self.ear.published(&self.server).await
    }
}

contract!(Redis);
