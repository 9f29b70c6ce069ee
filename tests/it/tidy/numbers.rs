//! Numbers that scripts of Redis and Rust both know.
//!
//! Goal: a bound that holds in memory holds in Redis.
//!
//! Method: read them from both texts by their names.

use super::{assert_none, source::read};

/// Script and name in it, Rust file and name in that; both have the same value.
const PAIRS: &[(&str, &str, &str, &str)] = &[
    ("rooms", "LISTED", "log/chat/mod.rs", "LISTED_USERS_MAX"),
    ("chat", "ROOMS_MAX", "log/chat/mod.rs", "ROOMS_MAX"),
    ("chat", "MADE_MAX", "log/chat/mod.rs", "MADE_MAX"),
    ("chat", "DELETED_MAX", "log/chat/mod.rs", "DELETED_MAX"),
    ("chat", "SWEPT_MAX", "log/chat/mod.rs", "SWEPT_MAX"),
    ("publish", "AFTER_END_MS", "log/bus/mod.rs", "AFTER_END"),
    ("publish", "ENDED_MAX", "log/bus/mod.rs", "ENDED_MAX"),
    ("places", "NODES_MAX", "bus/places.rs", "NODES_MAX"),
    ("places", "DEPTH_MAX", "bus/places.rs", "DEPTH_MAX"),
    ("places", "TWINS_MAX", "bus/places.rs", "TWINS_MAX"),
    ("places", "LOOKED_AT", "bus/places.rs", "LOOKED_AT"),
    ("append", "ENTRY_RECORDS", "log/redis/publisher.rs", "RUN_RECORDS"),
    ("append", "ENTRY_BYTES", "log/redis/publisher.rs", "RUN_BYTES"),
];

/// The value of `name` in a line `local A, B = 1, 2`.
fn in_lua(text: &str, name: &str) -> Option<u64> {
    text.lines().find_map(|line| {
        let (names, values) = line.trim().strip_prefix("local ")?.split_once(" = ")?;
        let at = names.split(", ").position(|known| known == name)?;
        values.split(", ").nth(at)?.parse().ok()
    })
}

/// The value of the constant `name`; of a time, in milliseconds.
fn in_rust(text: &str, name: &str) -> Option<u64> {
    text.lines().find_map(|line| {
        let (before, rest) = line.split_once(&format!("const {name}: "))?;
        let value = rest.split_once(" = ")?.1.strip_suffix(';')?;
        let (value, unit) = match value.strip_prefix("Duration::from_secs(") {
            Some(seconds) => (seconds.strip_suffix(')')?, 1_000),
            None => (value, 1),
        };
        let number: u64 = value.replace('_', "").parse().ok()?;
        before.trim().chars().all(|letter| letter != '/').then_some(number * unit)
    })
}

fn violations(pair: &(&str, &str, &str, &str), lua: &str, rust: &str) -> Vec<String> {
    let (script, there, file, here) = pair;
    let (there_is, here_is) = (in_lua(lua, there), in_rust(rust, here));
    if there_is.is_some() && there_is == here_is {
        return Vec::new();
    }
    vec![format!("{script}.lua: {there} is {there_is:?}, but {here} in {file} is {here_is:?}")]
}

#[test]
fn numbers_that_differ_are_found() {
    let check = |lua: &str, rust: &str| violations(&("s", "B_MS", "f.rs", "B"), lua, rust).len();
    let lua = "  local A, B_MS = 1, 2000";
    assert_eq!(check(lua, "pub(super) const B: Duration = Duration::from_secs(2);"), 0);
    assert_eq!(check(lua, "const B: usize = 2_000;"), 0);
    assert_eq!(check(lua, "const B: usize = 2_001;"), 1);
    assert_eq!(check(lua, "// const B: usize = 2_000;"), 1);
    assert_eq!(check("local A, B_MS = 2000, 1", "const B: usize = 2_000;"), 1);
    assert_eq!(check("local A = 2000", "const C: usize = 2_000;"), 1);
}

#[test]
fn scripts_and_rust_know_the_same_numbers() {
    let check = |pair: &(&str, &str, &str, &str)| {
        let (lua, rust) = (format!("src/log/lua/{}.lua", pair.0), format!("src/{}", pair.2));
        violations(pair, &read(&lua), &read(&rust))
    };
    let found: Vec<String> = PAIRS.iter().flat_map(check).collect();
    assert_none("a number in a script is the one in Rust", &found);
}
