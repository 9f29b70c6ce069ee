//! The scripts that people and machines run.
//!
//! Goal: every script can be run as it lies there, stops at its first error, and
//! says what it does when asked.
//!
//! Method: read its mode and its first lines, then run it with `--help` in an
//! empty environment, but only when its text shows that it knows the flag.

use std::{os::unix::fs::PermissionsExt as _, process::Command};

use super::{
    assert_none,
    source::{files, root},
};

fn is_script(path: &str) -> bool {
    let at_home = path.starts_with("scripts/") || path.starts_with(".ci/");
    let name = path.rsplit('/').next().unwrap_or_default();
    (at_home || path.starts_with("loadtest/")) && !name.contains('.')
}

fn violations(path: &str, text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let first = text.lines().next().unwrap_or_default();
    if !first.starts_with("#!/usr/bin/env ") {
        found.push(format!("{path}: begins with no `#!/usr/bin/env` line"));
    }
    if first.ends_with("bash") && !text.contains("\nset -euo pipefail\n") {
        found.push(format!("{path}: does not stop at errors (`set -euo pipefail`)"));
    }
    let knows_help = match first.ends_with("bash") {
        true => text.contains("-h | --help)"),
        false => text.contains("argparse"),
    };
    if !knows_help {
        found.push(format!("{path}: does not know `--help` and `-h`"));
    }
    found
}

#[test]
fn a_careless_script_is_found() {
    let found = violations("scripts/x", "#!/bin/sh\necho hello\n");
    assert_eq!(found.len(), 2, "{found:?}");
    let found =
        violations("scripts/x", "#!/usr/bin/env bash\ncase $1 in -h | --help) exit ;; esac\n");
    assert_eq!(found, ["scripts/x: does not stop at errors (`set -euo pipefail`)"]);
}

#[test]
fn scripts_are_executable_careful_and_explain_themselves() {
    let mut found = Vec::new();
    let scripts: Vec<_> = files("").into_iter().filter(|file| is_script(&file.path)).collect();
    for name in ["scripts/setup", "scripts/check", "scripts/test", ".ci/run"] {
        assert!(scripts.iter().any(|script| script.path == name), "{name} is missing");
    }
    for script in scripts {
        let careless = violations(&script.path, &script.text);
        let path = root().join(&script.path);
        let mode = path.metadata().unwrap().permissions().mode();
        if mode & 0o111 == 0 {
            found.push(format!("{}: is not executable", script.path));
        } else if careless.is_empty() {
            let help = Command::new(&path).arg("--help").output().unwrap();
            let text = String::from_utf8_lossy(&help.stdout).to_lowercase();
            if !help.status.success() || !text.contains("usage") {
                found.push(format!("{}: `--help` shows no usage", script.path));
            }
        }
        found.extend(careless);
    }
    assert_none("scripts", &found);
}
