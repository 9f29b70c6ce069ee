//! A Redis Cluster of three primaries, and the migration of a slot.

use std::{path::Path, time::Duration};

use anyhow::{Context as _, Result, bail};

use super::{Options, Server};
use crate::system::{free_port, until};

/// The slots of a cluster.
const SLOTS: u16 = 16384;

const PATIENCE: Duration = Duration::from_secs(30);

/// Three primaries without replicas.
#[derive(Debug)]
pub struct Cluster {
    /// The servers.
    pub servers: Vec<Server>,
}

impl Cluster {
    /// Starts the servers, gives each a third of the slots, and waits until all agree.
    ///
    /// # Errors
    ///
    /// When they do not start or do not find each other.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: everything ends.
    pub async fn start(folder: &Path, options: &Options) -> Result<Self> {
        let mut servers = Vec::new();
        let mut buses = Vec::new();
        for number in 0..3 {
            let bus = free_port()?;
            let options = options
                .clone()
                .with("cluster-enabled", "yes")
                .with("cluster-port", &bus.to_string())
                .with("cluster-node-timeout", "3000");
            servers.push(Server::start(folder, &format!("redis-{number}"), options).await?);
            buses.push(bus);
        }
        let third = SLOTS / 3;
        for (number, server) in (0..).zip(&servers) {
            let first = third * number;
            let last = if number == 2 { SLOTS - 1 } else { first + third - 1 };
            let (first, last) = (first.to_string(), last.to_string());
            server.command(&["CLUSTER", "ADDSLOTSRANGE", &first, &last]).await?;
        }
        let meeting = servers.first().context("a server")?;
        for (server, bus) in servers.iter().zip(&buses).skip(1) {
            let (port, bus) = (server.port.to_string(), bus.to_string());
            meeting.command(&["CLUSTER", "MEET", "127.0.0.1", &port, &bus]).await?;
        }
        for server in &servers {
            let agrees = || async {
                let text = server.command(&["CLUSTER", "INFO"]).await.unwrap_or_else(|_| no());
                let text = text.text();
                text.contains("cluster_state:ok") && text.contains("cluster_known_nodes:3")
            };
            until("the cluster is complete", PATIENCE, agrees).await?;
        }
        Ok(Self { servers })
    }

    /// The URL list of the servers, as `redis.url` takes it.
    #[must_use]
    pub fn url(&self) -> String {
        let urls = self.servers.iter().map(|server| format!("redis://127.0.0.1:{}", server.port));
        urls.collect::<Vec<_>>().join(",")
    }

    /// The slot of `key`, and the index of its owner.
    ///
    /// # Errors
    ///
    /// When nobody owns it.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub async fn owner(&self, key: &str) -> Result<(String, usize)> {
        let first = self.servers.first().context("a server")?;
        let slot = first.command(&["CLUSTER", "KEYSLOT", key]).await?.text();
        for (index, server) in self.servers.iter().enumerate() {
            if server
                .command(&["GET", key])
                .await
                .map_or_else(|error| !error.to_string().contains("MOVED"), |_| true)
            {
                return Ok((slot, index));
            }
        }
        bail!("nobody owns slot {slot}")
    }

    /// Moves the slot of `key` with all its keys to the next server, as `redis-cli
    /// --cluster reshard` does.
    ///
    /// # Errors
    ///
    /// When a server refuses a step.
    ///
    /// # Cancel safety
    ///
    /// Not cancel safe: the slot may be left in between.
    pub async fn migrate(&self, key: &str) -> Result<(usize, usize)> {
        let (slot, from) = self.owner(key).await?;
        let to = (from + 1) % self.servers.len();
        let (source, target) = (self.server(from)?, self.server(to)?);
        let source_id = source.command(&["CLUSTER", "MYID"]).await?.text();
        let target_id = target.command(&["CLUSTER", "MYID"]).await?.text();
        target.command(&["CLUSTER", "SETSLOT", &slot, "IMPORTING", &source_id]).await?;
        source.command(&["CLUSTER", "SETSLOT", &slot, "MIGRATING", &target_id]).await?;
        let port = target.port.to_string();
        loop {
            let keys = source.command(&["CLUSTER", "GETKEYSINSLOT", &slot, "20"]).await?;
            if keys.list().is_empty() {
                break;
            }
            let keys: Vec<String> = keys.list().iter().map(crate::resp::Value::text).collect();
            let mut words = vec!["MIGRATE", "127.0.0.1", &port, "", "0", "5000", "KEYS"];
            words.extend(keys.iter().map(String::as_str));
            source.command(&words).await?;
        }
        for server in [target, source].into_iter().chain(self.rest(from, to)) {
            server.command(&["CLUSTER", "SETSLOT", &slot, "NODE", &target_id]).await?;
        }
        Ok((from, to))
    }

    fn server(&self, index: usize) -> Result<&Server> {
        self.servers.get(index).context("a server")
    }

    fn rest(&self, from: usize, to: usize) -> impl Iterator<Item = &Server> {
        let numbered = self.servers.iter().enumerate();
        numbered.filter(move |(index, _)| ![from, to].contains(index)).map(|(_, server)| server)
    }
}

fn no() -> crate::resp::Value {
    crate::resp::Value::Nil
}
