//! The servers of the suite do what the scenarios need, without any node.

use std::time::Duration;

use hubbub_faults::{
    process::Signal,
    proxy::Proxy,
    redis::{Cluster, Options, Persistence, Sentinels, Server},
    system::until,
};

/// Goal: what was written survives a kill with an append-only file, and only then.
#[tokio::test(flavor = "multi_thread")]
async fn a_killed_server_keeps_what_it_appended() {
    let folder = tempfile::tempdir().unwrap();
    for (persistence, expected) in [(Persistence::EverySecond, "1"), (Persistence::None, "")] {
        let name = format!("{persistence:?}");
        let options = Options { persistence, ..Options::default() };
        let mut server = Server::start(folder.path(), &name, options).await.unwrap();
        server.command(&["SET", "a", "1"]).await.unwrap();
        let history = server.info("replication", "master_replid").await.unwrap();
        server.kill().await.unwrap();
        server.restart().await.unwrap();
        assert_eq!(server.command(&["GET", "a"]).await.unwrap().text(), expected);
        assert_ne!(server.info("replication", "master_replid").await.unwrap(), history);
    }
}

/// Goal: a stopped server answers nothing and loses nothing.
#[tokio::test(flavor = "multi_thread")]
async fn a_stopped_server_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let mut server = Server::start(folder.path(), "redis", Options::default()).await.unwrap();
    server.signal(Signal::STOP).unwrap();
    let asked = tokio::time::timeout(Duration::from_millis(300), server.command(&["PING"])).await;
    assert!(asked.is_err(), "{asked:?}");
    server.signal(Signal::CONT).unwrap();
    assert_eq!(server.command(&["PING"]).await.unwrap().text(), "PONG");
}

/// Goal: a replica behind a stalled proxy lacks the last writes, and is still promoted.
#[tokio::test(flavor = "multi_thread")]
async fn a_lagging_replica_is_promoted() {
    let folder = tempfile::tempdir().unwrap();
    let options = Options::default();
    let mut all = Sentinels::start(folder.path(), 1, 3, &options).await.unwrap();
    let old = all.primary().await.unwrap();
    assert_eq!(old, 0);
    let proxy = Proxy::start(all.servers[0].address()).await.unwrap();
    let port = proxy.address.port().to_string();
    all.servers[1].command(&["REPLICAOF", "127.0.0.1", &port]).await.unwrap();
    all.servers[1].follows().await.unwrap();
    all.servers[0].command(&["SET", "a", "1"]).await.unwrap();
    let replica = &all.servers[1];
    let arrived =
        || async { replica.command(&["GET", "a"]).await.is_ok_and(|value| value.text() == "1") };
    until("replication", Duration::from_secs(10), arrived).await.unwrap();
    proxy.stall(true);
    all.servers[0].command(&["SET", "b", "1"]).await.unwrap();
    all.servers[0].kill().await.unwrap();
    let (new, took) = all.failed_over(old).await.unwrap();
    assert_eq!(new, 1);
    assert!(took < Duration::from_secs(20), "{took:?}");
    assert_eq!(all.servers[1].command(&["GET", "a"]).await.unwrap().text(), "1");
    assert_eq!(all.servers[1].command(&["GET", "b"]).await.unwrap().text(), "");
    // The old one comes back and is made a replica.
    all.servers[0].restart().await.unwrap();
    all.servers[0].follows().await.unwrap();
}

/// Goal: a slot moves with its keys.
#[tokio::test(flavor = "multi_thread")]
async fn a_slot_moves_with_its_keys() {
    let folder = tempfile::tempdir().unwrap();
    let cluster = Cluster::start(folder.path(), &Options::default()).await.unwrap();
    let (_slot, owner) = cluster.owner("k{default}").await.unwrap();
    for key in 0..50 {
        let key = format!("{key}{{default}}");
        cluster.servers[owner].command(&["RPUSH", &key, "v"]).await.unwrap();
    }
    let (from, to) = cluster.migrate("k{default}").await.unwrap();
    assert_eq!(from, owner);
    let (_slot, owner) = cluster.owner("k{default}").await.unwrap();
    assert_eq!(owner, to);
    let moved = cluster.servers[to].command(&["LLEN", "49{default}"]).await.unwrap();
    assert_eq!(moved.text(), "1");
}

/// Goal: Valkey can stand in for Redis; where it is not installed, that is said.
#[tokio::test(flavor = "multi_thread")]
async fn valkey_runs_scripts() {
    let Some(binary) = hubbub_faults::system::valkey() else {
        eprintln!("skipped: no valkey-server, run scripts/setup");
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let options = Options { binary, ..Options::default() };
    let server = Server::start(folder.path(), "valkey", options).await.unwrap();
    let script = "return redis.call('INCR', KEYS[1])";
    assert_eq!(server.command(&["EVAL", script, "1", "a"]).await.unwrap().text(), "1");
    assert_eq!(server.info("replication", "role").await.unwrap(), "master");
}
