//! Which library may be named where.
//!
//! Goal: a library can be replaced, or its defects fenced, in one folder.
//!
//! Method: find `library::` and `use library` in the product's code, and the
//! derives of serde, and compare the place with the table of doors.

use super::{
    assert_none,
    source::{code_only, files, is_test, product_part, read},
};

/// Library, then the beginnings or ends of paths that may name it.
const DOORS: &[(&str, &[&str])] = &[
    ("ammonia", &["src/dialect/pydio/chat/"]),
    ("anyhow", &["src/main.rs"]),
    ("axum", &["src/http/"]),
    ("clap", &["src/config/", "src/app/", "src/main.rs"]),
    ("clap_complete", &["src/config/", "src/app/", "src/main.rs"]),
    ("deadpool_redis", &["src/redis_client/"]),
    ("fastwebsockets", &["src/ws/"]),
    ("getrandom", &["src/clock.rs"]),
    ("http_body_util", &["src/http/", "src/ws/upgrade.rs"]),
    ("hyper", &["src/http/", "src/ws/upgrade.rs"]),
    ("hyper_util", &["src/http/", "src/ws/upgrade.rs"]),
    ("jsonwebtoken", &["src/auth/"]),
    ("redb", &["src/store/"]),
    ("redis", &["/redis.rs", "/redis", "src/redis_client/"]),
    ("reqwest", &["src/auth/", "src/app/"]),
    ("toml", &["src/config/"]),
    ("tower", &["src/http/"]),
    ("tracing_subscriber", &["src/telemetry/"]),
    ("utoipa", &["src/http/"]),
    ("utoipa_axum", &["src/http/"]),
];

/// Where wire shapes are derived.
const SERDE_DOORS: &[&str] = &["/wire.rs", "src/config/"];

fn may_pass(path: &str, doors: &[&str]) -> bool {
    doors.iter().any(|door| {
        path.starts_with(door) || path.ends_with(door) || path.contains(&format!("{door}/"))
    })
}

/// True when `code` names the library, and not a module of ours with its name.
fn names(code: &str, library: &str) -> bool {
    code.match_indices(library).any(|(at, _)| {
        let before = &code[..at];
        let after = &code[at + library.len()..];
        let begins = !before
            .ends_with(|c: char| c.is_alphanumeric() || matches!(c, '_' | ':' | '.'))
            || before.ends_with(" ::");
        let used = after.starts_with("::")
            || (before.trim_end().ends_with("use") && after.trim_start().starts_with(['{', ';']));
        begins && used
    })
}

fn violations(path: &str, text: &str) -> Vec<String> {
    let code = code_only(product_part(text));
    let mut found: Vec<String> = DOORS
        .iter()
        .filter(|(library, doors)| !may_pass(path, doors) && names(&code, library))
        .map(|(library, _)| format!("{path}: {library} is not allowed here"))
        .collect();
    let derives = code.split("derive(").skip(1).filter_map(|rest| rest.split(')').next());
    let serde = derives.flat_map(|list| list.split(',')).any(|name| {
        let name = name.trim();
        name.ends_with("Serialize") || name.ends_with("Deserialize")
    });
    if serde && !may_pass(path, SERDE_DOORS) {
        found.push(format!("{path}: serde derives belong to wire.rs"));
    }
    found
}

#[test]
fn a_library_outside_its_door_is_found() {
    let check = |path: &str, text: &str, expected: &[&str]| {
        assert_eq!(violations(path, text), expected, "{text}");
    };
    let hyper = ["src/hub/mod.rs: hyper is not allowed here"];
    check("src/hub/mod.rs", "use hyper::Request;", &hyper);
    check("src/hub/mod.rs", "use hyper;", &hyper);
    check("src/hub/mod.rs", "fn f() -> hyper::Uri {}", &hyper);
    check("src/http/api/mod.rs", "use hyper::Request;", &[]);
    check("src/ws/upgrade.rs", "use hyper::Request;", &[]);
    check("src/hub/mod.rs", "use crate::config::redis::A; // redis::B\nself.clap();", &[]);
    check(
        "src/model/id.rs",
        "#[derive(Debug, serde::Serialize)]",
        &["src/model/id.rs: serde derives belong to wire.rs"],
    );
    check("src/dialect/room/wire.rs", "#[derive(Debug, Deserialize)]", &[]);
}

#[test]
fn libraries_stay_behind_their_doors() {
    let found: Vec<String> = files("src")
        .iter()
        .filter(|file| file.path.ends_with(".rs") && !is_test(&file.path))
        .flat_map(|file| violations(&file.path, &file.text))
        .collect();
    assert_none("a library is named only behind its door", &found);
}

/// Goal: what judges the server cannot share its mistakes.
#[test]
fn the_checker_shares_no_code_with_the_server() {
    let manifest = read("check/Cargo.toml");
    let dependencies = manifest.split("[dependencies]").nth(1).unwrap();
    let dependencies = dependencies.split("[lints").next().unwrap();
    assert!(dependencies.contains("serde_json"), "the dependencies are found");
    assert!(!dependencies.contains("hubbub"), "hubbub-check must not depend on hubbub");
    let found: Vec<String> = files("check")
        .iter()
        .filter(|file| file.path.ends_with(".rs") && code_only(&file.text).contains("#[path"))
        .map(|file| format!("{}: takes a file of somebody else", file.path))
        .collect();
    assert_none("hubbub-check stands alone", &found);
}
