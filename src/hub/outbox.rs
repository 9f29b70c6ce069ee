//! What waits in front of one socket.
//!
//! Pushing never waits: a client that reads too slowly loses its socket, never the
//! hub's time, and resumes from the log.
//!
//! Invariants:
//! - bounded by events and by bytes; what a resume replays has a bound of its own;
//! - frames leave in the order in which they were pushed, whole;
//! - after [`Outbox::close`] nothing more enters, and what is queued still leaves;
//! - a withheld event never causes a write: it travels with the next frame.
//!
//! Not here: the socket (`link`), numbering (`connection`).

use std::{collections::VecDeque, sync::Arc};

use bytes::Bytes;

use super::{deliveries::Deliveries, link::Writer};
use crate::{
    metrics::Class,
    model::{Body, Encoding, Record, Rendering, Tail},
    ws::frame::{Opcode, put_head},
};

/// Bytes of one write, at most, unless a single frame is longer.
pub(super) const WRITE_BYTES: usize = 64 * 1024;

/// Withheld events that may wait for company before they are written anyway.
const LAZY_NOOPS_MAX: u16 = 64;

/// Items that an outbox keeps room for between two turns.
const CALM_ITEMS: usize = 16;

/// Bytes that a frame has beside its shared part: head, `seq` tail.
const FRAME_OVERHEAD_BYTES: usize = 32;

/// The bounds of one outbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OutboxLimits {
    /// `limits.outbox_events`
    pub events: usize,
    /// `limits.outbox_bytes`
    pub bytes: usize,
}

/// What became of a pushed event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pushed {
    /// It waits.
    Queued,
    /// Its body is withheld; a no-op waits in its place, in no hurry.
    Withheld,
    /// It does not fit: the socket has to be closed.
    Full,
    /// The last frame is queued already: nothing enters any more.
    Closed,
}

/// One thing that waits.
#[derive(Debug)]
enum Item {
    /// An event in the connection's encoding.
    Event { record: Arc<Record>, seq: u64 },
    /// The number of a withheld event.
    Noop { seq: u64 },
    /// A complete frame: a reply, a hello, a control frame.
    Frame(Bytes),
}

/// What a replay may add to the bounds.
#[derive(Debug, Clone, Copy, Default)]
struct Credit {
    events: usize,
    bytes: usize,
}

/// The queue in front of one socket. Small, because every idle connection has one.
#[derive(Debug, Default)]
pub struct Outbox {
    items: VecDeque<Item>,
    /// Bytes that were encoded but not yet taken by the socket.
    unsent: Box<[u8]>,
    events: u32,
    bytes: u32,
    /// What a resume may add to the bounds, until it has left.
    credit: Option<Box<Credit>>,
    lazy_noops: u16,
    closed: bool,
}

impl Outbox {
    /// Lets a replay of so many events and bytes wait beyond the usual bounds.
    pub fn grant(&mut self, events: usize, bytes: usize) {
        self.credit = Some(Box::new(Credit { events, bytes }));
    }

    /// Events and bytes that may wait now.
    fn bounds(&self, limits: OutboxLimits) -> (usize, usize) {
        let credit = self.credit.as_deref().copied().unwrap_or_default();
        (limits.events + credit.events, limits.bytes + credit.bytes)
    }

    fn add(&mut self, bytes: usize) {
        self.events += 1;
        self.bytes = self.bytes.saturating_add(small(bytes));
    }

    fn has(&self) -> (usize, usize) {
        (self.events as usize, self.bytes as usize)
    }

