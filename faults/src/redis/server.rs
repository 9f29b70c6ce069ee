//! One `redis-server`, or a program that is compatible with it.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context as _, Result};
use tokio::process::Command;

use crate::{
    process::{Process, Signal},
    resp::{Client, Value},
    system::{free_port, until, variable},
};

/// A server starts, loads and stops faster than this.
const PATIENCE: Duration = Duration::from_secs(20);

/// What is written to disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Persistence {
    /// Nothing: a restart begins empty.
    None,
    /// An append-only file, synchronised every second.
    EverySecond,
}

/// How a server is started.
#[derive(Debug, Clone)]
pub struct Options {
    /// The program: what `REDIS_SERVER` names, or else `redis-server`.
    pub binary: PathBuf,
    /// What is written to disk.
    pub persistence: Persistence,
    /// The port of the primary that it follows.
    pub replica_of: Option<u16>,
    /// More settings: names and values.
    pub settings: Vec<(String, String)>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            binary: variable("REDIS_SERVER").map_or("redis-server".into(), PathBuf::from),
            persistence: Persistence::None,
            replica_of: None,
            settings: Vec::new(),
        }
    }
}

impl Options {
    /// These options with one more setting.
    #[must_use]
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.settings.push((name.to_owned(), value.to_owned()));
        self
    }
}

/// A server with a fixed port.
#[derive(Debug)]
pub struct Server {
    name: String,
    /// Its port.
    pub port: u16,
    folder: PathBuf,
    options: Options,
    process: Option<Process>,
}

impl Server {
    /// Starts a server in a folder of its own below `folder` and waits until it answers.
    ///
    /// # Errors
    ///
    /// When it does not start.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: the server ends.
    pub async fn start(folder: &Path, name: &str, options: Options) -> Result<Self> {
        let folder = folder.join(name);
        std::fs::create_dir_all(&folder)?;
        let port = free_port()?;
        let mut server = Self { name: name.to_owned(), port, folder, options, process: None };
        server.restart().await?;
        Ok(server)
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], self.port))
    }

    /// Starts it again, on the same port and files, and waits until it answers.
    ///
    /// # Errors
    ///
    /// When it does not start.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub async fn restart(&mut self) -> Result<()> {
        let mut command = Command::new(&self.options.binary);
        let port = self.port.to_string();
        let folder = self.folder.to_string_lossy().into_owned();
        command.args(["--port", &port, "--bind", "127.0.0.1", "--dir", &folder]);
        command.args(["--save", "", "--daemonize", "no", "--repl-diskless-sync-delay", "0"]);
        command.args(["--enable-debug-command", "local", "--repl-ping-replica-period", "1"]);
        match self.options.persistence {
            Persistence::None => command.args(["--appendonly", "no"]),
            Persistence::EverySecond => {
                command.args(["--appendonly", "yes", "--appendfsync", "everysec"])
            }
        };
        if let Some(primary) = self.options.replica_of {
            command.args(["--replicaof", "127.0.0.1", &primary.to_string()]);
        }
        for (name, value) in &self.options.settings {
            command.arg(format!("--{name}")).args(value.split(' '));
        }
        self.process = Some(Process::start(&self.name, command, &self.folder.join("log"))?);
        let this = &*self;
        until(&format!("{} answers", self.name), PATIENCE, || this.answers()).await?;
        Ok(())
    }

    async fn answers(&self) -> bool {
        let pong = self.command(&["PING"]).await;
        pong.is_ok_and(|pong| pong.text() == "PONG")
    }

    fn process(&mut self) -> Result<&mut Process> {
        let name = &self.name;
        self.process.as_mut().with_context(|| format!("{name} is not running"))
    }

    /// Sends a signal.
    ///
    /// # Errors
    ///
    /// When it does not run.
    pub fn signal(&mut self, signal: Signal) -> Result<()> {
        self.process()?.signal(signal)
    }

    /// Kills it at once.
    ///
    /// # Errors
    ///
    /// When it does not run.
    ///
    /// # Cancel safety
    ///
    /// It may be killed though nobody waited for it.
    pub async fn kill(&mut self) -> Result<()> {
        self.process()?.kill().await
    }

    /// Sends one command on a connection of its own.
    ///
    /// # Errors
    ///
    /// When there is no answer, or an error.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe; whether the server acted is open.
    pub async fn command(&self, words: &[&str]) -> Result<Value> {
        Client::connect(self.port).await?.command(words).await
    }

    /// A field of `INFO`.
    ///
    /// # Errors
    ///
    /// When there is no answer, or no such field.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub async fn info(&self, section: &str, field: &str) -> Result<String> {
        let text = self.command(&["INFO", section]).await?.text();
        let mut lines = text.lines().filter_map(|line| line.split_once(':'));
        let found = lines.find(|(name, _)| *name == field).map(|(_, value)| value.to_owned());
        found.with_context(|| format!("{} has no {field}", self.name))
    }

    /// Waits until it follows its primary.
    ///
    /// # Errors
    ///
    /// When it does not in time.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub async fn follows(&self) -> Result<()> {
        let up = || async {
            self.info("replication", "master_link_status").await.is_ok_and(|state| state == "up")
        };
        until(&format!("{} follows", self.name), PATIENCE, up).await?;
        Ok(())
    }
}
