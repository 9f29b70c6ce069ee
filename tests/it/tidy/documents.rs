//! Documents against the code.
//!
//! Goal: a document that is wrong fails a test, instead of misleading a reader.
//!
//! Method: take the names out of both and compare the two sets.

use std::collections::BTreeSet;

use super::{
    assert_none,
    source::{File, code_only, files, read, root, rust_files},
};

/// What stands between backticks in `text`.
fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.lines().flat_map(|line| line.split('`').skip(1).step_by(2))
}

/// The names that one set has and the other has not.
fn difference(left: (&str, &BTreeSet<String>), right: (&str, &BTreeSet<String>)) -> Vec<String> {
    let only = |a: &BTreeSet<String>, b: &BTreeSet<String>, place: &str| -> Vec<String> {
        a.difference(b).map(|name| format!("{name} is only in {place}")).collect()
    };
    let mut found = only(left.1, right.1, left.0);
    found.extend(only(right.1, left.1, right.0));
    found
}

/// The names of the crates in the dependency tables of a `Cargo.toml`.
fn dependencies(cargo: &str) -> BTreeSet<String> {
    let mut inside = false;
    let mut names = BTreeSet::new();
    for line in cargo.lines() {
        if line.starts_with('[') {
            inside = line.contains("dependencies");
        } else if let (true, Some((name, _))) = (inside, line.split_once('=')) {
            names.insert(name.trim().to_owned());
        }
    }
    names
}

/// The first column of the rows of `text` whose first column is one quoted name.
fn rows(text: &str) -> BTreeSet<String> {
    text.lines()
        .filter_map(|line| line.strip_prefix("| `")?.split_once("` |"))
        .map(|(name, _)| name.to_owned())
        .collect()
}

#[test]
fn names_are_taken_out_of_tables() {
    let set = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    let cargo = "[package]\nname = \"x\"\n[dependencies]\na = \"1\"\n[dev-dependencies]\nb-c = { version = \"1\" }\n[lints.rust]\nd = \"e\"";
    assert_eq!(dependencies(cargo), set(&["a", "b-c"]));
    assert_eq!(rows("| crate |\n|---|\n| `a` | why |\n| b | why |"), set(&["a"]));
    let found = difference(("here", &set(&["a", "b"])), ("there", &set(&["b", "c"])));
    assert_eq!(found, ["a is only in here", "c is only in there"]);
    assert_eq!(quoted("x `a` y `b/` z").collect::<Vec<_>>(), ["a", "b/"]);
}

/// The packages of the workspace, the product first.
const PACKAGES: &[&str] = &["Cargo.toml", "check/Cargo.toml", "faults/Cargo.toml"];

/// The folder of a package.
fn folder(cargo: &str) -> &str {
    cargo.strip_suffix("Cargo.toml").unwrap_or_default()
}

#[test]
fn every_dependency_has_a_reason() {
    const DECISION: &str = "docs/decisions/0001-dependencies.md";
    let code: BTreeSet<String> =
        PACKAGES.iter().flat_map(|path| dependencies(&read(path))).collect();
    assert!(code.contains("tokio"), "the dependencies are read from Cargo.toml");
    let found = difference(("Cargo.toml", &code), (DECISION, &rows(&read(DECISION))));
    assert_none("each dependency has its line of reasons", &found);
}

/// The crates of `names` that `code` never names.
fn unused(names: &BTreeSet<String>, code: &str) -> Vec<String> {
    let is_named = |library: &str| {
        code.match_indices(library).any(|(at, _)| {
            let after = &code[at + library.len()..];
            !code[..at].ends_with(|c: char| c.is_alphanumeric() || matches!(c, '_' | ':' | '.'))
                && ["::", ";", " as "].iter().any(|next| after.starts_with(next))
        })
    };
    let is_unused = |name: &&String| !is_named(&name.replace('-', "_"));
    names.iter().filter(is_unused).map(|name| format!("nothing uses {name}")).collect()
}

#[test]
fn every_dependency_is_used() {
    let names = dependencies("[dependencies]\na = \"1\"\nb-c = \"1\"\nd = \"1\"\ne = \"1\"\n");
    let found = unused(&names, "use a::X; b_c::y(); use crate::d::Z; self.e::<u8>()");
    assert_eq!(found, ["nothing uses d", "nothing uses e"]);

    for path in PACKAGES {
        let is_own = |file: &&File| match folder(path) {
            "" => !PACKAGES.iter().skip(1).any(|other| file.path.starts_with(folder(other))),
            member => file.path.starts_with(member),
        };
        let files = rust_files();
        let code: String = files.iter().filter(is_own).map(|file| code_only(&file.text)).collect();
        assert_none(path, &unused(&dependencies(&read(path)), &code));
    }
}

