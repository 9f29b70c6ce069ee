//! The scenarios by name.
//!
//! Invariants: a scenario heals what it broke before it settles, and settling makes the
//! demands that all share; what a scenario demands besides stands in its function.

mod clients;
mod cluster;
mod data;
mod link;
mod nodes;
mod pydio;
mod race;
mod redis;
mod sentinel;

use std::pin::Pin;

use anyhow::Result;

use crate::{redis::Options, run::Run};

/// A future that plays a scenario.
pub type Play<'a> = Pin<Box<dyn Future<Output = Result<()>> + 'a>>;

/// One scenario and its usual size.
pub struct Scenario {
    /// Its name.
    pub name: &'static str,
    /// What it breaks, and what must hold.
    pub about: &'static str,
    /// Data may really be lost, so resets are allowed.
    pub lossy: bool,
    /// Clients.
    pub clients: usize,
    /// Events per second.
    pub rate: f64,
    /// Seconds of load with faults.
    pub seconds: u64,
    /// Plays it.
    pub play: for<'a> fn(&'a mut Run) -> Play<'a>,
}

macro_rules! scenarios {
    ($($name:literal $lossy:ident $clients:literal $rate:literal $seconds:literal $play:expr, $about:literal;)*) => {
        &[$(Scenario {
            name: $name,
            about: $about,
            lossy: $lossy,
            clients: $clients,
            rate: $rate,
            seconds: $seconds,
            play: |run| Box::pin($play(run)),
        }),*]
    };
}

#[expect(non_upper_case_globals, reason = "a column of the table")]
const lossy: bool = true;
#[expect(non_upper_case_globals, reason = "a column of the table")]
const exact: bool = false;

