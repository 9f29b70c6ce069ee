//! Rules between keys, and what a node needs before it may start.
//!
//! Invariants: a check only reads; each error names the key to change.
//!
//! Not here: the range of a single key (`keys`).

use super::{
    Purpose,
    draft::{Draft, server_urls},
    error::{ConfigError, Problem},
    redis_urls,
    source::Source,
    tables::HMAC,
    types::{KeyMaterial, Secret},
};

/// The shortest HMAC secret, as long as the shortest hash (RFC 7518 §3.2).
const SECRET_BYTES_MIN: usize = 32;

/// A shorter API key can be guessed.
const API_KEY_BYTES_ADVISED: usize = 16;

/// Runs every rule. `purpose` decides whether what is missing matters.
pub(super) fn check(
    draft: &Draft,
    purpose: Purpose,
    source: &impl Source,
) -> (Vec<ConfigError>, Vec<String>) {
    let mut errors = Vec::new();
    let mut warnings = Vec::new();
    keys(draft, &mut errors, &mut warnings);
    public(draft, &mut errors);
    routes(draft, &mut errors);
    durations(draft, &mut errors);
    redis(draft, &mut errors);
    if purpose == Purpose::Serve {
        if draft.config.dev {
            loopback_only(draft, &mut errors);
        } else {
            production(draft, &mut errors);
        }
        files(draft, source, &mut errors, &mut warnings);
    }
    (errors, warnings)
}

fn keys(draft: &Draft, errors: &mut Vec<ConfigError>, warnings: &mut Vec<String>) {
    let short = |secret: &Secret| secret.reveal().len() < SECRET_BYTES_MIN;
    let text = format!("must have at least {SECRET_BYTES_MIN} bytes");
    if draft.auth_secret.as_ref().is_some_and(short) {
        errors.push(ConfigError::rule("auth.secret", text.clone()));
    }
    for (index, key) in draft.config.auth.keys.iter().enumerate() {
        if let KeyMaterial::Secret(secret) = &key.material
            && short(secret)
        {
            errors.push(ConfigError::rule(&format!("auth.keys[{index}].secret"), text.clone()));
        }
    }
    let tables = draft.config.internal.api_keys.iter().enumerate();
    let tables = tables.map(|(index, key)| (format!("internal.api_keys[{index}].key"), &key.key));
    let single = draft.api_key.iter().map(|key| ("internal.api_key".to_owned(), key));
    for (name, key) in single.chain(tables) {
        let key = key.reveal();
        if key.is_empty() || !key.bytes().all(|byte| byte.is_ascii_graphic()) {
            let text = "must be printable ASCII without spaces: it travels in a header";
            errors.push(ConfigError::rule(&name, text));
        } else if key.len() < API_KEY_BYTES_ADVISED {
            warnings.push(format!("{name} is short enough to be guessed"));
        }
    }
}

fn public(draft: &Draft, errors: &mut Vec<ConfigError>) {
    let any = draft.allowed_origins.iter().any(|origin| origin == "*");
    if any && draft.allowed_origins.len() > 1 {
        let text = "`*` stands alone: the other origins would mean nothing";
        errors.push(ConfigError::rule("public.allowed_origins", text));
    }
    if any && !draft.config.auth.cookie.is_empty() {
        let text = "`*` with cookies would let any page act as its visitor: list the origins, or \
                    set `auth.cookie` to an empty text";
        errors.push(ConfigError::rule("public.allowed_origins", text));
    }
    match (&draft.tls_certificate, &draft.tls_key) {
        (Some(_), None) => {
            let text = "is missing: `public.tls_cert` is set";
            errors.push(ConfigError::rule("public.tls_key", text));
        }
        (None, Some(_)) => {
            let text = "is missing: `public.tls_key` is set";
            errors.push(ConfigError::rule("public.tls_cert", text));
        }
        (Some(_), Some(_)) | (None, None) => {}
    }
    let (one, other) = (draft.config.public.listen, draft.config.internal.listen);
    if one == other && one.port() != 0 {
        let text = "is the address of `public.listen`, too";
        errors.push(ConfigError::rule("internal.listen", text));
    }
}

/// Routes that can be named must not hide each other or the fixed ones.
fn routes(draft: &Draft, errors: &mut Vec<ConfigError>) {
    let pydio = &draft.config.dialects.pydio;
    if !pydio.enabled {
        return;
    }
    let mut taken = vec!["/", "/ws", "/echo"];
    for (key, path) in [
        ("dialects.pydio.event_path", pydio.event_path.as_str()),
        ("dialects.pydio.chat_path", &pydio.chat_path),
        ("dialects.pydio.chat_alias", &pydio.chat_alias),
    ] {
        let below = ["/api/", "/demo/", "/ws/room/"];
        if taken.contains(&path) || below.iter().any(|prefix| path.starts_with(prefix)) {
            errors.push(ConfigError::rule(key, format!("`{path}` is another route already")));
        }
        if !path.is_empty() {
            taken.push(path);
        }
    }
}

