//! Goal: each value comes from the strongest place that sets it, and what cannot be
//! understood is reported with its key.

use super::*;

#[test]
fn flags_win_over_environment_over_file_over_default() {
    let file = "[hubs]\nqueue = 100\ncount = 3\n[node]\nid = 'from-file'\n";
    let variables = [("HUBBUB_HUBS__QUEUE", "200"), ("HUBBUB_NODE__ID", "from-env")];
    let loaded = load_dev(file, &variables, &["hubs.queue=300"]).unwrap().config;
    assert_eq!((loaded.hubs.queue, loaded.hubs.count), (300, 3));
    assert_eq!(loaded.node.id, "from-env");
    assert_eq!(loaded.redis.prefix, "hb");

    let mut args = args(dev(), &[]);
    args.flags.push(("--listen", "public.listen", "127.0.0.1:9".to_owned()));
    let variables = [("HUBBUB_PUBLIC__LISTEN", "127.0.0.1:8")];
    let config = load(&args, &source("", &variables)).unwrap().config;
    assert_eq!(config.public.listen.port(), 9);
}

#[test]
fn c01_a_value_that_is_overridden_is_still_checked() {
    let result = load_dev("hubs.queue = 'many'", &[("HUBBUB_HUBS__QUEUE", "200")], &[]);
    assert_eq!(texts(result), ["hubs.queue: must be a whole number (file f.toml)"]);
}

#[test]
fn c01_what_is_not_understood_is_named() {
    for (file, expected) in [
        ("listen = 'x'", "listen: unknown key; did you mean `public.listen`? (file f.toml)"),
        ("[public]\nlissen = 'x'", "public.lissen: unknown key; did you mean `public.listen`?"),
        ("[nothing]\nlike = 'it'", "nothing: unknown key (file f.toml)"),
        ("public = 3", "public: must be a table of keys"),
        ("[public]\nlisten = 8065", "public.listen: must be a text"),
        ("[public]\nlisten = 'everywhere'", "public.listen: must be an address such as"),
        ("[demo]\nenabled = 'yes'", "demo.enabled: must be true or false"),
        ("[hubs]\nqueue = 1.5", "hubs.queue: must be a whole number"),
        ("[public]\nallowed_origins = 'x'", "public.allowed_origins: must be a list of texts"),
        ("[public]\nallowed_origins = [1]", "public.allowed_origins: must be a list of texts"),
        (
            "[public]\nallowed_origins = ['example.org']",
            "public.allowed_origins: must be an origin",
        ),
        ("[public]\ntrusted_proxies = ['10.0.0.0/33']", "public.trusted_proxies: must be networks"),
        ("[log]\nprofile = 'fast'", "log.profile: must be one of log, ha"),
        ("[telemetry]\nlog_level = 'loud'", "telemetry.log_level: must be off, error"),
        ("[node]\nid = 'a b'", "node.id: must be 1 to 64 letters"),
        ("[auth]\ncookie = 'a;b'", "auth.cookie: must be a cookie name"),
        ("[auth]\nkeys = 3", "auth.keys: must be an array of tables"),
        ("[hubs]\nqueue = 100\nqueue = 200", "hubs.queue: is set twice (file f.toml line 3)"),
        ("[auth]\nsecret = 'a'\nsecret_file = 'f.toml'", "auth.secret_file: is set twice"),
        ("[hubs\nqueue = 1", "f.toml: line 1: "),
    ] {
        let errors = errors(file);
        assert!(errors.iter().any(|error| error.starts_with(expected)), "{file}: {errors:?}");
    }
}

#[test]
fn c01_a_line_that_is_no_toml_is_not_shown() {
    let errors = errors("[auth]\nsecret = \"very secret\n");
    assert_eq!(errors.len(), 1);
    assert!(errors[0].starts_with("f.toml: line 2: ") && !errors[0].contains("very secret"));
}

#[test]
fn c01_variables_that_are_not_understood_are_named() {
    for (name, value, expected) in [
        ("HUBBUB_PUBLIC__LISSEN", "x", "HUBBUB_PUBLIC__LISSEN: unknown key; did you mean"),
        ("HUBBUB_PUBLIC__", "x", "HUBBUB_PUBLIC__: unknown key"),
        ("HUBBUB_public__listen", "x", "HUBBUB_public__listen: unknown key"),
        ("HUBBUB_DIALECTS__ROOM", "x", "HUBBUB_DIALECTS__ROOM: unknown key"),
        ("HUBBUB_AUTH__KEYS", "x", "auth.keys: is an array of tables, which only the file"),
        ("HUBBUB_HUBS__QUEUE", "", "hubs.queue: must be a whole number (environment HUBBUB_HUBS"),
    ] {
        let errors = texts(load_dev("", &[(name, value)], &[]));
        assert_eq!(errors.len(), 1, "{name}: {errors:?}");
        assert!(errors[0].starts_with(expected), "{name}: {errors:?}");
    }
}