    /// Queues an event under `seq`.
    pub fn push_event(
        &mut self,
        record: &Arc<Record>,
        seq: u64,
        encoding: &Encoding,
        limits: OutboxLimits,
    ) -> Pushed {
        if self.closed {
            return Pushed::Closed;
        }
        let bytes = encoding.shared(record).payload.len() + FRAME_OVERHEAD_BYTES;
        let (events_max, bytes_max) = self.bounds(limits);
        let (events_now, bytes_now) = self.has();
        let is_pressed = events_now * 2 >= events_max || bytes_now * 2 >= bytes_max;
        if is_pressed && is_ephemeral(record) {
            return self.push_noop(seq, encoding, limits);
        }
        // A single event that is over the byte bound still goes out, alone.
        let fits = events_now < events_max && bytes_now + bytes <= bytes_max;
        if !fits && events_now > 0 {
            return Pushed::Full;
        }
        self.add(bytes);
        self.items.push_back(Item::Event { record: Arc::clone(record), seq });
        Pushed::Queued
    }

    /// Queues the number of an event whose body is withheld.
    pub fn push_noop(&mut self, seq: u64, encoding: &Encoding, limits: OutboxLimits) -> Pushed {
        if self.closed {
            return Pushed::Closed;
        }
        if encoding.tail.key().is_none() {
            return Pushed::Withheld;
        }
        if self.has().0 >= self.bounds(limits).0 {
            return Pushed::Full;
        }
        self.add(encoding.noop.len() + FRAME_OVERHEAD_BYTES);
        self.lazy_noops += 1;
        self.items.push_back(Item::Noop { seq });
        Pushed::Withheld
    }

    /// Queues a complete frame that has no number.
    ///
    /// Returns false when it does not fit: replies share the bounds of events.
    pub fn push_frame(&mut self, frame: Bytes, limits: OutboxLimits) -> bool {
        if self.closed {
            return true;
        }
        let (events_max, bytes_max) = self.bounds(limits);
        let (events_now, bytes_now) = self.has();
        let fits = events_now < events_max && bytes_now + frame.len() <= bytes_max;
        if !fits && events_now > 0 {
            return false;
        }
        self.add(frame.len());
        self.items.push_back(Item::Frame(frame));
        true
    }

    /// Queues the last frame. Nothing enters after it.
    pub fn close(&mut self, frame: Bytes) {
        if !self.closed {
            self.add(frame.len());
            self.items.push_back(Item::Frame(frame));
            self.closed = true;
        }
    }

    /// Drops what was not yet encoded, and queues the last frame.
    ///
    /// A frame that the socket took in part stays, so that the stream stays whole.
    pub fn abandon(&mut self, frame: Bytes) {
        if !self.closed {
            self.items.clear();
            self.events = 0;
            self.lazy_noops = 0;
            self.bytes = small(self.unsent.len());
            self.close(frame);
        }
    }

    /// True when [`Outbox::close`] was called.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.closed
    }

    /// True when nothing waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.items.is_empty() && self.unsent.is_empty()
    }

    /// True when something waits that should be written now.
    #[must_use]
    pub fn is_due(&self) -> bool {
        !self.unsent.is_empty()
            || self.items.len() > usize::from(self.lazy_noops)
            || self.lazy_noops >= LAZY_NOOPS_MAX
    }

    /// Events and bytes that wait, as they are kept.
    pub(super) fn counts(&self) -> (u32, u32) {
        (self.events, self.bytes)
    }

    /// Events and bytes that wait.
    #[must_use]
    pub fn fill(&self) -> (usize, usize) {
        self.has()
    }

    /// Moves the next frames into `scratch`, up to one write's worth.
    ///
    /// Bytes that the socket left behind earlier come first.
    pub fn encode(
        &mut self,
        encoding: &Encoding,
        scratch: &mut Vec<u8>,
        deliveries: &mut Deliveries,
    ) {
        scratch.clear();
        if !self.unsent.is_empty() {
            scratch.extend_from_slice(&std::mem::take(&mut self.unsent));
            self.bytes = self.bytes.saturating_sub(small(scratch.len()));
        }
        while scratch.len() < WRITE_BYTES {
            let Some(item) = self.items.pop_front() else { break };
            self.events -= 1;
            match item {
                Item::Event { record, seq } => {
                    let shared = encoding.shared(&record);
                    let bytes = shared.payload.len() + FRAME_OVERHEAD_BYTES;
                    self.bytes = self.bytes.saturating_sub(small(bytes));
                    put_rendering(scratch, shared, encoding.tail, seq);
                    deliveries.event(&record, class(&record));
                }
                Item::Noop { seq } => {
                    let bytes = encoding.noop.len() + FRAME_OVERHEAD_BYTES;
                    self.bytes = self.bytes.saturating_sub(small(bytes));
                    self.lazy_noops -= 1;
                    put_frame(scratch, Opcode::Text, encoding.noop, encoding.tail, seq);
                    deliveries.noop();
                }
                Item::Frame(frame) => {
                    self.bytes = self.bytes.saturating_sub(small(frame.len()));
                    scratch.extend_from_slice(&frame);
                }
            }
        }
        if self.items.is_empty() {
            self.rest();
        }
    }

    /// Takes back what the socket did not take.
    pub fn keep(&mut self, unsent: &[u8]) {
        self.unsent = Box::from(unsent);
        self.bytes = self.bytes.saturating_add(small(unsent.len()));
    }

    /// Forgets what a replay was granted, and big buffers.
    fn rest(&mut self) {
        self.credit = None;
        if self.items.capacity() > CALM_ITEMS {
            self.items = VecDeque::new();
        }
    }

    /// Gives all memory back when nothing waits: an idle connection must be small.
    pub fn shrink(&mut self) {
        if self.is_empty() && self.items.capacity() > 0 {
            self.items = VecDeque::new();
        }
    }
}

