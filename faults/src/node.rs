//! Nodes: `hubbub serve` as processes with fixed addresses.

use std::{net::SocketAddr, path::Path, path::PathBuf, time::Duration};

use anyhow::{Context as _, Result, bail};
use serde_json::{Value, json};
use tokio::process::Command;

use crate::{
    history::Writer,
    http::Http,
    process::{Process, Signal},
    system::{binary, free_port, until},
};

/// The key of the server API on every node.
pub const API_KEY: &str = "faults-api-key-0123456789abcdef0123";
/// The secret that signs tokens.
pub const SECRET: &str = "faults-secret-0123456789abcdef012345";

/// A node is ready in this time, or its start has failed.
const START: Duration = Duration::from_secs(30);

/// What makes the log of a node say that something broke inside.
const BROKEN: &[&str] = &["panicked at", "stack backtrace", "fatal runtime error", "SIGABRT"];

/// A node that can be killed and started again.
#[derive(Debug)]
pub struct Node {
    /// `node.id`.
    pub id: String,
    /// The public listener.
    pub public: SocketAddr,
    /// The internal listener.
    pub internal: SocketAddr,
    binary: PathBuf,
    settings: Vec<(String, String)>,
    log: PathBuf,
    process: Option<Process>,
    history: Writer,
    /// Highest resident memory in bytes and highest number of files.
    pub peak: (u64, u64),
}

/// Settings that let a few processes stand for thousands of users.
const RAISED: &[(&str, &str)] = &[
    ("limits.connections_per_ip", "0"),
    ("limits.connections_per_user", "0"),
    ("limits.handshakes_per_second", "100000"),
    ("limits.handshakes_burst", "100000"),
    ("limits.resumes_per_second", "1000"),
    ("limits.resumes_burst", "1000"),
    ("limits.auth_failures_per_second", "1000"),
    ("limits.api_events_per_second", "1000000"),
    ("limits.ping_interval", "5s"),
    ("limits.pong_timeout", "5s"),
    ("shutdown.drain", "5s"),
    ("telemetry.log_format", "text"),
];

impl Node {
    /// A node that is not started. `settings` are keys and values of its configuration.
    ///
    /// # Errors
    ///
    /// When there is no program, or no free port.
    pub fn new(
        id: &str,
        folder: &Path,
        settings: &[(String, String)],
        history: &Writer,
    ) -> Result<Self> {
        let raised = RAISED.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
        let address = || free_port().map(|port| SocketAddr::from(([127, 0, 0, 1], port)));
        Ok(Self {
            id: id.to_owned(),
            public: address()?,
            internal: address()?,
            binary: binary("HUBBUB_BINARY", "hubbub")?,
            settings: raised.chain(settings.iter().cloned()).collect(),
            log: folder.join(format!("{id}.log")),
            process: None,
            history: history.clone(),
            peak: (0, 0),
        })
    }

    fn note(&self, what: &str) {
        self.history.write(json!({"op": "node", "what": what, "node": self.id}));
    }

    /// Starts it and does not wait.
    ///
    /// # Errors
    ///
    /// When the program can't be started.
    pub fn launch(&mut self) -> Result<()> {
        let mut command = Command::new(&self.binary);
        command.arg("serve").env_clear();
        for name in ["PATH", "RUST_BACKTRACE"] {
            command.envs(crate::system::variable(name).map(|value| (name, value)));
        }
        let mut set = |key: &str, value: &str| {
            let name = format!("HUBBUB_{}", key.to_uppercase().replace('.', "__"));
            command.env(name, value);
        };
        set("node.id", &self.id);
        set("public.listen", &self.public.to_string());
        set("internal.listen", &self.internal.to_string());
        set("auth.secret", SECRET);
        set("internal.api_key", API_KEY);
        self.settings.iter().for_each(|(key, value)| set(key, value));
        self.note("start");
        self.process = Some(Process::start(&self.id, command, &self.log)?);
        Ok(())
    }

