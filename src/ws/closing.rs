//! Ending a conversation: the close handshake of RFC 6455 section 7, and the end of
//! the TCP connection under it.
//!
//! The server closes first: it shuts down its writing side when both close frames
//! are there, or the peer broke a rule, and then reads until the peer is gone, so
//! that unread input cannot destroy the close frame with a reset.
//!
//! Invariants: exactly one close frame is sent, with nothing after it; the socket is
//! gone [`CLOSE_TIMEOUT`] after the close began.
//!
//! Not here: writing what was queued before the close (`hub`, `session`).

use std::{io, time::Duration};

use bytes::Bytes;
use tokio::{
    io::{AsyncRead, AsyncWrite, AsyncWriteExt as _},
    time::{Instant, timeout_at},
};

use super::{Ended, Failure, FrameLimits, Incoming, Receiver, frame};
use crate::model::CloseCode;

/// How long a close may take, from the decision to the end of the TCP connection.
pub const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);

/// Bytes that are read and thrown away after the close.
const DISCARD_BYTES_MAX: usize = 64 * 1024 * 1024;

/// What is left to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Read, and ignore all but a close frame.
    AwaitPeer,
    /// Shut down the writing side, then read until the peer is gone.
    ShutDown,
    /// Drop the socket.
    Drop,
}

/// How a close ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Finished {
    /// Both close frames were sent, and the peer ended its side.
    Clean,
    /// The peer went away before its close frame, or after it broke a rule.
    Gone,
    /// The peer did not end its side in time.
    TimedOut,
}

/// A close that is under way. Does no IO.
#[derive(Debug)]
pub struct Closing {
    frame: Bytes,
    deadline: Instant,
    step: Step,
    clean: bool,
}

impl Closing {
    /// The server closes: sends `code` and `reason` (cut to 123 bytes), waits for the
    /// peer's close frame and ignores everything else.
    #[must_use]
    pub fn by_server(code: CloseCode, reason: &str, now: Instant) -> Self {
        Self::new(frame::close(code.number(), reason), Step::AwaitPeer, now)
    }

    /// As [`Closing::by_server`], with a code that is not in the table: one that an
    /// operator chose, or that is passed on.
    #[must_use]
    pub fn by_server_with(code: u16, reason: &str, now: Instant) -> Self {
        Self::new(frame::close(code, reason), Step::AwaitPeer, now)
    }

    /// The peer closed with `code`: answers with the same and ends at once.
    #[must_use]
    pub fn by_peer(code: Option<u16>, now: Instant) -> Self {
        let answer = code.map_or_else(frame::close_without_code, |code| frame::close(code, ""));
        Self { clean: true, ..Self::new(answer, Step::ShutDown, now) }
    }

    /// The peer broke a rule: says which and ends at once.
    #[must_use]
    pub fn by_failure(failure: Failure, now: Instant) -> Self {
        Self::new(frame::close(failure.close().number(), failure.reason()), Step::ShutDown, now)
    }

    fn new(frame: Bytes, step: Step, now: Instant) -> Self {
        Self { frame, deadline: now + CLOSE_TIMEOUT, step, clean: false }
    }

    /// The close frame went out through the socket's queue: [`finish`] sends none and
    /// only ends the connection.
    #[must_use]
    pub fn with_frame_sent(self) -> Self {
        Self { frame: Bytes::new(), ..self }
    }

    /// The one close frame to send; empty when it was sent already.
    #[must_use]
    pub fn frame(&self) -> &Bytes {
        &self.frame
    }

    /// When the socket is dropped, whatever the peer does.
    #[must_use]
    pub fn deadline(&self) -> Instant {
        self.deadline
    }

    /// What to do at `now`.
    #[must_use]
    pub fn step(&self, now: Instant) -> Step {
        if now >= self.deadline { Step::Drop } else { self.step }
    }

    /// Tells what arrived after the close frame was sent.
    pub fn on_received(&mut self, received: &Result<Incoming, Ended>) {
        if self.step != Step::AwaitPeer {
            return;
        }
        self.step = match received {
            Ok(Incoming::Close { .. }) => {
                self.clean = true;
                Step::ShutDown
            }
            // Nothing is answered or delivered any more, not even a ping.
            Ok(Incoming::Text(_) | Incoming::Binary(_) | Incoming::Ping(_) | Incoming::Pong(_)) => {
                Step::AwaitPeer
            }
            // One close frame was sent already; the socket only has to end.
            Err(Ended::Failed(_)) => Step::ShutDown,
            Err(Ended::Gone | Ended::Broken(_)) => Step::Drop,
        };
    }
}

/// Sends the close frame of `closing`, and ends the connection by its deadline.
///
/// The caller drops `stream` afterwards; nothing else may write to it meanwhile.
///
/// # Cancel safety
///
/// Dropping the future leaves the close unfinished: drop the stream, too.
pub async fn finish<S>(
    stream: &mut S,
    receiver: &mut Receiver,
    closing: Closing,
    limits: &FrameLimits,
) -> Finished
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let deadline = closing.deadline();
    match timeout_at(deadline, converse(stream, receiver, closing, limits)).await {
        Ok(Ok(true)) => Finished::Clean,
        Ok(Ok(false) | Err(_)) => Finished::Gone,
        Err(_elapsed) => Finished::TimedOut,
    }
}

/// True when both close frames were seen and the peer ended its side.
async fn converse<S>(
    stream: &mut S,
    receiver: &mut Receiver,
    mut closing: Closing,
    limits: &FrameLimits,
) -> io::Result<bool>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    stream.write_all(closing.frame()).await?;
    stream.flush().await?;
    loop {
        match closing.step(Instant::now()) {
            Step::AwaitPeer => closing.on_received(&receiver.next(stream, limits).await),
            Step::ShutDown => {
                stream.shutdown().await?;
                receiver.discard(stream, DISCARD_BYTES_MAX).await?;
                return Ok(closing.clean);
            }
            Step::Drop => return Ok(closing.clean),
        }
    }
}
