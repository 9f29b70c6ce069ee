//! Writes that replicas have to confirm.

use super::{
    super::replicas::{Confirming, Until},
    *,
};
use crate::{log::Inbound, redis_client::RedisError};

/// Appends an event to everybody.
const TELL: &str = "
    local m = check()
    local refused = refusal(m)
    if refused then return refused end
    append(m, { made('00000000000000aa', 'e', '*', '{\"at\":1,\"n\":\"x\"}', '{}') })
    return { 'OK', m.gid }";

const HA: &[&str] = &["--min-replicas-to-write", "1", "--min-replicas-max-lag", "3"];

/// A server that follows another one.
async fn replica(of: &Server) -> Server {
    let port = of.port().to_string();
    Server::start_with(&[&["--replicaof", "127.0.0.1", &port], HA].concat()).await
}

/// How many replicas follow, as the server counts them.
async fn good(server: &Server) -> Option<u64> {
    let info = server.command(&["INFO", "replication"]).await;
    let info = as_text(&info)?.to_owned();
    let line = info.lines().find_map(|line| line.strip_prefix("min_slaves_good_slaves:"))?;
    line.parse().ok()
}

async fn follow(server: &Server, replicas: u64) {
    let all = async || (good(server).await == Some(replicas)).then_some(());
    eventually("replicas", all).await;
}

/// Goal: all replicas confirm, and nothing is written while one of them may have become the
/// primary; without it things go on after a while.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn f41_a_replica_that_left_is_missed() {
    let server = Server::start_with(HA).await;
    let one = replica(&server).await;
    let other = replica(&server).await;
    follow(&server, 2).await;
    let clock = Clock::manual(Duration::from_secs(START_S));
    let limits = RedisLimits { profile: LogProfile::Ha, ..limits(&bounds()) };
    let log = node(client(&server), "n1", limits, clock).await;
    let (realm, context) = (id("default"), &log.context);
    let head = context.key(&realm, "m");
    let connection = context.client.dedicated(&head, "publish");
    let confirming = Confirming::new(connection, LogProfile::Ha);
    confirming.ready().await;
    let script = Script::new("publish", &[PRELUDE, APPEND, TELL], false);
    // Whether it wrote.
    let write = async || {
        let needed = confirming.needed();
        let until = (needed, Until::Confirmed);
        match confirming.run(&script, &head, &context.args(needed), until).await {
            Ok(reply) => reply.is_some(),
            // A busy machine confirms late.
            Err(RedisError::Indeterminate { .. }) => true,
            Err(error) => panic!("{error}"),
        }
    };
    let length = async || server.command(&["XLEN", "hb:{default}:l"]).await;
    assert!(!write().await, "it learns how many follow");
    assert_eq!(length().await, Value::Int(0));
    eventually("a first count", async || write().await.then_some(())).await;
    assert_eq!(length().await, Value::Int(1));
    one.command(&["REPLICAOF", "NO", "ONE"]).await;
    follow(&server, 1).await;
    assert!(!write().await, "it may be the primary");
    assert_eq!(length().await, Value::Int(1));
    eventually("an end of that", async || write().await.then_some(())).await;
    other.freeze();
    let draft = Draft { body: event("x"), id: None };
    let answers = log.append(&realm, vec![draft.clone()]).await;
    assert!(answers[0].is_err(), "nobody confirms it: {answers:?}");
    other.thaw();
    let append = async || log.append(&realm, vec![draft.clone()]).await.remove(0).ok();
    eventually("an append", append).await;
}

/// Goal: a connection that nobody uses knows of a replica that came, or it would not miss it.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn f41_an_idle_connection_knows_of_a_new_replica() {
    let server = Server::start_with(HA).await;
    let _one = replica(&server).await;
    follow(&server, 1).await;
    let clock = Clock::manual(Duration::from_secs(START_S));
    let limits = RedisLimits { profile: LogProfile::Ha, ..limits(&bounds()) };
    let log = node(client(&server), "n1", limits, clock).await;
    let claims = log.publisher(&id("default")).await.unwrap().claims;
    assert_eq!(claims.needed(), Some(1));
    let _other = replica(&server).await;
    let counts = async |count| (claims.needed() == Some(count)).then_some(());
    eventually("the count of both", async || counts(2).await).await;
}

/// Goal: nobody is shown what a failover may lose.
///
/// Method: the replica hangs while an event is published, and then goes on.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn f38_what_no_replica_has_is_not_shown() {
    let server = Server::start_with(HA).await;
    let replica = replica(&server).await;
    follow(&server, 1).await;
    let clock = Clock::manual(Duration::from_secs(START_S));
    let limits = RedisLimits { profile: LogProfile::Ha, ..limits(&bounds()) };
    let log = node(client(&server), "n1", limits, clock).await;
    let realm = id("default");
    let mut tail = log.attach(&realm).await.unwrap();
    let mut next = async |patience: Duration| {
        let one = async {
            loop {
                match tail.inbound.recv().await {
                    Some(Inbound::Record(record)) => return record.position.offset,
                    Some(Inbound::Recheck | Inbound::Taken { .. } | Inbound::Question(_)) => {}
                    ended @ (Some(Inbound::Lost(_)) | None) => panic!("{ended:?}"),
                }
            }
        };
        tokio::time::timeout(patience, one).await.ok()
    };
    let append = async |name| {
        let draft = Draft { body: event(name), id: None };
        log.append(&realm, vec![draft]).await.remove(0)
    };
    let first = append("seen").await.unwrap();
    assert_eq!(next(Duration::from_secs(5)).await, Some(first.position.offset));
    replica.freeze();
    assert!(append("kept back").await.is_err(), "nobody confirms it");
    assert_eq!(server.command(&["HGET", "hb:{default}:m", "o"]).await, text("2"), "it is there");
    assert_eq!(next(Duration::from_millis(500)).await, None);
    replica.thaw();
    assert_eq!(next(Duration::from_secs(10)).await, Some(2), "nobody says so, and it is asked");
}

fn text(text: &str) -> Value {
    Value::BulkString(text.as_bytes().to_vec())
}
