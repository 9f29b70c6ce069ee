//! Goal: Mattermost's clients understand each byte, and no byte of theirs harms.
//!
//! Method: golden transcripts for requests, golden texts for what goes out, and
//! arbitrary input for the laws that hold always.

mod incoming;
mod laws;
mod outgoing;
