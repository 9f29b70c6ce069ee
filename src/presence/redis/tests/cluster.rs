//! Goal: many nodes show one truth, whichever of them dies, moves its users, or asks.
//!
//! Method: nodes on one server, leases set by hand, and an ear on what is published.

use std::time::Duration;

use tokio::task::JoinSet;

use super::{Ear, Node, START, connection, id, lease, number, texts};
use crate::{
    clock::Clock,
    model::{
        ManualStatus,
        Status::{self, Away, Dnd, Offline, Online},
    },
    presence::{Ending, Presence as _},
    redis_client::testing::{Server, eventually},
};

pub(super) struct Cluster {
    pub(super) server: Server,
    pub(super) ear: Ear,
    pub(super) clock: Clock,
}

impl Cluster {
    pub(super) async fn open<const COUNT: usize>(names: [&str; COUNT]) -> (Self, [Node; COUNT]) {
        let server = Server::start().await;
        let ear = Ear::open(&server).await;
        let clock = Clock::manual(START);
        for name in names {
            lease(&server, name, 600_000).await;
        }
        let nodes = names.map(|name| Node::open(&server, name, &clock));
        (Self { server, ear, clock }, nodes)
    }

    /// What was published since this was asked last.
    pub(super) async fn told(&self) -> Vec<(String, Status)> {
        let told = self.ear.published(&self.server).await.into_iter();
        told.map(|(user, status)| (user.to_string(), status)).collect()
    }

    /// Lets so much time pass that every node looks for what happened elsewhere.
    pub(super) fn pass(&self, seconds: u64) {
        self.clock.advance(Duration::from_secs(seconds));
    }

    /// Ends the lease of a node, and lets others sweep until nothing is left of it.
    async fn bury(&self, dead: &str, others: [&Node; 2]) {
        lease(&self.server, dead, -10_000).await;
        eventually("the end of a dead node", async || {
            self.pass(2);
            let [one, two] = others;
            tokio::join!(one.sweep(), two.sweep());
            let left = number(&self.server, &["HEXISTS", "hb:{default}:pn", dead]).await;
            (left == 0).then_some(())
        })
        .await;
        let hash = format!("hb:{{default}}:ps:{dead}");
        assert_eq!(number(&self.server, &["EXISTS", &hash]).await, 0);
    }
}

fn told(of: &[(&str, Status)]) -> Vec<(String, Status)> {
    of.iter().map(|(user, status)| ((*user).to_owned(), *status)).collect()
}

/// Connects `user0`, `user1`, … at once.
pub(super) async fn crowd(node: &Node, count: usize) {
    let mut calls = JoinSet::new();
    for place in 0..count {
        let presence = std::sync::Arc::clone(&node.presence);
        calls.spawn(async move {
            let user = id(&format!("user{place}"));
            presence.connected(&id("default"), &user, connection(7)).await.unwrap();
        });
    }
    while let Some(ended) = calls.join_next().await {
        ended.unwrap();
    }
}

#[tokio::test]
async fn users_are_the_union_of_their_nodes() {
    let (cluster, [a, b]) = Cluster::open(["a#1", "b#7"]).await;
    a.connect("ann", 1).await;
    assert_eq!(cluster.told().await, told(&[("ann", Online)]));
    b.connect("ann", 2).await;
    for node in [&a, &b] {
        let explained = node.presence.explain(&id("default"), &id("ann")).await.unwrap();
        let mut devices: Vec<_> =
            explained.devices.iter().map(|it| (it.node.to_string(), it.connection)).collect();
        devices.sort_unstable();
        let expected = [("a".to_owned(), connection(1)), ("b".to_owned(), connection(2))];
        assert_eq!((devices.as_slice(), explained.record.status), (expected.as_slice(), Online));
        let listed = node.presence.devices(&id("default"), &[id("ann")]).await.unwrap();
        assert_eq!((listed[0].devices.len(), &listed[0].record), (2, &explained.record));
    }
    a.end("ann", 1, Ending::Closed).await;
    assert_eq!((a.shows("ann").await, b.shows("ann").await), (Online, Online));
    assert_eq!(cluster.told().await, [], "the other node keeps the user online");
    b.end("ann", 2, Ending::Closed).await;
    assert_eq!(cluster.told().await, told(&[("ann", Offline)]));
    assert_eq!((a.shows("ann").await, b.shows("ann").await), (Offline, Offline));
}

#[tokio::test]
async fn choices_and_lists_are_those_of_the_cluster() {
    let (cluster, [a, b]) = Cluster::open(["a#1", "b#1"]).await;
    a.connect("ann", 1).await;
    b.connect("bob", 2).await;
    let (realm, ann) = (id("default"), id("ann"));
    b.presence.set_manual(&realm, &ann, ManualStatus::Dnd).await.unwrap();
    assert_eq!(a.shows("ann").await, Dnd);
    let all = b.presence.all_statuses(&realm, 10).await.unwrap();
    let all: Vec<_> = all.iter().map(|it| (it.user.as_str(), it.status)).collect();
    assert_eq!(all, [("ann", Dnd), ("bob", Online)]);
    a.presence.clear_manual(&realm, &ann).await.unwrap();
    assert_eq!(b.shows("ann").await, Online);
    let expected = [("ann", Online), ("bob", Online), ("ann", Dnd), ("ann", Online)];
    assert_eq!(cluster.told().await, told(&expected));
}