#[test]
fn variables_that_kubernetes_makes_are_only_warned_about() {
    let variables = [("HUBBUB_SERVICE_HOST", "10.0.0.1"), ("HUBBUB_PORT", "tcp://10.0.0.1:80")];
    let warnings = load_dev("", &variables, &[]).unwrap().warnings;
    assert_eq!(warnings.len(), 2);
    assert!(warnings.iter().all(|text| text.contains("ignored")), "{warnings:?}");
}

#[test]
fn c01_flags_that_are_not_understood_are_named() {
    for (set, expected) in [
        (&["hubs.queue"][..], "hubs.queue: must be `key=value` (flag --set)"),
        (&["hubs.que=1"], "hubs.que: unknown key; did you mean `hubs.queue`? (flag --set)"),
        (&["hubs.queue=50", "hubs.queue=60"], "hubs.queue: is set twice (flag --set)"),
        (&["hubs=50"], "hubs: must be one key (flag --set)"),
    ] {
        assert_eq!(texts(load_dev("", &[], set)), [expected]);
    }
}

#[test]
fn all_errors_are_reported_at_once() {
    let file = "[hubs]\nqueue = 1\n[limits]\nping_interval = 30\nnothing = 1";
    let result = load_dev(file, &[("HUBBUB_DEMO__ENABLED", "on")], &["public.listen=0.0.0.0:1"]);
    assert_eq!(texts(result).len(), 5);
}

#[test]
fn c02_limits_have_units_and_ranges() {
    for (key, value, expected) in [
        ("ping_interval", "30", "needs a unit, such as `30s`"),
        ("ping_interval", "'30'", "needs a unit, such as `30s`"),
        ("ping_interval", "'0s'", "must be from 1s to 1h"),
        ("ping_interval", "'-5s'", "must be a duration"),
        ("message_bytes", "65536", "needs a unit, such as `64KiB`"),
        ("message_bytes", "'2MiB'", "must be from 1KiB to 1MiB"),
        ("message_bytes", "'0B'", "must be from 1KiB to 1MiB"),
        ("message_bytes", "'64KB'", "must be a size"),
        ("outbox_events", "0", "must be from 8 to 65536"),
        ("outbox_events", "-1", "must be from 8 to 65536"),
        ("outbox_events", "9223372036854775807", "must be from 8 to 65536"),
        ("commands_burst", "4294967296", "must be from 1 to 1000000"),
        ("commands_per_second", "0", "must be from 0.1 to 1000000"),
        ("commands_per_second", "nan", "must be a number"),
        ("commands_per_second", "inf", "must be from 0.1 to 1000000"),
        ("handshakes_per_second", "-3.5", "must be from 1 to 1000000"),
    ] {
        let errors = errors(&format!("[limits]\n{key} = {value}"));
        let expected = format!("limits.{key}: {expected}");
        assert_eq!(errors.len(), 1, "{key} = {value}: {errors:?}");
        assert!(errors[0].starts_with(&expected), "{key} = {value}: {errors:?}");
    }
    let huge =
        texts(load_dev("", &[("HUBBUB_LIMITS__OUTBOX_EVENTS", "18446744073709551616")], &[]));
    assert_eq!(huge.len(), 1);
    assert!(huge[0].starts_with("limits.outbox_events: must be from 8 to 65536"));
}

#[test]
fn c02_zero_means_no_limit_or_derived_only_where_it_says_so() {
    let file = "[limits]\nconnections_per_ip = 0\nconnections_per_user = 0\nconnections = 0";
    let limits = load_dev(file, &[], &[]).unwrap().config.limits;
    assert_eq!((limits.connections_per_ip, limits.connections_per_user), (0, 0));
    let open_files = Machine::for_tests().open_files;
    assert_eq!(limits.connections, open_files - 512);
}

#[test]
fn lists_come_by_commas_and_texts_as_they_are() {
    let variables = [
        ("HUBBUB_PUBLIC__ALLOWED_ORIGINS", "https://a.example, http://b.example:8080"),
        ("HUBBUB_PUBLIC__TRUSTED_PROXIES", "10.0.0.0/8,::1"),
        ("HUBBUB_PUBLIC__BASE_PATH", "/chat"),
        ("HUBBUB_DATA__DIR", "/var/lib/hubbub"),
        ("HUBBUB_AUTH__AUDIENCE", ""),
        ("HUBBUB_LIMITS__API_EVENTS_PER_SECOND", "2.5"),
        ("HUBBUB_DIALECTS__ROOM__MAX_MESSAGE", "1024"),
    ];
    let config = load_dev("", &variables, &[]).unwrap().config;
    let origins = ["https://a.example", "http://b.example:8080"].map(str::to_owned).to_vec();
    assert_eq!(config.public.allowed_origins, AllowedOrigins::List(origins));
    let networks = ["10.0.0.0/8", "::1/128"].map(|text| text.parse().unwrap());
    assert_eq!(config.public.trusted_proxies, networks);
    assert_eq!(config.public.base_path, "/chat/");
    assert_eq!(config.data_dir, Some("/var/lib/hubbub".into()));
    assert_eq!(config.auth.audience, None);
    assert!((config.limits.api_events_per_second - 2.5).abs() < 1e-9);
    assert_eq!(config.dialects.room.max_message_bytes, 1_024);
}

