//! A primary, its replica and the sentinel that watches them.

use std::{sync::Arc, time::Duration};

use redis::Value;
use tokio::{task::JoinSet, time::timeout};

use super::{
    INCREMENT, next,
    stub::{Stub, bytes},
    text_of,
};
use crate::{
    config::{Redis, RedisMode, Secret},
    lifecycle::CancellationToken,
    redis_client::{
        Dedicated, GapCause, Inbox, NO_ARGS, Pushed, RedisClient, StartError, sentinels,
        settings::Settings,
        testing::{self, PATIENCE, Server, eventually, free_port},
    },
};

pub(super) struct Watched {
    pub(super) primary: Server,
    replica: Server,
    pub(super) sentinel: Server,
}

impl Watched {
    pub(super) async fn start() -> Self {
        let quick = ["--repl-diskless-sync-delay", "0"];
        let primary = Server::start_with(&quick).await;
        let port = primary.port().to_string();
        let replica =
            Server::start_with(&[&quick[..], &["--replicaof", "127.0.0.1", &port]].concat()).await;
        eventually("replication", async || {
            let info = format!("{:?}", replica.command(&["INFO", "replication"]).await);
            info.contains("master_link_status:up").then_some(())
        })
        .await;
        let sentinel = Server::launch("redis-sentinel", &[]).await;
        let watch = ["SENTINEL", "MONITOR", "main", "127.0.0.1", &port, "1"];
        assert_eq!(sentinel.command(&watch).await, Value::Okay);
        for (key, value) in [("down-after-milliseconds", "500"), ("failover-timeout", "3000")] {
            let set = ["SENTINEL", "SET", "main", key, value];
            assert_eq!(sentinel.command(&set).await, Value::Okay);
        }
        eventually("the sentinel to know the replica", async || {
            let replicas = sentinel.command(&["SENTINEL", "REPLICAS", "main"]).await;
            let text = format!("{replicas:?}");
            (text.contains("slave-priority") && text.contains("master-link-status', \"ok\"")
                || text.contains("bulk-string('\"ok\"')"))
            .then_some(())
        })
        .await;
        Self { primary, replica, sentinel }
    }

    /// A sentinel that is not there is named first.
    pub(super) fn config(&self) -> Redis {
        let mut config = testing::config(RedisMode::Sentinel, &[&self.sentinel]);
        config.urls.insert(0, Secret::new(&format!("redis://127.0.0.1:{}", free_port())));
        config.sentinel_master = Some("main".to_owned());
        config
    }
}

/// A connection and a subscription that follow the primary, and what runs them.
async fn followers(client: &RedisClient) -> (Dedicated, Inbox, JoinSet<()>) {
    let dedicated = client.dedicated("a", "publish");
    let (subscription, mut inbox) = client.subscribe("t", 16);
    let mut tasks = JoinSet::new();
    tasks.spawn(subscription.run(CancellationToken::new()));
    assert_eq!(next(&mut inbox).await, Pushed::Subscribed);
    timeout(PATIENCE, dedicated.ready()).await.unwrap();
    (dedicated, inbox, tasks)
}

#[tokio::test]
async fn f37_everything_follows_the_primary_to_another_server() {
    let mut servers = Watched::start().await;
    let client = RedisClient::new(&servers.config(), &testing::metrics()).unwrap();
    client.check(false).await.unwrap();
    assert!(matches!(client.check(true).await, Err(StartError::NoReplicasNeeded)));
    let (dedicated, mut inbox, _tasks) = followers(&client).await;
    let wait = Some((1, Duration::from_secs(2)));
    let answer = dedicated.run(&INCREMENT, &["a"], &["5"], wait).await.unwrap();
    assert_eq!(answer, (Value::Int(5), Some(1)), "the replica has it");

    servers.primary.kill();
    assert!(matches!(next(&mut inbox).await, Pushed::Gap(_)));
    let value = eventually("writes to the new primary", async || {
        dedicated.run(&INCREMENT, &["a"], &["1"], None).await.ok()
    });
    assert_eq!(value.await.0, Value::Int(6));
    assert_eq!(client.run(&INCREMENT, &["a"], &["1"]).await.unwrap(), Value::Int(7));
    assert_eq!(next(&mut inbox).await, Pushed::Subscribed);
    servers.replica.command(&["PUBLISH", "t", "here"]).await;
    assert_eq!(text_of(next(&mut inbox).await), "here");
}

