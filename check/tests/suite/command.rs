//! The command, as people and scripts run it.
//!
//! Goal: the exit code says whether a run is clean, broken or cannot be judged, and
//! the output says where.
//!
//! Method: the histories of one world in a folder of their own, broken by hand.

use std::{
    fs,
    path::PathBuf,
    process::{Command, Output},
};

use crate::{script, world::World};

struct Folder(PathBuf);

impl Folder {
    fn new(name: &str, world: &World) -> Self {
        let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
        fs::remove_dir_all(&path).ok();
        fs::create_dir_all(&path).unwrap();
        for (file, lines) in &world.files {
            fs::write(path.join(file), lines.join("\n")).unwrap();
        }
        Self(path)
    }

    fn edit(&self, file: &str, change: impl FnOnce(Vec<String>) -> Vec<String>) {
        let path = self.0.join(file);
        let text = fs::read_to_string(&path).unwrap();
        let lines = change(text.lines().map(str::to_owned).collect());
        fs::write(path, lines.join("\n")).unwrap();
    }

    #[track_caller]
    fn check(&self, options: &[&str], code: i32, says: &str) -> String {
        let output = run(options.iter().copied().chain([self.0.to_str().unwrap()]));
        let text = String::from_utf8(output.stdout).unwrap();
        assert_eq!(output.status.code(), Some(code), "{text}");
        assert!(text.contains(says), "{says:?} is not in\n{text}");
        text
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).ok();
    }
}

fn run<'a>(arguments: impl Iterator<Item = &'a str>) -> Output {
    Command::new(env!("CARGO_BIN_EXE_hubbub-check")).args(arguments).output().unwrap()
}

/// A world without losses and resets, so that every option says the same.
fn quiet_world() -> World {
    script::run(7)
}

#[test]
fn a_clean_folder_ends_with_0() {
    let folder = Folder::new("clean", &quiet_world());
    folder.check(&[], 0, "\nclean\n");
    folder.check(&["--no-resets", "--presence-within", "20000"], 0, "\nclean\n");
    let text = folder.check(&["--json"], 0, "\"verdict\":\"clean\"");
    let json: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert!(json["counts"]["deliveries"].as_u64() > Some(10), "{json}");
    assert_eq!(json["invariants"]["I-ACK"]["violations"], 0);
}

#[test]
fn a_broken_promise_ends_with_1_and_its_place() {
    let folder = Folder::new("broken", &quiet_world());
    let mut expected = String::new();
    folder.edit("c0.jsonl", |mut lines| {
        let is_received = |line: &String| line.contains("\"op\":\"recv\"");
        let first = lines.iter().position(is_received).unwrap();
        let line = lines[first].clone();
        lines.insert(first + 1, line);
        expected = format!("c0.jsonl:{}: ", first + 2);
        lines
    });
    folder.check(&[], 1, &expected);
    folder.check(&["--json"], 1, "\"verdict\":\"violated\"");
}

#[test]
fn an_excused_reset_is_no_excuse_without_resets() {
    let folder = Folder::new("resets", &script::run(4));
    folder.check(&[], 0, "I-RST   ok");
    folder.check(&["--no-resets"], 1, "though none is allowed");
}

#[test]
fn what_cannot_be_judged_ends_with_2() {
    let half_line = Folder::new("half-line", &quiet_world());
    half_line.edit("c0.jsonl", |mut lines| {
        lines[2].truncate(20);
        lines
    });
    half_line.check(&[], 2, "c0.jsonl:3: is not a line of a history");

    let unknown = Folder::new("unknown", &quiet_world());
    unknown.edit("m.jsonl", |mut lines| {
        lines.push(r#"{"at":1,"w":"m","op":"dance"}"#.to_owned());
        lines
    });
    unknown.check(&[], 2, "\"op\" cannot be \"dance\"");

    let endless = Folder::new("endless", &quiet_world());
    endless.edit("b.jsonl", |_| Vec::new());
    endless.check(&[], 2, "has no barrier");
    endless.check(&["--allow-empty"], 0, "\nclean\n");
}

#[test]
fn wrong_use_ends_with_2_and_help_with_0() {
    for arguments in [&[][..], &["--what"], &["a", "b"], &["--first", "x", "a"], &["/no/such"]] {
        let output = run(arguments.iter().copied());
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(!output.stderr.is_empty(), "{arguments:?}");
    }
    let output = run(["--help"].into_iter());
    assert!(output.status.success() && output.stdout.starts_with(b"usage: hubbub-check"));
}