#[test]
fn decisions_say_context_choice_and_price() {
    let decisions = files("docs/decisions");
    assert!(!decisions.is_empty(), "docs/decisions has pages");
    for decision in decisions {
        for part in ["**Context.**", "**Choice.**", "**Price.**"] {
            assert!(decision.text.contains(part), "{} lacks {part}", decision.path);
        }
    }
}

#[test]
fn the_changelog_has_what_is_unreleased() {
    let changelog = read("CHANGELOG.md");
    let unreleased = changelog.split("\n## ").find(|part| part.starts_with("Unreleased"));
    let bullets = unreleased.map_or(0, |part| part.matches("\n- ").count());
    assert!(bullets > 0, "CHANGELOG.md has no entries below `## Unreleased`");
}

/// The modules of the crate, as `ls src` shows them.
fn modules() -> BTreeSet<String> {
    let entries = std::fs::read_dir(root().join("src")).unwrap().flatten();
    entries
        .map(|entry| entry.file_name().to_string_lossy().trim_end_matches(".rs").to_owned())
        .filter(|name| name != "lib" && name != "main")
        .collect()
}

/// The quoted paths of `text` that do not exist below `src/` or the root: what
/// ends in `/` or in `.rs`, or is a Markdown file. A bare file name may be anywhere
/// below `src/`.
fn missing_paths(text: &str) -> Vec<String> {
    let sources = files("src");
    let exists = |path: &str| {
        let path = path.trim_end_matches('/');
        root().join("src").join(path).exists()
            || root().join(path).exists()
            || sources.iter().any(|file| file.path.ends_with(&format!("/{path}")))
    };
    quoted(text)
        .filter(|name| !name.contains([' ', '*', '{', '<', '…']) && !name.starts_with('/'))
        .filter(|name| [".rs", "/", ".md"].iter().any(|end| name.ends_with(end)))
        .filter(|name| !exists(name))
        .map(|name| format!("{name} does not exist"))
        .collect()
}

#[test]
fn documents_name_files_that_exist() {
    let missing = missing_paths("`no_such/` `src/` `model/` `no.rs` `id.rs` `/ws/`");
    assert_eq!(missing, ["no_such/ does not exist", "no.rs does not exist"]);
    for page in ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "SECURITY.md"] {
        assert_none(page, &missing_paths(&read(page)));
    }
}

#[test]
fn the_architecture_names_every_module() {
    let text = read("ARCHITECTURE.md");
    let named: BTreeSet<&str> = quoted(&text).map(|name| name.trim_end_matches('/')).collect();
    let unnamed: Vec<String> =
        modules().into_iter().filter(|module| !named.contains(module.as_str())).collect();
    assert_none("modules of src/ that ARCHITECTURE.md does not name", &unnamed);
}

#[test]
fn links_lead_somewhere() {
    let mut found = Vec::new();
    let pages = files("").into_iter().filter(|file| file.path.ends_with(".md"));
    for page in pages {
        let folder = page.path.rsplit_once('/').map_or("", |(folder, _)| folder);
        let targets = page.text.split("](").skip(1).filter_map(|rest| rest.split(')').next());
        for target in targets.filter(|target| !target.contains("://") && !target.starts_with('#')) {
            let path = target.split('#').next().unwrap_or_default();
            if !root().join(folder).join(path).exists() {
                found.push(format!("{}: {target} does not exist", page.path));
            }
        }
    }
    assert_none("links in documents", &found);
}

/// The commands in the help text of a program.
fn commands(help: &str) -> BTreeSet<String> {
    let list = help.split("Commands:\n").nth(1).unwrap_or_default();
    list.lines()
        .take_while(|line| line.starts_with("  "))
        .filter(|line| !line.starts_with("   "))
        .filter_map(|line| line.split_whitespace().next())
        .filter(|name| *name != "help")
        .map(str::to_owned)
        .collect()
}

#[test]
fn the_readme_lists_the_commands() {
    let sample = "Usage: x\n\nCommands:\n  a     Runs\n        it\n  b-c   Ends\n  help  Prints\n\nOptions:\n  -h\n";
    assert_eq!(commands(sample).into_iter().collect::<Vec<_>>(), ["a", "b-c"]);

    let output = std::process::Command::new(env!("CARGO_BIN_EXE_hubbub")).arg("--help").output();
    let help = String::from_utf8(output.unwrap().stdout).unwrap();
    let listed: BTreeSet<String> = rows(&read("README.md"))
        .iter()
        .filter_map(|row| row.strip_prefix("hubbub ").map(str::to_owned))
        .collect();
    let found = difference(("hubbub --help", &commands(&help)), ("README.md", &listed));
    assert_none("the table of commands", &found);
}