#[tokio::test]
async fn f41_a_planned_failover_is_noticed_by_idle_connections() {
    let servers = Watched::start().await;
    let client = RedisClient::new(&servers.config(), &testing::metrics()).unwrap();
    let (dedicated, mut inbox, _tasks) = followers(&client).await;
    client.run(&INCREMENT, &["a"], &["1"]).await.unwrap();
    eventually("the replica has it", async || {
        let value = servers.replica.command(&["GET", "a"]).await;
        (value == Value::BulkString(b"1".to_vec())).then_some(())
    })
    .await;

    // Nothing closes the connections here, as a sentinel would: they must ask.
    let port = servers.replica.port().to_string();
    assert_eq!(servers.replica.command(&["REPLICAOF", "NO", "ONE"]).await, Value::Okay);
    let demote = ["REPLICAOF", "127.0.0.1", &port];
    assert_eq!(servers.primary.command(&demote).await, Value::Okay);
    assert!(matches!(next(&mut inbox).await, Pushed::Gap(_)));
    let forget = servers.sentinel.command(&["SENTINEL", "REMOVE", "main"]).await;
    assert_eq!(forget, Value::Okay);
    let watch = ["SENTINEL", "MONITOR", "main", "127.0.0.1", &port, "1"];
    assert_eq!(servers.sentinel.command(&watch).await, Value::Okay);

    assert_eq!(next(&mut inbox).await, Pushed::Subscribed);
    servers.replica.command(&["PUBLISH", "t", "here"]).await;
    assert_eq!(text_of(next(&mut inbox).await), "here");
    let value = eventually("writes to the new primary", async || {
        dedicated.run(&INCREMENT, &["a"], &["1"], None).await.ok()
    });
    assert_eq!(value.await.0, Value::Int(2));
    assert_eq!(client.run(&INCREMENT, &["a"], &["1"]).await.unwrap(), Value::Int(3));
}

#[tokio::test]
async fn f39_a_primary_that_does_not_know_of_its_end_is_left() {
    let servers = Watched::start().await;
    let client = RedisClient::new(&servers.config(), &testing::metrics()).unwrap();
    let (dedicated, mut inbox, _tasks) = followers(&client).await;
    client.run(&INCREMENT, &["a"], &["1"]).await.unwrap();

    // Both answer as primaries, and the old one is never out of work.
    let forget = servers.sentinel.command(&["SENTINEL", "REMOVE", "main"]).await;
    assert_eq!(forget, Value::Okay);
    assert_eq!(servers.replica.command(&["REPLICAOF", "NO", "ONE"]).await, Value::Okay);
    assert_eq!(servers.replica.command(&["SET", "a", "100"]).await, Value::Okay);
    let port = servers.replica.port().to_string();
    let watch = ["SENTINEL", "MONITOR", "main", "127.0.0.1", &port, "1"];
    assert_eq!(servers.sentinel.command(&watch).await, Value::Okay);

    let value = eventually("writes to the new primary", async || {
        let (value, _) = dedicated.run(&INCREMENT, &["a"], &["1"], None).await.ok()?;
        matches!(value, Value::Int(101..)).then_some(value)
    });
    assert_eq!(value.await, Value::Int(101));
    assert_eq!(client.run(&INCREMENT, &["a"], &["1"]).await.unwrap(), Value::Int(102));
    assert_eq!(next(&mut inbox).await, Pushed::Gap(GapCause::NoPrimary));
    assert_eq!(next(&mut inbox).await, Pushed::Subscribed);
    servers.replica.command(&["PUBLISH", "t", "here"]).await;
    assert_eq!(text_of(next(&mut inbox).await), "here");
}

