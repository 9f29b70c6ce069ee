//! The contract on a real server, and what only a shared log can get wrong.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use redis::{Pipeline, Value};

use super::{
    RedisLimits, RedisLog,
    context::arg,
    reply::as_text,
    scripts::{APPEND, PRELUDE},
};
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

mod order;
mod replicas;

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
        session_keys: vec![[7; 32]],
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

/// Goal: a change that is made again late does not undo what came after the failover; those
/// that are made again follow one another.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_change_that_is_made_again_undoes_nothing_newer() {
    let server = Server::start().await;
    let clock = Clock::manual(Duration::from_secs(START_S));
    let log = node(client(&server), "n1", limits(&bounds()), clock).await;
    let (realm, town) = (id("default"), channel("town"));
    let append = async |name: Option<&str>, add: &[&str], remove: &[&str]| {
        let body = members(&town, add, remove);
        let draft = Draft { body, id: name.map(Arc::from) };
        log.append(&realm, vec![draft]).await.remove(0).unwrap();
    };
    append(None, &["alice"], &["bob"]).await;
    append(Some(" again.1.a.7.x"), &["bob", "carol", "dave"], &["alice"]).await;
    append(Some(" again.1.a.8.x"), &[], &["carol"]).await;
    append(Some("once more"), &["erin"], &["bob"]).await;
    let records = log.range(&realm, 0, 10).await.unwrap();
    let bodies: Vec<Body> = records.iter().map(|record| record.body.clone()).collect();
    let expected = [
        members(&town, &["alice"], &["bob"]),
        members(&town, &["carol", "dave"], &[]),
        members(&town, &[], &["carol"]),
        members(&town, &["erin"], &["bob"]),
    ];
    assert_eq!(bodies, expected);
    for (user, is_member) in [("alice", true), ("bob", false), ("carol", false), ("erin", true)] {
        let opening = Opening { connection: random_connection_id(), scope: Scope::Member };
        let snapshot = log.open(&identity(user, None), opening).await.unwrap();
        assert_eq!(snapshot.memberships.is_open(&town), is_member, "{user}");
    }
}

/// Goal: an id never stands for a record that was not appended.
///
/// Method: something else is in the place of the stream, and goes again.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_record_that_could_not_be_appended_is_not_known_by_its_id() {
    let server = Server::start().await;
    let clock = Clock::manual(Duration::from_secs(START_S));
    let log = node(client(&server), "n1", limits(&bounds()), clock).await;
    let realm = id("default");
    let append = async || {
        let removal = members(&channel("town"), &[], &["alice"]);
        let draft = Draft { body: removal, id: Some(Arc::from("once")) };
        log.append(&realm, vec![draft]).await.remove(0)
    };
    let stream = "hb:{default}:l";
    assert_eq!(server.command(&["SET", stream, "rubbish"]).await, Value::Okay);
    assert!(append().await.is_err());
    assert_eq!(server.command(&["DEL", stream]).await, Value::Int(1));
    let first = append().await.unwrap();
    assert!(!first.duplicate);
    assert!(append().await.unwrap().duplicate);
    let records = log.range(&realm, 0, 10).await.unwrap();
    assert_eq!(records.len(), 1, "it is there, once");
}

/// Goal: a realm that could not begin here is not waited for: the node's health is that of
/// what it asks now.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_realm_that_did_not_begin_is_no_silence() {
    let server = Server::start().await;
    let clock = Clock::manual(Duration::from_secs(START_S));
    let log = node(client(&server), "n1", limits(&bounds()), clock).await;
    let need = async |replicas: &str| {
        let set = ["CONFIG", "SET", "min-replicas-to-write", replicas];
        assert_eq!(server.command(&set).await, Value::Okay);
    };
    need("1").await;
    assert!(log.attach(&id("third")).await.is_err(), "nothing can be written");
    eventually("silence", async || log.silent_for().map(drop)).await;
    need("0").await;
    eventually("no silence", async || log.silent_for().is_none().then_some(())).await;
}

/// Goal: while keys rotate, nodes with the old and with the new one know each other's
/// sessions, and nobody else's.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_session_survives_that_keys_rotate() {
    let server = Server::start().await;
    let clock = Clock::manual(Duration::from_secs(START_S));
    let with_keys = async |name: &str, keys: &[u8]| {
        let session_keys = keys.iter().map(|key| [*key; 32]).collect();
        let limits = RedisLimits { session_keys, ..limits(&bounds()) };
        node(client(&server), name, limits, clock.clone()).await
    };
    let (old, both) = (with_keys("n1", &[1, 2]).await, with_keys("n2", &[2, 1]).await);
    let (new, foreign) = (with_keys("n3", &[2]).await, with_keys("n4", &[3]).await);
    let alice = identity("alice", None);
    for (from, to, is_known) in
        [(&old, &both, true), (&both, &old, true), (&both, &new, true), (&new, &foreign, false)]
    {
        let connection = random_connection_id();
        from.open(&alice, Opening { connection, scope: Scope::Member }).await.unwrap();
        let claim = to.claim(&alice, connection).await.unwrap();
        assert_eq!(matches!(claim, Claim::Granted { .. }), is_known, "{claim:?}");
    }
}

/// Goal: only nodes that hear a realm are waited for when its nodes are asked.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_question_waits_for_those_who_hear_the_realm() {
    let server = Server::start().await;
    let clock = Clock::manual(Duration::from_secs(START_S));
    let log = node(client(&server), "n1", limits(&bounds()), clock.clone()).await;
    let _deaf = node(client(&server), "n2", limits(&bounds()), clock).await;
    let mut tail = log.attach(&id("third")).await.unwrap();
    let answers = log.ask(&id("third"), Bytes::from_static(b"?")).await.unwrap();
    assert!(answers.is_empty());
    assert!(tail.inbound.try_recv().is_err(), "nobody was asked");
}

/// Goal: scripts know the tag of each record, whatever entry it is in.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_script_finds_the_tag_of_any_record() {
    let server = Server::start().await;
    let clock = Clock::manual(Duration::from_secs(START_S));
    let log = node(client(&server), "n1", limits(&bounds()), clock).await;
    let realm = id("default");
    let answers = log.append(&realm, mixed_batch(150)).await;
    let script =
        Script::new("range", &[PRELUDE, APPEND, "return { tag_at(ARGV[OWN]) or '' }"], true);
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
