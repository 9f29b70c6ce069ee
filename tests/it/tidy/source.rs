//! Finds and reads the files that the rules look at.
//!
//! Invariants: paths are relative to the root of the checkout and use `/`; build
//! output and installed packages are never read.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// A text file of the checkout.
#[derive(Debug)]
pub(super) struct File {
    /// Relative to the root, with `/`.
    pub(super) path: String,
    /// Its content.
    pub(super) text: String,
}

/// The root of the checkout.
pub(super) fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// The content of the file at `path`, which must exist.
#[track_caller]
pub(super) fn read(path: &str) -> String {
    match fs::read_to_string(root().join(path)) {
        Ok(text) => text,
        Err(error) => panic!("{path} must be readable: {error}"),
    }
}

/// Every text file below `folder` (empty: the whole checkout), sorted.
pub(super) fn files(folder: &str) -> Vec<File> {
    let mut found = Vec::new();
    walk(&root().join(folder), &mut found);
    found.sort_by(|left, right| left.path.cmp(&right.path));
    found
}

/// Every Rust file of the product, its tests, benches and examples.
pub(super) fn rust_files() -> Vec<File> {
    ["src", "tests", "benches", "examples", "loadtest", "check", "faults"]
        .into_iter()
        .flat_map(files)
        .filter(|file| file.path.ends_with(".rs"))
        .collect()
}

fn walk(folder: &Path, found: &mut Vec<File>) {
    const SKIPPED: &[&str] = &["target", "node_modules", "__pycache__", "out"];
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let hidden = name.starts_with('.') && name != ".ci" && name != ".github";
        if hidden || SKIPPED.contains(&name.as_str()) {
            continue;
        }
        let path = entry.path();
        if path.is_dir() {
            walk(&path, found);
        } else if let Ok(text) = fs::read_to_string(&path) {
            let path = path.strip_prefix(root()).unwrap_or(&path);
            found.push(File { path: path.to_string_lossy().replace('\\', "/"), text });
        }
    }
}

/// True for Rust code that only tests compile.
pub(super) fn is_test(path: &str) -> bool {
    path.starts_with("tests/")
        || path.ends_with("/tests.rs")
        || path.contains("/tests/")
        || path.starts_with("src/log/sim/")
        || path.ends_with("_tests.rs")
}

/// `text` without what follows an inline `#[cfg(test)]` module: by custom the
/// last item of a file.
pub(super) fn product_part(text: &str) -> &str {
    let inline = ["#[cfg(test)]\nmod tests {", "#[cfg(test)]\npub(crate) mod tests {"];
    inline.iter().find_map(|start| text.find(start)).map_or(text, |end| &text[..end])
}

/// `text` with comments and the contents of literals blanked out. Lines stay
/// where they are.
pub(super) fn code_only(text: &str) -> String {
    let chars: Vec<char> = text.chars().collect();
    let mut code = String::with_capacity(text.len());
    let mut at = 0;
    while at < chars.len() {
        let end = end_of_blank(&chars, at);
        if end == at {
            code.push(chars[at]);
            at += 1;
            continue;
        }
        code.extend(chars[at..end].iter().map(|char| if *char == '\n' { '\n' } else { ' ' }));
        at = end;
    }
    code
}

/// Where the comment or literal that begins at `at` ends; `at` when none does.
fn end_of_blank(chars: &[char], at: usize) -> usize {
    let next = |offset: usize| chars.get(at + offset).copied().unwrap_or('\0');
    let begins_word = at == 0 || !is_word(chars[at - 1]);
    match (chars[at], next(1)) {
        ('/', '/') => skip_until(chars, at, &['\n']),
        ('/', '*') => end_of_block(chars, at),
        ('"', _) => end_of_text(chars, at + 1),
        ('r', '"' | '#') if begins_word => end_of_raw(chars, at + 1),
        ('b', 'r') if begins_word && matches!(next(2), '"' | '#') => end_of_raw(chars, at + 2),
        ('\'', '\\') => skip_until(chars, at + 3, &['\'']) + 1,
        ('\'', _) if next(2) == '\'' => at + 3,
        _ => at,
    }
    .min(chars.len())
}

fn is_word(char: char) -> bool {
    char.is_alphanumeric() || char == '_'
}

fn skip_until(chars: &[char], from: usize, ends: &[char]) -> usize {
    (from..chars.len()).find(|at| ends.contains(&chars[*at])).unwrap_or(chars.len())
}

fn end_of_block(chars: &[char], from: usize) -> usize {
    let mut depth = 0;
    let mut at = from;
    while at < chars.len() {
        match (chars[at], chars.get(at + 1)) {
            ('/', Some('*')) => (depth, at) = (depth + 1, at + 2),
            ('*', Some('/')) if depth == 1 => return at + 2,
            ('*', Some('/')) => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
    }
    at
}

fn end_of_text(chars: &[char], from: usize) -> usize {
    let mut at = from;
    while at < chars.len() && chars[at] != '"' {
        at += if chars[at] == '\\' { 2 } else { 1 };
    }
    at + 1
}

/// `from` is at the first `#` or quote of a raw literal. A raw identifier such
/// as `r#type` has no quote there and is not blanked.
fn end_of_raw(chars: &[char], from: usize) -> usize {
    let hashes = chars[from..].iter().take_while(|char| **char == '#').count();
    if chars.get(from + hashes) != Some(&'"') {
        return from - 1;
    }
    let closes = |at: &usize| {
        chars[*at] == '"' && chars[at + 1..].iter().take_while(|c| **c == '#').count() >= hashes
    };
    let start = from + hashes + 1;
    (start..chars.len()).find(closes).map_or(chars.len(), |quote| quote + 1 + hashes)
}

/// Goal: a rule neither trips over a comment nor misses code behind a literal.
#[test]
fn comments_and_literals_are_blanked() {
    let check = |text: &str, expected: &str| assert_eq!(code_only(text), expected, "{text}");
    check("a // b\nc", "a     \nc");
    check("a /* b /* c */ d */ e", "a                   e");
    check(r#"f("x \" y", z)"#, "f(        , z)");
    check(r##"f(r#"x " y"#, z)"##, "f(          , z)");
    check("f(b'\\'', 'a', &'a str)", "f(b    ,    , &'a str)");
    check("let r#type = bar\"s\";", "let r#type = bar   ;");
}
