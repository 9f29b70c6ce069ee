//! How a link's bytes reach its socket.
//!
//! Invariants: bytes leave in order and whole; what the socket does not take waits in
//! the outbox; a call writes until the socket takes no more, and never waits for it.

use std::{io, sync::Arc};

use rustix::net::{SendFlags, send};
use tokio::{io::Interest, net::TcpStream};

use super::{Link, State};
use crate::{
    hub::{
        deliveries::Deliveries,
        outbox::{Pushed, WRITE_BYTES, put_event},
    },
    model::Record,
};

/// What a write needs beside the link: a buffer, and where deliveries are counted.
#[derive(Debug)]
pub struct Writer {
    /// Bytes of one write.
    pub scratch: Vec<u8>,
    /// What was delivered.
    pub deliveries: Deliveries,
}

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
        let mut settled = Settled { taken: 0, pressed: 0, scoped: 0 };
        // Numbers alone are in no hurry: they wait in the outbox for company.
        let mut is_direct = has_bodies && state.is_free();
        writer.deliveries.of(self.dialect);
        writer.scratch.clear();
        for (record, is_withheld) in steps {
            if let (true, Some(socket)) = (is_direct, &self.socket) {
                put_event(self.encoding, (record, is_withheld), seq, writer);
                settled.scoped += u64::from(is_withheld);
                if writer.scratch.len() >= WRITE_BYTES {
                    is_direct = self.write(state, socket, &writer.scratch);
                    writer.scratch.clear();
                }
            } else {
                let pushed = if is_withheld {
                    state.outbox.push_noop(seq, self.encoding, self.context.outbox())
                } else {
                    state.outbox.push_event(record, seq, self.encoding, self.context.outbox())
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
            state.outbox.encode(self.encoding, &mut writer.scratch, &mut writer.deliveries);
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
}

impl State {
    /// True when what is written now goes out before anything else.
    fn is_free(&self) -> bool {
        !self.is_blocked && !self.is_broken && self.closed_with.is_none() && self.outbox.is_empty()
    }
}
