//! What it costs to queue an event for one connection and to make its frame.
//!
//! Prints nanoseconds per frame; fails at nothing. `cargo bench --bench encode`

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::cast_precision_loss,
    reason = "a bench prints its figures and may stop at the first surprise"
)]

mod support;

use std::{hint::black_box, sync::Arc};

use hubbub::{
    clock::Clock,
    hub::{Deliveries, Outbox, OutboxLimits, Pushed},
    metrics::{DialectIndex, Metrics},
    model::Record,
    ws::frame,
};
use tokio::time::Instant;

use support::{NUMBERED, event, median};

const ROUNDS: usize = 20;
const TURNS: u64 = 20_000;
const LIMITS: OutboxLimits = OutboxLimits { events: 256, bytes: 256 * 1024 };

/// Times `turn`, which makes `frames` frames, and prints the median of the rounds.
fn time(name: &str, frames: usize, mut turn: impl FnMut(u64)) {
    let mut figures: Vec<f64> = (0..ROUNDS)
        .map(|_| {
            let began = Instant::now();
            (0..TURNS).for_each(&mut turn);
            began.elapsed().as_nanos() as f64 / (TURNS as f64 * frames as f64)
        })
        .collect();
    println!("{name:36} {:7.1} ns a frame", median(&mut figures));
}

fn outbox(waiting: usize) {
    let metrics = Metrics::new("bench", 1);
    let mut deliveries = Deliveries::new(&metrics, Clock::system());
    deliveries.of(DialectIndex::of(NUMBERED.name));
    let records: Vec<Arc<Record>> = (1..=waiting as u64).map(event).collect();
    let mut outbox = Outbox::default();
    let mut scratch = Vec::new();
    time(&format!("outbox, {waiting} waiting"), waiting, |turn| {
        for (number, record) in records.iter().enumerate() {
            let seq = turn * waiting as u64 + number as u64;
            assert_eq!(outbox.push_event(record, seq, &NUMBERED, LIMITS), Pushed::Queued);
        }
        outbox.encode(&NUMBERED, &mut scratch, &mut deliveries);
        black_box(&scratch);
        deliveries.flush();
    });
}

fn main() {
    for waiting in [1, 16, 64] {
        outbox(waiting);
    }
    let payload = [b'x'; support::DATA_BYTES];
    time("a frame of its own", 1, |_| {
        black_box(frame::message(frame::Opcode::Text, black_box(&payload)));
    });
}
