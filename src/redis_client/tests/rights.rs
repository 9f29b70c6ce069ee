//! Goal: what the document says is enough, and what is missing is named at the start.
//!
//! Method: real servers with exactly those users.

use redis::Value;

use super::{cluster::Cluster, sentinel::Watched};
use crate::{
    config::{Redis, Secret},
    redis_client::{
        RedisClient, StartError,
        testing::{self, Server, documented_rights},
    },
};

const EVERY: &str = "every server";
const ONE: &str = "also with redis.mode=standalone or sentinel";
const CLUSTER: &str = "also with redis.mode=cluster";
const HA: &str = "also with log.profile=ha";
const SENTINEL: &str = "every Sentinel";

async fn tell(server: &Server, words: &[&str]) {
    assert_eq!(server.command(words).await, Value::Okay, "{words:?}");
}

/// Makes the user as the document says.
async fn allow(server: &Server, kinds: &[&str]) {
    for kind in kinds {
        let words = documented_rights(kind);
        tell(server, &words.iter().map(String::as_str).collect::<Vec<_>>()).await;
    }
}

/// A client that logs in as that user.
fn client(mut config: Redis) -> RedisClient {
    let urls = config.urls.iter();
    let urls = urls.map(|url| url.reveal().replace("redis://", "redis://hubbub:PASSWORD@"));
    config.urls = urls.map(|url| Secret::new(&url)).collect();
    config.username = Some("hubbub".to_owned());
    config.password = Some(Secret::new("PASSWORD"));
    RedisClient::new(&config, &testing::metrics()).unwrap()
}

/// What a node that starts now is told to lack.
async fn lacks(config: Redis, is_ha: bool) -> String {
    match client(config).check(is_ha).await {
        Ok(()) => String::new(),
        Err(StartError::Forbidden { lacks }) => lacks,
        Err(other) => panic!("{other:?}"),
    }
}

async fn names_what_is_missing(server: Server) {
    allow(&server, &[EVERY, ONE, HA]).await;
    tell(&server, &["CONFIG", "SET", "min-replicas-to-write", "1"]).await;
    assert_eq!(lacks(server.config(), true).await, "");
    let set = async |word: &str| tell(&server, &["ACL", "SETUSER", "hubbub", word]).await;
    let words = [documented_rights(EVERY), documented_rights(ONE), documented_rights(HA)].concat();
    for right in words.iter().filter_map(|word| word.strip_prefix('+')) {
        set(&format!("-{right}")).await;
        let expected = if right == "role" { String::new() } else { format!("+{right}") };
        let found = lacks(server.config(), true).await;
        assert_eq!(found, expected);
        set(&format!("+{right}")).await;
    }
    for (taken, right) in [("resetkeys", "~hb:*"), ("resetchannels", "&hb:*")] {
        set(taken).await;
        assert_eq!(lacks(server.config(), false).await, right);
        set(right).await;
    }
    set("-wait").await;
    assert_eq!(lacks(server.config(), false).await, "", "only the profile ha waits");
    assert_eq!(server.command(&["DBSIZE"]).await, Value::Int(0), "nothing is left");
}

#[tokio::test]
async fn k04_a_right_that_is_missing_is_named() {
    names_what_is_missing(Server::start().await).await;
}

#[tokio::test]
async fn k04_a_right_that_is_missing_is_named_by_valkey_too() {
    names_what_is_missing(Server::start_valkey().await).await;
}

#[tokio::test]
async fn k04_the_documented_rights_are_enough_under_a_sentinel() {
    let servers = Watched::start().await;
    allow(&servers.primary, &[EVERY, ONE]).await;
    allow(&servers.sentinel, &[SENTINEL]).await;
    assert_eq!(lacks(servers.config(), false).await, "");
    let take = ["ACL", "SETUSER", "hubbub", "-sentinel|master"];
    tell(&servers.sentinel, &take).await;
    assert_eq!(lacks(servers.config(), false).await, "+sentinel|master of a Sentinel");
}

#[tokio::test]
async fn k04_the_documented_rights_are_enough_in_a_cluster() {
    let cluster = Cluster::start(0).await;
    for server in &cluster.servers {
        allow(server, &[EVERY, CLUSTER]).await;
    }
    assert_eq!(lacks(cluster.config(), false).await, "");
    for (right, server) in [("spublish", 1), ("ssubscribe", 2), ("zadd", 0)] {
        let take = ["ACL", "SETUSER", "hubbub", &format!("-{right}")];
        tell(&cluster.servers[server], &take).await;
        assert_eq!(lacks(cluster.config(), false).await, format!("+{right}"));
        tell(&cluster.servers[server], &["ACL", "SETUSER", "hubbub", &format!("+{right}")]).await;
    }
    for server in &cluster.servers {
        tell(server, &["ACL", "SETUSER", "hubbub", "-cluster|slots"]).await;
    }
    assert_eq!(lacks(cluster.config(), false).await, "+cluster|slots");
}
