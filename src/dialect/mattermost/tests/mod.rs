//! Goal: Mattermost's clients understand each byte, and no byte of theirs harms.
//!
//! Method: golden transcripts for requests, golden texts for what goes out, and
//! arbitrary input for the laws that hold always.
//!
//! Invariants: a golden text is the whole message, so that no change goes unseen.

mod incoming;
mod laws;
mod outgoing;
