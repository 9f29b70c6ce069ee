//! Goal: a node that would be open to others, or unable to work, does not start.

use super::*;

/// A production file with both keys, and `more`.
fn production(more: &str) -> Result<Loaded, ConfigErrors> {
    let file = format!("auth.secret = '{SECRET}'\ninternal.api_key = '{SECRET}'\n{more}");
    load(&args(Mode::Production, &[]), &source(&file, &[]))
}

#[test]
fn production_needs_its_keys_and_dev_does_not() {
    let errors = texts(load(&args(Mode::Production, &[]), &source("", &[])));
    assert_eq!(errors.len(), 2, "{errors:?}");
    assert!(errors[0].starts_with("auth.secret: is missing"));
    assert!(errors[1].starts_with("internal.api_key: is missing"));
    let jwks = "auth.jwks_url = 'https://id.example/jwks'\ninternal.api_key = '0123456789abcdef'";
    assert!(load(&args(Mode::Production, &[]), &source(jwks, &[])).is_ok());
    assert!(load_dev("", &[], &[]).unwrap().config.internal.api_keys.is_empty());
    let mut inspect = args(Mode::Production, &[]);
    inspect.purpose = Purpose::Inspect;
    assert!(load(&inspect, &source("", &[])).is_ok(), "only serving needs keys");
}

#[test]
fn dev_turns_on_what_a_newcomer_wants_to_see() {
    let dev = load_dev("", &[], &[]).unwrap().config;
    assert!(dev.dev && dev.demo && dev.dialects.room.enabled && dev.dialects.room.anonymous);
    assert_eq!(dev.auth.keys.len(), 1);
    let off = load_dev("demo.enabled = false", &[], &[]).unwrap().config;
    assert!(!off.demo, "what is set wins");
    let production = production("").unwrap().config;
    assert!(!production.demo && !production.dialects.room.enabled && !production.dialects.echo);
    assert!(production.dialects.mattermost.enabled && production.dialects.pydio.enabled);
}

#[test]
fn a12_a_short_hmac_secret_is_refused() {
    let short = "0123456789abcdef0123456789abcde";
    for (file, key) in [
        (format!("auth.secret = '{short}'"), "auth.secret"),
        (format!("[[auth.keys]]\nalgorithm = 'HS256'\nsecret = '{short}'"), "auth.keys[0].secret"),
    ] {
        assert_eq!(errors(&file), [format!("{key}: must have at least 32 bytes")]);
    }
    assert!(load_dev(&format!("auth.secret = '{SECRET}'"), &[], &[]).is_ok());
}

#[test]
fn c03_any_origin_with_cookies_is_refused() {
    let errors = texts(production("public.allowed_origins = ['*']"));
    assert_eq!(errors.len(), 1);
    assert!(errors[0].starts_with("public.allowed_origins: `*` with cookies"), "{errors:?}");
    let without = production("public.allowed_origins = ['*']\nauth.cookie = ''").unwrap();
    assert_eq!(without.config.public.allowed_origins, AllowedOrigins::Any);
    let mixed = "public.allowed_origins = ['*', 'https://a.example']\nauth.cookie = ''";
    assert!(texts(production(mixed))[0].starts_with("public.allowed_origins: `*` stands alone"));
}

#[test]
fn c03_dev_listens_on_loopback_only() {
    for address in ["0.0.0.0:8065", "192.0.2.1:8065", "[::]:8065"] {
        for key in ["public.listen", "internal.listen"] {
            let errors = errors(&format!("{key} = '{address}'"));
            assert_eq!(
                errors,
                [format!("{key}: `--dev` listens on loopback only, not on {address}")]
            );
        }
    }
    for address in ["127.0.0.1:0", "127.9.9.9:1", "[::1]:0", "localhost:0"] {
        assert!(load_dev(&format!("public.listen = '{address}'"), &[], &[]).is_ok(), "{address}");
    }
}

#[test]
fn c04_a_secret_that_everybody_can_read_is_warned_about() {
    let mut source =
        source("auth.secret_file = 's'\npublic.tls_key = 'k'\npublic.tls_cert = 'k'", &[]);
    source.files.insert("s".to_owned(), (SECRET.to_owned(), true));
    source.files.insert("k".to_owned(), ("pem".to_owned(), true));
    let warnings = load(&args(dev(), &[]), &source).unwrap().warnings;
    assert_eq!(
        warnings,
        ["auth.secret_file: every user can read s", "public.tls_key: every user can read k"]
    );
    let mut source = super::source(&format!("auth.secret = '{SECRET}'"), &[]);
    source.files.get_mut("f.toml").unwrap().1 = true;
    let warnings = load(&args(dev(), &[]), &source).unwrap().warnings;
    assert_eq!(warnings, ["f.toml holds secrets and every user can read it"]);
}

#[test]
fn c04_secrets_are_not_taken_from_the_command_line() {
    for key in ["auth.secret", "internal.api_key"] {
        let errors = texts(load_dev("", &[], &[&format!("{key}={SECRET}")]));
        assert_eq!(errors.len(), 1);
        let expected = format!("{key}: is a secret, which the command line would show");
        assert!(errors[0].starts_with(&expected) && !errors[0].contains(SECRET), "{errors:?}");
    }
}

