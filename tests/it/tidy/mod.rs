//! The rules of the repository, as tests.
//!
//! Goal: what `ARCHITECTURE.md`, the documents and the house style say stays
//! true without anybody having to remember it.
//!
//! Method: read the files of the checkout as text. Each rule is a function from
//! text to violations, has a bad sample that it must catch, and then runs over
//! the repository. Clippy checks what it can; these rules are about the rest.

mod documents;
mod doors;
mod imports;
mod metrics;
mod numbers;
mod scripts;
mod shape;
mod source;
mod words;

/// Fails with every violation at once, one a line.
#[track_caller]
fn assert_none(rule: &str, violations: &[String]) {
    assert!(violations.is_empty(), "{rule}:\n  {}", violations.join("\n  "));
}
