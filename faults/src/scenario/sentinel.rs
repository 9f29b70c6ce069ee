//! Failovers that sentinels make.

use std::{collections::HashMap, time::Duration};

use anyhow::{Context as _, Result};

use super::plain;
use crate::{
    load::Stats,
    process::Signal,
    proxy::Proxy,
    redis::{Sentinels, WATCHED},
    run::Run,
};

/// Nodes follow a new primary in this time.
const FOLLOWED: Duration = Duration::from_secs(15);

/// A sentinel has given up a failover that took so long.
const GIVEN_UP: Duration = Duration::from_secs(12);

/// A primary, two replicas, three sentinels, three nodes, and the load.
async fn stage(run: &mut Run, profile: &str) -> Result<()> {
    let mut options = plain().with("repl-timeout", "20");
    if profile == "ha" {
        options = options.with("min-replicas-to-write", "1").with("min-replicas-max-lag", "3");
    }
    let folder = run.folder.clone();
    let sentinels = Sentinels::start(&folder, 2, 3, &options).await?;
    run.set("redis.url", &sentinels.url());
    run.set("redis.mode", "sentinel");
    run.set("redis.sentinel_master", WATCHED);
    run.set("log.profile", profile);
    run.sentinels = Some(sentinels);
    run.start_nodes(3).await?;
    let shape = run.shape();
    run.start_load(shape, false).await
}

fn servers(run: &mut Run) -> Result<&mut Sentinels> {
    run.sentinels.as_mut().context("this scenario has no sentinels")
}

/// Waits until the sentinels have another primary, and publishing goes on there.
async fn followed(run: &mut Run, old: usize) -> Result<usize> {
    let (new, took) = servers(run)?.failed_over(old).await?;
    run.fact("failover_ms", took.as_millis());
    let began = tokio::time::Instant::now();
    let before = Stats::of(&run.stats()?.published);
    while Stats::of(&run.stats()?.published) <= before && began.elapsed() < FOLLOWED {
        run.pass(0.05).await;
    }
    let goes_on = Stats::of(&run.stats()?.published) > before;
    run.fact("writable_ms", began.elapsed().as_millis());
    run.expect(goes_on, format_args!("publishing did not go on within {FOLLOWED:?}"));
    Ok(new)
}

pub(super) async fn current(run: &mut Run, profile: &str) -> Result<()> {
    stage(run, profile).await?;
    run.pass(5.0).await;
    let old = servers(run)?.primary().await?;
    // What is on its way to the replicas arrives: nothing is published for a moment.
    pause_writes(run, old, 1000).await?;
    run.pass(0.5).await;
    run.inject("failover");
    server(run, old)?.kill().await?;
    followed(run, old).await?;
    run.heal("failover");
    run.pass(3.0).await;
    server(run, old)?.restart().await?;
    run.pass(8.0).await;
    run.settle().await?;
    let lost = expect_kept(run, profile).await?;
    run.expect(lost == 0, "events were lost, though the replica had everything");
    Ok(())
}

/// Counts acknowledged events that are not in the log of the primary. With the profile `ha`
/// there must be none.
async fn expect_kept(run: &mut Run, profile: &str) -> Result<usize> {
    let primary = servers(run)?.primary().await?;
    let entries = server(run, primary)?.command(&["XRANGE", "hb:{default}:l", "-", "+"]).await?;
    let mut kept = HashMap::new();
    for entry in entries.list() {
        let [id, fields] = entry.list() else { continue };
        let fields: Vec<String> = fields.list().iter().map(crate::resp::Value::text).collect();
        kept.extend(tags(&id.text(), &fields).context("an entry of the log")?);
    }
    let acked = run.acked()?;
    let is_lost = |(offset, tag): &&(u64, String)| kept.get(&offset.to_string()) != Some(tag);
    let lost = acked.iter().filter(is_lost).count();
    run.fact("acked_lost", format_args!("{lost}/{}", acked.len()));
    run.expect(!acked.is_empty(), "nothing was acknowledged: nothing was tested");
    run.expect(profile == "log" || lost == 0, format_args!("{lost} acknowledged events are lost"));
    Ok(lost)
}

/// Offset and tag of each record of an entry: `r` holds them one after the other, each behind
/// a line with its tag, kind and three lengths; the entry has the offset of the last of `n`.
fn tags(id: &str, fields: &[String]) -> Option<Vec<(String, String)>> {
    let field = |name: &str| {
        let pair =
            fields.chunks_exact(2).find(|pair| pair.first().is_some_and(|one| one == name))?;
        pair.get(1)
    };
    let last: u64 = id.trim_end_matches("-0").parse().ok()?;
    let count: u64 = field("n")?.parse().ok()?;
    let mut rest = field("r")?.as_str();
    let mut found = Vec::new();
    for offset in last + 1 - count..=last {
        let (line, behind) = rest.split_once('\n')?;
        let words: Vec<&str> = line.split(' ').collect();
        let [tag, _, lengths @ ..] = words.as_slice() else { return None };
        let bytes: usize =
            lengths.iter().map(|one| one.parse::<usize>().ok()).sum::<Option<_>>()?;
        found.push((offset.to_string(), (*tag).to_owned()));
        rest = behind.get(bytes..)?;
    }
    rest.is_empty().then_some(found)
}

fn server(run: &mut Run, index: usize) -> Result<&mut crate::redis::Server> {
    servers(run)?.servers.get_mut(index).context("a server")
}

async fn pause_writes(run: &mut Run, index: usize, ms: u32) -> Result<()> {
    let ms = ms.to_string();
    server(run, index)?.command(&["CLIENT", "PAUSE", &ms, "WRITE"]).await?;
    Ok(())
}