/// Goal: however many nodes notice a death, each of its users is told once, and nobody
/// who is elsewhere, too.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_dead_node_is_told_once() {
    let (cluster, [a, b, c]) = Cluster::open(["a#1", "b#1", "c#1"]).await;
    crowd(&a, 700).await;
    b.connect("user0", 1).await;
    c.connect("bob", 1).await;
    assert_eq!(cluster.told().await.len(), 701);
    drop(a);
    b.sweep().await;
    assert_eq!(b.shows("user5").await, Online, "its lease has not ended");
    cluster.bury("a#1", [&b, &c]).await;
    let mut gone = cluster.told().await;
    gone.sort_unstable_by(|one, other| one.0.cmp(&other.0));
    let mut expected: Vec<_> = (1..700).map(|place| (format!("user{place}"), Offline)).collect();
    expected.sort_unstable_by(|one, other| one.0.cmp(&other.0));
    assert_eq!(gone, expected);
    assert_eq!((b.shows("user5").await, c.shows("user0").await), (Offline, Online));
}

/// Goal: users of a dead node who are back elsewhere in time never flicker, and moving is
/// not activity.
#[tokio::test]
async fn who_moves_in_time_shows_nothing() {
    let (cluster, [a, b, c]) = Cluster::open(["a#1", "b#1", "c#1"]).await;
    a.connect("ann", 1).await;
    cluster.pass(200);
    a.connect("bob", 2).await;
    a.connect("cid", 3).await;
    cluster.pass(100);
    a.sweep().await;
    let expected = [("ann", Online), ("bob", Online), ("cid", Online), ("ann", Away)];
    assert_eq!(cluster.told().await, told(&expected));
    drop(a);
    b.connect("ann", 1).await;
    c.connect("bob", 2).await;
    cluster.bury("a#1", [&b, &c]).await;
    assert_eq!(cluster.told().await, told(&[("cid", Offline)]));
    let listed = c.presence.devices(&id("default"), &[id("ann")]).await.unwrap();
    let [device] = listed[0].devices.as_slice() else { panic!("{listed:?}") };
    let start_ms = u64::try_from(START.as_millis()).unwrap();
    assert_eq!((device.since_ms, device.active_at_ms), (start_ms, start_ms));
    assert_eq!(listed[0].record.status, Away);
    b.act("ann", 1).await;
    assert_eq!(cluster.told().await, told(&[("ann", Online)]));
}

/// Goal: who died as the only node of a realm is noticed by whoever is asked.
#[tokio::test]
async fn a_node_that_is_asked_looks_after_the_realm() {
    let (cluster, [a, b]) = Cluster::open(["a#1", "b#1"]).await;
    a.connect("ann", 1).await;
    drop(a);
    lease(&cluster.server, "a#1", -10_000).await;
    b.sweep().await;
    assert_eq!(b.shows("ann").await, Online);
    cluster.pass(1);
    b.sweep().await;
    assert_eq!(b.shows("ann").await, Offline);
    assert_eq!(cluster.told().await, told(&[("ann", Online), ("ann", Offline)]));
}

/// Goal: activity is written late, and still in time for those who judge it.
#[tokio::test]
async fn activity_is_seen_elsewhere_before_it_matters() {
    let (cluster, [a, b]) = Cluster::open(["a#1", "b#1"]).await;
    let active_at_s = async |node: &Node| {
        let users = [id("ann")];
        let listed = node.presence.devices(&id("default"), &users).await.unwrap();
        listed[0].devices[0].active_at_ms / 1_000 - START.as_secs()
    };
    a.connect("ann", 1).await;
    cluster.pass(100);
    a.act("ann", 1).await;
    assert_eq!((active_at_s(&a).await, active_at_s(&b).await), (100, 0), "not written yet");
    cluster.pass(5);
    a.sweep().await;
    assert_eq!(active_at_s(&b).await, 100);
    cluster.pass(195);
    b.sweep().await;
    assert_eq!(cluster.told().await, told(&[("ann", Online)]), "300 s after the connection");
    cluster.pass(98);
    a.act("ann", 1).await;
    let is_seen = async || (active_at_s(&b).await == 398).then_some(());
    eventually("writing what would soon be seen", is_seen).await;
    cluster.pass(299);
    b.sweep().await;
    assert_eq!(cluster.told().await, []);
    cluster.pass(1);
    b.sweep().await;
    assert_eq!(cluster.told().await, told(&[("ann", Away)]));
    assert_eq!((a.shows("ann").await, b.shows("ann").await), (Away, Away));
}

/// Goal: a node that stops leaves its devices their grace.
#[tokio::test]
async fn a_node_says_goodbye() {
    let (cluster, [a, b]) = Cluster::open(["a#1", "b#1"]).await;
    a.connect("ann", 1).await;
    a.connect("bob", 2).await;
    b.connect("cid", 3).await;
    a.end("ann", 1, Ending::Dropped).await;
    a.tasks.drain(Duration::from_secs(20)).await;
    lease(&cluster.server, "a#1", -10_000).await;
    let state = texts(&cluster.server, &["HMGET", "hb:{default}:pn", "a#1"]).await;
    assert!(state[0].starts_with('!'), "{state:?}");
    cluster.pass(4);
    b.sweep().await;
    assert_eq!((b.shows("ann").await, b.shows("bob").await), (Online, Online));
    cluster.pass(1);
    b.sweep().await;
    assert_eq!((b.shows("ann").await, b.shows("bob").await), (Offline, Online));
    // Its time is over: what it still counted for is gone.
    cluster.server.command(&["HSET", "hb:{default}:pn", "a#1", "!1"]).await;
    cluster.pass(2);
    b.sweep().await;
    assert_eq!(b.shows("bob").await, Offline);
    assert_eq!(number(&cluster.server, &["EXISTS", "hb:{default}:ps:a#1"]).await, 0);
    let expected =
        [("ann", Online), ("bob", Online), ("cid", Online), ("ann", Offline), ("bob", Offline)];
    assert_eq!(cluster.told().await, told(&expected));
}
