//! One run of a scenario: what it started, what it saw, what it demands.

use std::{
    fmt::Display,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context as _, Result};
use serde_json::json;
use tokio::time::{Instant, sleep, timeout};

use crate::{
    check::check,
    history::{History, Writer},
    load::{Load, Shape, Shared, Stats, Target, agrees, percentile},
    node::Node,
    process::Signal,
    proxy::Proxy,
    redis::{Cluster, Options, Sentinels, Server},
};

/// After the last fault everything must be right again in this time.
const LIVE: Duration = Duration::from_secs(10);
/// Presence must be right after this time.
const PRESENCE: Duration = Duration::from_secs(20);

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
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            sleep(left.min(Duration::from_millis(500))).await;
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

    /// Ends the load and makes the demands that every scenario makes.
    ///
    /// # Errors
    ///
    /// When a task of the load failed.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub async fn settle(&mut self) -> Result<()> {
        let mut load = self.load.take().context("this scenario has no load")?;
        let quiet = timeout(Duration::from_secs(90), load.quiet()).await;
        let settled = match quiet {
            Err(_) => Err(anyhow::anyhow!("publishers do not end")),
            Ok(Err(error)) => Err(error),
            Ok(Ok(())) => self.converge(&load).await,
        };
        self.expect(settled.is_ok(), format_args!("the end of the load: {settled:?}"));
        timeout(Duration::from_secs(20), load.end()).await.context("clients do not end")??;
        self.faults.flush()?;
        self.node_history.flush()?;
        self.load = Some(load);
        self.judge_nodes();
        self.judge_load()?;
        self.judge_history().await
    }

    /// Waits until clients, log and presence are as they should be.
    async fn converge(&mut self, load: &Load) -> Result<()> {
        load.connected(Duration::from_secs(30)).await?;
        let (took, missing) = load.barrier(LIVE).await?;
        self.fact("barrier_ms", took.as_millis());
        let some: Vec<&String> = missing.iter().take(3).collect();
        self.expect(missing.is_empty(), format_args!("I-LIVE: {} behind: {some:?}", missing.len()));
        let began = Instant::now();
        let mut wrong = agrees(&load.shared).await;
        while !wrong.is_empty() && began.elapsed() < PRESENCE {
            self.pass(0.5).await;
            wrong = agrees(&load.shared).await;
        }
        self.fact("presence_ms", began.elapsed().as_millis());
        let some: Vec<&String> = wrong.iter().take(3).collect();
        self.expect(wrong.is_empty(), format_args!("I-PRE: {} wrong: {some:?}", wrong.len()));
        Ok(())
    }

    fn judge_nodes(&mut self) {
        let mut found = Vec::new();
        let mut peak = (0, 0);
        for node in &mut self.nodes {
            found.extend(node.panics().into_iter().take(3).map(|line| format!("I-NOPANIC: {line}")));
            if !node.is_running() {
                found.push(format!("{} has ended by itself:\n{}", node.id, node.tail(8)));
            }
            peak = (peak.0.max(node.peak.0), peak.1.max(node.peak.1));
        }
        self.failures.extend(found);
        self.fact("rss_mib", peak.0 / 1024 / 1024);
        self.fact("files", peak.1);
    }

    fn judge_load(&mut self) -> Result<()> {
        let stats = self.stats()?;
        let of = Stats::of;
        let violations = stats.violations.lock().clone();
        let (resets, lossy) = (of(&stats.resets), self.lossy);
        let delivery: Vec<f64> = stats.delivery_ms.lock().iter().map(|(_, took)| *took).collect();
        let resume = stats.resume_ms.lock().clone();
        let closes = format!("{:?}", stats.closes.lock()).replace(' ', "");
        let facts = [
            ("published", of(&stats.published)),
            ("retried", of(&stats.attempts_failed)),
            ("duplicates", of(&stats.duplicates)),
            ("given_up", of(&stats.given_up)),
            ("changed", of(&stats.changed)),
            ("delivered", of(&stats.delivered)),
            ("resumes", of(&stats.resumes)),
            ("resets", resets),
        ];
        for (name, value) in facts {
            self.fact(name, value);
        }
        self.fact("closes", closes);
        for (name, samples) in [("resume", &resume), ("delivery", &delivery)] {
            for (share, label) in [(0.5, "p50"), (0.99, "p99"), (1.0, "max")] {
                self.fact(&format!("{name}_{label}_ms"), percentile(samples, share).round());
            }
        }
        let some: Vec<&String> = violations.iter().take(5).collect();
        self.expect(violations.is_empty(), format_args!("{} violations: {some:#?}", violations.len()));
        self.expect(lossy || resets == 0, format_args!("{resets} resets, though nothing was lost"));
        Ok(())
    }

    async fn judge_history(&mut self) -> Result<()> {
        let verdict = check(self.history.folder()).await?;
        let Some(verdict) = verdict else {
            self.fact("check", "absent");
            return Ok(());
        };
        self.fact("check", if verdict.holds { "holds" } else { "FAILED" });
        std::fs::write(self.folder.join("verdict"), &verdict.text)?;
        let lines: Vec<&str> = verdict.text.lines().take(12).collect();
        self.expect(verdict.holds, format_args!("hubbub-check: {}", lines.join("\n  ")));
        Ok(())
    }

    /// What became of it.
    #[must_use]
    pub fn outcome(self) -> Outcome {
        Outcome { failures: self.failures, facts: self.facts }
    }
}
