//! Who may import whom.
//!
//! Goal: the graph of modules has no cycle, and `ls src` read from the words up to
//! the composition root is the architecture.
//!
//! Method: find every path that begins with `crate::` (or climbs to the crate by
//! `super::`) in the product's code and compare its first module with the table.

use super::{
    assert_none,
    source::{code_only, files, is_test, product_part},
};

/// Module, then the modules of this crate that it may import. A row names only
/// rows above it, so the graph has no cycle.
const MAY_IMPORT: &[(&str, &[&str])] = &[
    ("model", &[]),
    ("bus", &["model"]),
    ("clock", &["model"]),
    ("lifecycle", &[]),
    ("config", &["model"]),
    ("metrics", &["model"]),
    ("telemetry", &["config"]),
    ("limits", &["clock", "config"]),
    ("auth", &["model", "clock", "config"]),
    ("dialect", &["model"]),
    ("ws", &["model", "config"]),
    ("store", &["model", "lifecycle", "metrics"]),
    ("redis_client", &["clock", "config", "metrics", "lifecycle"]),
    ("log", &["model", "bus", "clock", "config", "metrics", "lifecycle", "store", "redis_client"]),
    (
        "presence",
        &["model", "clock", "config", "metrics", "lifecycle", "store", "redis_client", "log"],
    ),
    ("hub", &["model", "clock", "lifecycle", "metrics", "ws"]),
    (
        "node",
        &[
            "model",
            "bus",
            "clock",
            "config",
            "limits",
            "metrics",
            "lifecycle",
            "log",
            "presence",
            "hub",
        ],
    ),
    (
        "session",
        &[
            "model",
            "bus",
            "clock",
            "config",
            "limits",
            "metrics",
            "lifecycle",
            "auth",
            "dialect",
            "ws",
            "log",
            "presence",
            "hub",
            "node",
        ],
    ),
    (
        "http",
        &[
            "model",
            "bus",
            "clock",
            "config",
            "limits",
            "metrics",
            "lifecycle",
            "auth",
            "dialect",
            "ws",
            "node",
            "session",
        ],
    ),
    (
        "app",
        &[
            "model",
            "bus",
            "clock",
            "lifecycle",
            "config",
            "metrics",
            "telemetry",
            "limits",
            "auth",
            "dialect",
            "ws",
            "store",
            "redis_client",
            "log",
            "presence",
            "hub",
            "node",
            "session",
            "http",
        ],
    ),
    ("embed", &["model", "config", "lifecycle", "session", "app"]),
];

/// Files that may import everything: the code map and the binary.
const ROOTS: &[&str] = &["src/lib.rs", "src/main.rs"];

/// The module that the file at `path` belongs to, and how many `super::` lead
/// from it to the crate.
fn place(path: &str) -> (String, usize) {
    let parts: Vec<&str> =
        path.trim_start_matches("src/").trim_end_matches(".rs").split('/').collect();
    let depth = parts.len() - usize::from(parts.last() == Some(&"mod"));
    (parts.first().copied().unwrap_or_default().to_owned(), depth)
}

/// The first modules of every path into the crate in `code`.
fn imported(code: &str, depth: usize) -> Vec<String> {
    let climbing = "super::".repeat(depth);
    let mut modules = Vec::new();
    for start in ["crate::", climbing.as_str()] {
        for (at, _) in code.match_indices(start) {
            let part_of_longer = code[..at]
                .ends_with(|char: char| char.is_alphanumeric() || matches!(char, '_' | ':' | '$'));
            if !part_of_longer {
                modules.extend(first_segments(&code[at + start.len()..]));
            }
        }
    }
    modules
}

/// `hub::Index, …` gives `hub`; `{hub::{A, B}, node::C}` gives `hub` and `node`.
fn first_segments(rest: &str) -> Vec<String> {
    let word = |text: &str| -> String {
        text.trim_start().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect()
    };
    let Some(group) = rest.trim_start().strip_prefix('{') else { return vec![word(rest)] };
    let mut segments = vec![word(group)];
    let mut depth = 1;
    for (at, char) in group.char_indices() {
        match char {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 1 => segments.push(word(&group[at + 1..])),
            _ => {}
        }
        if depth == 0 {
            break;
        }
    }
    segments.retain(|segment| !segment.is_empty());
    segments
}

fn violations(path: &str, text: &str) -> Vec<String> {
    let (module, depth) = place(path);
    let Some((_, allowed)) = MAY_IMPORT.iter().find(|(name, _)| *name == module) else {
        return vec![format!("{path}: module {module} has no row in the table")];
    };
    imported(&code_only(product_part(text)), depth)
        .into_iter()
        .filter(|other| MAY_IMPORT.iter().any(|(name, _)| name == other))
        .filter(|other| *other != module && !allowed.contains(&other.as_str()))
        .map(|other| format!("{path}: {module} must not import {other}"))
        .collect()
}

#[test]
fn a_forbidden_import_is_found() {
    let check = |path: &str, text: &str, expected: &[&str]| {
        assert_eq!(violations(path, text), expected, "{text}");
    };
    check(
        "src/hub/mod.rs",
        "use crate::node::Node;",
        &["src/hub/mod.rs: hub must not import node"],
    );
    check(
        "src/hub/index.rs",
        "use crate::{\n    model::{Id, Topic},\n    app::App,\n};",
        &["src/hub/index.rs: hub must not import app"],
    );
    check(
        "src/model/id.rs",
        "x(super::super::ws::A)",
        &["src/model/id.rs: model must not import ws"],
    );
    check("src/clock.rs", "let a: super::hub::A;", &["src/clock.rs: clock must not import hub"]);
    check("src/wat/mod.rs", "", &["src/wat/mod.rs: module wat has no row in the table"]);
    check("src/hub/mod.rs", "use crate::model::Id; // crate::node\nuse super::hub::x;", &[]);
    check(
        "src/hub/a.rs",
        "use super::index::X;\n#[cfg(test)]\nmod tests {\nuse crate::app::A;",
        &[],
    );
}

#[test]
fn imports_follow_the_table() {
    let found: Vec<String> = files("src")
        .iter()
        .filter(|file| file.path.ends_with(".rs") && !ROOTS.contains(&file.path.as_str()))
        .filter(|file| !is_test(&file.path))
        .flat_map(|file| violations(&file.path, &file.text))
        .collect();
    assert_none("a module may import only what its row allows", &found);
}

#[test]
fn the_table_has_no_cycle_and_every_module() {
    for (at, (module, allowed)) in MAY_IMPORT.iter().enumerate() {
        for other in *allowed {
            let above = MAY_IMPORT[..at].iter().any(|(name, _)| name == other);
            assert!(above, "{module} names {other}, which is not above it");
        }
    }
    let code_map = super::source::read("src/lib.rs");
    for (module, _) in MAY_IMPORT {
        let line = format!("pub mod {module};");
        assert!(code_map.contains(&line), "the table has {module}, src/lib.rs does not");
    }
}
