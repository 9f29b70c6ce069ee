//! What stands between the network and hyper: it lets through only heads that
//! have one reading, and the bodies that belong to them.
//!
//! Invariants:
//! - no byte of a head reaches hyper before the whole head was found good;
//! - the next head is looked for exactly where the body before it ends;
//! - at most one head and one read are buffered.
//!
//! Not here: what is said to a peer whose head was refused (`connection`).

use std::{
    io,
    mem::MaybeUninit,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::{Buf as _, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::{
    chunks::Chunks,
    connection::Progress,
    head::{self, Framing, HeadLimits, MALFORMED as BROKEN, Refusal},
};
use crate::ws::Stream;

/// Bytes of one read.
const READ_BYTES: usize = 4096;

/// A stream that only lets good requests through.
#[derive(Debug)]
pub(super) struct Gate {
    stream: Stream,
    limits: HeadLimits,
    progress: Arc<Progress>,
    expects: Expects,
    waiting: BytesMut,
    /// How many of the waiting bytes may pass.
    approved: usize,
    /// How many of the waiting bytes were searched for the end of the head.
    scanned: usize,
    refused: Option<Refusal>,
    /// Nothing passes any more.
    broken: bool,
    has_passed: bool,
}

/// What the next byte is.
#[derive(Debug)]
enum Expects {
    /// Part of a head.
    Head,
    /// One of so many bytes of a body.
    Body(u64),
    /// Part of a chunked body. No head follows.
    Chunks(Chunks),
    /// Frames of a WebSocket. No head follows.
    Rest,
}

impl Gate {
    pub(super) fn new(stream: Stream, limits: HeadLimits, progress: Arc<Progress>) -> Self {
        Self {
            stream,
            limits,
            progress,
            expects: Expects::Head,
            waiting: BytesMut::new(),
            approved: 0,
            scanned: 0,
            refused: None,
            broken: false,
            has_passed: false,
        }
    }

    /// Why the head that came last was refused.
    pub(super) fn refused(&self) -> Option<Refusal> {
        self.refused
    }

    /// True when at least one head was good.
    pub(super) fn has_passed(&self) -> bool {
        self.has_passed
    }

    /// True when a head has begun and not ended.
    pub(super) fn is_inside_head(&self) -> bool {
        matches!(self.expects, Expects::Head) && !self.waiting.is_empty()
    }

    /// The stream, and the bytes that were read from it and not passed on.
    pub(super) fn into_parts(self) -> (Stream, Bytes) {
        (self.stream, self.waiting.freeze())
    }

    /// Decides how many of the waiting bytes may pass. False when more bytes, or
    /// none at all, have to come first.
    fn approve(&mut self) -> Result<bool, Refusal> {
        match self.expects {
            Expects::Rest => self.approved = self.waiting.len(),
            Expects::Chunks(ref mut chunks) => {
                if !chunks.follow(&self.waiting) {
                    return Err(BROKEN);
                }
                self.approved = self.waiting.len();
            }
            Expects::Body(0) => {
                self.expects = Expects::Head;
                return self.approve();
            }
            Expects::Body(ref mut left) => {
                let waiting = u64::try_from(self.waiting.len()).unwrap_or(u64::MAX);
                let part = waiting.min(*left);
                *left -= part;
                self.approved = usize::try_from(part).unwrap_or(self.waiting.len());
            }
            Expects::Head => {
                let Some(end) = head::find_end(&self.waiting, self.scanned, self.limits)? else {
                    self.scanned = self.waiting.len();
                    return Ok(false);
                };
                let whole = self.waiting.get(..end).unwrap_or_default();
                self.expects = match head::inspect(whole, self.limits)? {
                    Framing::Length(length) => Expects::Body(length),
                    Framing::Chunked => Expects::Chunks(Chunks::START),
                    Framing::Upgrade => Expects::Rest,
                };
                self.has_passed = true;
                self.scanned = 0;
                self.approved = end;
            }
        }
        Ok(self.approved > 0)
    }

    fn poll_fill(&mut self, ctx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let mut space = [const { MaybeUninit::uninit() }; READ_BYTES];
        let mut buffer = ReadBuf::uninit(&mut space);
        ready!(Pin::new(&mut self.stream).poll_read(ctx, &mut buffer))?;
        self.waiting.extend_from_slice(buffer.filled());
        Poll::Ready(Ok(buffer.filled().len()))
    }
}

impl AsyncRead for Gate {
    fn poll_read(
        self: Pin<&mut Self>,
        ctx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let gate = self.get_mut();
        loop {
            if gate.approved > 0 {
                let part = gate.approved.min(buffer.remaining());
                buffer.put_slice(gate.waiting.get(..part).unwrap_or_default());
                gate.waiting.advance(part);
                gate.approved -= part;
                return Poll::Ready(Ok(()));
            }
            if gate.broken {
                return Poll::Ready(Ok(()));
            }
            match gate.approve() {
                Ok(true) => continue,
                Ok(false) => {}
                // Inside a body hyper is told that it ended early, and the door answers.
                Err(refusal) => {
                    gate.broken = true;
                    if matches!(gate.expects, Expects::Head) {
                        gate.refused = Some(refusal);
                    }
                    return Poll::Ready(Ok(()));
                }
            }
            // While a request is answered, hyper reads only to see whether the peer is
            // gone. A peer that sent all it has to say may half-close and still wants
            // its answer, and hyper asks again when it is free for the next head.
            if matches!(gate.expects, Expects::Head) && gate.progress.is_busy() {
                return Poll::Pending;
            }
            if ready!(gate.poll_fill(ctx))? == 0 {
                return Poll::Ready(Ok(()));
            }
        }
    }
}

impl AsyncWrite for Gate {
    fn poll_write(
        self: Pin<&mut Self>,
        ctx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write(ctx, bytes)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        ctx: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write_vectored(ctx, parts)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, ctx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(ctx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, ctx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(ctx)
    }
}
