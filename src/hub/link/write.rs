//! Writing one socket: at once, later, or by its own task.
//!
//! Invariants:
//! - a write never blocks; what the socket does not take stays in the outbox;
//! - frames leave whole and in order, whoever writes them.

use std::{
    io,
    sync::Arc,
    task::{Context, Poll},
};

use rustix::net::{SendFlags, send};
use tokio::{io::Interest, net::TcpStream};

use super::{Duty, Link, State, Writer};
use crate::{
    hub::{
        deliveries::Deliveries,
        outbox::{Pushed, WRITE_BYTES, put_event},
    },
    model::Record,
};

/// What became of the events of a turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::hub) struct Settled {
    /// How many were written or wait, from the first one on.
    pub(in crate::hub) taken: u64,
    /// Bodies of these that were withheld because too much waits,
    pub(in crate::hub) pressed: u64,
    /// and because nobody looks at their place.
    pub(in crate::hub) scoped: u64,
}

impl Link {
    /// Writes what waits, as far as the socket takes it without blocking.
    pub fn flush(&self, writer: &mut Writer) {
        let mut state = self.state.lock();
        if !state.is_blocked && !state.is_broken && state.outbox.is_due() {
            match &self.socket {
                Some(socket) => self.write_out(&mut state, socket, writer),
                None => state.wake(),
            }
        }
        self.report(&mut state);
    }

    /// Takes the events of a turn, numbered from `seq` on: written at once when
    /// nothing waits before them, else queued.
    pub(in crate::hub) fn write_turn<'a>(
        &self,
        mut seq: u64,
        steps: impl Iterator<Item = (&'a Arc<Record>, bool)>,
        has_bodies: bool,
        writer: &mut Writer,
    ) -> Settled {
        let mut state = self.state.lock();
        let state = &mut *state;
        let encoding = self.encoding();
        let mut settled = Settled { taken: 0, pressed: 0, scoped: 0 };
        // Numbers alone are in no hurry: they wait in the outbox for company.
        let mut is_direct = has_bodies && state.is_free();
        writer.deliveries.of(self.dialect);
        writer.scratch.clear();
        for (record, is_withheld) in steps {
            if let (true, Some(socket)) = (is_direct, &self.socket) {
                put_event(encoding, (record, is_withheld), seq, writer);
                settled.scoped += u64::from(is_withheld);
                if writer.scratch.len() >= WRITE_BYTES {
                    is_direct = self.write(state, socket, &writer.scratch);
                    writer.scratch.clear();
                }
            } else {
                let pushed = if is_withheld {
                    state.outbox.push_noop(seq, self.encoding(), self.context.outbox())
                } else {
                    state.outbox.push_event(record, seq, self.encoding(), self.context.outbox())
                };
                match pushed {
                    Pushed::Queued | Pushed::Closed => {}
                    Pushed::Withheld if is_withheld => settled.scoped += 1,
                    Pushed::Withheld => settled.pressed += 1,
                    Pushed::Full => break,
                }
            }
            seq += 1;
            settled.taken += 1;
        }
        match &self.socket {
            Some(socket) if is_direct && !writer.scratch.is_empty() => {
                self.write(state, socket, &writer.scratch);
            }
            Some(socket) if !state.is_blocked && state.outbox.is_due() => {
                self.write_out(state, socket, writer);
            }
            Some(_) => {}
            None => state.wake(),
        }
        self.report(state);
        settled
    }

    /// Writes all that waits.
    fn write_out(&self, state: &mut State, socket: &TcpStream, writer: &mut Writer) {
        writer.deliveries.of(self.dialect);
        while !state.outbox.is_empty() {
            state.outbox.encode(self.encoding(), &mut writer.scratch, &mut writer.deliveries);
            if !self.write(state, socket, &writer.scratch) {
                return;
            }
        }
    }

