//! Goal: whatever Redis loses, and however long it is away, nobody is set offline who is
//! there, and what is wrong does not stay.
//!
//! Method: real servers that are killed, emptied and fenced.

use super::{Node, START, cluster::Cluster, connection, id, lease, number, texts};
use crate::{
    clock::Clock,
    model::{
        ManualStatus,
        Status::{self, Away, Offline, Online},
    },
    presence::{Ending, Presence as _, PresenceError},
    redis_client::testing::{Server, eventually},
};

const STATES: &str = "hb:{default}:pn";
const ROWS: &str = "hb:{default}:st";
const HEAD: &str = "hb:{default}:m";

async fn until_shows(node: &Node, expected: &[(&str, Status)]) {
    eventually("the statuses", async || {
        let users: Vec<_> = expected.iter().map(|(user, _)| id(user)).collect();
        let found = node.presence.status(&id("default"), &users).await.ok()?;
        found.iter().map(|it| it.status).eq(expected.iter().map(|it| it.1)).then_some(())
    })
    .await;
}

fn told(of: &[(&str, Status)]) -> Vec<(String, Status)> {
    of.iter().map(|(user, status)| ((*user).to_owned(), *status)).collect()
}

async fn field(server: &Server, key: &str, field: &str) -> String {
    texts(server, &["HMGET", key, field]).await.pop().unwrap_or_default()
}

#[tokio::test]
async fn a_node_that_was_swept_writes_its_users_again() {
    let (cluster, [a, b]) = Cluster::open(["a#1", "b#1"]).await;
    a.connect("ann", 1).await;
    b.connect("bob", 2).await;
    lease(&cluster.server, "a#1", -10_000).await;
    cluster.pass(2);
    b.sweep().await;
    let expected = [("ann", Online), ("bob", Online), ("ann", Offline)];
    assert_eq!(cluster.told().await, told(&expected));
    // It was only paused.
    lease(&cluster.server, "a#1", 600_000).await;
    until_shows(&b, &[("ann", Online), ("bob", Online)]).await;
    assert_eq!(cluster.told().await, told(&[("ann", Online)]));
}

#[tokio::test]
async fn everything_is_written_again_when_redis_lost_it() {
    let (cluster, [a, b]) = Cluster::open(["a#1", "b#1"]).await;
    a.connect("ann", 1).await;
    b.connect("bob", 2).await;
    a.presence.set_manual(&id("default"), &id("ann"), ManualStatus::Dnd).await.unwrap();
    cluster.server.command(&["FLUSHALL"]).await;
    for node in [&a, &b] {
        until_shows(node, &[("ann", Online), ("bob", Online)]).await;
    }
    a.end("ann", 1, Ending::Closed).await;
    assert_eq!(b.shows("ann").await, Offline);
    // The same for one hash.
    cluster.server.command(&["DEL", "hb:{default}:ps:b#1"]).await;
    b.connect("cid", 3).await;
    until_shows(&a, &[("bob", Online), ("cid", Online)]).await;
    assert_eq!(number(&cluster.server, &["HLEN", "hb:{default}:ps:b#1"]).await, 3);
}

/// Goal: what a failover brought back is removed, and nothing else.
#[tokio::test]
async fn a_generation_that_lost_writes_is_cleaned() {
    let (cluster, [a, b]) = Cluster::open(["a#1", "b#1"]).await;
    a.connect("ann", 1).await;
    a.connect("eve", 2).await;
    let ghost = format!("1:online:1:00000000 {}:1:1:-", connection(9));
    cluster.server.command(&["HSET", "hb:{default}:ps:a#1", "gus", &ghost]).await;
    cluster.server.command(&["HSET", ROWS, "gus", "n:1:-:-:-:0:1:-"]).await;
    cluster.server.command(&["HDEL", "hb:{default}:ps:a#1", "eve"]).await;
    cluster.server.command(&["HDEL", ROWS, "eve"]).await;
    assert_eq!(cluster.told().await, told(&[("ann", Online), ("eve", Online)]));
    // Another history, and nobody who has to report.
    cluster.server.command(&["DEL", "hb:{default}:n"]).await;
    cluster.server.command(&["HSET", HEAD, "rid", "of-another-server"]).await;
    until_shows(&b, &[("ann", Online), ("eve", Online), ("gus", Offline)]).await;
    assert_eq!(cluster.told().await, told(&[("eve", Online), ("gus", Offline)]));
    assert_eq!(number(&cluster.server, &["HLEN", "hb:{default}:ps:a#1"]).await, 3);
}

