//! One Redis: connections killed, frozen, restarted, full, refused, or Valkey.

use std::time::Duration;

use anyhow::{Context as _, Result};

use super::{any_node, plain, stage};
use crate::{
    load::{Stats, percentile},
    process::Signal,
    redis::{Options, Persistence},
    run::Run,
    system::{self, now_ms},
};

/// A gap after a lost subscription is filled in this time, beyond what events take anyway.
const GAP_MS: f64 = 250.0;

pub(super) async fn pubsub_killed(run: &mut Run) -> Result<()> {
    stage(run, plain()).await?;
    let mut kills = Vec::new();
    for _ in 0..(run.params.seconds / 5).max(1) {
        run.pass(4.0).await;
        run.inject("pubsub_killed");
        kills.push(now_ms());
        let killed = run.redis()?.command(&["CLIENT", "KILL", "TYPE", "pubsub"]).await?.text();
        run.expect(killed != "0", "there was no subscription to kill");
        run.pass(1.0).await;
        run.heal("pubsub_killed");
    }
    run.settle().await?;
    expect_small_gaps(run, &kills)
}

/// Compares the delays of events right after a kill with those of all others.
fn expect_small_gaps(run: &mut Run, kills: &[f64]) -> Result<()> {
    let samples = run.stats()?.delivery_ms.lock().clone();
    let is_near = |at: f64| kills.iter().any(|kill| (kill - 100.0..kill + 1500.0).contains(&at));
    let (near, far): (Vec<_>, Vec<_>) = samples.iter().partition(|(at, _)| is_near(*at));
    let delays = |some: Vec<(f64, f64)>| some.into_iter().map(|(_, took)| took).collect::<Vec<_>>();
    // The worst with the worst, so that a busy machine counts on both sides.
    let usual = percentile(&delays(far), 1.0);
    let worst = percentile(&delays(near), 1.0);
    run.fact("usual_max_ms", usual.round());
    run.fact("gap_max_ms", worst.round());
    let holds = worst <= usual + GAP_MS;
    run.expect(holds, format_args!("a gap took {worst:.0} ms, without one at most {usual:.0} ms"));
    Ok(())
}

pub(super) async fn normal_killed(run: &mut Run) -> Result<()> {
    stage(run, plain()).await?;
    for _ in 0..(run.params.seconds / 5).max(1) {
        run.pass(4.0).await;
        run.inject("normal_killed");
        let killed = run.redis()?.command(&["CLIENT", "KILL", "TYPE", "normal"]).await?.text();
        run.expect(killed != "0", "there was no connection to kill");
        run.pass(1.0).await;
        run.heal("normal_killed");
    }
    run.settle().await
}

pub(super) async fn stopped(run: &mut Run) -> Result<()> {
    stage(run, plain()).await?;
    run.pass(4.0).await;
    let sockets = run.stats()?.opened_at.lock().len();
    run.inject("redis_stopped");
    run.redis()?.signal(Signal::STOP)?;
    run.pass(5.0).await;
    run.redis()?.signal(Signal::CONT)?;
    run.heal("redis_stopped");
    for index in 0..3 {
        let took = run.node(index)?.ready(Duration::from_secs(10)).await?;
        run.fact(&format!("ready_{index}_ms"), took.as_millis());
    }
    let opened = run.stats()?.opened_at.lock().len() - sockets;
    run.expect(opened == 0, format_args!("{opened} clients lost their sockets"));
    run.pass(6.0).await;
    run.settle().await
}

pub(super) async fn client_pause(run: &mut Run) -> Result<()> {
    stage(run, plain()).await?;
    for what in ["WRITE", "ALL"] {
        run.pass(3.0).await;
        run.inject("client_pause");
        run.redis()?.command(&["CLIENT", "PAUSE", "3000", what]).await?;
        run.pass(4.0).await;
        run.heal("client_pause");
    }
    run.pass(3.0).await;
    run.settle().await
}

