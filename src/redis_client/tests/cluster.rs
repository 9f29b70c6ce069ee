//! Three servers that share the slots, and one that stands by.

use redis::Value;
use tokio::{task::JoinSet, time::timeout};

use super::{INCREMENT, next, text_of};
use crate::{
    config::{Redis, RedisMode},
    lifecycle::CancellationToken,
    redis_client::{
        GapCause, Pushed, RedisClient,
        reply::text,
        slots::slot_of,
        testing::{self, PATIENCE, Server, eventually},
    },
};

const ARGS: &[&str] = &[
    "--cluster-enabled",
    "yes",
    "--cluster-node-timeout",
    "1000",
    "--repl-diskless-sync-delay",
    "0",
];

pub(super) struct Cluster {
    pub(super) servers: Vec<Server>,
}

impl Cluster {
    /// Three primaries, and so many replicas of the first.
    pub(super) async fn start(replicas: usize) -> Self {
        let mut servers = Vec::new();
        for _ in 0..3 + replicas {
            servers.push(Server::start_with(ARGS).await);
        }
        let ranges = [("0", "5460"), ("5461", "10922"), ("10923", "16383")];
        for (server, (first, last)) in servers.iter().zip(ranges) {
            let own = ["CLUSTER", "ADDSLOTSRANGE", first, last];
            assert_eq!(server.command(&own).await, Value::Okay);
        }
        for server in &servers[1..] {
            let meet = ["CLUSTER", "MEET", "127.0.0.1", &servers[0].port().to_string()];
            assert_eq!(server.command(&meet).await, Value::Okay);
        }
        let cluster = Self { servers };
        cluster.agreed().await;
        for replica in 3..3 + replicas {
            let follow = ["CLUSTER", "REPLICATE", &cluster.id(0).await];
            assert_eq!(cluster.servers[replica].command(&follow).await, Value::Okay);
            eventually("replication", async || {
                let info = cluster.servers[replica].command(&["INFO", "replication"]).await;
                format!("{info:?}").contains("master_link_status:up").then_some(())
            })
            .await;
        }
        cluster
    }

    /// Waits until every server knows every other and all slots.
    async fn agreed(&self) {
        let nodes = format!("cluster_known_nodes:{}", self.servers.len());
        for server in &self.servers {
            eventually("a cluster", async || {
                let info = format!("{:?}", server.command(&["CLUSTER", "INFO"]).await);
                (info.contains("cluster_state:ok") && info.contains(&nodes)).then_some(())
            })
            .await;
        }
    }

    async fn id(&self, server: usize) -> String {
        text(&self.servers[server].command(&["CLUSTER", "MYID"]).await).unwrap().to_owned()
    }

    pub(super) fn config(&self) -> Redis {
        let servers: Vec<&Server> = self.servers.iter().collect();
        testing::config(RedisMode::Cluster, &servers[..2])
    }

    fn client(&self) -> RedisClient {
        RedisClient::new(&self.config(), &testing::metrics()).unwrap()
    }

    /// Gives the slot of `key`, with its keys, from one primary to another.
    async fn migrate(&self, key: &str, (from, to): (usize, usize)) {
        let slot = slot_of(key).to_string();
        let (source, target) = (&self.servers[from], &self.servers[to]);
        let (old, new) = (self.id(from).await, self.id(to).await);
        let importing = ["CLUSTER", "SETSLOT", &slot, "IMPORTING", &old];
        assert_eq!(target.command(&importing).await, Value::Okay);
        let migrating = ["CLUSTER", "SETSLOT", &slot, "MIGRATING", &new];
        assert_eq!(source.command(&migrating).await, Value::Okay);
        let port = target.port().to_string();
        source.command(&["MIGRATE", "127.0.0.1", &port, key, "0", "5000"]).await;
        for server in [target, source, &self.servers[3 - from - to]] {
            let done = ["CLUSTER", "SETSLOT", &slot, "NODE", &new];
            assert_eq!(server.command(&done).await, Value::Okay);
        }
    }
}

/// One key for each of the three primaries, in their order.
const KEYS: [&str; 3] = ["{b}:n", "{c}:n", "{a}:n"];

