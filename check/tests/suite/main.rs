//! hubbub-check, checked: clean histories are clean, and every mutant is found.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests fail by panicking")]

mod base;
mod chance;
mod clean;
mod clients;
mod kinds;
mod kinds_more;
mod mutation;
mod script;
mod world;
