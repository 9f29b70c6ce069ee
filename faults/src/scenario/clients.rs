//! Sockets of clients that break or stall.

use std::time::Duration;

use anyhow::Result;

use super::plain;
use crate::{http::Http, load::Stats, node::API_KEY, run::Run};

pub(super) async fn embedded_cuts(run: &mut Run) -> Result<()> {
    run.start_nodes(1).await?;
    cut_often(run).await
}

pub(super) async fn cuts(run: &mut Run) -> Result<()> {
    run.standalone(plain()).await?;
    run.start_nodes(3).await?;
    cut_often(run).await
}

/// Each second one connection of ten ends within its next two kilobytes.
async fn cut_often(run: &mut Run) -> Result<()> {
    let shape = run.shape();
    run.start_load(shape, true).await?;
    run.inject("client_cuts");
    for _ in 0..run.params.seconds {
        for proxy in &run.client_proxies {
            proxy.cut_some(0.1, 1..2000);
        }
        run.pass(1.0).await;
    }
    run.heal("client_cuts");
    let cuts: u64 = run.client_proxies.iter().map(crate::proxy::Proxy::cuts).sum();
    run.fact("cuts", cuts);
    run.settle().await?;
    let resumes = Stats::of(&run.stats()?.resumes);
    run.expect(resumes > 0 && cuts > 0, "nothing was cut: nothing was tested");
    Ok(())
}

pub(super) async fn all_cut(run: &mut Run) -> Result<()> {
    run.standalone(plain()).await?;
    run.start_nodes(3).await?;
    let shape = run.shape();
    run.start_load(shape, true).await?;
    let mut slowest = Duration::ZERO;
    for _ in 0..(run.params.seconds / 10).max(1) {
        run.pass(5.0).await;
        run.inject("all_sockets_cut");
        let began = tokio::time::Instant::now();
        let cut: usize = run.client_proxies.iter().map(crate::proxy::Proxy::cut_all).sum();
        run.expect(cut >= run.params.clients, format_args!("only {cut} sockets were cut"));
        run.heal("all_sockets_cut");
        run.pass(0.2).await;
        if let Some(load) = &run.load {
            load.connected(Duration::from_secs(30)).await?;
        }
        slowest = slowest.max(began.elapsed());
    }
    run.fact("all_back_ms", slowest.as_millis());
    run.settle().await
}

pub(super) async fn embedded_slow_reader(run: &mut Run) -> Result<()> {
    replay_all(run);
    run.start_nodes(1).await?;
    stall_some(run).await
}

pub(super) async fn slow_reader(run: &mut Run) -> Result<()> {
    replay_all(run);
    run.standalone(plain()).await?;
    run.start_nodes(3).await?;
    stall_some(run).await
}

/// What half a minute brings is more than a resume replays by default. And pings shall
/// not find out first who does not read.
fn replay_all(run: &mut Run) {
    run.set("limits.ping_interval", "25s");
    run.set("limits.resume_replay_events", "100000");
    run.set("limits.resume_replay_bytes", "256MiB");
}

/// One client of ten reads nothing for half a minute.
async fn stall_some(run: &mut Run) -> Result<()> {
    let mut shape = run.shape();
    let stalling = shape.clients.div_ceil(10);
    shape.stalling = (stalling, Duration::from_secs(30));
    // Enough to fill the kernel's buffers and then the outbox.
    shape.padding = 8000;
    shape.rate = shape.rate.clamp(100.0, 120.0);
    run.inject("slow_reader");
    run.start_load(shape, false).await?;
    let wanted = f64::from(u32::try_from(stalling)?);
    let mut shed = 0.0;
    // The kernel's buffers are full after some seconds; twenty seconds after the client
    // stopped reading, all of them must be gone.
    for _ in 0..40 {
        run.pass(0.5).await;
        shed = slow_consumers(run).await;
        if shed >= wanted {
            break;
        }
    }
    run.fact("shed", shed);
    run.expect(shed >= wanted, format_args!("{shed} of {wanted} stalled clients were closed"));
    run.pass(14.0).await;
    run.heal("slow_reader");
    run.settle().await
}

/// The sum of `hubbub_slow_consumers_total` over all nodes.
async fn slow_consumers(run: &mut Run) -> f64 {
    let mut http = Http::new(API_KEY);
    let mut sum = 0.0;
    for node in &run.nodes {
        let Ok(reply) = http.get(node.internal, "/metrics").await else { continue };
        let lines =
            reply.body.lines().filter(|line| line.starts_with("hubbub_slow_consumers_total{"));
        let values = lines.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok());
        sum += values.sum::<f64>();
    }
    sum
}
