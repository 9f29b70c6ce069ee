//! One run of a scenario: what it started, what it saw, what it demands.

mod judge;

use std::{
    fmt::Display,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context as _, Result};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use crate::{
    history::{History, Writer},
    load::{Load, Shape, Shared, Stats, Target},
    node::Node,
    process::Signal,
    proxy::Proxy,
    redis::{Cluster, Options, Sentinels, Server},
};

/// How large a run is.
#[derive(Debug, Clone)]
pub struct Params {
    /// Clients.
    pub clients: usize,
    /// Events per second.
    pub rate: f64,
    /// Seconds of load with faults, about.
    pub seconds: u64,
}

/// A run. Dropping it ends everything that it started.
#[derive(Debug)]
pub struct Run {
    /// How large it is.
    pub params: Params,
    /// Where it keeps its files.
    pub folder: PathBuf,
    /// The only Redis.
    pub redis: Option<Server>,
    /// Redis with sentinels.
    pub sentinels: Option<Sentinels>,
    /// Redis as a cluster.
    pub cluster: Option<Cluster>,
    /// The nodes.
    pub nodes: Vec<Node>,
    /// Between clients and each node.
    pub client_proxies: Vec<Proxy>,
    /// Between each node and Redis.
    pub redis_proxies: Vec<Proxy>,
    /// The load.
    pub load: Option<Load>,
    /// Settings of every node.
    pub settings: Vec<(String, String)>,
    lossy: bool,
    /// How late this program itself was woken: the machine's share of every delay.
    pub late_ms: Vec<f64>,
    history: History,
    faults: Writer,
    node_history: Writer,
    failures: Vec<String>,
    facts: Vec<(String, String)>,
}

/// What became of a run.
#[derive(Debug)]
pub struct Outcome {
    /// What was demanded and did not hold.
    pub failures: Vec<String>,
    /// What was measured.
    pub facts: Vec<(String, String)>,
}

impl Run {
    /// A run in `folder`. `lossy`: data may really be lost, so resets are allowed.
    ///
    /// # Errors
    ///
    /// When the folder can't be written.
    pub fn new(params: Params, folder: &Path, lossy: bool) -> Result<Self> {
        let history = History::new(&folder.join("history"))?;
        Ok(Self {
            params,
            folder: folder.to_owned(),
            redis: None,
            sentinels: None,
            cluster: None,
            nodes: Vec::new(),
            client_proxies: Vec::new(),
            redis_proxies: Vec::new(),
            load: None,
            settings: Vec::new(),
            lossy,
            late_ms: Vec::new(),
            faults: history.writer("faults")?,
            node_history: history.writer("nodes")?,
            history,
            failures: Vec::new(),
            facts: Vec::new(),
        })
    }

    /// Demands something; `what` tells of it when it does not hold.
    pub fn expect(&mut self, holds: bool, what: impl Display) {
        if !holds {
            self.failures.push(what.to_string());
        }
    }

    /// Notes a measurement.
    pub fn fact(&mut self, name: &str, value: impl Display) {
        self.facts.push((name.to_owned(), value.to_string()));
    }

    /// Sets a key of the configuration of the nodes that are made later.
    pub fn set(&mut self, key: &str, value: &str) {
        self.settings.push((key.to_owned(), value.to_owned()));
    }

