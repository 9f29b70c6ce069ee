//! Which server is in charge of a key now.
//!
//! The three modes differ only here. What was learned is kept until somebody says
//! that it is wrong; then whoever needs it next asks again, and the others wait for
//! that answer.
//!
//! Sentinels are also asked now and then: a primary that they have replaced while it was
//! cut off from them does not know it, and answers who can still reach it.
//!
//! Invariants: one question at a time; a node of a cluster whose answer was wrong is
//! asked last.
//!
//! Not here: whether the server agrees that it is in charge (`connect`).

use std::{sync::Arc, time::Duration};

use parking_lot::Mutex;
use redis::{Value, cmd};
use tokio::{sync::Semaphore, time::Instant};

use super::{
    connect::ask,
    error::RedisError,
    sentinels::{self, Named},
    settings::{Address, Peer, Settings},
    slots::{Slots, slot_of},
};
use crate::config::RedisMode;

/// How long the word of the sentinels counts.
const BELIEVED: Duration = Duration::from_secs(2);

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
    /// Nodes of the cluster, the best to ask first.
    sources: Vec<Address>,
    /// The newest failover that sentinels have told of.
    epoch: u64,
    /// When they were asked last.
    asked_at: Option<Instant>,
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
        let sources = settings.seeds.clone();
        let known = Known { map: Map::Unknown, sources, epoch: 0, asked_at: None };
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

    /// False when the sentinels have put another server in the place of the one at `address`.
    /// They are asked when their last word is 2 s old; the word of servers counts otherwise.
    ///
    /// # Cancel safety
    ///
    /// Safe: the next one asks.
    pub(super) async fn is_in_charge(&self, address: &Address) -> bool {
        if self.settings.mode == RedisMode::Sentinel
            && let Ok(_turn) = self.turn.try_acquire()
            && self.known.lock().asked_at.is_none_or(|at| at.elapsed() >= BELIEVED)
        {
            match self.ask_sentinels().await {
                Ok(map) => self.known.lock().map = map,
                Err(error) => tracing::debug!(%error, "the sentinels have no word"),
            }
        }
        match &self.known.lock().map {
            Map::One(one) => one == address,
            Map::Unknown | Map::Cluster(_) => true,
        }
    }

    /// Whether the sentinels say that the server at `address` is the primary, and none of
    /// them is about to replace it; `None` where there are no sentinels.
    ///
    /// # Cancel safety
    ///
    /// Safe: nothing is changed by it.
    pub(super) async fn is_appointed(&self, address: &Address) -> Option<bool> {
        match self.settings.mode {
            RedisMode::Standalone | RedisMode::Cluster => return None,
            RedisMode::Sentinel => {}
        }
        let known = self.known.lock().epoch;
        let settled = sentinels::settled(&self.settings, &self.settings.seeds, known).await;
        Some(settled.as_ref() == Some(address))
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
            RedisMode::Standalone | RedisMode::Sentinel => {}
            RedisMode::Cluster => {
                known.sources.retain(|source| source != address && Some(source) != hint.as_ref());
                known.sources.push(address.clone());
                if let Some(hint) = hint {
                    known.sources.insert(0, hint);
                }
            }
        }
    }

    async fn learn(&self) -> Result<Map, RedisError> {
        match self.settings.mode {
            RedisMode::Standalone => {
                let first = self.settings.seeds.first().cloned();
                first.map(Map::One).ok_or_else(|| RedisError::settings("url", "is empty"))
            }
            RedisMode::Sentinel => self.ask_sentinels().await,
            RedisMode::Cluster => self.ask_nodes().await,
        }
    }

    async fn ask_sentinels(&self) -> Result<Map, RedisError> {
        let known = {
            let mut known = self.known.lock();
            known.asked_at = Some(Instant::now());
            known.epoch
        };
        let named = sentinels::primary(&self.settings, &self.settings.seeds, known).await;
        let Named { epoch, primary, .. } = named?;
        self.known.lock().epoch = epoch;
        Ok(Map::One(primary))
    }

    /// Asks one after the other.
    async fn ask_nodes(&self) -> Result<Map, RedisError> {
        let sources = self.known.lock().sources.clone();
        let mut failure = RedisError::unavailable("there is nobody to ask");
        for source in sources {
            match self.ask_node(&source).await {
                Ok(map) => return Ok(map),
                Err(error) => {
                    tracing::debug!(%source, %error, "a node of the cluster is of no use");
                    failure = error;
                    self.ask_last(&source);
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