/// A length as an outbox counts it: far below its range, and never wrapped.
fn small(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}

fn is_ephemeral(record: &Record) -> bool {
    matches!(&record.body, Body::Event(event) if event.ephemeral)
}

fn class(record: &Record) -> Class {
    if is_ephemeral(record) { Class::Ephemeral } else { Class::Durable }
}

/// Appends the frame of an event, or of its number alone, and counts it.
pub(super) fn put_event(
    encoding: &Encoding,
    (record, is_withheld): (&Arc<Record>, bool),
    seq: u64,
    writer: &mut Writer,
) {
    let Writer { scratch, deliveries } = writer;
    if !is_withheld {
        put_rendering(scratch, encoding.shared(record), encoding.tail, seq);
        deliveries.event(record, class(record));
    } else if encoding.tail.key().is_some() {
        put_frame(scratch, Opcode::Text, encoding.noop, encoding.tail, seq);
        deliveries.noop();
    }
}

fn put_rendering(out: &mut Vec<u8>, shared: &Rendering, tail: Tail, seq: u64) {
    let opcode = if shared.binary { Opcode::Binary } else { Opcode::Text };
    put_frame(out, opcode, &shared.payload, tail, seq);
}

/// Appends one whole frame to `out`.
fn put_frame(out: &mut Vec<u8>, opcode: Opcode, shared: &[u8], tail: Tail, seq: u64) {
    match (tail, tail.key()) {
        (Tail::Brace, _) => {
            put_head(out, opcode, shared.len() + 1);
            out.extend_from_slice(shared);
            out.push(b'}');
        }
        (_, None) => {
            put_head(out, opcode, shared.len());
            out.extend_from_slice(shared);
        }
        (_, Some(key)) => {
            let mut digits = [0; 20];
            let digits = decimal(seq, &mut digits);
            let length = shared.len() + key.len() + digits.len() + 1;
            put_head(out, opcode, length);
            out.extend_from_slice(shared);
            out.extend_from_slice(key);
            out.extend_from_slice(digits);
            out.push(b'}');
        }
    }
}

/// Writes `number` at the end of `buffer`, without an allocation per delivery.
fn decimal(mut number: u64, buffer: &mut [u8; 20]) -> &[u8] {
    let mut used = 0;
    for place in buffer.iter_mut().rev() {
        // The remainder of a division by ten is one digit.
        *place = b'0' + u8::try_from(number % 10).unwrap_or(0);
        number /= 10;
        used += 1;
        if number == 0 {
            break;
        }
    }
    buffer.split_at(buffer.len() - used).1
}