#[tokio::test]
async fn f45_keys_and_channels_follow_their_slot() {
    let cluster = Cluster::start(0).await;
    let client = cluster.client();
    client.check(false).await.unwrap();
    for (server, key) in KEYS.iter().enumerate() {
        assert_eq!(usize::from(slot_of(key)) / 5_461, server, "{key} {}", slot_of(key));
        assert_eq!(client.run(&INCREMENT, &[key], &["1"]).await.unwrap(), Value::Int(1));
        assert_eq!(cluster.servers[server].command(&["DBSIZE"]).await, Value::Int(1));
    }
    let key = KEYS[0];
    let dedicated = client.dedicated(key, "publish");
    let (subscription, mut inbox) = client.subscribe("{b}:t", 16);
    let mut tasks = JoinSet::new();
    tasks.spawn(subscription.run(CancellationToken::new()));
    assert_eq!(next(&mut inbox).await, Pushed::Subscribed);
    timeout(PATIENCE, dedicated.ready()).await.unwrap();
    cluster.servers[0].command(&["SPUBLISH", "{b}:t", "before"]).await;
    assert_eq!(text_of(next(&mut inbox).await), "before");

    cluster.migrate(key, (0, 1)).await;
    assert_eq!(next(&mut inbox).await, Pushed::Gap(GapCause::Unsubscribed));
    assert_eq!(next(&mut inbox).await, Pushed::Subscribed);
    cluster.servers[1].command(&["SPUBLISH", "{b}:t", "after"]).await;
    assert_eq!(text_of(next(&mut inbox).await), "after");
    let moved = dedicated.run(&INCREMENT, &[key], &["1"], None).await.unwrap_err();
    assert!(moved.is_retryable() && !moved.may_be_applied(), "{moved}");
    let value = eventually("writes to the new owner", async || {
        dedicated.run(&INCREMENT, &[key], &["1"], None).await.ok()
    });
    assert_eq!(value.await.0, Value::Int(2));
    assert_eq!(client.run(&INCREMENT, &[key], &["1"]).await.unwrap(), Value::Int(3));
}

#[tokio::test]
async fn a_slot_on_its_way_is_waited_for_and_never_split() {
    let cluster = Cluster::start(0).await;
    let client = cluster.client();
    let key = KEYS[0];
    client.run(&INCREMENT, &[key], &["1"]).await.unwrap();
    let slot = slot_of(key).to_string();
    let (old, new) = (cluster.id(0).await, cluster.id(1).await);
    cluster.servers[1].command(&["CLUSTER", "SETSLOT", &slot, "IMPORTING", &old]).await;
    cluster.servers[0].command(&["CLUSTER", "SETSLOT", &slot, "MIGRATING", &new]).await;
    let port = cluster.servers[1].port().to_string();
    cluster.servers[0].command(&["MIGRATE", "127.0.0.1", &port, key, "0", "5000"]).await;
    // The key is at the target and the slot is not: whoever followed `ASK` would run
    // where the other keys of a realm are missing.
    let error = client.run(&INCREMENT, &[key], &["1"]).await.unwrap_err();
    assert!(error.to_string().contains("ASK"), "{error}");
    assert!(error.is_retryable() && !error.may_be_applied());
}

#[tokio::test]
async fn f37_a_replica_takes_over_in_a_cluster() {
    let mut cluster = Cluster::start(1).await;
    let client = cluster.client();
    let key = KEYS[0];
    let dedicated = client.dedicated(key, "publish");
    timeout(PATIENCE, dedicated.ready()).await.unwrap();
    let wait = Some((1, std::time::Duration::from_secs(2)));
    let answer = dedicated.run(&INCREMENT, &[key], &["1"], wait).await.unwrap();
    assert_eq!(answer, (Value::Int(1), Some(1)));
    client.run(&INCREMENT, &[key], &["1"]).await.unwrap();

    cluster.servers[0].kill();
    let value = eventually("writes to the replica", async || {
        dedicated.run(&INCREMENT, &[key], &["1"], None).await.ok()
    });
    assert_eq!(value.await.0, Value::Int(3));
    let value =
        eventually("pooled writes", async || client.run(&INCREMENT, &[key], &["1"]).await.ok());
    assert_eq!(value.await, Value::Int(4));
}
