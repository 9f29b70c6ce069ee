//! What the user that a node logs in as must be allowed to do.
//!
//! Scripts check nothing before their first call, and one that stops half-way leaves half of
//! what it does: a right that is missing has to be known before anything is written.
//!
//! Invariants: finding out writes and publishes nothing; `docs/operations.md` says the
//! same as the table.

use std::{collections::BTreeSet, sync::LazyLock};

use redis::{Value, cmd};

use super::{
    NO_ARGS, RedisClient, RedisError, Script, StartError, connect, reply, settings::Address,
};
use crate::config::RedisMode;

/// The calls of scripts, and commands that are sent without one: each with as many words as
/// it needs, where `K` is a key.
const CALLS: &[&str] = &[
    "del K",
    "exists K",
    "expire K 1",
    "get K",
    "hdel K f",
    "hexists K f",
    "hget K f",
    "hgetall K",
    "hincrby K f 1",
    "hkeys K",
    "hlen K",
    "hmget K f",
    "hscan K 0",
    "hset K f v",
    "hsetnx K f v",
    "hvals K",
    "info replication",
    "lrange K 0 0",
    "memory|usage K",
    "pexpire K 1",
    "ping",
    "rpush K v",
    "sadd K v",
    "scard K",
    "set K v",
    "srandmember K",
    "srem K v",
    "time",
    "unlink K",
    "xadd K * f v",
    "xdel K 1-0",
    "xinfo|stream K",
    "xrange K - +",
    "xrevrange K + -",
    "xsetid K 1-0",
    "xtrim K maxlen 1",
    "zadd K 1 v",
    "zcard K",
    "zcount K 0 0",
    "zrange K 0 0",
    "zrangebyscore K 0 0",
    "zrem K v",
    "zremrangebyrank K 0 0",
    "zremrangebyscore K 0 0",
    "zrevrange K 0 0",
    "zscore K v",
];

static REFUSED: LazyLock<Script> =
    LazyLock::new(|| Script::new("other", &[include_str!("rights.lua")], true));

/// The verbs of the channel that a realm has.
fn channel_verbs(mode: RedisMode) -> [&'static str; 2] {
    match mode {
        RedisMode::Standalone | RedisMode::Sentinel => ["publish", "subscribe"],
        RedisMode::Cluster => ["spublish", "ssubscribe"],
    }
}

/// Checks that no primary refuses what is needed.
pub(super) async fn check(client: &RedisClient, is_ha: bool) -> Result<(), StartError> {
    let mode = client.0.settings.mode;
    let addresses = client.0.topology.primaries().await.map_err(|error| match mode {
        RedisMode::Sentinel if error.is_forbidden() => forbidden("+sentinel|master of a Sentinel"),
        RedisMode::Cluster if error.is_forbidden() => forbidden("+cluster|slots"),
        RedisMode::Standalone | RedisMode::Sentinel | RedisMode::Cluster => {
            StartError::Unreachable(error)
        }
    })?;
    let mut lacks = BTreeSet::new();
    for address in &addresses {
        let found = lacking(client, address, is_ha).await;
        lacks.extend(found.map_err(StartError::Unreachable)?);
        let found = lacking_to_listen(client, address).await;
        lacks.extend(found.map_err(StartError::Unreachable)?);
    }
    if lacks.is_empty() {
        return Ok(());
    }
    let lacks: Vec<String> = lacks.into_iter().collect();
    Err(forbidden(&lacks.join(" ")))
}

fn forbidden(lacks: &str) -> StartError {
    StartError::Forbidden { lacks: lacks.to_owned() }
}

/// What the user lacks at the primary at `address`, as `ACL SETUSER` has it.
async fn lacking(
    client: &RedisClient,
    address: &Address,
    is_ha: bool,
) -> Result<BTreeSet<String>, RedisError> {
    let prefix = &client.0.settings.prefix;
    let [publish, _] = channel_verbs(client.0.settings.mode);
    let key = format!("{prefix}:rights");
    let calls = CALLS.iter().map(|call| call.replace(" K", &format!(" {key}")));
    let calls: Vec<String> = calls.chain([format!("{publish} {key} text")]).collect();
    let mut connection = client.0.pools.connection(address).await?;
    let mut sent = vec![("unwatch", cmd("UNWATCH")), ("evalsha", REFUSED.by_hash(&[], NO_ARGS))];
    if is_ha {
        sent.push(("wait", cmd("WAIT").arg(0).arg(0).take()));
    }
    let mut lacks = BTreeSet::new();
    for (command, request) in sent {
        lacks.extend(lacked(command, connect::send(&mut connection, &request).await, prefix)?);
    }
    let answer = connect::send(&mut connection, &REFUSED.by_text(&[], &calls)).await;
    let answer = match answer {
        Err(error) if error.is_forbidden() => {
            lacks.extend(lacked("eval", Err(error), prefix)?);
            return Ok(lacks);
        }
        other => other?,
    };
    for pair in reply::list(&answer).chunks_exact(2) {
        let [number, reason] = pair else { continue };
        let number = reply::number(number).and_then(|number| usize::try_from(number - 1).ok());
        let call = number.and_then(|number| calls.get(number));
        let command = call.and_then(|call| call.split(' ').next()).unwrap_or_default();
        let message = reply::text(reason).unwrap_or_default().to_owned();
        let refusal = RedisError::Server { code: "ERR".to_owned(), message };
        lacks.extend(lacked(command, Err(refusal), prefix)?);
    }
    Ok(lacks)
}