/// Goal: while Redis is away, calls fail in time, nobody goes offline, and what happened
/// is written when it is back.
#[tokio::test]
async fn nobody_goes_offline_while_redis_is_away() {
    let mut server = Server::start().await;
    let clock = Clock::manual(START);
    let a = Node::open(&server, "a#1", &clock);
    for (user, number) in [("ann", 1), ("bob", 2)] {
        a.connect(user, number).await;
    }
    server.kill();
    let realm = id("default");
    let left = a.presence.disconnected(&realm, &id("bob"), connection(2), Ending::Closed).await;
    assert!(matches!(left, Err(PresenceError::Unavailable { .. })), "{left:?}");
    let came = a.presence.connected(&realm, &id("cid"), connection(3)).await;
    assert!(matches!(came, Err(PresenceError::Unavailable { .. })), "{came:?}");
    let chosen = a.presence.set_manual(&realm, &id("ann"), ManualStatus::Dnd).await;
    assert!(matches!(chosen, Err(PresenceError::Unavailable { .. })), "{chosen:?}");
    let asked = a.presence.status(&realm, &[id("ann")]).await;
    assert!(matches!(asked, Err(PresenceError::Unavailable { .. })), "{asked:?}");
    // An away user who acts does not wait for what can't be.
    clock.advance(std::time::Duration::from_secs(400));
    a.act("ann", 1).await;
    assert_eq!(a.presence.counts()[Online.index()], 2);
    server.restart().await;
    until_shows(&a, &[("ann", Online), ("bob", Offline), ("cid", Away)]).await;
    a.sweep().await;
    let row = field(&server, ROWS, "ann").await;
    assert!(row.starts_with("n:1:-:"), "neither offline nor the choice that failed: {row}");
}

/// Goal: after a time in which nobody swept, nodes get the time to come back.
#[tokio::test]
async fn nobody_is_judged_at_once_after_a_silence() {
    let (cluster, [a, b]) = Cluster::open(["a#1", "b#1"]).await;
    a.connect("ann", 1).await;
    b.connect("bob", 2).await;
    assert_eq!(cluster.told().await.len(), 2);
    let silence = async |ms: u64| {
        let last = Clock::system().now_ms() - ms;
        cluster.server.command(&["HSET", STATES, "", &format!("{last}:0")]).await;
        cluster.pass(2);
        b.sweep().await;
    };
    lease(&cluster.server, "a#1", -10_000).await;
    silence(3_600_000).await;
    cluster.pass(2);
    b.sweep().await;
    assert_eq!(cluster.told().await, [], "Redis, or everybody, was away");
    lease(&cluster.server, "a#1", 600_000).await;
    silence(1_000).await;
    assert_eq!(cluster.told().await, [], "the node is back");
    lease(&cluster.server, "a#1", -10_000).await;
    silence(1_000).await;
    assert_eq!(cluster.told().await, told(&[("ann", Offline)]));
}

/// Goal: while the log is fenced nothing is half done; afterwards it is done once.
#[tokio::test]
async fn a_fenced_log_delays_everything() {
    let (cluster, [a]) = Cluster::open(["a#1"]).await;
    a.connect("ann", 1).await;
    let generation = field(&cluster.server, HEAD, "gid").await;
    let witness = format!("hb:{{default}}:w:{generation}");
    let never = (Clock::system().now_ms() + 3_600_000).to_string();
    cluster.server.command(&["HSET", &witness, "x#1", ""]).await;
    cluster.server.command(&["HSET", HEAD, "st", "fenced", "dl", &never]).await;
    let realm = id("default");
    let came = a.presence.connected(&realm, &id("bob"), connection(2)).await;
    assert!(matches!(came, Err(PresenceError::Unavailable { .. })), "{came:?}");
    for key in [ROWS, "hb:{default}:ps:a#1"] {
        assert_eq!(number(&cluster.server, &["HEXISTS", key, "bob"]).await, 0);
    }
    cluster.server.command(&["HSET", &witness, "x#1", "c 0 0"]).await;
    until_shows(&a, &[("bob", Online)]).await;
    assert_eq!(cluster.told().await, told(&[("ann", Online), ("bob", Online)]));
}

#[tokio::test]
async fn scripts_are_sent_again_when_they_are_forgotten() {
    let (cluster, [a]) = Cluster::open(["a#1"]).await;
    a.connect("ann", 1).await;
    cluster.server.command(&["SCRIPT", "FLUSH"]).await;
    a.end("ann", 1, Ending::Closed).await;
    assert_eq!(a.shows("ann").await, Offline);
}