fn durations(draft: &Draft, errors: &mut Vec<ConfigError>) {
    let config = &draft.config;
    if config.cluster.heartbeat * 2 > config.cluster.lease {
        let text = "must be at most half of `cluster.lease`, or one lost beat ends the lease";
        errors.push(ConfigError::rule("cluster.heartbeat", text));
    }
}

/// Which server a node speaks to must never be a surprise: what means nothing is
/// refused.
fn redis(draft: &Draft, errors: &mut Vec<ConfigError>) {
    let redis = &draft.config.redis;
    let mut refuse = |key: &str, text: &str| errors.push(ConfigError::rule(key, text));
    let mode = draft.redis_mode.as_str();
    if redis.sentinel_master.is_some() != (mode == "sentinel") {
        let text = "belongs to `redis.mode = \"sentinel\"`, which needs it";
        refuse("redis.sentinel_master", text);
    }
    if redis.username.is_some() && redis.password.is_none() {
        refuse("redis.username", "needs `redis.password`");
    }
    let urls = draft.redis_url.as_ref().map(server_urls).unwrap_or_default();
    if urls.is_empty() {
        let needs = [
            (mode != "standalone", "`redis.mode` is set"),
            (redis.password.is_some(), "`redis.password` is set"),
            (redis.tls_ca.is_some(), "`redis.tls_ca` is set"),
            (draft.log_profile == "ha", "`log.profile` is `ha`"),
        ];
        for (_, why) in needs.iter().filter(|(is_set, _)| *is_set) {
            refuse("redis.url", &format!("is missing: {why}"));
        }
        return;
    }
    if mode == "standalone" && urls.len() > 1 {
        refuse("redis.url", "is a list, which needs `redis.mode` `sentinel` or `cluster`");
    }
    if draft.config.data_dir.is_some() {
        refuse("data.dir", "belongs to the embedded log: with `redis.url` all data is in Redis");
    }
    match redis_urls::read(urls.iter().map(Secret::reveal)) {
        Err(text) => refuse("redis.url", text),
        Ok(common) => {
            if mode == "cluster" && common.database != 0 {
                refuse("redis.url", "names a database, and a cluster has only number 0");
            }
            if redis.tls_ca.is_some() && !common.is_encrypted {
                refuse("redis.tls_ca", "means nothing without rediss://");
            }
        }
    }
}

/// What nobody may be able to reach from outside.
fn loopback_only(draft: &Draft, errors: &mut Vec<ConfigError>) {
    for (key, listen) in [
        ("public.listen", draft.config.public.listen),
        ("internal.listen", draft.config.internal.listen),
    ] {
        if !listen.ip().is_loopback() {
            let text = format!("`--dev` listens on loopback only, not on {listen}");
            errors.push(ConfigError::rule(key, text));
        }
    }
}

/// What a node needs that others can reach.
fn production(draft: &Draft, errors: &mut Vec<ConfigError>) {
    let auth = &draft.config.auth;
    if draft.auth_secret.is_none() && auth.keys.is_empty() && auth.jwks_url.is_none() {
        let text = "is missing: tokens need a signing key (`auth.secret`, `[[auth.keys]]` or \
                    `auth.jwks_url`), or start with `--dev`";
        errors.push(ConfigError::rule("auth.secret", text));
    }
    if draft.api_key.is_none() && draft.config.internal.api_keys.is_empty() {
        let listen = draft.config.internal.listen;
        let text = format!(
            "is missing: the server API on {listen} needs a key (`internal.api_key` or \
             `[[internal.api_keys]]`), or start with `--dev`"
        );
        errors.push(ConfigError::rule("internal.api_key", text));
    }
}

/// Files that the node will open must be readable now; keys should be private.
fn files(
    draft: &Draft,
    source: &impl Source,
    errors: &mut Vec<ConfigError>,
    warnings: &mut Vec<String>,
) {
    let tls = [
        ("public.tls_cert", &draft.tls_certificate),
        ("public.tls_key", &draft.tls_key),
        ("redis.tls_ca", &draft.config.redis.tls_ca),
    ];
    let tls = tls.into_iter().filter_map(|(key, path)| Some((key.to_owned(), path.as_ref()?)));
    let keys = draft.config.auth.keys.iter().enumerate().filter_map(|(index, key)| {
        debug_assert!(
            HMAC.contains(&key.algorithm.as_str())
                == matches!(key.material, KeyMaterial::Secret(_))
        );
        match &key.material {
            KeyMaterial::PublicKeyFile(path) => {
                Some((format!("auth.keys[{index}].public_key_file"), path))
            }
            KeyMaterial::Secret(_) => None,
        }
    });
    for (key, path) in tls.chain(keys) {
        match source.file(path) {
            Err(error) => {
                errors.push(ConfigError::new(key, "", Problem::unreadable(path, &error)));
            }
            Ok(content) if content.world_readable && key == "public.tls_key" => {
                warnings.push(format!("{key}: every user can read {}", path.display()));
            }
            Ok(_) => {}
        }
    }
}