pub(super) async fn lagging(run: &mut Run, profile: &str) -> Result<()> {
    stage(run, profile).await?;
    run.pass(5.0).await;
    let old = servers(run)?.primary().await?;
    let address = server(run, old)?.address();
    let proxy = Proxy::start(address).await?;
    let port = proxy.address.port().to_string();
    // The replicas now follow through the proxy. Sentinels set that right again, but not
    // within eight seconds.
    for index in (0..3).filter(|index| *index != old) {
        server(run, index)?.command(&["REPLICAOF", "127.0.0.1", &port]).await?;
    }
    for index in (0..3).filter(|index| *index != old) {
        server(run, index)?.follows().await?;
    }
    run.pass(1.0).await;
    run.inject("failover");
    proxy.stall(true);
    let before = Stats::of(&run.stats()?.published);
    run.pass(2.0).await;
    let unreplicated = Stats::of(&run.stats()?.published) - before;
    run.fact("unreplicated", unreplicated);
    server(run, old)?.kill().await?;
    proxy.cut_all();
    followed(run, old).await?;
    run.heal("failover");
    run.pass(3.0).await;
    server(run, old)?.restart().await?;
    run.pass(8.0).await;
    run.settle().await?;
    let lost = expect_kept(run, profile).await?;
    if profile == "log" {
        run.expect(lost > 0, "nothing acknowledged was lost: nothing was tested");
        let resets = Stats::of(&run.stats()?.resets);
        let all = u64::try_from(run.params.clients)?;
        run.expect(
            resets >= all,
            format_args!("{resets} resets of {all}, though events were lost"),
        );
    }
    Ok(())
}

pub(super) async fn zombie(run: &mut Run, profile: &str) -> Result<()> {
    stage(run, profile).await?;
    run.pass(5.0).await;
    let old = servers(run)?.primary().await?;
    run.inject("failover");
    server(run, old)?.signal(Signal::STOP)?;
    let began = tokio::time::Instant::now();
    followed(run, old).await?;
    run.pass((6.0 - began.elapsed().as_secs_f64()).max(0.0)).await;
    server(run, old)?.signal(Signal::CONT)?;
    run.heal("failover");
    run.pass(10.0).await;
    run.settle().await?;
    expect_kept(run, profile).await?;
    Ok(())
}

/// Orders a failover, and again when the sentinel gives it up: it does when a replica takes
/// some seconds to say that it was promoted.
async fn order_failover(run: &mut Run, old: usize) -> Result<()> {
    let mut ordered: Option<tokio::time::Instant> = None;
    while servers(run)?.primary().await? == old {
        if ordered.is_none_or(|at| at.elapsed() >= GIVEN_UP) {
            servers(run)?.order_failover().await?;
            ordered = Some(tokio::time::Instant::now());
        }
        run.pass(0.1).await;
    }
    Ok(())
}

pub(super) async fn planned(run: &mut Run) -> Result<()> {
    stage(run, "log").await?;
    run.pass(5.0).await;
    let old = servers(run)?.primary().await?;
    run.inject("failover");
    // Paused until it is a replica, the old primary acknowledges nothing more.
    pause_writes(run, old, 20_000).await?;
    run.pass(0.3).await;
    order_failover(run, old).await?;
    followed(run, old).await?;
    server(run, old)?.command(&["CLIENT", "UNPAUSE"]).await?;
    run.heal("failover");
    run.pass(6.0).await;
    run.settle().await
}

pub(super) async fn ordered(run: &mut Run) -> Result<()> {
    stage(run, "ha").await?;
    for _ in 0..3 {
        run.pass(5.0).await;
        let old = servers(run)?.primary().await?;
        run.inject("failover");
        // Nothing is paused: the old primary is a primary with a replica for some seconds.
        order_failover(run, old).await?;
        followed(run, old).await?;
        run.heal("failover");
        // Until all follow again, and every Sentinel has seen the old primary as a replica, which
        // takes two questions of 10 s: one that has not makes it a replica again when it is
        // promoted next, and then there is no primary.
        run.pass(22.0).await;
    }
    run.settle().await?;
    expect_kept(run, "ha").await?;
    Ok(())
}

pub(super) async fn flapping(run: &mut Run) -> Result<()> {
    stage(run, "log").await?;
    let primary = servers(run)?.primary().await?;
    let mut last = generation(run, primary).await?;
    for _ in 0..5 {
        run.pass(3.0).await;
        let old = servers(run)?.primary().await?;
        run.inject("failover");
        order_failover(run, old).await?;
        let (new, _) = servers(run)?.failed_over(old).await?;
        // Sentinels leave the old primary a primary for some ten seconds.
        let began = tokio::time::Instant::now();
        while generation(run, new).await? <= last && began.elapsed() < FOLLOWED {
            run.pass(0.1).await;
        }
        run.heal("failover");
        let now = generation(run, new).await?;
        run.fact("followed_ms", began.elapsed().as_millis());
        run.expect(now > last, format_args!("the generation {last} became {now}"));
        last = now;
    }
    run.pass(3.0).await;
    run.settle().await
}

/// The counter of the log's generation, as a server has it.
async fn generation(run: &mut Run, index: usize) -> Result<u64> {
    let words = ["HGET", "hb:{default}:m", "gid"];
    let text = server(run, index)?.command(&words).await?.text();
    let counter = text.split('.').next().unwrap_or_default().parse();
    counter.with_context(|| format!("the generation is {text:?}"))
}
