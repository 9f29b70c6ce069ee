//! Goal: what people read about the keys is what the parser does.

use super::{super::draft::Draft, super::keys, super::value, *};

/// The settings that a production load of `file` ends with, key by key.
fn values(file: &str) -> Vec<(&'static str, Option<String>)> {
    let mut args = args(Mode::Production, &[]);
    args.purpose = Purpose::Inspect;
    let mut draft = load(&args, &source(file, &[])).unwrap().draft;
    keys::all().map(|key| (key.name, value::print(&mut draft, key))).collect()
}

#[test]
fn the_default_file_parses_back_to_the_defaults() {
    let file = default_file();
    assert_eq!(values(&file), values(""));
    for name in key_names() {
        let (_, last) = name.rsplit_once('.').unwrap();
        let set = format!("\n{last} = ");
        let unset = format!("\n# {last} = ");
        assert!(file.contains(&set) || file.contains(&unset), "{name} is not in the file");
    }
}

#[test]
fn every_printed_value_is_read_by_its_key() {
    let (mut defaults, mut fresh) = (Draft::defaults(true), Draft::defaults(false));
    for key in keys::all() {
        let Some(printed) = value::print(&mut defaults, key) else { continue };
        let table: toml::Table = format!("value = {printed}").parse().unwrap();
        let given = value::Given::Toml(table["value"].clone());
        value::set(&mut fresh, key, &given).unwrap();
        assert_eq!(value::print(&mut fresh, key), Some(printed), "{}", key.name);
    }
}

#[test]
fn the_page_is_what_the_table_says() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/configuration.md");
    let written = std::fs::read_to_string(path).unwrap();
    assert!(
        written == page(),
        "docs/configuration.md is stale: cargo run -- config --markdown > docs/configuration.md"
    );
}

#[test]
fn names_are_unique_and_have_their_variable() {
    let mut names = key_names();
    names.sort_unstable();
    let count = names.len();
    names.dedup();
    assert_eq!(names.len(), count);
    assert_eq!(variable("dialects.room.max_message"), "HUBBUB_DIALECTS__ROOM__MAX_MESSAGE");
    for name in names {
        assert!(matches!(keys::find(name), keys::Meaning::Value(key) if key.name == name));
    }
}

#[test]
fn the_promised_names_exist() {
    let names = key_names();
    for promised in [
        "node.id",
        "public.tls_cert",
        "auth.max_lifetime",
        "redis.sentinel_master",
        "redis.username",
        "redis.tls_ca",
        "data.dir",
        "log.retention_bytes",
        "hubs.queue",
        "status.offline_after",
        "cluster.lease",
        "shutdown.ready_delay",
        "dialects.mattermost.server_version",
        "dialects.pydio.chat_alias",
        "dialects.room.max_message",
        "dialects.echo.enabled",
        "demo.enabled",
        "metrics.mattermost_names",
        "telemetry.log_level",
        "limits.connections_per_ip",
        "limits.connections_per_user",
        "limits.handshakes_per_second",
        "limits.message_bytes",
        "limits.outbox_events",
        "limits.outbox_bytes",
        "limits.ping_interval",
        "limits.pong_timeout",
        "limits.api_events_per_second",
        "limits.resume_replay_events",
    ] {
        assert!(names.contains(&promised), "{promised}");
    }
    for secret in [
        "internal.api_key_file",
        "auth.secret_file",
        "redis.url_file",
        "redis.password_file",
        "public.tls_key_file",
    ] {
        assert!(!matches!(keys::find(secret), keys::Meaning::Unknown(_)), "{secret}");
    }
}

#[test]
fn every_limit_has_a_key() {
    // The debug form lists every field by name; so a new one cannot be forgotten.
    let text = format!("{:#?}", Limits::default());
    let fields = text.lines().filter_map(|line| {
        let (name, _) = line.strip_prefix("    ")?.split_once(": ")?;
        (!name.starts_with(' ')).then(|| format!("limits.{name}"))
    });
    let fields: Vec<String> = fields.collect();
    assert!(fields.len() > 30);
    let names = key_names();
    for field in &fields {
        assert!(names.contains(&field.as_str()), "{field} has no key");
    }
    let keys = names.iter().filter(|name| name.starts_with("limits.")).count();
    assert_eq!(keys, fields.len());
}