    /// Starts it and waits until it is ready.
    ///
    /// # Errors
    ///
    /// When it ends, or is not ready in time; the error shows the end of its log.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub async fn start(&mut self) -> Result<Duration> {
        self.launch()?;
        let address = self.internal;
        let ready = async || matches!(ready(address).await, Some((true, _)));
        let began = tokio::time::Instant::now();
        loop {
            if ready().await {
                self.note("ready");
                return Ok(began.elapsed());
            }
            let ended = self.process.as_mut().and_then(Process::ended);
            if ended.is_some() || began.elapsed() > START {
                let how = ended.unwrap_or_else(|| format!("not ready after {START:?}"));
                bail!("{}: {how}\n{}", self.id, self.tail(15));
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Waits until it is ready.
    ///
    /// # Errors
    ///
    /// When it is not in time.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub async fn ready(&self, patience: Duration) -> Result<Duration> {
        let address = self.internal;
        let is_ready = || async move { matches!(ready(address).await, Some((true, _))) };
        until(&format!("{} is ready", self.id), patience, is_ready).await
    }

    /// Waits until it says that it is not ready, and returns how long that took and why.
    ///
    /// # Errors
    ///
    /// When it does not in time.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub async fn not_ready(&self, patience: Duration) -> Result<(Duration, Value)> {
        let address = self.internal;
        let unready = || async move { matches!(ready(address).await, Some((false, _))) };
        let took = until(&format!("{} is not ready", self.id), patience, unready).await?;
        Ok((took, ready(address).await.map(|(_, reasons)| reasons).unwrap_or_default()))
    }

    /// Whether it runs.
    pub fn is_running(&mut self) -> bool {
        self.process.as_mut().is_some_and(|process| process.ended().is_none())
    }

    fn process(&mut self) -> Result<&mut Process> {
        let id = &self.id;
        self.process.as_mut().with_context(|| format!("{id} is not running"))
    }

    /// Kills it at once.
    ///
    /// # Errors
    ///
    /// When it has ended before.
    ///
    /// # Cancel safety
    ///
    /// It may be killed though nobody waited for it.
    pub async fn kill(&mut self) -> Result<()> {
        self.process()?.kill().await?;
        self.note("kill");
        self.process = None;
        Ok(())
    }

    /// Sends a signal.
    ///
    /// # Errors
    ///
    /// When it has ended.
    pub fn signal(&mut self, signal: Signal, what: &str) -> Result<()> {
        self.process()?.signal(signal)?;
        self.note(what);
        Ok(())
    }

    /// Waits until it has ended, and returns its exit code.
    ///
    /// # Errors
    ///
    /// When it does not in time.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub async fn ended(&mut self, patience: Duration) -> Result<Option<i32>> {
        let code = self.process()?.code(patience).await?;
        self.note("ended");
        self.process = None;
        Ok(code)
    }

    /// Notes how much memory and how many files it uses.
    pub fn sample(&mut self) -> Option<(u64, u64)> {
        let (rss, files) = self.process.as_ref()?.sample()?;
        self.peak = (self.peak.0.max(rss), self.peak.1.max(files));
        Some((rss, files))
    }

    /// The last lines of its log.
    #[must_use]
    pub fn tail(&self, lines: usize) -> String {
        let text = std::fs::read_to_string(&self.log).unwrap_or_default();
        let all: Vec<&str> = text.lines().collect();
        all.get(all.len().saturating_sub(lines)..).unwrap_or_default().join("\n")
    }

    /// The whole log.
    #[must_use]
    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// The lines of its log that tell of a panic or an abort.
    #[must_use]
    pub fn panics(&self) -> Vec<String> {
        let log = self.log();
        let is_bad = |line: &&str| BROKEN.iter().any(|word| line.contains(word));
        log.lines().filter(is_bad).map(|line| format!("{}: {line}", self.id)).collect()
    }
}

/// What `/ready` says, with the reasons; `None` without an answer.
pub async fn ready(address: SocketAddr) -> Option<(bool, Value)> {
    let asked = Http::new(API_KEY).ask(address, "GET /ready", "", Duration::from_secs(1)).await;
    let reply = asked.ok()?;
    Some((reply.status == 200, reply.json().get("reasons").cloned().unwrap_or_default()))
}