#[test]
fn c07_an_open_internal_listener_without_a_key_is_refused() {
    let file = format!("auth.secret = '{SECRET}'\ninternal.listen = '0.0.0.0:8067'");
    let errors = texts(load(&args(Mode::Production, &[]), &source(&file, &[])));
    assert_eq!(errors.len(), 1);
    assert!(errors[0].starts_with("internal.api_key: is missing: the server API on 0.0.0.0:8067"));
    assert!(production("internal.listen = '0.0.0.0:8067'").is_ok());
}

#[test]
fn redis_keys_that_mean_nothing_together_are_refused() {
    let url = |rest: &str| format!("redis.url = '{rest}'\n");
    let one = url("redis://127.0.0.1");
    for (more, expected) in [
        (url("redis://a,redis://b"), "redis.url: is a list, which needs `redis.mode`"),
        (url("127.0.0.1:6379"), "redis.url: must be URLs that begin with redis://"),
        (url("redis://a:x@b:y"), "redis.url: must name a host"),
        (format!("{one}data.dir = '/tmp/x'"), "data.dir: belongs to the embedded log"),
        (format!("{one}redis.mode = 'sentinel'"), "redis.sentinel_master: belongs to"),
        (format!("{one}redis.sentinel_master = 'x'"), "redis.sentinel_master: belongs to"),
        (format!("{one}redis.username = 'x'"), "redis.username: needs `redis.password`"),
        (format!("{one}redis.tls_ca = 'f.toml'"), "redis.tls_ca: means nothing without"),
        (format!("{}redis.tls_ca = 'gone'", url("rediss://a")), "redis.tls_ca: cannot read gone"),
        (url("redis://a/1") + "redis.mode = 'cluster'", "redis.url: names a database"),
        ("redis.mode = 'cluster'".to_owned(), "redis.url: is missing: `redis.mode` is set"),
        ("redis.password = 'x'".to_owned(), "redis.url: is missing: `redis.password` is set"),
        ("log.profile = 'ha'".to_owned(), "redis.url: is missing: `log.profile` is `ha`"),
    ] {
        let errors = texts(production(&more));
        assert!(errors.iter().any(|error| error.starts_with(expected)), "{more}: {errors:?}");
        assert!(errors.iter().all(|error| !error.contains("a:x")), "{errors:?}");
    }
    for more in [
        one.clone(),
        format!("{one}log.profile = 'ha'\nredis.password = 'x'\nredis.username = 'y'"),
        url("redis://:p@a:1, redis://b:2") + "redis.mode = 'cluster'",
        url("redis://a,redis://b/0") + "redis.mode = 'sentinel'\nredis.sentinel_master = 'm'",
        url("rediss://a/2") + "redis.tls_ca = 'f.toml'\nredis.password_file = 'f.toml'",
    ] {
        assert_eq!(texts(production(&more)), Vec::<String>::new(), "{more}");
    }
}

#[test]
fn keys_that_belong_together_are_checked_together() {
    for (more, expected) in [
        ("public.tls_cert = 'f.toml'", "public.tls_key: is missing"),
        ("public.tls_key = 'f.toml'", "public.tls_cert: is missing"),
        (
            "public.tls_cert = 'gone'\npublic.tls_key = 'f.toml'",
            "public.tls_cert: cannot read gone",
        ),
        ("internal.listen = '127.0.0.1:8065'", "internal.listen: is the address of"),
        ("cluster.heartbeat = '9s'", "cluster.heartbeat: must be at most half"),
        ("auth.jwks_url = 'http://id.example/jwks'", "auth.jwks_url: must be an https:// URL"),
        (
            "auth.jwks_url = 'http://127.0.0.1@id.example/'",
            "auth.jwks_url: must be an https:// URL",
        ),
        ("dialects.pydio.chat_path = '/ws'", "dialects.pydio.chat_path: `/ws` is another route"),
        ("dialects.pydio.chat_alias = '/ws/event'", "dialects.pydio.chat_alias: `/ws/event` is"),
        ("public.base_path = 'chat'", "public.base_path: must be a path"),
        ("internal.api_key_file = 'f.toml'", "internal.api_key_file: is set twice"),
    ] {
        let errors = texts(production(more));
        assert!(errors.iter().any(|error| error.starts_with(expected)), "{more}: {errors:?}");
    }
    for more in [
        "auth.jwks_url = 'http://localhost:9/jwks'",
        "auth.jwks_url = 'http://[::1]:9/jwks'",
        "dialects.pydio.chat_alias = ''",
        "internal.listen = '127.0.0.1:0'\npublic.listen = '127.0.0.1:0'",
    ] {
        assert_eq!(texts(production(more)), Vec::<String>::new(), "{more}");
    }
}

#[test]
fn the_ready_made_configurations_obey_the_rules() {
    let config = Config::for_tests();
    assert!(config.dev && config.public.listen.ip().is_loopback());
    assert_eq!((config.public.listen.port(), config.internal.listen.port()), (0, 0));
    assert_eq!((config.hubs.count, config.auth.keys.len()), (2, 1));
    let config = Config::dev(Secret::new(SECRET));
    assert!(config.hubs.count >= 1 && config.limits.connections >= 64);
}

#[test]
fn a_newcomers_cargo_run_is_noticed() {
    assert!(cargo_runs_it(&source("", &[("CARGO_PKG_NAME", "hubbub")])));
    assert!(!cargo_runs_it(&source("", &[("CARGO_PKG_NAME", "other")])));
    assert!(!cargo_runs_it(&source("", &[])));
}
