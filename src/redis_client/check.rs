//! Whether servers can hold the log, asked once at the start.
//!
//! Invariants: what could lose acknowledged events is refused, and so is a user who may not
//! do all that is needed; what is only unwise is warned about.

use redis::{Cmd, Value, cmd};

use super::{RedisClient, RedisError, StartError, connect, reply, rights, settings::Address};

/// The oldest version that has what the scripts use.
const OLDEST: (u32, u32) = (7, 0);

/// Versions in which the eviction of a blocked client frees memory that is still in
/// use (CVE-2026-23479): the first, and the first that is safe again.
const EVICTION_DEFECT: [(u32, u32, u32); 2] = [(7, 2, 0), (8, 6, 3)];

/// Asks every primary.
pub(super) async fn run(client: &RedisClient, is_ha: bool) -> Result<(), StartError> {
    rights::check(client, is_ha).await?;
    let addresses = client.0.topology.primaries().await.map_err(StartError::Unreachable)?;
    for address in addresses {
        let info = ask(client, &address, &cmd("INFO")).await.map_err(StartError::Unreachable)?;
        let info = Info(reply::text(&info).unwrap_or_default());
        refuse(&info, is_ha)?;
        warn(client, &address, &info).await;
    }
    Ok(())
}

async fn ask(client: &RedisClient, address: &Address, question: &Cmd) -> Result<Value, RedisError> {
    let mut connection = client.0.pools.connection(address).await?;
    connect::send(&mut connection, question).await.map_err(RedisError::of_reading)
}

/// What a server tells about itself.
struct Info<'a>(&'a str);

impl Info<'_> {
    fn get(&self, name: &str) -> Option<&str> {
        let value = |line: &'_ str| line.strip_prefix(name)?.strip_prefix(':').map(str::len);
        let line = self.0.lines().find(|line| value(line).is_some())?;
        line.split_once(':').map(|(_, value)| value.trim())
    }

    fn version(&self) -> (u32, u32, u32) {
        let mut parts = self.get("redis_version").unwrap_or_default().split('.');
        let mut part = || parts.next().and_then(|part| part.parse().ok()).unwrap_or(0);
        (part(), part(), part())
    }
}

fn refuse(info: &Info<'_>, is_ha: bool) -> Result<(), StartError> {
    let (major, minor, _) = info.version();
    if (major, minor) < OLDEST {
        let found = info.get("redis_version").unwrap_or("of an unknown version").to_owned();
        return Err(StartError::TooOld { found });
    }
    let policy = info.get("maxmemory_policy").unwrap_or("noeviction");
    let is_limited = info.get("maxmemory").is_some_and(|limit| limit != "0");
    // Without a limit nothing is evicted today; the ha profile does not bet on it.
    if policy != "noeviction" && (is_limited || is_ha) {
        return Err(StartError::Evicts { found: policy.to_owned() });
    }
    // A server that needs no replicas does not count the good ones.
    if is_ha && info.get("min_slaves_good_slaves").is_none() {
        return Err(StartError::NoReplicasNeeded);
    }
    Ok(())
}

async fn warn(client: &RedisClient, address: &Address, info: &Info<'_>) {
    let settings = &client.0.settings;
    let is_guarded = settings.is_encrypted && settings.has_password;
    for what in unwise(info, address.is_loopback() || is_guarded) {
        tracing::warn!(
            %address,
            encrypted = settings.is_encrypted,
            password = settings.has_password,
            "{what}"
        );
    }
    if !has_eviction_defect(info.version()) {
        return;
    }
    let question = cmd("CONFIG").arg("GET").arg("maxmemory-clients").take();
    let limit = ask(client, address, &question).await.ok();
    if !limit.as_ref().is_some_and(is_zero) {
        tracing::warn!(
            %address,
            "this version of redis may crash when `maxmemory-clients` evicts a client \
             (CVE-2026-23479): set it to 0 or update"
        );
    }
}

/// What should be changed though it works.
fn unwise(info: &Info<'_>, is_guarded: bool) -> Vec<&'static str> {
    let evicts = info.get("maxmemory_policy").is_some_and(|policy| policy != "noeviction");
    let all = [
        (!is_guarded, "redis is reached over a network without encryption or without a password"),
        (evicts, "redis would evict the log as soon as `maxmemory` is set"),
    ];
    all.into_iter().filter(|(is_so, _)| *is_so).map(|(_, what)| what).collect()
}

fn has_eviction_defect(version: (u32, u32, u32)) -> bool {
    let [first, safe] = EVICTION_DEFECT;
    (first..safe).contains(&version)
}

/// Whether the one value of an answer to `CONFIG GET` is 0.
fn is_zero(answer: &Value) -> bool {
    let mut pairs = answer.as_map_iter().into_iter().flatten();
    pairs.any(|(_, value)| reply::text(value) == Some("0"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "# Server\r\nredis_version:7.0.15\r\nmaxmemory:0\r\n\
                        maxmemory_policy:noeviction\r\nmin_slaves_good_slaves:0\r\n";

    fn refused(from: &str, to: &str, is_ha: bool) -> String {
        let text = GOOD.replace(from, to);
        assert!(from.is_empty() || text != GOOD, "{from}");
        refuse(&Info(&text), is_ha).map_or_else(|error| error.to_string(), |()| String::new())
    }

    #[test]
    fn f46_what_could_lose_events_is_refused() {
        assert_eq!(refused("", "", true), "");
        assert_eq!(refused("min_slaves", "x", false), "");
        assert!(refused("min_slaves", "x", true).contains("min-replicas-to-write"));
        for (version, fits) in
            [("6.2.14", false), ("7.0.0", true), ("10.0.1", true), ("x", false), ("7", true)]
        {
            let error = refused("7.0.15", version, false);
            assert_eq!(error.is_empty(), fits, "{version}: {error}");
        }
        assert_eq!(refused("noeviction", "allkeys-lru", false), "", "without a limit");
        assert!(refused("noeviction", "allkeys-lru", true).contains("allkeys-lru"));
        let text = GOOD.replace("noeviction", "volatile-ttl").replace("maxmemory:0", "maxmemory:9");
        assert!(matches!(refuse(&Info(&text), false), Err(StartError::Evicts { .. })));
    }

    #[test]
    fn k09_k11_what_is_unwise_is_known() {
        assert_eq!(unwise(&Info(GOOD), true), [""; 0]);
        assert!(unwise(&Info(GOOD), false)[0].contains("without a password"));
        let text = GOOD.replace("noeviction", "allkeys-lru");
        assert!(unwise(&Info(&text), true)[0].contains("evict"));
        for (version, is_bad) in [
            ((7, 0, 15), false),
            ((7, 2, 0), true),
            ((8, 6, 2), true),
            ((8, 6, 3), false),
            ((9, 0, 0), false),
        ] {
            assert_eq!(has_eviction_defect(version), is_bad, "{version:?}");
        }
        let text = |text: &str| Value::BulkString(text.into());
        let answer = |limit| Value::Map(vec![(text("maxmemory-clients"), text(limit))]);
        assert!(is_zero(&answer("0")) && !is_zero(&answer("100")) && !is_zero(&Value::Nil));
    }
}