    /// Starts the only Redis and points nodes to it.
    ///
    /// # Errors
    ///
    /// When it does not start.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub async fn standalone(&mut self, options: Options) -> Result<()> {
        let server = Server::start(&self.folder, "redis", options).await?;
        self.set("redis.url", &format!("redis://127.0.0.1:{}", server.port));
        self.redis = Some(server);
        Ok(())
    }

    /// The only Redis.
    ///
    /// # Errors
    ///
    /// When the scenario has none.
    pub fn redis(&mut self) -> Result<&mut Server> {
        self.redis.as_mut().context("this scenario has no Redis")
    }

    /// Puts a proxy between each node made later and the only Redis.
    pub fn proxy_redis(&mut self) {
        self.settings.push(("proxied".to_owned(), String::new()));
    }

    /// Starts `count` nodes with a proxy before each.
    ///
    /// # Errors
    ///
    /// When one is not ready in time.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub async fn start_nodes(&mut self, count: usize) -> Result<()> {
        let proxied = self.settings.iter().any(|(key, _)| key == "proxied");
        for number in 1..=count {
            let mut settings = self.settings.clone();
            settings.retain(|(key, _)| key != "proxied");
            if let Some(redis) = self.redis.as_ref().filter(|_| proxied) {
                let proxy = Proxy::start(redis.address()).await?;
                let url = format!("redis://{}", proxy.address);
                settings.push(("redis.url".to_owned(), url));
                self.redis_proxies.push(proxy);
            }
            let id = format!("n{number}");
            let mut node = Node::new(&id, &self.folder, &settings, &self.node_history)?;
            node.start().await?;
            self.client_proxies.push(Proxy::start(node.public).await?);
            self.nodes.push(node);
        }
        Ok(())
    }

    /// The load that the parameters ask for.
    #[must_use]
    pub fn shape(&self) -> Shape {
        Shape {
            clients: self.params.clients,
            rate: self.params.rate,
            padding: 200,
            churn: (self.params.rate / 20.0).max(1.0),
            stalling: (0, Duration::ZERO),
        }
    }

    /// Starts the load; with `through_proxies` clients come through the proxies.
    ///
    /// # Errors
    ///
    /// When members can't be made or clients can't connect.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub async fn start_load(&mut self, shape: Shape, through_proxies: bool) -> Result<()> {
        let dials = self.nodes.iter().zip(&self.client_proxies);
        let targets = dials.map(|(node, proxy)| Target {
            node: node.id.clone(),
            dial: if through_proxies { proxy.address } else { node.public },
            internal: node.internal,
            up: true.into(),
            paused: false.into(),
        });
        self.load = Some(Load::start(&self.history, targets.collect(), shape).await?);
        Ok(())
    }

    /// What the tasks of the load share.
    ///
    /// # Errors
    ///
    /// When there is no load.
    pub fn shared(&self) -> Result<&Shared> {
        Ok(&self.load.as_ref().context("this scenario has no load")?.shared)
    }

    /// What the load counted.
    ///
    /// # Errors
    ///
    /// When there is no load.
    pub fn stats(&self) -> Result<&Stats> {
        Ok(&self.shared()?.stats)
    }

    /// Lets time pass, watching the nodes.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub async fn pass(&mut self, seconds: f64) {
        let until = Instant::now() + Duration::from_secs_f64(seconds);
        loop {
            self.nodes.iter_mut().for_each(|node| {
                node.sample();
            });
            let now = Instant::now();
            let left = until.saturating_duration_since(now);
            if left.is_zero() {
                return;
            }
            let nap = left.min(Duration::from_millis(100));
            sleep(nap).await;
            self.late_ms.push(now.elapsed().saturating_sub(nap).as_secs_f64() * 1000.0);
        }
    }

    /// Notes that something is broken.
    pub fn inject(&self, fault: &str) {
        self.note_fault("inject", fault, self.lossy);
    }

    /// Notes that it is whole again.
    pub fn heal(&self, fault: &str) {
        self.note_fault("heal", fault, false);
    }

    fn note_fault(&self, what: &str, fault: &str, lossy: bool) {
        self.faults.write(json!({"op": "fault", "what": what, "fault": fault, "lossy": lossy}));
    }

    /// The node with this index.
    ///
    /// # Errors
    ///
    /// When there is none.
    pub fn node(&mut self, index: usize) -> Result<&mut Node> {
        self.nodes.get_mut(index).context("no such node")
    }

    /// Says whether a load balancer sends clients and publishers to a node.
    ///
    /// # Errors
    ///
    /// When there is no such node.
    pub fn set_up(&mut self, index: usize, up: bool) -> Result<()> {
        let id = self.node(index)?.id.clone();
        if let Some(load) = &self.load {
            load.shared.set_up(&id, up);
        }
        Ok(())
    }

    /// Kills a node.
    ///
    /// # Errors
    ///
    /// When it had ended by itself.
    ///
    /// # Cancel safety
    ///
    /// It may be killed though nobody waited for it.
    pub async fn kill_node(&mut self, index: usize) -> Result<()> {
        self.set_up(index, false)?;
        self.inject("node_kill");
        self.node(index)?.kill().await
    }

    /// Starts a node again.
    ///
    /// # Errors
    ///
    /// When it is not ready in time.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub async fn restart_node(&mut self, index: usize) -> Result<Duration> {
        let took = self.node(index)?.start().await?;
        self.set_up(index, true)?;
        self.heal("node_kill");
        Ok(took)
    }

    /// Sends a signal to a node.
    ///
    /// # Errors
    ///
    /// When it had ended by itself.
    pub fn signal_node(&mut self, index: usize, signal: Signal, what: &str) -> Result<()> {
        self.node(index)?.signal(signal, what)
    }

    /// Offset and tag of every acknowledged event, as publishers wrote them down.
    ///
    /// # Errors
    ///
    /// When the histories can't be read.
    pub fn acked(&self) -> Result<Vec<(u64, String)>> {
        let mut found = Vec::new();
        for file in std::fs::read_dir(self.history.folder())? {
            let file = file?;
            if !file.file_name().to_string_lossy().starts_with("publisher-") {
                continue;
            }
            for line in std::fs::read_to_string(file.path())?.lines() {
                let record: Value = serde_json::from_str(line)?;
                let position = record.get("pos");
                let offset = position.and_then(|pos| pos.get("offset")).and_then(Value::as_u64);
                let tag = position.and_then(|pos| pos.get("tag")).and_then(Value::as_str);
                found.extend(offset.zip(tag.map(str::to_owned)));
            }
        }
        Ok(found)
    }

    /// What became of it.
    #[must_use]
    pub fn outcome(self) -> Outcome {
        Outcome { failures: self.failures, facts: self.facts }
    }
}
