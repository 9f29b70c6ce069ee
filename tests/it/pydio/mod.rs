//! The promises of the pydio dialect.

mod events;
mod stage;