    /// Gives `bytes` to the socket; what it does not take waits. False when some do, or
    /// when the socket failed.
    fn write(&self, state: &mut State, socket: &TcpStream, bytes: &[u8]) -> bool {
        let written = socket.try_io(Interest::WRITABLE, || {
            send(socket, bytes, SendFlags::NOSIGNAL).map_err(io::Error::from)
        });
        let taken = match written {
            Ok(taken) => taken,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => 0,
            Err(_error) => {
                state.is_broken = true;
                state.wake();
                return false;
            }
        };
        let unsent = bytes.get(taken..).unwrap_or_default();
        if unsent.is_empty() {
            state.waiting_since = 0;
            return true;
        }
        state.outbox.keep(unsent);
        if taken > 0 || state.waiting_since == 0 {
            state.waiting_since = self.context.ticks().max(1);
        }
        state.is_blocked = true;
        state.wake();
        false
    }

    /// Moves the difference since the last report into the sums over all outboxes.
    pub(super) fn report(&self, state: &mut State) {
        let (events, bytes) = state.outbox.counts();
        if state.reported != (events, bytes) {
            let metrics = self.context.metrics();
            metrics.outbox_events.add(difference(events, state.reported.0));
            metrics.outbox_bytes.add(difference(bytes, state.reported.1));
            state.reported = (events, bytes);
        }
    }

    /// Waits for something to do beside reading, and writes when the socket can.
    ///
    /// Registers the task of `ctx`, which must be the one that reads the socket.
    pub fn poll_duty(&self, ctx: &mut Context<'_>, writer: &mut Writer) -> Poll<Duty> {
        loop {
            let mut state = self.state.lock();
            if state.is_broken {
                return Poll::Ready(Duty::Broken);
            }
            if let Some(code) = state.closed_with {
                return Poll::Ready(Duty::Close(code));
            }
            if self.socket.is_none() && state.outbox.is_due() {
                return Poll::Ready(Duty::Write);
            }
            if !state.waker.as_ref().is_some_and(|waker| waker.will_wake(ctx.waker())) {
                state.waker = Some(ctx.waker().clone());
            }
            let (true, Some(socket)) = (state.is_blocked, &self.socket) else {
                return Poll::Pending;
            };
            match socket.poll_write_ready(ctx) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Ok(())) => {
                    state.is_blocked = false;
                    drop(state);
                    self.flush(writer);
                }
                Poll::Ready(Err(_error)) => return Poll::Ready(Duty::Broken),
            }
        }
    }

    /// Writes what waits, the close frame included, as the socket takes it. Ready when
    /// all has left or the socket failed. For plain sockets.
    pub fn poll_drained(&self, ctx: &mut Context<'_>, writer: &mut Writer) -> Poll<()> {
        loop {
            self.flush(writer);
            let mut state = self.state.lock();
            let Some(socket) = &self.socket else { return Poll::Ready(()) };
            // Numbers alone are in no hurry, and nothing else waits.
            if state.is_broken || !state.outbox.is_due() {
                return Poll::Ready(());
            }
            match socket.poll_write_ready(ctx) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Ok(())) => state.is_blocked = false,
                Poll::Ready(Err(_error)) => return Poll::Ready(()),
            }
        }
    }

    /// Moves what waits into `scratch`, for a task that writes it to a TLS stream.
    pub fn take(&self, bytes: &mut Vec<u8>, deliveries: &mut Deliveries) {
        let mut state = self.state.lock();
        deliveries.of(self.dialect);
        state.outbox.encode(self.encoding(), bytes, deliveries);
        // What was taken waits in the task, and what is left waits here.
        state.waiting_since = self.context.ticks().max(1);
        self.report(&mut state);
    }

    /// Notes that the task has brought bytes to a TLS stream; `is_done` when all that it
    /// took has left. What came into the outbox meanwhile does not wait before the task
    /// has taken it: numbers alone may stay there for long.
    pub fn progressed(&self, is_done: bool) {
        self.state.lock().waiting_since = if is_done { 0 } else { self.context.ticks().max(1) };
    }
}

impl State {
    /// True when what is written now goes out before anything else.
    fn is_free(&self) -> bool {
        !self.is_blocked && !self.is_broken && self.closed_with.is_none() && self.outbox.is_empty()
    }
}

fn difference(now: u32, before: u32) -> i64 {
    i64::from(now) - i64::from(before)
}
