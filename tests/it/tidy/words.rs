//! Words that must not be in the repository.
//!
//! Goal: nothing unfinished, nothing of one machine, no test that waits for luck.
//!
//! Method: search the text of every file. The words are put together from halves,
//! so that this file does not contain them.

use super::{
    assert_none,
    source::{code_only, files, is_test, rust_files},
};

/// Words of unfinished work, anywhere.
const UNFINISHED: &[&str] = &[
    concat!("to", "do!("),
    concat!("unimple", "mented!("),
    concat!("FIX", "ME"),
    concat!("XX", "X:"),
    concat!("TO", "DO"),
    concat!("#[ig", "nore"),
    concat!("#[al", "low("),
    concat!("#![al", "low("),
];

/// The beginnings of paths of one machine.
const MACHINE: &[&str] = &[
    concat!("/ho", "me/"),
    concat!("/ro", "ot/"),
    concat!("/wo", "rk/"),
    concat!("/tmp/", "wt"),
    concat!("/Us", "ers/"),
    concat!("../sha", "red"),
];

fn violations(path: &str, text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let says = |word: &str| format!("{path}:{}: says {word}", number + 1);
        found.extend(UNFINISHED.iter().filter(|word| line.contains(**word)).map(|word| says(word)));
        found.extend(MACHINE.iter().filter(|word| names_path(line, word)).map(|word| says(word)));
    }
    found
}

/// True when an absolute path begins with `word` in `line`; a route or an
/// address that contains it is none.
fn names_path(line: &str, word: &str) -> bool {
    line.match_indices(word).any(|(at, _)| {
        !line[..at].ends_with(|c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | '}'))
    })
}

#[test]
fn forbidden_words_are_found() {
    let check = |text: &str, expected: usize| {
        assert_eq!(violations("a", text).len(), expected, "{text}");
    };
    check(concat!("fn f() { to", "do!() }"), 1);
    check(concat!("// TO", "DO later\n#[ig", "nore]"), 2);
    check(concat!("cd /ro", "ot/project"), 1);
    check(concat!("path = \"/ho", "me/me\""), 1);
    check(concat!("GET http://example.com/ho", "me/x and a method"), 0);
}

#[test]
fn nothing_unfinished_and_nothing_of_one_machine() {
    let found: Vec<String> = files("")
        .iter()
        .filter(|file| !file.path.ends_with("Cargo.lock") && !file.path.ends_with("lock.json"))
        .flat_map(|file| violations(&file.path, &file.text))
        .collect();
    assert_none("forbidden words", &found);
}

/// Calls that let real time pass.
const SLEEPS: &[&str] = &["sleep(", "sleep_until("];

/// The lines of test code that sleep though time is not paused. A sleep belongs
/// to the test attribute above it.
fn sleeping_lines(text: &str) -> Vec<usize> {
    let mut paused = false;
    let mut found = Vec::new();
    for (number, line) in code_only(text).lines().enumerate() {
        if line.contains("#[tokio::test") || line.contains("#[test]") {
            paused = line.contains("start_paused = true");
        }
        paused |= line.contains("time::pause()");
        let sleeps = SLEEPS.iter().any(|call| line.contains(call)) && !line.contains("fn ");
        if sleeps && !paused {
            found.push(number + 1);
        }
    }
    found
}

#[test]
fn a_sleeping_test_is_found() {
    let awake = "#[tokio::test(start_paused = true)]\nasync fn a() { tokio::time::sleep(x).await }";
    assert_eq!(sleeping_lines(awake), Vec::<usize>::new());
    let asleep = "#[tokio::test]\nasync fn a() {\n tokio::time::sleep(x).await }";
    assert_eq!(sleeping_lines(asleep), [3]);
    let after_a_paused_one = format!("{awake}\n{asleep}");
    assert_eq!(sleeping_lines(&after_a_paused_one), [5]);
}

/// `tests/it/support/` may wait between two looks at a condition with a deadline:
/// a real process does not know paused time.
#[test]
fn tests_do_not_sleep() {
    let mut found = Vec::new();
    for file in rust_files() {
        if file.path.starts_with("tests/it/support/") || file.path.starts_with("tests/it/tidy/") {
            continue;
        }
        let start = if is_test(&file.path) {
            0
        } else {
            file.text.find("#[cfg(test)]\nmod tests {").unwrap_or(file.text.len())
        };
        let before = file.text[..start].lines().count();
        let lines = sleeping_lines(&file.text[start..]);
        found.extend(lines.iter().map(|line| format!("{}:{}: sleeps", file.path, before + line)));
    }
    assert_none("tests pause time, or wait for a condition in tests/it/support", &found);
}
