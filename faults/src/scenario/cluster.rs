//! Redis Cluster: the usual faults, and a slot that moves.

use anyhow::{Context as _, Result};

use super::{any_node, plain};
use crate::{redis::Cluster, run::Run};

/// A key of the realm; its slot is the realm's slot.
const KEY: &str = "hb:{default}:m";

async fn stage(run: &mut Run) -> Result<()> {
    let folder = run.folder.clone();
    let cluster = Cluster::start(&folder, &plain()).await?;
    run.set("redis.url", &cluster.url());
    run.set("redis.mode", "cluster");
    run.cluster = Some(cluster);
    run.start_nodes(3).await?;
    let shape = run.shape();
    run.start_load(shape, false).await
}

pub(super) async fn basic(run: &mut Run) -> Result<()> {
    stage(run).await?;
    for _ in 0..(run.params.seconds / 12).max(1) {
        run.pass(4.0).await;
        let victim = any_node(run);
        run.kill_node(victim).await?;
        run.pass(2.0).await;
        run.restart_node(victim).await?;
        run.inject("connections_killed");
        for kind in ["pubsub", "normal"] {
            let cluster = run.cluster.as_ref().context("a cluster")?;
            for server in &cluster.servers {
                server.command(&["CLIENT", "KILL", "TYPE", kind]).await?;
            }
            run.pass(2.0).await;
        }
        run.heal("connections_killed");
    }
    run.settle().await
}

pub(super) async fn migration(run: &mut Run) -> Result<()> {
    stage(run).await?;
    for _ in 0..3 {
        run.pass(4.0).await;
        run.inject("slot_migration");
        let cluster = run.cluster.as_ref().context("a cluster")?;
        let (from, to) = cluster.migrate(KEY).await?;
        run.heal("slot_migration");
        run.expect(from != to, "the slot did not move");
        run.pass(3.0).await;
    }
    run.settle().await
}
