//! One socket as its hub sees it: the outbox, and the way to write it out.
//!
//! The hub writes plain sockets itself, with one non-blocking call for all that
//! waits. What the socket does not take, and everything on a TLS socket, is written
//! by the task that reads the socket, when it is told so through its waker.
//!
//! Invariants:
//! - nobody waits here: every call returns at once;
//! - one lock per link, a leaf, held for at most one non-blocking write;
//! - the link is closed exactly once, with a close frame as its last frame.

mod write;

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    task::Waker,
};

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::{net::TcpStream, time::Instant};

use super::{
    bounds::{LinkContext, ticks},
    deliveries::Deliveries,
    outbox::{Outbox, Pushed},
};
use crate::{
    metrics::DialectIndex,
    model::{CloseCode, Encoding, Record},
    ws::frame,
};

/// One socket.
#[derive(Debug)]
pub struct Link {
    context: Arc<LinkContext>,
    encoding: &'static Encoding,
    /// True when the client has asked for numbers.
    is_numbered: AtomicBool,
    dialect: Option<DialectIndex>,
    /// The plain socket; `None` when only its own task can write (TLS).
    socket: Option<TcpStream>,
    state: Mutex<State>,
    /// When the peer was last heard.
    heard_at: AtomicU32,
    /// When a message began whose end is missing; 0 when none did.
    message_since: AtomicU32,
}

#[derive(Debug, Default)]
struct State {
    outbox: Outbox,
    /// True while the socket has to become writable before the next write.
    is_blocked: bool,
    /// When the outbox last began to wait, or made progress.
    waiting_since: u32,
    closed_with: Option<u16>,
    is_broken: bool,
    waker: Option<Waker>,
    /// What the sums over all outboxes contain of this one.
    reported: (u32, u32),
    /// Where the hub left the connection: its next `seq`, and its offset.
    left_at: Option<Box<(u64, u64)>>,
}

/// What a write needs beside the link: a buffer, and where deliveries are counted.
#[derive(Debug)]
pub struct Writer {
    /// Bytes of one write.
    pub scratch: Vec<u8>,
    /// What was delivered.
    pub deliveries: Deliveries,
}

/// What the task of a link has to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Duty {
    /// The link was closed with this code: finish the closing handshake.
    Close(u16),
    /// The socket failed.
    Broken,
    /// Bytes wait that only the task can write (TLS).
    Write,
}

impl Link {
    /// A link in front of `socket`, or of a task that writes, when that is `None`.
    #[must_use]
    pub fn new(
        context: Arc<LinkContext>,
        encoding: &'static Encoding,
        socket: Option<TcpStream>,
    ) -> Self {
        let heard_at = AtomicU32::new(context.ticks());
        Self {
            context,
            encoding,
            is_numbered: AtomicBool::new(false),
            dialect: DialectIndex::of(encoding.name),
            socket,
            state: Mutex::default(),
            heard_at,
            message_since: AtomicU32::new(0),
        }
    }

    /// The plain socket, for the task that reads it.
    #[must_use]
    pub fn socket(&self) -> Option<&TcpStream> {
        self.socket.as_ref()
    }

