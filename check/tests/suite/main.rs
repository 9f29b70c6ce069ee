//! hubbub-check, checked: clean histories are clean, and every mutant is found.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests fail by panicking")]
#![expect(clippy::wildcard_enum_match_arm, reason = "mutants are about a few entries of many")]

mod base;
mod chance;
mod clean;
mod clients;
mod command;
mod edges;
mod kinds;
mod kinds_more;
mod mutation;
mod script;
mod world;
