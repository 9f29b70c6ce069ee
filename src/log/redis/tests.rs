//! The contract on a real server, and what only a shared log can get wrong.

use std::{sync::Arc, time::Duration};

use redis::{Pipeline, Value};

use super::{RedisLimits, RedisLog, reply::as_text};
use crate::{
    clock::Clock,
    config::LogProfile,
    lifecycle::CancellationToken,
    log::{
        MemoryLimits, NodeFacts, RealmLog as _, ThisNode,
        chat::contract::chat_contract,
        contract::{Backend, contract},
    },
    metrics::Metrics,
    model::Id,
    redis_client::{RedisClient, testing::Server},
};

/// The bounds of the contract, as this backend knows them.
fn limits(limits: &MemoryLimits) -> RedisLimits {
    RedisLimits {
        profile: LogProfile::Log,
        retention_events: limits.retention_events,
        retention_bytes: limits.retention_bytes,
        idempotency_window: limits.idempotency_window,
        memberships_per_user: limits.memberships_per_user,
        session_ttl: limits.session_ttl,
        lease: Duration::from_secs(10),
        heartbeat: Duration::from_secs(2),
        session_key: [7; 32],
        is_sharded: false,
        chat: limits.chat,
    }
}

/// A node's log on `server`, with tails of two realms that somebody hears.
#[expect(clippy::disallowed_methods, reason = "what runs here ends with the test's runtime")]
async fn node(client: RedisClient, name: &str, limits: RedisLimits, clock: Clock) -> Arc<RedisLog> {
    let node = ThisNode {
        id: Arc::from(name),
        lease: limits.lease,
        facts: Arc::new(NodeFacts::default()),
    };
    let metrics = Metrics::new(name, 1);
    let (log, driver) = RedisLog::open(client, limits, node, clock, metrics).await.unwrap();
    tokio::spawn(driver.run(CancellationToken::new()));
    for realm in ["default", "other"] {
        let mut tail = log.attach(&Id::parse(realm).unwrap()).await.unwrap();
        tokio::spawn(async move { while tail.inbound.recv().await.is_some() {} });
    }
    log
}

fn client(server: &Server) -> RedisClient {
    RedisClient::new(&server.config(), &Metrics::new("test", 1)).unwrap()
}

struct OnRedis;

impl Backend for OnRedis {
    type Log = RedisLog;

    #[expect(clippy::disallowed_methods, reason = "what runs here ends with the test's runtime")]
    async fn open(bounds: MemoryLimits, clock: Clock) -> RedisLog {
        let server = Server::start().await;
        let log = node(client(&server), "n1", limits(&bounds), clock).await;
        tokio::spawn(async move {
            std::future::pending::<()>().await;
            drop(server);
        });
        Arc::into_inner(log).unwrap()
    }

    /// Shortens the life of every key that has one.
    async fn pass(log: &RedisLog, clock: &Clock, by: Duration) {
        clock.advance(by);
        let client = &log.context.client;
        let mut all = Pipeline::new();
        all.cmd("KEYS").arg("*");
        let keys = client.query("range", "", &all).await.unwrap();
        let Some(Value::Array(keys)) = keys.into_iter().next() else { panic!("keys") };
        for key in keys.iter().filter_map(as_text) {
            let mut look = Pipeline::new();
            look.cmd("PTTL").arg(key);
            let left = client.query("range", "", &look).await.unwrap();
            let [Value::Int(left)] = left[..] else { panic!("{left:?}") };
            if left >= 0 {
                let left = left - i64::try_from(by.as_millis()).unwrap();
                let mut set = Pipeline::new();
                set.cmd("PEXPIRE").arg(key).arg(left);
                client.query("range", "", &set).await.unwrap();
            }
        }
    }
}

contract!(OnRedis);
chat_contract!(OnRedis);