/// What the user lacks to listen at the primary at `address`.
async fn lacking_to_listen(
    client: &RedisClient,
    address: &Address,
) -> Result<Option<String>, RedisError> {
    let settings = &client.0.settings;
    let [_, subscribe] = channel_verbs(settings.mode);
    let mut connection = connect::open(settings, address, Box::new(drop)).await?;
    let listen = cmd(subscribe).arg(format!("{}:rights", settings.prefix)).take();
    lacked(subscribe, connect::send(&mut connection, &listen).await, &settings.prefix)
}

/// The right that `command` was refused for. Rights are looked at first: with any other
/// refusal, it is there.
fn lacked(
    command: &str,
    answer: Result<Value, RedisError>,
    prefix: &str,
) -> Result<Option<String>, RedisError> {
    let error = match answer {
        Err(error @ RedisError::Server { .. }) if error.is_forbidden() => error.to_string(),
        Ok(_) | Err(RedisError::Server { .. }) => return Ok(None),
        Err(error) => return Err(error),
    };
    // A name of a user stands only where it is about a command.
    let is_of_command = error.contains("to run the") || error.contains("run this command");
    Ok(Some(match is_of_command {
        true => format!("+{command}"),
        false if error.contains("channel") => format!("&{prefix}:*"),
        false => format!("~{prefix}:*"),
    }))
}

#[cfg(test)]
mod tests {
    //! Goal: the document, the table and what the program sends are the same.

    use std::path::Path;

    use super::*;
    use crate::redis_client::testing::documented_rights;

    /// Commands beyond [`CALLS`], as the document has them.
    const OTHERS: &[&str] = &["eval", "evalsha", "unwatch", "role"];

    #[test]
    fn the_document_says_what_is_checked() {
        let commands = |kind: &str| -> BTreeSet<String> {
            let line = documented_rights(kind);
            let words = line.iter().filter_map(|word| word.strip_prefix('+'));
            words.map(str::to_owned).collect()
        };
        let calls = CALLS.iter().filter_map(|call| call.split(' ').next());
        let every: BTreeSet<_> = calls.chain(OTHERS.iter().copied()).map(str::to_owned).collect();
        assert_eq!(commands("every server"), every);
        let set = |words: &[&str]| words.iter().map(|&word| word.to_owned()).collect();
        let mut cluster: BTreeSet<String> = set(&channel_verbs(RedisMode::Cluster));
        cluster.insert("cluster|slots".to_owned());
        assert_eq!(commands("also with redis.mode=cluster"), cluster);
        let others = set(&channel_verbs(RedisMode::Standalone));
        assert_eq!(commands("also with redis.mode=standalone or sentinel"), others);
    }

    #[test]
    fn everything_that_is_sent_is_in_the_table() {
        let mut sent = BTreeSet::new();
        look(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut sent);
        let is_known = |command: &String| {
            let known = CALLS.iter().filter_map(|call| call.split([' ', '|']).next());
            let mut known = known
                .chain(OTHERS.iter().copied())
                .chain(["publish", "spublish", "wait", "config", "cluster", "sentinel"]);
            known.any(|known| known == command)
        };
        assert!(sent.len() > 40, "{sent:?}");
        let unknown: Vec<_> = sent.iter().filter(|command| !is_known(command)).collect();
        assert!(unknown.is_empty(), "{unknown:?}");
    }

    /// Finds the commands in the sources of the product below `folder`.
    fn look(folder: &Path, sent: &mut BTreeSet<String>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap();
            if path.is_dir() && !matches!(name, "tests" | "contract" | "sim") {
                look(&path, sent);
            }
            let openings: &[&str] = match name.rsplit_once('.') {
                Some((_, "lua")) => &["call('", "each_list('"],
                Some(("tests" | "testing", "rs")) => &[],
                Some((_, "rs")) => &["cmd(\"", "\"SPUBLISH\" } else { \""],
                _ => &[],
            };
            let text = if openings.is_empty() {
                String::new()
            } else {
                std::fs::read_to_string(&path).unwrap()
            };
            let product = text.split("#[cfg(test)]\nmod tests {").next().unwrap();
            for opening in openings {
                for found in product.split(opening).skip(1) {
                    let end = found.find(['\'', '"']).unwrap();
                    sent.insert(found[..end].to_lowercase());
                }
            }
        }
    }
}
