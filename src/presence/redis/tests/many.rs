//! Goal: many users cost little, many calls at once tell one chain, and what is remembered
//! is bounded.

use std::{collections::HashMap, sync::Arc, time::Duration};

use tokio::task::JoinSet;

use super::{
    Node, RULES, START,
    cluster::{Cluster, crowd},
    connection, id, number, settings, texts,
};
use crate::{
    clock::{Clock, random_below},
    model::{
        ManualStatus,
        Status::{Away, Offline, Online},
    },
    presence::{
        Ending, Presence as _, PresenceError, RedisPresence, RedisSettings, memory::Bounds,
    },
    redis_client::testing::Server,
};

/// Calls of scripts so far, and the microseconds of Redis that they took.
async fn scripts(server: &Server) -> (u64, u64) {
    let info = texts_of(server).await;
    let number = |line: &str, name: &str| -> u64 {
        let rest = line.split(name).nth(1).unwrap();
        rest.split(',').next().unwrap().parse().unwrap()
    };
    let lines = info.lines().filter(|line| line.starts_with("cmdstat_eval"));
    lines.fold((0, 0), |(calls, us), line| {
        (calls + number(line, "calls="), us + number(line, "usec="))
    })
}

async fn texts_of(server: &Server) -> String {
    let answer = server.command(&["INFO", "commandstats"]).await;
    super::wire::text(&answer).unwrap().to_owned()
}

/// Goal: a thousand users who come at once are few scripts, each user is told once, and
/// the cost of a user is known.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_thousand_users_come_and_go_at_once() {
    let (cluster, [a, b, c]) = Cluster::open(["a#1", "b#1", "c#1"]).await;
    b.connect("bob", 1).await;
    c.connect("cid", 1).await;
    assert_eq!(cluster.told().await.len(), 2);
    let cost = async |what: &str, before: (u64, u64)| {
        let after = scripts(&cluster.server).await;
        let (calls, us) = (after.0 - before.0, after.1 - before.1);
        eprintln!("{what}: {calls} scripts, {us} us for 1,000 users");
        calls
    };
    let before = scripts(&cluster.server).await;
    crowd(&a, 1_000).await;
    let calls = cost("come", before).await;
    assert!(calls <= 40, "users who come at once are written together: {calls} scripts");
    let told = cluster.told().await;
    let users: HashMap<_, _> = told.iter().cloned().collect();
    assert_eq!((told.len(), users.len()), (1_000, 1_000));
    assert!(users.values().all(|status| *status == Online));

    cluster.clock.advance(Duration::from_secs(10));
    for place in 0..1_000 {
        a.act(&format!("user{place}"), 7).await;
    }
    cluster.clock.advance(Duration::from_secs(5));
    let before = scripts(&cluster.server).await;
    a.sweep().await;
    let calls = cost("activity", before).await;
    assert!(calls <= 20, "activity is written together: {calls} scripts");
    let records = a.presence.status(&id("default"), &[id("user999")]).await.unwrap();
    assert_eq!(records[0].last_activity_at_ms / 1_000, START.as_secs() + 10);

    cluster.clock.advance(Duration::from_secs(300));
    let before = scripts(&cluster.server).await;
    tokio::join!(a.sweep(), b.sweep(), c.sweep());
    cost("away", before).await;
    let told = cluster.told().await;
    assert_eq!(told.iter().filter(|(_, status)| *status == Away).count(), 1_002);
    assert_eq!(told.len(), 1_002);
}

/// Goal: three nodes that do things to the same users at once tell one chain of changes,
/// and agree at the end.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn nodes_tell_one_chain_of_changes() {
    let (cluster, nodes) = Cluster::open(["a#1", "b#1", "c#1"]).await;
    let mut tasks = JoinSet::new();
    for (number, node) in (0..).zip(&nodes) {
        let (presence, clock) = (Arc::clone(&node.presence), cluster.clock.clone());
        tasks.spawn(async move { drive(&presence, &clock, number).await });
    }
    while let Some(ended) = tasks.join_next().await {
        ended.unwrap();
    }
    for _ in 0..3 {
        cluster.pass(400);
        for node in &nodes {
            node.sweep().await;
        }
    }
    let told = cluster.told().await;
    assert!(told.len() > 100, "the users changed: {}", told.len());
    let mut shown = HashMap::new();
    for (user, status) in told {
        let before = shown.insert(user, status).unwrap_or(Offline);
        assert_ne!(before, status, "each change changes something");
    }
    for (user, status) in &shown {
        for node in &nodes {
            assert_eq!(node.shows(user).await, *status, "{user} on {}", node.me);
            let explained = node.presence.explain(&id("default"), &id(user)).await.unwrap();
            assert_eq!(explained.record.status, *status, "{explained:?}");
        }
    }
}

async fn drive(presence: &RedisPresence, clock: &Clock, number: u8) {
    let realm = id("default");
    for _ in 0..300 {
        let user = id(["ann", "bob", "cid"][usize::try_from(random_below(3)).unwrap()]);
        let connection = connection(number);
        let ending = [Ending::Closed, Ending::Dropped][usize::try_from(random_below(2)).unwrap()];
        let done = match random_below(8) {
            0 | 1 => presence.connected(&realm, &user, connection).await,
            2 | 3 => presence.disconnected(&realm, &user, connection, ending).await,
            4 => presence.active(&realm, &user, connection).await,
            5 => presence.set_manual(&realm, &user, ManualStatus::Dnd).await,
            6 => presence.set_manual(&realm, &user, ManualStatus::Online).await,
            _ => presence.clear_manual(&realm, &user).await,
        };
        assert_eq!(done.unwrap(), None);
        clock.advance(Duration::from_millis(random_below(2_000)));
        assert_eq!(presence.sweep().await.unwrap(), []);
    }
}

#[tokio::test]
async fn what_is_remembered_is_bounded() {
    let server = Server::start().await;
    let clock = Clock::manual(START);
    let bounds = Bounds { remembered: 10, chosen: 2 };
    let settings = RedisSettings { bounds, rules: RULES, ..settings("a#1") };
    let a = Node::with(&server, &clock, settings);
    for place in 0..30 {
        let user = format!("user{place}");
        a.connect(&user, 1).await;
        a.end(&user, 1, Ending::Closed).await;
        clock.advance(Duration::from_millis(1));
    }
    assert_eq!(number(&server, &["HLEN", "hb:{default}:st"]).await, 10);
    assert_eq!(texts(&server, &["ZRANGE", "hb:{default}:idle", "0", "0"]).await, ["user20"]);
    let realm = id("default");
    let choose = async |user: &str, chosen| a.presence.set_manual(&realm, &id(user), chosen).await;
    let ends_at = START.as_secs() + 60;
    choose("ann", ManualStatus::DndUntil(ends_at)).await.unwrap();
    choose("bob", ManualStatus::Away).await.unwrap();
    let refused = choose("cid", ManualStatus::Dnd).await;
    assert!(matches!(refused, Err(PresenceError::Full { limit: 2 })), "{refused:?}");
    assert_eq!(a.shows("cid").await, Offline);
    choose("bob", ManualStatus::Dnd).await.unwrap();
    clock.advance(Duration::from_secs(60));
    a.sweep().await;
    assert_eq!(a.shows("ann").await, Offline);
    choose("cid", ManualStatus::Dnd).await.unwrap();
}
