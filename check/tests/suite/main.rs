//! hubbub-check, checked: clean histories are clean, and every mutant is found.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests fail by panicking")]
#![expect(clippy::panic, reason = "tests fail by panicking")]

mod chance;
mod clean;
mod clients;
mod dump;
mod script;
mod world;
