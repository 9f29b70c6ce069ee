//! Waiting for messages: a [`Reader`] with a stream in front of it.
//!
//! Bytes are read into a buffer that all sockets of a thread share, during one poll
//! and never across two, so a waiting socket owns none.
//!
//! Invariants: a cancelled wait loses nothing; bytes behind a message are kept until
//! the next call.
//!
//! Not here: timers (`session`).

use std::{
    cell::RefCell,
    future::poll_fn,
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use tokio::{
    io::{AsyncRead, ReadBuf},
    time::Instant,
};

use super::{Failure, FrameLimits, Incoming, Reader};

/// Bytes that one read may bring.
const SCRATCH_BYTES: usize = 64 * 1024;

thread_local! {
    static SCRATCH: RefCell<Box<[u8]>> = RefCell::new(vec![0; SCRATCH_BYTES].into_boxed_slice());
}

/// Reads whole messages from a stream that it does not own.
#[derive(Debug, Default)]
pub struct Receiver {
    reader: Reader,
    rest: Option<Box<Rest>>,
}

/// Bytes that arrived behind a message.
#[derive(Debug)]
struct Rest {
    bytes: Vec<u8>,
    taken: usize,
}

/// Why nothing more comes.
#[derive(Debug, thiserror::Error)]
pub enum Ended {
    /// The peer broke a rule: close with its code.
    #[error(transparent)]
    Failed(#[from] Failure),
    /// The peer's bytes ended without a close frame, perhaps inside a message.
    #[error("peer is gone")]
    Gone,
    /// The connection broke.
    #[error("cannot read from the socket")]
    Broken(#[source] io::Error),
}

impl Receiver {
    /// Begins with bytes that arrived with the request (RFC 6455 section 4.2.2: what
    /// follows the head belongs to the frames).
    #[must_use]
    pub fn new(leftover: Bytes) -> Self {
        let mut receiver = Self::default();
        receiver.keep(&leftover);
        // Even when it is empty it may hold the read buffer of the HTTP connection.
        drop(leftover);
        receiver
    }

    /// Waits for the next message or control frame from `stream`.
    ///
    /// # Errors
    ///
    /// [`Ended`]; after it, and after [`Incoming::Close`], more calls only swallow
    /// what arrives until the peer is gone.
    ///
    /// # Cancel safety
    ///
    /// Safe: what was read is kept, and the next call goes on from there.
    pub async fn next<R>(&mut self, stream: &mut R, limits: &FrameLimits) -> Result<Incoming, Ended>
    where
        R: AsyncRead + Unpin,
    {
        if self.rest.is_some() {
            // A flood in one read must not keep other tasks of this thread waiting.
            tokio::task::consume_budget().await;
        }
        poll_fn(|ctx| self.poll_next(ctx, stream, limits)).await
    }

    /// See [`Receiver::next`].
    ///
    /// # Errors
    ///
    /// As [`Receiver::next`].
    pub fn poll_next<R>(
        &mut self,
        ctx: &mut Context<'_>,
        stream: &mut R,
        limits: &FrameLimits,
    ) -> Poll<Result<Incoming, Ended>>
    where
        R: AsyncRead + Unpin,
    {
        if let Some(result) = self.next_of_rest(limits) {
            return Poll::Ready(result.map_err(Ended::Failed));
        }
        loop {
            let result = SCRATCH.with_borrow_mut(|scratch| {
                let mut buffer = ReadBuf::new(scratch);
                ready!(Pin::new(&mut *stream).poll_read(ctx, &mut buffer))
                    .map_err(Ended::Broken)?;
                let input = buffer.filled_mut();
                if input.is_empty() {
                    return Poll::Ready(Err(Ended::Gone));
                }
                let (taken, result) = self.reader.next(input, limits, Instant::now());
                if matches!(result, Ok(Some(_))) {
                    self.keep(input.get(taken..).unwrap_or_default());
                }
                Poll::Ready(result.map_err(Ended::Failed))
            });
            if let Some(incoming) = ready!(result)? {
                return Poll::Ready(Ok(incoming));
            }
        }
    }

    /// When the message began whose end has not arrived. See
    /// [`Reader::incomplete_since`].
    #[must_use]
    pub fn incomplete_since(&self) -> Option<Instant> {
        self.reader.incomplete_since()
    }

    /// True when bytes wait that were read already: a call may return at once.
    #[must_use]
    pub fn has_rest(&self) -> bool {
        self.rest.is_some()
    }

    /// Reads and throws away what comes, up to `bytes_max`, until the peer is gone.
    ///
    /// # Errors
    ///
    /// When the connection breaks.
    ///
    /// # Cancel safety
    ///
    /// Safe: nothing that was read is wanted.
    pub async fn discard<R>(&mut self, stream: &mut R, bytes_max: usize) -> io::Result<()>
    where
        R: AsyncRead + Unpin,
    {
        self.rest = None;
        let mut left = bytes_max;
        while left > 0 {
            match poll_fn(|ctx| poll_discard(ctx, stream)).await? {
                0 => break,
                count => left = left.saturating_sub(count),
            }
        }
        Ok(())
    }

    fn keep(&mut self, bytes: &[u8]) {
        if !bytes.is_empty() {
            self.rest = Some(Box::new(Rest { bytes: bytes.to_vec(), taken: 0 }));
        }
    }

    fn next_of_rest(&mut self, limits: &FrameLimits) -> Option<Result<Incoming, Failure>> {
        let rest = self.rest.as_mut()?;
        let input = rest.bytes.get_mut(rest.taken..).unwrap_or_default();
        let (taken, result) = self.reader.next(input, limits, Instant::now());
        rest.taken += taken;
        if rest.taken >= rest.bytes.len() || !matches!(result, Ok(Some(_))) {
            self.rest = None;
        }
        result.transpose()
    }
}

fn poll_discard<R>(ctx: &mut Context<'_>, stream: &mut R) -> Poll<io::Result<usize>>
where
    R: AsyncRead + Unpin,
{
    SCRATCH.with_borrow_mut(|scratch| {
        let mut buffer = ReadBuf::new(scratch);
        ready!(Pin::new(stream).poll_read(ctx, &mut buffer))?;
        Poll::Ready(Ok(buffer.filled().len()))
    })
}
