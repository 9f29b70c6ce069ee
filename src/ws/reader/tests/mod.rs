//! Goal: the reader obeys every row of the protocol, however its input is cut.
//!
//! Method: one table of bytes and outcomes; each row runs in one piece, byte by
//! byte, and cut at random.
//!
//! Invariants: a test is named after the rows of the rules that it proves.

use std::time::Duration;

use super::*;
use crate::ws::{
    Rate,
    frame::{Opcode, head},
};

mod closes;
mod cuts;
mod frames;
mod messages;

const LIMITS: FrameLimits = FrameLimits {
    message_bytes: 100_000,
    fragments: 64,
    control: Rate::UNLIMITED,
    message_timeout: Duration::from_secs(30),
};

const KEY: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

/// A masked frame; `first` is the byte of final bit, reserved bits and opcode.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    frame_with_key(first, payload, KEY)
}

fn frame_with_key(first: u8, payload: &[u8], key: [u8; 4]) -> Vec<u8> {
    let head = head(Opcode::Text, payload.len());
    let mut bytes = head.to_vec();
    bytes[0] = first;
    bytes[1] |= 0x80;
    bytes.extend(key);
    bytes.extend(payload.iter().zip(key.iter().cycle()).map(|(byte, key)| byte ^ key));
    bytes
}

fn text(payload: &str) -> Incoming {
    Incoming::Text(payload.to_owned())
}

/// What a client did, up to its failure.
#[derive(Debug, Default, PartialEq)]
struct Outcome {
    incoming: Vec<Incoming>,
    failure: Option<Failure>,
}

/// Feeds `pieces` one after the other.
fn read<'a>(pieces: impl IntoIterator<Item = &'a [u8]>, limits: &FrameLimits) -> Outcome {
    let mut reader = Reader::default();
    let mut outcome = Outcome::default();
    let now = Instant::now();
    for piece in pieces {
        let mut piece = piece.to_vec();
        let mut input = piece.as_mut_slice();
        loop {
            let (taken, result) = reader.next(input, limits, now);
            input = &mut input[taken..];
            match result {
                Ok(Some(incoming)) => outcome.incoming.push(incoming),
                Ok(None) => {
                    assert!(input.is_empty(), "all is taken when nothing is complete");
                    break;
                }
                Err(failure) => {
                    assert_eq!(outcome.failure.replace(failure), None, "one failure");
                }
            }
        }
    }
    outcome
}

/// Reads `bytes` in one piece and byte by byte.
fn check_with(limits: &FrameLimits, bytes: &[u8], incoming: &[Incoming], failure: Option<Failure>) {
    let expected = Outcome { incoming: incoming.to_vec(), failure };
    assert_eq!(read([bytes], limits), expected, "in one piece");
    assert_eq!(read(bytes.chunks(1), limits), expected, "byte by byte");
}

fn check(bytes: &[u8], incoming: &[Incoming]) {
    check_with(&LIMITS, bytes, incoming, None);
}

fn check_failure(bytes: &[u8], failure: Failure) {
    check_with(&LIMITS, bytes, &[], Some(failure));
    // F12: what came before is delivered first, and what follows is swallowed.
    let mut more = frame(0x81, b"before");
    more.extend(bytes);
    more.extend(frame(0x81, b"behind"));
    check_with(&LIMITS, &more, &[text("before")], Some(failure));
}
