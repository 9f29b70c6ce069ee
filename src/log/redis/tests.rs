//! The contract on a real server, and what only a shared log can get wrong.

use std::{sync::Arc, time::Duration};

use redis::{Pipeline, Value};

use super::{RedisLimits, RedisLog, context::arg, reply::as_text, scripts::PRELUDE};
use crate::{
    clock::{Clock, random_connection_id},
    config::LogProfile,
    lifecycle::CancellationToken,
    log::{
        Claim, Draft, MemoryLimits, NodeFacts, Opening, RealmLog as _, ThisNode,
        chat::contract::chat_contract,
        contract::{
            Backend, START_S, channel, contract, event, id, identity, limits as bounds, members,
            mixed_batch,
        },
    },
    metrics::Metrics,
    model::{Body, Id, Revocation, RevocationScope, Scope},
    redis_client::{
        RedisClient, Script,
        testing::{Server, eventually},
    },
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
        let realm = Id::parse(realm).unwrap();
        let mut tail = log.attach(&realm).await.unwrap();
        let of = Arc::downgrade(&log);
        let mut again = tokio::time::interval(Duration::from_millis(50));
        // As a node does: who loses the tail begins anew.
        tokio::spawn(async move {
            loop {
                while tail.inbound.recv().await.is_some() {}
                let Some(log) = of.upgrade() else { return };
                again.tick().await;
                if let Ok(next) = log.attach(&realm).await {
                    tail = next;
                }
            }
        });
    }
    log
}

fn client(server: &Server) -> RedisClient {
    RedisClient::new(&server.config(), &Metrics::new("test", 1)).unwrap()
}

/// An empty log on `server`, which lives as long as the test.
#[expect(clippy::disallowed_methods, reason = "what runs here ends with the test's runtime")]
async fn open(server: Server, bounds: &MemoryLimits, clock: Clock) -> RedisLog {
    let log = node(client(&server), "n1", limits(bounds), clock).await;
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

mod on_redis {
    use super::*;

    struct OnRedis;

    impl Backend for OnRedis {
        type Log = RedisLog;

        async fn open(bounds: MemoryLimits, clock: Clock) -> RedisLog {
            open(Server::start().await, &bounds, clock).await
        }

        async fn pass(log: &RedisLog, clock: &Clock, by: Duration) {
            pass(log, clock, by).await;
        }
    }

    contract!(OnRedis);
    chat_contract!(OnRedis);
}

mod on_valkey {
    use super::*;

    struct OnValkey;

    impl Backend for OnValkey {
        type Log = RedisLog;

        async fn open(bounds: MemoryLimits, clock: Clock) -> RedisLog {
            open(Server::start_valkey().await, &bounds, clock).await
        }

        async fn pass(log: &RedisLog, clock: &Clock, by: Duration) {
            pass(log, clock, by).await;
        }
    }

    contract!(OnValkey);
    chat_contract!(OnValkey);
}

/// Goal: what was removed and revoked stays so when Redis comes back without it.
///
/// Method: Redis is killed and starts again with what it had saved before.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_lost_removal_and_a_lost_revocation_are_made_again() {
    let mut server = Server::start_with(&["--appendonly", "no"]).await;
    let clock = Clock::manual(Duration::from_secs(START_S));
    let log = node(client(&server), "n1", limits(&bounds()), clock).await;
    let (realm, alice) = (id("default"), identity("alice", None));
    let append = async |body| {
        let answer = log.append(&realm, vec![Draft { body, id: None }]).await.remove(0);
        answer.unwrap().position.offset
    };
    append(members(&channel("town"), &["alice"], &[])).await;
    append(members(&channel("port"), &["alice"], &[])).await;
    assert_eq!(server.command(&["SAVE"]).await, Value::Okay);
    append(members(&channel("town"), &[], &["alice"])).await;
    let lost = Revocation { scope: RevocationScope::User(id("alice")), at_ms: 5_000 };
    append(Body::Revocation(lost)).await;
    server.restart().await;
    let known = eventually("both are back", async || {
        let opening = Opening { connection: random_connection_id(), scope: Scope::Member };
        let snapshot = log.open(&alice, opening).await.ok()?;
        let is_back = !snapshot.memberships.is_open(&channel("town"))
            && snapshot.revocations.user_at_ms == Some(5_000);
        is_back.then_some(snapshot)
    })
    .await;
    assert!(known.memberships.is_open(&channel("port")), "what was not lost is as it was");
    let records = log.range(&realm, 0, 100).await.unwrap();
    let removals = records
        .iter()
        .filter(|one| matches!(&one.body, Body::Members { remove, .. } if !remove.is_empty()));
    assert_eq!(removals.count(), 1, "it was lost, and is made again once");
}

/// Goal: scripts know the tag of each record, whatever entry it is in.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_script_finds_the_tag_of_any_record() {
    let server = Server::start().await;
    let clock = Clock::manual(Duration::from_secs(START_S));
    let log = node(client(&server), "n1", limits(&bounds()), clock).await;
    let realm = id("default");
    let answers = log.append(&realm, mixed_batch(150)).await;
    let script = Script::new("range", &[PRELUDE, "return { tag_at(ARGV[OWN]) or '' }"], true);
    for answer in answers {
        let place = answer.unwrap().position;
        let found = log.context.run(&realm, &script, [arg(place.offset)]).await.unwrap();
        assert_eq!(found.tag(0), Some(place.tag), "{}", place.offset);
    }
    for offset in [0, 151] {
        let found = log.context.run(&realm, &script, [arg(offset)]).await.unwrap();
        assert_eq!(found.text(0), Some(""), "{offset}");
    }
}

/// Goal: a node that has told nobody anything for long is not taken for one that lost it.
///
/// Method: one node publishes once and then only hears what another publishes, until that
/// place is trimmed. Redis comes back with everything: the session goes on.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_place_that_was_trimmed_is_not_a_loss() {
    let mut server = Server::start_with(&["--appendonly", "no"]).await;
    let clock = Clock::manual(Duration::from_secs(START_S));
    let bounds = limits(&MemoryLimits { retention_events: 100, ..bounds() });
    let quiet = node(client(&server), "n1", bounds.clone(), clock.clone()).await;
    let busy = node(client(&server), "n2", bounds, clock).await;
    let (realm, alice) = (id("default"), identity("alice", None));
    quiet.append(&realm, vec![Draft { body: event("x"), id: None }]).await.remove(0).unwrap();
    for _ in 0..20 {
        let drafts = (0..100).map(|_| Draft { body: event("x"), id: None }).collect();
        busy.append(&realm, drafts).await;
    }
    let late = random_connection_id();
    busy.open(&alice, Opening { connection: late, scope: Scope::Member }).await.unwrap();
    assert_eq!(server.command(&["SAVE"]).await, Value::Okay);
    server.restart().await;
    let claim = eventually("a verdict", async || quiet.claim(&alice, late).await.ok()).await;
    assert!(matches!(claim, Claim::Granted { .. }), "{claim:?}");
}