    /// How records become frames here.
    #[must_use]
    pub fn encoding(&self) -> &'static Encoding {
        match self.encoding.numbered {
            Some(numbered) if self.is_numbered.load(Ordering::Relaxed) => numbered,
            Some(_) | None => self.encoding,
        }
    }

    /// A connection begins on this socket, maybe after another one; its client asks for
    /// numbers or not. To be called while no hub has the link and nothing waits.
    pub fn begin(&self, is_numbered: bool) {
        self.is_numbered.store(is_numbered, Ordering::Relaxed);
        // The place of another connection is none of this one's.
        self.state.lock().left_at = None;
    }

    /// Queues an event. It is written by the next [`Link::flush`].
    pub(super) fn push_event(&self, record: &Arc<Record>, seq: u64) -> Pushed {
        self.state.lock().outbox.push_event(record, seq, self.encoding(), self.context.outbox())
    }

    /// Queues the number of an event whose body is withheld.
    pub(super) fn push_noop(&self, seq: u64) -> Pushed {
        self.state.lock().outbox.push_noop(seq, self.encoding(), self.context.outbox())
    }

    /// Lets a replay of so many events and bytes wait beyond the usual bounds.
    pub(super) fn grant(&self, events: usize, bytes: usize) {
        self.state.lock().outbox.grant(events, bytes);
    }

    /// Queues a complete frame without a number. It is written by the next
    /// [`Link::flush`]. Returns false when it does not fit.
    pub(super) fn push_frame(&self, frame: Bytes) -> bool {
        self.state.lock().outbox.push_frame(frame, self.context.outbox())
    }

    /// Queues a complete frame without a number, and writes what waits.
    ///
    /// A frame that does not fit closes the link as a slow reader.
    pub fn send(&self, frame: Bytes, writer: &mut Writer) {
        if self.push_frame(frame) {
            self.flush(writer);
        } else {
            self.abandon(CloseCode::SlowReader, "the client does not read fast enough");
        }
    }

    /// Queues a close frame as the last one: what waits leaves before it.
    pub fn close(&self, code: u16, reason: &str) {
        let mut state = self.state.lock();
        if state.closed_with.is_none() {
            state.closed_with = Some(code);
            state.outbox.close(frame::close(code, reason));
            state.wake();
        }
    }

    /// Answers the peer's close frame with its own code, and drops what waits.
    pub fn answer_close(&self, code: Option<u16>) {
        let mut state = self.state.lock();
        if state.closed_with.is_none() {
            state.closed_with = Some(code.unwrap_or(1005));
            let frame = code.map_or_else(frame::close_without_code, |code| frame::close(code, ""));
            state.outbox.abandon(frame);
        }
    }

    /// Drops what waits and queues a close frame: the peer may resume from the log.
    pub fn abandon(&self, code: CloseCode, reason: &str) {
        let mut state = self.state.lock();
        if state.closed_with.is_none() {
            state.closed_with = Some(code.number());
            state.outbox.abandon(frame::close(code.number(), reason));
            state.wake();
            if code == CloseCode::SlowReader {
                let dialect = [self.encoding.name];
                self.context.metrics().slow_consumers_total.with_label_values(&dialect).inc();
            }
        }
    }

    /// The code that the link was closed with.
    #[must_use]
    pub fn closed_with(&self) -> Option<u16> {
        self.state.lock().closed_with
    }

    /// True when nothing waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.state.lock().outbox.is_empty()
    }

    /// Events and bytes that wait.
    #[must_use]
    pub fn fill(&self) -> (usize, usize) {
        self.state.lock().outbox.fill()
    }

    /// The socket is gone: what waits leaves the sums.
    pub fn bury(&self) {
        let mut state = self.state.lock();
        state.is_broken = true;
        state.outbox = Outbox::default();
        state.waker = None;
        self.report(&mut state);
    }

    /// Notes a sign of life.
    pub fn heard(&self) {
        self.heard_at.store(self.context.ticks(), Ordering::Relaxed);
    }

    /// Notes since when a message is incomplete.
    pub fn incomplete_since(&self, since: Option<Instant>) {
        let since = since
            .map_or(0, |since| ticks(since.saturating_duration_since(self.context.epoch())).max(1));
        if self.message_since.load(Ordering::Relaxed) != since {
            self.message_since.store(since, Ordering::Relaxed);
        }
    }

    /// When the peer was last heard, in ticks.
    pub(super) fn heard_at(&self) -> u32 {
        self.heard_at.load(Ordering::Relaxed)
    }

    /// True when a message has been incomplete for too long.
    pub(super) fn is_message_overdue(&self, now: u32) -> bool {
        let since = self.message_since.load(Ordering::Relaxed);
        since != 0 && now.saturating_sub(since) > self.context.message_timeout()
    }

    /// True when the outbox has waited too long without progress. One that does not
    /// wait gives its memory back.
    pub(super) fn is_stalled(&self, now: u32) -> bool {
        let mut state = self.state.lock();
        state.outbox.shrink();
        let since = state.waiting_since;
        since != 0 && now.saturating_sub(since) > self.context.stall()
    }

    /// What all links share.
    #[must_use]
    pub fn context(&self) -> &Arc<LinkContext> {
        &self.context
    }

    /// Notes where the hub left the connection.
    pub(super) fn leave_at(&self, seq: u64, cursor: u64) {
        self.state.lock().left_at = Some(Box::new((seq, cursor)));
    }

    /// Where the hub left the connection: its next `seq`, and its offset.
    #[must_use]
    pub fn left_at(&self) -> Option<(u64, u64)> {
        self.state.lock().left_at.as_deref().copied()
    }
}

impl Drop for Link {
    /// A task that panicked has buried nothing.
    fn drop(&mut self) {
        self.bury();
    }
}

impl State {
    fn wake(&mut self) {
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }
}
