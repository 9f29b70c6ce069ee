//! A primary, its replicas, and the sentinels that choose another primary.

use std::{path::Path, time::Duration};

use anyhow::{Context as _, Result};
use tokio::process::Command;

use super::{Options, Server};
use crate::{
    process::Process,
    resp::Client,
    system::{free_port, until},
};

/// The name of the primary at the sentinels.
pub const WATCHED: &str = "hubbub";

const PATIENCE: Duration = Duration::from_secs(30);

/// The servers and their sentinels.
#[derive(Debug)]
pub struct Sentinels {
    /// The first was the primary at the start.
    pub servers: Vec<Server>,
    /// The ports of the sentinels.
    pub ports: Vec<u16>,
    _sentinels: Vec<Process>,
}

impl Sentinels {
    /// Starts `replicas` + 1 servers with `options` and `sentinels` sentinels (down after
    /// two seconds), and waits until each knows all others.
    ///
    /// # Errors
    ///
    /// When they do not start or do not find each other.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: everything ends.
    pub async fn start(
        folder: &Path,
        replicas: usize,
        sentinels: usize,
        options: &Options,
    ) -> Result<Self> {
        let primary = Server::start(folder, "redis-0", options.clone()).await?;
        let primary_port = primary.port;
        let mut servers = vec![primary];
        for number in 1..=replicas {
            let mut options = options.clone();
            options.replica_of = Some(primary_port);
            servers.push(Server::start(folder, &format!("redis-{number}"), options).await?);
        }
        for replica in servers.iter().skip(1) {
            replica.follows().await?;
        }
        let mut all = Self { servers, ports: Vec::new(), _sentinels: Vec::new() };
        for number in 0..sentinels {
            all.add_sentinel(folder, number, sentinels / 2 + 1).await?;
        }
        for port in &all.ports {
            let known = || async {
                let words = ["SENTINEL", "MASTER", WATCHED];
                let fields = ask(*port, &words).await.unwrap_or_default();
                let field = |name: &str| {
                    let at = fields.iter().position(|field| field == name);
                    at.and_then(|at| fields.get(at + 1)).cloned().unwrap_or_default()
                };
                field("num-slaves") == replicas.to_string()
                    && field("num-other-sentinels") == (sentinels - 1).to_string()
            };
            until("the sentinels know each other", PATIENCE, known).await?;
        }
        Ok(all)
    }

    async fn add_sentinel(&mut self, folder: &Path, number: usize, quorum: usize) -> Result<()> {
        let folder = folder.join(format!("sentinel-{number}"));
        std::fs::create_dir_all(&folder)?;
        let port = free_port()?;
        let primary = self.servers.first().context("a primary")?.port;
        let file = folder.join("sentinel.conf");
        let text = format!(
            "port {port}\nbind 127.0.0.1\ndir {}\n\
             sentinel monitor {WATCHED} 127.0.0.1 {primary} {quorum}\n\
             sentinel down-after-milliseconds {WATCHED} 2000\n\
             sentinel failover-timeout {WATCHED} 5000\n\
             sentinel parallel-syncs {WATCHED} 2\n",
            folder.display()
        );
        std::fs::write(&file, text)?;
        let mut command = Command::new("redis-sentinel");
        command.arg(&file);
        let name = format!("sentinel-{number}");
        self._sentinels.push(Process::start(&name, command, &folder.join("log"))?);
        self.ports.push(port);
        let answers = || async { ask(port, &["SENTINEL", "MYID"]).await.is_ok() };
        until(&format!("{name} answers"), PATIENCE, answers).await?;
        Ok(())
    }

    /// The URL list of the sentinels, as `redis.url` takes it.
    #[must_use]
    pub fn url(&self) -> String {
        let urls = self.ports.iter().map(|port| format!("redis://127.0.0.1:{port}"));
        urls.collect::<Vec<_>>().join(",")
    }

    /// The index of the server that the first sentinel calls the primary.
    ///
    /// # Errors
    ///
    /// When it does not answer or names another server.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub async fn primary(&self) -> Result<usize> {
        let port = *self.ports.first().context("a sentinel")?;
        let address = ask(port, &["SENTINEL", "GET-MASTER-ADDR-BY-NAME", WATCHED]).await?;
        let port = address.get(1).context("no primary")?;
        let found = self.servers.iter().position(|server| server.port.to_string() == *port);
        found.with_context(|| format!("an unknown primary: {address:?}"))
    }

    /// Waits until another server than `old` is the primary, and says so itself.
    ///
    /// # Errors
    ///
    /// When there is none in time.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub async fn failed_over(&self, old: usize) -> Result<(usize, Duration)> {
        let promoted = || async {
            let Ok(index) = self.primary().await else { return false };
            let Some(server) = self.servers.get(index).filter(|_| index != old) else {
                return false;
            };
            server.info("replication", "role").await.is_ok_and(|role| role == "master")
        };
        let took = until("a new primary", PATIENCE, promoted).await?;
        Ok((self.primary().await?, took))
    }

    /// Orders a failover.
    ///
    /// # Errors
    ///
    /// When the sentinel refuses.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe; whether it happens is open.
    pub async fn order_failover(&self) -> Result<()> {
        let port = *self.ports.first().context("a sentinel")?;
        Client::connect(port).await?.command(&["SENTINEL", "FAILOVER", WATCHED]).await?;
        Ok(())
    }
}

async fn ask(port: u16, words: &[&str]) -> Result<Vec<String>> {
    let answer = Client::connect(port).await?.command(words).await?;
    Ok(answer.list().iter().map(crate::resp::Value::text).collect())
}
