//! One connected socket: reading messages, writing replies, ending properly.
//!
//! Plain sockets are written by their hub; this task writes only what the hub could
//! not. A TLS socket is written here alone.
//!
//! Invariants:
//! - a waiting socket holds no buffer;
//! - a code is always sent before TCP ends, as far as the peer lets us;
//! - the end takes at most [`CLOSE_TIMEOUT`], whatever the peer does.

use std::{
    future::poll_fn,
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use tokio::{
    io::{AsyncWrite as _, AsyncWriteExt as _},
    net::TcpStream,
    time::{Instant, timeout_at},
};
use tokio_rustls::server::TlsStream;

use super::context::Context as Shared;
use crate::{
    hub::{Duty, Link},
    model::{CloseCode, Encoding},
    ws::{
        CLOSE_TIMEOUT, Ended, Failure, FrameLimits, Incoming, Receiver, SharedSocket, Stream, frame,
    },
};

/// Bytes that are read and thrown away after the close.
const DISCARD_BYTES_MAX: usize = 64 * 1024 * 1024;

/// One socket and its link.
#[derive(Debug)]
pub(super) struct Socket {
    shared: Arc<Shared>,
    link: Arc<Link>,
    receiver: Receiver,
    tls: Option<Box<Tls>>,
}

/// A TLS stream and what of the outbox it has not taken yet.
#[derive(Debug)]
struct Tls {
    stream: Box<TlsStream<TcpStream>>,
    unsent: Vec<u8>,
    written: usize,
}

/// What a socket brings.
#[derive(Debug)]
pub(super) enum Heard {
    /// A text message.
    Text(String),
    /// A binary message.
    Binary(Vec<u8>),
    /// The socket ends.
    End(End),
}

/// How a socket ends.
#[derive(Debug)]
pub(super) enum End {
    /// The peer said so, with this code.
    ByPeer(Option<u16>),
    /// The peer broke a rule of the protocol.
    Failed(Failure),
    /// The node said so, with this code.
    ByServer(u16),
    /// The connection is gone without a word.
    Gone,
}

impl Socket {
    pub(super) fn new(
        shared: Arc<Shared>,
        encoding: &'static Encoding,
        stream: Stream,
        leftover: Bytes,
    ) -> Self {
        let (plain, tls) = match stream {
            Stream::Plain(socket) => (Some(socket), None),
            Stream::Tls(stream) => {
                (None, Some(Box::new(Tls { stream, unsent: Vec::new(), written: 0 })))
            }
        };
        let link = Arc::new(Link::new(Arc::clone(&shared.links), encoding, plain));
        Self { shared, link, receiver: Receiver::new(leftover), tls }
    }

    /// The link that the hub writes to.
    pub(super) fn link(&self) -> &Arc<Link> {
        &self.link
    }

    /// Sends one text message that has no number.
    pub(super) fn reply(&self, payload: &[u8]) {
        self.send(frame::message(frame::Opcode::Text, payload));
    }

    /// Sends a complete frame.
    pub(super) fn send(&self, frame: Bytes) {
        self.shared.writers.with(|writer| {
            self.link.send(frame, writer);
        });
    }

    /// Waits until everything that waits has been written.
    ///
    /// # Errors
    ///
    /// When the socket failed.
    pub(super) async fn written(&mut self) -> io::Result<()> {
        poll_fn(|ctx| self.poll_written(ctx)).await
    }

    /// Closes with `code`; what waits is dropped, the peer may resume.
    pub(super) fn abandon(&self, code: CloseCode, reason: &str) {
        self.link.abandon(code, reason);
    }

    /// Waits for the next message. Pings are answered here.
    ///
    /// # Cancel safety
    ///
    /// Safe: what was read in part stays with the socket.
    pub(super) async fn next(&mut self, message_bytes: Option<usize>) -> Heard {
        loop {
            // The limits are looked up in each poll: a waiting socket keeps none.
            let incoming = poll_fn(|ctx| {
                let mut limits = self.shared.frame_limits();
                limits.message_bytes = message_bytes.unwrap_or(limits.message_bytes);
                self.poll_next(ctx, &limits)
            });
            match incoming.await {
                Ok(incoming) => {
                    if let Some(heard) = self.sort(incoming) {
                        return heard;
                    }
                }
                Err(end) => return Heard::End(end),
            }
        }
    }

    /// As [`Socket::next`], with limits of its own.
    ///
    /// # Cancel safety
    ///
    /// Safe: what was read in part stays with the socket.
    pub(super) async fn next_within(&mut self, limits: &FrameLimits) -> Heard {
        loop {
            match poll_fn(|ctx| self.poll_next(ctx, limits)).await {
                Ok(incoming) => {
                    if let Some(heard) = self.sort(incoming) {
                        return heard;
                    }
                }
                Err(end) => return Heard::End(end),
            }
        }
    }

    /// Answers what needs no session; the rest is for the caller.
    fn sort(&self, incoming: Incoming) -> Option<Heard> {
        self.link.heard();
        match incoming {
            Incoming::Text(text) => Some(Heard::Text(text)),
            Incoming::Binary(bytes) => Some(Heard::Binary(bytes)),
            Incoming::Ping(payload) => {
                self.send(frame::pong(&payload));
                None
            }
            Incoming::Pong(_) => None,
            Incoming::Close { code, .. } => Some(Heard::End(End::ByPeer(code))),
        }
    }

    fn poll_next(
        &mut self,
        ctx: &mut Context<'_>,
        limits: &FrameLimits,
    ) -> Poll<Result<Incoming, End>> {
        let Self { shared, link, receiver, tls } = self;
        loop {
            let duty = shared.writers.with(|writer| link.poll_duty(ctx, writer));
            match duty {
                Poll::Ready(Duty::Close(code)) => return Poll::Ready(Err(End::ByServer(code))),
                Poll::Ready(Duty::Broken) => return Poll::Ready(Err(End::Gone)),
                Poll::Ready(Duty::Write) | Poll::Pending => {}
            }
            let Some(tls) = tls else { break };
            match tls.poll_write_out(ctx, link, shared) {
                // Everything is written; look again whether more came meanwhile.
                Poll::Ready(Ok(true)) => {}
                Poll::Ready(Ok(false)) | Poll::Pending => break,
                Poll::Ready(Err(_error)) => return Poll::Ready(Err(End::Gone)),
            }
        }
        let read = match (link.socket(), tls) {
            (Some(socket), _) => receiver.poll_next(ctx, &mut SharedSocket(socket), limits),
            (None, Some(tls)) => receiver.poll_next(ctx, &mut tls.stream, limits),
            (None, None) => return Poll::Ready(Err(End::Gone)),
        };
        link.incomplete_since(receiver.incomplete_since());
        Poll::Ready(match ready!(read) {
            Ok(incoming) => Ok(incoming),
            Err(Ended::Failed(failure)) => Err(End::Failed(failure)),
            Err(Ended::Gone | Ended::Broken(_)) => Err(End::Gone),
        })
    }

    /// Ends the socket: the close frame, what waits before it, and the handshake.
    ///
    /// Returns the code that counts: what was sent, or what was received.
    pub(super) async fn finish(mut self, end: End) -> u16 {
        let (code, awaits_peer) = match &end {
            End::ByPeer(code) => {
                self.link.answer_close(*code);
                (code.unwrap_or(1005), false)
            }
            End::Failed(failure) => {
                self.shared.node.metrics().rejected("frame", failure.label());
                self.link.abandon(failure.close(), failure.reason());
                (failure.close().number(), false)
            }
            End::ByServer(code) => (*code, true),
            End::Gone => (1006, false),
        };
        if !matches!(end, End::Gone) {
            let deadline = Instant::now() + CLOSE_TIMEOUT;
            // Out of time, or the socket failed: it is dropped either way.
            match timeout_at(deadline, self.say_goodbye(awaits_peer)).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => tracing::trace!(%error, "socket failed while closing"),
                Err(_elapsed) => tracing::trace!("peer did not end its side in time"),
            }
        }
        self.link.bury();
        code
    }

    async fn say_goodbye(&mut self, awaits_peer: bool) -> io::Result<()> {
        poll_fn(|ctx| self.poll_written(ctx)).await?;
        if awaits_peer {
            self.await_close().await;
        }
        match (self.link.socket(), &mut self.tls) {
            (Some(socket), _) => {
                let mut socket = SharedSocket(socket);
                socket.shutdown().await?;
                self.receiver.discard(&mut socket, DISCARD_BYTES_MAX).await
            }
            (None, Some(tls)) => {
                tls.stream.shutdown().await?;
                self.receiver.discard(&mut tls.stream, DISCARD_BYTES_MAX).await
            }
            (None, None) => Ok(()),
        }
    }

    /// Writes everything that waits.
    fn poll_written(&mut self, ctx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Self { shared, link, tls, .. } = self;
        match tls {
            None => shared.writers.with(|writer| link.poll_drained(ctx, writer)).map(Ok),
            Some(tls) => loop {
                if !ready!(tls.poll_write_out(ctx, link, shared))? {
                    return Poll::Ready(Ok(()));
                }
            },
        }
    }

    /// Reads until the peer's close frame, ignoring everything else.
    async fn await_close(&mut self) {
        let limits = FrameLimits::authenticated(&self.shared.limits());
        loop {
            let heard = match (self.link.socket(), &mut self.tls) {
                (Some(socket), _) => self.receiver.next(&mut SharedSocket(socket), &limits).await,
                (None, Some(tls)) => self.receiver.next(&mut tls.stream, &limits).await,
                (None, None) => return,
            };
            match heard {
                Ok(Incoming::Close { .. }) | Err(_) => return,
                Ok(
                    Incoming::Text(_) | Incoming::Binary(_) | Incoming::Ping(_) | Incoming::Pong(_),
                ) => {}
            }
        }
    }
}

impl Tls {
    /// Writes what waits into the stream. True when it wrote something and all of it.
    fn poll_write_out(
        &mut self,
        ctx: &mut Context<'_>,
        link: &Link,
        shared: &Shared,
    ) -> Poll<io::Result<bool>> {
        if self.written == self.unsent.len() {
            self.written = 0;
            self.unsent.clear();
            if link.is_empty() {
                self.unsent = Vec::new();
                ready!(Pin::new(&mut self.stream).poll_flush(ctx))?;
                link.progressed(true);
                return Poll::Ready(Ok(false));
            }
            shared.writers.with(|writer| link.take(&mut self.unsent, &mut writer.deliveries));
        }
        while let Some(rest) = self.unsent.get(self.written..).filter(|rest| !rest.is_empty()) {
            self.written += ready!(Pin::new(&mut self.stream).poll_write(ctx, rest))?;
            link.progressed(false);
        }
        Poll::Ready(Ok(true))
    }
}