/// A sentinel that names the primary at `port` since so many failovers.
async fn naming(port: u16, epoch: u64, flags: &'static str) -> Stub {
    let (port, epoch) = (port.to_string(), epoch.to_string());
    let fields = [("ip", "127.0.0.1"), ("port", &port), ("flags", flags), ("config-epoch", &epoch)];
    let texts = fields.iter().flat_map(|(name, value)| [*name, *value]);
    let texts = texts.map(|text| format!("${}\r\n{text}\r\n", text.len()));
    let answer = format!("*8\r\n{}", texts.collect::<String>());
    Stub::start(move |command| (command[0] == "SENTINEL").then(|| bytes(&answer))).await
}

/// Sentinels at these ports.
fn sentinels_at(ports: &[u16], stub: &Stub) -> Arc<Settings> {
    let urls = ports.iter().map(|port| Secret::new(&format!("redis://127.0.0.1:{port}")));
    let mut config = stub.config();
    config.urls = urls.collect();
    config.mode = RedisMode::Sentinel;
    config.sentinel_master = Some("main".to_owned());
    Arc::new(Settings::new(&config).unwrap())
}

#[tokio::test]
async fn f39_the_newest_failover_counts_and_a_few_cannot_undo_it() {
    let (old, new) = (1, 2);
    let stale = naming(old, 6, "master").await;
    let [one, other] = [naming(new, 7, "master").await, naming(new, 7, "master").await];
    // Which primary is named by sentinels at these ports, after failover `known`.
    let named = async |ports: &[u16], known: u64| {
        let settings = sentinels_at(ports, &stale);
        let named = sentinels::primary(&settings, &settings.seeds, known).await;
        named.map(|named| named.primary.port)
    };
    let [nobody, noone] = [free_port(), free_port()];
    for order in [[stale.port(), one.port(), nobody], [one.port(), nobody, stale.port()]] {
        assert_eq!(named(&order, 0).await.unwrap(), new);
    }
    assert_eq!(named(&[nobody, noone, one.port()], 7).await.unwrap(), new);
    let refused = named(&[nobody, noone, stale.port()], 7).await.unwrap_err();
    assert!(refused.to_string().contains("too few sentinels"), "{refused}");
    // Whoever began to count anew is believed when most do.
    assert_eq!(named(&[one.port(), other.port(), nobody], 9).await.unwrap(), new);
}

#[tokio::test]
async fn f41_a_primary_is_settled_while_no_sentinel_replaces_it() {
    let [one, other] = [naming(1, 7, "master").await, naming(1, 7, "master").await];
    let orders = naming(1, 7, "master,failover_in_progress,force_failover").await;
    let has_replaced = naming(2, 8, "master").await;
    let settled = async |ports: &[u16], known: u64| {
        let settings = sentinels_at(ports, &one);
        let settled = sentinels::settled(&settings, &settings.seeds, known).await;
        settled.map(|primary| primary.port)
    };
    let (one, other, nobody) = (one.port(), other.port(), free_port());
    assert_eq!(settled(&[one, other, nobody], 7).await, Some(1));
    assert_eq!(settled(&[one, other, orders.port()], 7).await, None);
    assert_eq!(settled(&[orders.port(), one, other], 7).await, None);
    assert_eq!(settled(&[one, other, has_replaced.port()], 7).await, Some(2));
    assert_eq!(settled(&[one, nobody, nobody], 7).await, None, "most don't answer");
    assert_eq!(settled(&[one, other, nobody], 8).await, None, "they know an older one only");
}

#[tokio::test]
async fn a_name_that_no_sentinel_knows_is_no_connection() {
    let sentinel = Server::launch("redis-sentinel", &[]).await;
    let mut config = testing::config(RedisMode::Sentinel, &[&sentinel]);
    config.sentinel_master = Some("nobody".to_owned());
    let client = RedisClient::new(&config, &testing::metrics()).unwrap();
    let error = client.run(&INCREMENT, &["a"], NO_ARGS).await.unwrap_err();
    assert!(error.to_string().contains("does not know the primary"), "{error}");
    assert!(error.is_retryable());
}