pub(super) async fn script_flush(run: &mut Run) -> Result<()> {
    stage(run, plain()).await?;
    run.pass(2.0).await;
    let before = Stats::of(&run.stats()?.attempts_failed);
    for _ in 0..(run.params.seconds / 2).max(1) {
        run.inject("script_flush");
        run.redis()?.command(&["SCRIPT", "FLUSH"]).await?;
        run.pass(2.0).await;
        run.heal("script_flush");
    }
    let failed = Stats::of(&run.stats()?.attempts_failed) - before;
    run.expect(failed == 0, format_args!("{failed} publishes were answered with an error"));
    run.settle().await
}

pub(super) async fn restart_everysec(run: &mut Run) -> Result<()> {
    let options = Options { persistence: Persistence::EverySecond, ..plain() };
    stage(run, options).await?;
    for _ in 0..2 {
        run.pass(5.0).await;
        run.inject("redis_restart");
        run.redis()?.kill().await?;
        run.pass(1.0).await;
        run.redis()?.restart().await?;
        run.heal("redis_restart");
    }
    for index in 0..3 {
        run.node(index)?.ready(Duration::from_secs(10)).await?;
    }
    run.pass(6.0).await;
    run.settle().await
}

pub(super) async fn maxmemory(run: &mut Run) -> Result<()> {
    stage(run, plain()).await?;
    run.pass(4.0).await;
    run.inject("maxmemory");
    run.redis()?.command(&["CONFIG", "SET", "maxmemory", "1mb"]).await?;
    run.pass(1.0).await;
    let full = Stats::of(&run.stats()?.published);
    run.pass(4.0).await;
    let while_full = Stats::of(&run.stats()?.published) - full;
    run.redis()?.command(&["CONFIG", "SET", "maxmemory", "0"]).await?;
    run.heal("maxmemory");
    run.pass(8.0).await;
    run.settle().await?;
    run.expect(while_full == 0, format_args!("{while_full} events acknowledged by a full Redis"));
    let later = Stats::of(&run.stats()?.published);
    run.expect(later > full, "publishing did not go on");
    Ok(())
}

pub(super) async fn config_refused(run: &mut Run) -> Result<()> {
    run.set("log.profile", "ha");
    let evicting = Options::default()
        .with("maxmemory", "64mb")
        .with("maxmemory-policy", "allkeys-lru")
        .with("min-replicas-to-write", "1");
    run.standalone(evicting).await?;
    let settings = run.settings.clone();
    let folder = run.folder.clone();
    let writer = crate::history::History::new(&folder.join("refused"))?.writer("nodes")?;
    let mut node = crate::node::Node::new("n1", &folder, &settings, &writer)?;
    node.launch()?;
    let code = node.ended(Duration::from_secs(20)).await;
    let log = node.log();
    let code = code.context("it runs on an evicting Redis")?;
    run.fact("code", format_args!("{code:?}"));
    run.expect(matches!(code, Some(1 | 2)), format_args!("it ended with {code:?}"));
    let names = log.contains("maxmemory-policy") && log.contains("noeviction");
    run.expect(names, format_args!("the reason is not told:\n{}", node.tail(10)));
    run.expect(node.panics().is_empty(), "it panicked");
    Ok(())
}

fn valkey_options() -> Result<Options> {
    let binary =
        system::valkey().context("no valkey-server: run scripts/setup, or set VALKEY_SERVER")?;
    Ok(Options { binary, ..plain() })
}

pub(super) async fn valkey(run: &mut Run) -> Result<()> {
    stage(run, valkey_options()?).await?;
    for _ in 0..(run.params.seconds / 12).max(1) {
        run.pass(4.0).await;
        let victim = any_node(run);
        run.kill_node(victim).await?;
        run.pass(2.0).await;
        run.restart_node(victim).await?;
        run.inject("pubsub_killed");
        run.redis()?.command(&["CLIENT", "KILL", "TYPE", "pubsub"]).await?;
        run.pass(2.0).await;
        run.redis()?.command(&["CLIENT", "KILL", "TYPE", "normal"]).await?;
        run.pass(2.0).await;
        run.heal("pubsub_killed");
    }
    run.settle().await
}
