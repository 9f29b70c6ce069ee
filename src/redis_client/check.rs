//! Whether servers can hold the log, asked once at the start.
//!
//! Invariants: what could lose acknowledged events is refused; what is only unwise,
//! or may not be asked, is warned about.

use redis::{Value, pipe};

use super::{RedisClient, RedisError, StartError, reply, settings::Address};

/// The oldest version that has what the scripts use.
const OLDEST: (u32, u32) = (7, 0);

/// Versions in which the eviction of a blocked client frees memory that is still in
/// use (CVE-2026-23479): the first, and the first that is safe again.
const EVICTION_DEFECT: [(u32, u32, u32); 2] = [(7, 2, 0), (8, 6, 3)];

/// Asks every primary.
pub(super) async fn run(client: &RedisClient, is_ha: bool) -> Result<(), StartError> {
    let addresses = client.0.topology.primaries().await.map_err(StartError::Unreachable)?;
    for address in addresses {
        let info = ask(client, &address, pipe().cmd("INFO")).await;
        let info = match info {
            Ok(info) => info,
            Err(RedisError::Server { code, message }) => {
                tracing::warn!(%address, code, message, "redis may not be asked for INFO: unchecked");
                continue;
            }
            Err(error) => return Err(StartError::Unreachable(error)),
        };
        let info = Info(reply::text(&info).unwrap_or_default());
        refuse(&info, is_ha)?;
        warn(client, &address, &info).await;
    }
    Ok(())
}

async fn ask(
    client: &RedisClient,
    address: &Address,
    question: &redis::Pipeline,
) -> Result<Value, RedisError> {
    let mut connection = client.0.pools.connection(address).await?;
    let answers = connection.send_packed_commands(question, 0, question.len()).await;
    let answers = super::refusals_first(answers.map_err(RedisError::sent)?)?;
    answers.into_iter().next().ok_or(RedisError::Unexpected { expected: "one answer" })
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
    if !address.is_loopback() && !(settings.is_encrypted && settings.has_password) {
        tracing::warn!(
            %address,
            encrypted = settings.is_encrypted,
            password = settings.has_password,
            "redis is reached over a network without encryption or without a password"
        );
    }
    if info.get("maxmemory_policy").is_some_and(|policy| policy != "noeviction") {
        tracing::warn!(%address, "redis will evict the log once `maxmemory` is set");
    }
    let version = info.version();
    let [first, safe] = EVICTION_DEFECT;
    if version < first || version >= safe {
        return;
    }
    let question = pipe().cmd("CONFIG").arg("GET").arg("maxmemory-clients").clone();
    let limit = ask(client, address, &question).await.ok();
    let is_off = limit.as_ref().is_some_and(|limit| {
        let mut pairs = limit.as_map_iter().into_iter().flatten();
        pairs.any(|(_, value)| reply::text(value) == Some("0"))
    });
    if !is_off {
        tracing::warn!(
            %address,
            "this version of redis may crash when `maxmemory-clients` evicts a client \
             (CVE-2026-23479): set it to 0 or update"
        );
    }
}