/// All of them: name, whether resets are allowed, clients, events per second, seconds.
#[rustfmt::skip]
pub const SCENARIOS: &[Scenario] = scenarios! {
    "embedded_client_cuts" exact 100 100.0 15 clients::embedded_cuts, "one node without Redis: sockets reset in mid-frame";
    "embedded_slow_reader" exact 40 150.0 45 clients::embedded_slow_reader, "one node without Redis: clients that stop reading";
    "embedded_restart" lossy 60 100.0 20 data::embedded_restart, "one node without Redis, SIGKILLed: its log is gone, everyone is reset";
    "node_kill" exact 600 300.0 80 nodes::node_kill, "F01: one of three nodes SIGKILLed every 8 s";
    "two_kills" exact 300 150.0 36 nodes::two_kills, "F02: two of three nodes SIGKILLed within a second";
    "pydio_node_kill" exact 60 150.0 48 pydio::node_kill, "event sessions of Pydio: one of three nodes SIGKILLed every 8 s";
    "drain" exact 600 100.0 40 nodes::drain, "F03: SIGTERM, one client of a hundred does not read";
    "drain_cut_short" exact 300 150.0 30 nodes::drain_cut_short, "F04: SIGTERM, and SIGKILL one second later";
    "rolling_restart" exact 300 150.0 40 nodes::rolling_restart, "F06: all nodes restarted one after the other";
    "paused_node_2" exact 300 150.0 20 |run| nodes::paused(run, 2), "F05: SIGSTOP for 2 s";
    "paused_node_20" exact 300 150.0 40 |run| nodes::paused(run, 20), "F05: SIGSTOP for 20 s";
    "paused_node_120" exact 150 50.0 140 |run| nodes::paused(run, 120), "F05: SIGSTOP for 120 s";
    "client_cuts" exact 300 150.0 30 clients::cuts, "F20: sockets reset in mid-frame";
    "all_sockets_cut" exact 600 150.0 30 clients::all_cut, "F25: every socket reset at once";
    "slow_reader" exact 60 200.0 45 clients::slow_reader, "F22: clients that stop reading are closed with 4431 and resume";
    "resume_race" exact 30 30.0 30 race::resume_race, "F27: two sockets resume one connection at once from two nodes";
    "pubsub_killed" exact 100 200.0 30 redis::pubsub_killed, "F30: CLIENT KILL TYPE pubsub every 5 s";
    "normal_killed" exact 100 200.0 30 redis::normal_killed, "F31: CLIENT KILL TYPE normal every 5 s";
    "redis_stopped_5s" exact 100 150.0 25 redis::stopped, "F33: Redis is stopped for 5 s";
    "client_pause" exact 100 150.0 25 redis::client_pause, "F34: CLIENT PAUSE WRITE and ALL for 3 s";
    "script_flush" exact 100 150.0 15 redis::script_flush, "F50: SCRIPT FLUSH every 2 s";
    "redis_restart_everysec" lossy 100 150.0 25 redis::restart_everysec, "F36: Redis SIGKILLed and started again with its append-only file";
    "maxmemory" exact 100 100.0 25 redis::maxmemory, "F46: Redis is full for 5 s";
    "config_refused" exact 0 0.0 5 redis::config_refused, "F46: the profile ha refuses a Redis that evicts";
    "valkey_smoke" exact 100 100.0 24 redis::valkey, "valkey-server in place of Redis: nodes and connections killed";
    "keys_deleted" lossy 100 100.0 30 data::keys_deleted, "F48: DEL of the log's state, of the log, of a session";
    "flushall" lossy 100 100.0 20 data::flushall, "F48: FLUSHALL";
    "redis_restart_empty" lossy 100 100.0 20 data::restart_empty, "F36: Redis SIGKILLed and started again empty";
    "reply_lost" exact 100 150.0 20 link::reply_lost, "F53: Redis commits, and its answer is lost";
    "half_open_redis" exact 100 150.0 30 link::half_open, "F43: the link of one node to Redis goes silent for 10 s";
    "node_cut_from_redis_60s" exact 100 100.0 90 link::cut_off, "F44: one node is cut from Redis for more than a minute";
    "redis_slow_50ms" exact 100 100.0 20 link::slow, "F52: 50 ms each way to Redis";
    "sentinel_failover_current_log" exact 100 100.0 25 |run| sentinel::current(run, "log"), "F37: the primary dies, the replica has everything";
    "sentinel_failover_current_ha" exact 100 100.0 25 |run| sentinel::current(run, "ha"), "F37: the same with the profile ha";
    "sentinel_failover_lagging_log" lossy 100 100.0 25 |run| sentinel::lagging(run, "log"), "F38: the primary dies, the replica lacks the last seconds";
    "sentinel_failover_lagging_ha" exact 100 100.0 25 |run| sentinel::lagging(run, "ha"), "F38: the same with the profile ha: nothing acknowledged is lost, and nobody has seen more";
    "zombie_primary_log" lossy 100 100.0 30 |run| sentinel::zombie(run, "log"), "F39: the primary is stopped, replaced, and wakes up";
    "zombie_primary_ha" exact 100 100.0 30 |run| sentinel::zombie(run, "ha"), "F39: the same with the profile ha";
    "planned_failover" exact 100 100.0 20 sentinel::planned, "F41: SENTINEL FAILOVER while writes are paused";
    "ordered_failover_ha" exact 100 200.0 80 sentinel::ordered, "F41: SENTINEL FAILOVER with two replicas while writes go on: nothing acknowledged is lost, nobody is reset";
    "flapping" lossy 100 100.0 60 sentinel::flapping, "F40: five failovers in a minute";
    "cluster_basic" exact 100 100.0 30 cluster::basic, "Redis Cluster: nodes and connections killed";
    "slot_migration" exact 100 150.0 30 cluster::migration, "F45: the realm's slot moves to another primary and back";
};

/// A Redis with what production needs.
fn plain() -> Options {
    Options::default().with("maxmemory-policy", "noeviction")
}

/// Three nodes on one Redis, and the load.
async fn stage(run: &mut Run, options: Options) -> Result<()> {
    run.standalone(options).await?;
    run.start_nodes(3).await?;
    let shape = run.shape();
    run.start_load(shape, false).await
}

/// The index of a node, different from call to call.
fn any_node(run: &Run) -> usize {
    fastrand::usize(0..run.nodes.len().max(1))
}
