//! Which server is in charge of a key now.
//!
//! The three modes differ only here. What was learned is kept until somebody says
//! that it is wrong; then whoever needs it next asks again, and the others wait for
//! that answer.
//!
//! Invariants: one question at a time; a sentinel or node whose answer was wrong is
//! asked last.
//!
//! Not here: whether the server agrees that it is in charge (`connect`).

use std::sync::Arc;

use parking_lot::Mutex;
use redis::{Value, cmd};
use tokio::sync::Semaphore;

use super::{
    connect::ask,
    error::RedisError,
    reply::{list, number, text},
    settings::{Address, Peer, Settings},
    slots::{Slots, slot_of},
};
use crate::config::RedisMode;

/// What is known about the servers. Shared by all connections of a client.
#[derive(Debug)]
pub(super) struct Topology {
    settings: Arc<Settings>,
    known: Mutex<Known>,
    /// Held by the one who asks.
    turn: Semaphore,
}

#[derive(Debug)]
struct Known {
    map: Map,
    /// Whom to ask, the best first: sentinels, or nodes of the cluster.
    sources: Vec<Address>,
}

#[derive(Debug, Clone)]
enum Map {
    Unknown,
    One(Address),
    Cluster(Arc<Slots>),
}

impl Map {
    fn find(&self, slot: u16) -> Option<Address> {
        match self {
            Self::Unknown => None,
            Self::One(address) => Some(address.clone()),
            Self::Cluster(slots) => slots.owner(slot).cloned(),
        }
    }
}

impl Topology {
    pub(super) fn new(settings: Arc<Settings>) -> Self {
        let known = Known { map: Map::Unknown, sources: settings.seeds.clone() };
        Self { settings, known: Mutex::new(known), turn: Semaphore::new(1) }
    }

    /// The primary in charge of `key`.
    ///
    /// # Cancel safety
    ///
    /// Safe: the next one asks.
    pub(super) async fn primary(&self, key: &str) -> Result<Address, RedisError> {
        let slot = slot_of(key);
        if let Some(address) = self.known.lock().map.find(slot) {
            return Ok(address);
        }
        let _turn = self.turn.acquire().await;
        if let Some(address) = self.known.lock().map.find(slot) {
            return Ok(address);
        }
        let map = self.learn().await?;
        let found = map.find(slot);
        self.known.lock().map = map;
        found.ok_or_else(|| RedisError::unavailable("no server is in charge of this key"))
    }

    /// Every primary.
    pub(super) async fn primaries(&self) -> Result<Vec<Address>, RedisError> {
        let address = self.primary("").await;
        let map = self.known.lock().map.clone();
        match map {
            Map::Cluster(slots) => Ok(slots.owners()),
            Map::Unknown | Map::One(_) => Ok(vec![address?]),
        }
    }

    /// The server at `address` was not in charge, or could not be reached; `hint` is
    /// who it said is.
    pub(super) fn forget(&self, address: &Address, hint: Option<Address>) {
        let mut known = self.known.lock();
        let believed = match &known.map {
            Map::Unknown => false,
            Map::One(one) => one == address,
            Map::Cluster(slots) => slots.owners().contains(address),
        };
        if !believed {
            return;
        }
        known.map = Map::Unknown;
        match self.settings.mode {
            RedisMode::Standalone => {}
            RedisMode::Sentinel => known.sources.rotate_left(1),
            RedisMode::Cluster => {
                known.sources.retain(|source| source != address && Some(source) != hint.as_ref());
                known.sources.push(address.clone());
                if let Some(hint) = hint {
                    known.sources.insert(0, hint);
                }
            }
        }
    }

    /// Asks one after the other.
    async fn learn(&self) -> Result<Map, RedisError> {
        let sources = self.known.lock().sources.clone();
        if self.settings.mode == RedisMode::Standalone {
            let first = self.settings.seeds.first().cloned();
            return first.map(Map::One).ok_or_else(|| RedisError::settings("url", "is empty"));
        }
        let mut failure = RedisError::unavailable("there is nobody to ask");
        for source in &sources {
            let learned = match self.settings.mode {
                RedisMode::Sentinel => self.ask_sentinel(source).await,
                RedisMode::Standalone | RedisMode::Cluster => self.ask_node(source).await,
            };
            match learned {
                Ok(map) => return Ok(map),
                Err(error) => {
                    tracing::debug!(%source, %error, "redis topology source is of no use");
                    failure = error;
                    self.ask_last(source);
                }
            }
        }
        Err(failure)
    }

    fn ask_last(&self, source: &Address) {
        let mut known = self.known.lock();
        known.sources.retain(|other| other != source);
        known.sources.push(source.clone());
    }

    async fn ask_sentinel(&self, source: &Address) -> Result<Map, RedisError> {
        let name = self.settings.master_name.as_str();
        let question = cmd("SENTINEL").arg("GET-MASTER-ADDR-BY-NAME").arg(name).take();
        let answer = ask(&self.settings, source, Peer::Sentinel, &question).await?;
        let [host, port] = list(&answer) else {
            return Err(RedisError::unavailable("the sentinel does not know the primary"));
        };
        let port = number(port).and_then(|port| u16::try_from(port).ok());
        let address = text(host).zip(port).map(|(host, port)| Address { host: host.into(), port });
        address.map(Map::One).ok_or(RedisError::Unexpected { expected: "an address" })
    }

    async fn ask_node(&self, source: &Address) -> Result<Map, RedisError> {
        let question = cmd("CLUSTER").arg("SLOTS").take();
        let answer: Value = ask(&self.settings, source, Peer::Server, &question).await?;
        let slots = Slots::read(&answer, source)?;
        let mut known = self.known.lock();
        let nodes = slots.nodes().iter().filter(|node| !known.sources.contains(node));
        let nodes: Vec<Address> = nodes.cloned().collect();
        known.sources.extend(nodes);
        let keeps = |source: &Address| {
            slots.nodes().contains(source) || self.settings.seeds.contains(source)
        };
        known.sources.retain(keeps);
        Ok(Map::Cluster(Arc::new(slots)))
    }
}
