//! Heads and lengths.
//!
//! Goal: every file says what it is before it begins, and fits a reader's head.
//!
//! Method: look at the first lines and count. Function lengths and argument
//! counts are clippy's: here only that its thresholds are still set.

use super::{
    assert_none,
    source::{File, files, is_test, read, rust_files},
};

const LINES_MAX: usize = 400;

fn head_of(text: &str) -> Vec<&str> {
    text.lines().take_while(|line| line.starts_with("//!")).collect()
}

fn violations(path: &str, text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let head = head_of(text);
    let first = head.first().map_or("", |line| line.trim_start_matches("//!").trim());
    if first.len() < 10 {
        found.push(format!("{path}: begins with no `//!` head"));
    }
    let of_a_module = path.starts_with("src/") && path.ends_with("/mod.rs") && !is_test(path);
    if of_a_module && !head.iter().any(|line| line.contains("Invariants:")) {
        found.push(format!("{path}: the head of a module lists its `Invariants:`"));
    }
    found.extend(too_long(path, text));
    found
}

fn too_long(path: &str, text: &str) -> Option<String> {
    let lines = text.lines().count();
    (lines > LINES_MAX).then(|| format!("{path}: {lines} lines, {LINES_MAX} are allowed"))
}

#[test]
fn a_missing_head_and_a_long_file_are_found() {
    let check = |path: &str, text: &str, expected: &[&str]| {
        assert_eq!(violations(path, text), expected, "{path}");
    };
    check("src/a.rs", "use std::fs;", &["src/a.rs: begins with no `//!` head"]);
    check("src/a.rs", "//!\nuse std::fs;", &["src/a.rs: begins with no `//!` head"]);
    check("src/a.rs", "//! Carries events.\n", &[]);
    check(
        "src/a/mod.rs",
        "//! Carries events.\n// Invariants: none\n",
        &["src/a/mod.rs: the head of a module lists its `Invariants:`"],
    );
    check("src/a/mod.rs", "//! Carries events.\n//!\n//! Invariants: order.\n", &[]);
    let long = format!("//! Carries events.\n{}", "\n".repeat(LINES_MAX));
    check("src/a.rs", &long, &["src/a.rs: 401 lines, 400 are allowed"]);
}

#[test]
fn rust_files_have_heads_and_fit() {
    let found: Vec<String> =
        rust_files().iter().flat_map(|file| violations(&file.path, &file.text)).collect();
    assert_none("files have heads and at most 400 lines", &found);
}

/// Scripts and pages are read by people, too.
#[test]
fn other_code_fits() {
    let is_code = |file: &File| {
        [".sh", ".py", ".js", ".mjs", ".css", ".html", ".lua"]
            .iter()
            .any(|end| file.path.ends_with(end))
            || file.path.starts_with("scripts/")
    };
    let found: Vec<String> = files("")
        .iter()
        .filter(|file| is_code(file))
        .filter_map(|file| too_long(&file.path, &file.text))
        .collect();
    assert_none("files have at most 400 lines", &found);
}

#[test]
fn clippy_keeps_its_thresholds() {
    let clippy = read("clippy.toml");
    for line in ["too-many-lines-threshold = 70", "too-many-arguments-threshold = 5"] {
        assert!(clippy.contains(line), "clippy.toml must say {line}");
    }
    let cargo = read("Cargo.toml");
    let lints = ["unsafe_code = \"forbid\"", "too_many_lines = \"warn\"", "unwrap_used = \"deny\""];
    for line in lints {
        assert!(cargo.contains(line), "Cargo.toml must say {line}");
    }
}
