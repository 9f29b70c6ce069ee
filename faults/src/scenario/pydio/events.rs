//! The workspace of all clients, and who publishes events about it.

use std::{
    net::SocketAddr,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use anyhow::{Context as _, Result, bail, ensure};
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::time::{Instant, MissedTickBehavior, interval_at, sleep};

use super::{Stage, client::Seen};
use crate::{http::Http, node::API_KEY};

/// How many publish at once.
pub(super) const PUBLISHERS: u32 = 12;

/// When an event is given up.
const GIVE_UP: Duration = Duration::from_secs(60);

const PATIENCE: Duration = Duration::from_secs(5);

impl Stage {
    /// The listeners of any node.
    pub(super) fn any_node(&self) -> Result<(SocketAddr, SocketAddr)> {
        fastrand::choice(&self.nodes).copied().context("there is no node")
    }

    pub(super) fn seen(&self, number: usize) -> Result<&Mutex<Seen>> {
        self.clients.get(number).context("no such client")
    }
}

/// Makes the workspace, with every client in it.
pub(super) async fn make_workspace(stage: &Stage) -> Result<()> {
    let mut http = Http::new(API_KEY);
    let (_, node) = stage.any_node()?;
    let workspace = json!({"label": "all", "roots": [{"uuid": "root", "path": "all"}]});
    let request = "PUT /api/v1/pydio/workspaces/all";
    let made = http.ask(node, request, &workspace.to_string(), PATIENCE).await?;
    ensure!(made.status == 200, "no workspace: {}", made.body);
    let users: Vec<String> = (0..stage.clients.len()).map(|number| format!("u{number}")).collect();
    let members = json!({"topic": {"workspace": "all"}, "add": users});
    let joined = http.post(node, "/api/v1/members", &members).await?;
    ensure!(joined.status == 200, "no members: {}", joined.body);
    Ok(())
}

/// Publishes its part of `rate` events a second, one after the other, until it is quiet.
pub(super) async fn publish(stage: Arc<Stage>, number: u32, rate: f64) -> Result<()> {
    let mut http = Http::new(API_KEY);
    let pace = Duration::from_secs_f64(f64::from(PUBLISHERS) / rate.max(0.1));
    let mut ticks = interval_at(Instant::now() + pace.mul_f64(fastrand::f64()), pace);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let mut count = 0;
    while !stage.is_quiet.load(Ordering::Relaxed) {
        ticks.tick().await;
        let name = format!("p{number}-{count}");
        let offset = publish_one(&stage, &mut http, &name).await?;
        stage.acknowledged.lock().push((offset, name));
        count += 1;
    }
    Ok(())
}

/// Publishes until it is acknowledged, on any node, and returns where it is in the log.
async fn publish_one(stage: &Stage, http: &mut Http, name: &str) -> Result<u64> {
    let source = json!({"Uuid": name, "Path": format!("all/{name}"), "Type": "LEAF"});
    // Nothing waits for such an event: it is one record, and one push.
    let payload = json!({"Type": "DELETE", "Source": source});
    let event = json!({"topic": "tree", "payload": payload, "id": name});
    let began = Instant::now();
    while began.elapsed() < GIVE_UP {
        let (_, node) = stage.any_node()?;
        match http.post(node, "/api/v1/pydio/events", &event).await {
            Ok(reply) if reply.status == 200 => {
                let answer = reply.json();
                let offset = answer.pointer("/position/offset").and_then(Value::as_u64);
                return offset.with_context(|| format!("no place of {name}: {answer}"));
            }
            Ok(reply) if reply.status != 429 && reply.status < 500 => {
                bail!("{name} was refused: {} {}", reply.status, reply.body)
            }
            Ok(_) | Err(_) => {}
        }
        stage.retried.fetch_add(1, Ordering::Relaxed);
        sleep(Duration::from_millis(fastrand::u64(25..=100))).await;
    }
    bail!("{name} was given up")
}