#[test]
fn secrets_come_from_files_without_their_line_end() {
    let mut source = source("auth.secret_file = 's'\npublic.tls_key_file = 'k'", &[]);
    source.files.insert("s".to_owned(), (format!("{SECRET}\r\n"), false));
    source.files.insert("k".to_owned(), ("pem".to_owned(), false));
    source.files.insert("c".to_owned(), ("pem".to_owned(), false));
    let config = load(&args(dev(), &["public.tls_cert=c"]), &source).unwrap().config;
    let key = &config.auth.keys[0];
    assert!(matches!(&key.material, KeyMaterial::Secret(secret) if secret.reveal() == SECRET));
    let tls = TlsFiles { certificate: "c".into(), key: "k".into() };
    assert_eq!(config.public.tls, Some(tls));

    let missing = texts(load(&args(Mode::Production, &["auth.secret_file=gone"]), &source));
    assert!(missing[0].starts_with("auth.secret_file: cannot read gone: "), "{missing:?}");
}

#[test]
fn tables_hold_more_keys() {
    let file = format!(
        "[[auth.keys]]\nkid = 'a'\nalgorithm = 'HS512'\nsecret = '{SECRET}'\n\
         [[auth.keys]]\nalgorithm = 'EdDSA'\npublic_key_file = 'p'\n\
         [[internal.api_keys]]\nname = 'one'\nkey_file = 's'\nrealms = ['x']\n\
         [[internal.api_keys]]\nname = 'two'\nkey = '{SECRET}2'\n"
    );
    let mut source = source(&file, &[("HUBBUB_INTERNAL__API_KEY", "0123456789abcdef")]);
    source.files.insert("s".to_owned(), (SECRET.to_owned(), false));
    source.files.insert("p".to_owned(), ("pem".to_owned(), false));
    let loaded = load(&args(Mode::Production, &[]), &source).unwrap();
    assert_eq!(loaded.warnings, Vec::<String>::new());
    let keys = &loaded.config.auth.keys;
    assert_eq!(keys.len(), 2, "no secret of dev among them");
    assert_eq!((keys[0].kid.as_deref(), keys[0].algorithm.as_str()), (Some("a"), "HS512"));
    assert!(matches!(&keys[1].material, KeyMaterial::PublicKeyFile(path) if path.ends_with("p")));
    let names: Vec<_> = loaded.config.internal.api_keys.iter().map(|key| &key.name).collect();
    assert_eq!(names, ["default", "one", "two"]);
    assert_eq!(loaded.config.internal.api_keys[1].realms, ["x"]);
}

#[test]
fn c01_entries_of_tables_are_checked_field_by_field() {
    for (file, expected) in [
        ("[[auth.keys]]\nkid = 'a'", "auth.keys[0].algorithm: is missing"),
        ("[[auth.keys]]\nalgorithm = 'none'", "auth.keys[0].algorithm: must be one of HS256"),
        ("[[auth.keys]]\nalgorithm = 'HS256'", "auth.keys[0].secret: is missing"),
        ("[[auth.keys]]\nalgorithm = 'RS256'", "auth.keys[0].public_key: is missing"),
        ("[[auth.keys]]\nalgorithm = 7", "auth.keys[0].algorithm: must be a text"),
        ("[[auth.keys]]\nalg = 'RS256'", "auth.keys[0].alg: unknown key"),
        (
            "[[auth.keys]]\nalgorithm='ES256'\npublic_key_file='f.toml'\nsecret='x'",
            "auth.keys[0].secret: does not belong to ES256",
        ),
        ("[[internal.api_keys]]\nkey = 'x'", "internal.api_keys[0].name: is missing"),
        ("[[internal.api_keys]]\nname = 'x'", "internal.api_keys[0].key: is missing"),
        (
            "[[internal.api_keys]]\nname = 'x'\nkey = 'y'\nrealms = []",
            "internal.api_keys[0].realms: must be a list of realms",
        ),
        (
            "[[internal.api_keys]]\nname='x'\nkey='y'\n[[internal.api_keys]]\nname='x'\nkey='z'",
            "internal.api_keys[1].name: is taken",
        ),
        (
            "[[internal.api_keys]]\nname='x'\nkey='y'\n[[internal.api_keys]]\nname='z'\nkey='y'",
            "internal.api_keys[1].key: is the key of another name",
        ),
        (
            "[[internal.api_keys]]\nname='x'\nkey_file='gone'",
            "internal.api_keys[0].key_file: cannot",
        ),
    ] {
        let errors = errors(file);
        assert!(errors.iter().any(|error| error.starts_with(expected)), "{file}: {errors:?}");
    }
}

#[test]
fn secrets_are_never_shown() {
    let file = format!("auth.secret = '{SECRET}'\ninternal.api_key = 'ключ и пробел'");
    let result = load_dev(&file, &[], &[]);
    let errors = texts(result).join("\n");
    assert!(errors.contains("internal.api_key: must be printable"), "{errors}");
    assert!(!errors.contains("ключ"));
    let loaded = load_dev(&format!("auth.secret = '{SECRET}'"), &[], &[]).unwrap();
    assert!(!format!("{loaded:?}").contains(SECRET));
}
