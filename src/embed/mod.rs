//! A server of one's own: hand over what happens on connect, message and close,
//! and send to one or to all.
//!
//! It is the same node as `hubbub serve`, without its dialects and its internal
//! listener: the same listener, frames, log, hubs and outboxes. Clients speak plain
//! WebSocket messages at the root path.
//!
//! Invariants: everything that a [`Handler`] is told is told in order; a client that
//! does not read can't hold up the others.
//!
//! Not here: what the parts do; [`Handler`] and [`Handle`] are in `session`.

use std::{io, net::SocketAddr};

use tokio::signal::unix::{SignalKind, signal};

pub use crate::{
    app::Stopped,
    config::Config,
    model::ConnectionId,
    session::{Connection, Handle, Handler, Message, SendError},
};
use crate::{
    app::{App, AppError},
    lifecycle::CancellationToken,
    session::Hosted,
};

/// A server that accepts connections.
#[derive(Debug)]
pub struct Server {
    app: App,
    handle: Handle,
    stop: CancellationToken,
}

impl Server {
    /// Listens on `address` and calls `handler` for every connection. It accepts
    /// connections when this returns; port 0 takes any free port.
    ///
    /// # Errors
    ///
    /// [`AppError`]: the address can't be had.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future stops what was started.
    pub async fn bind(address: SocketAddr, handler: impl Handler) -> Result<Self, AppError> {
        Self::start(Config::embedded(address), handler).await
    }

    /// The same, with a whole configuration: limits, TLS, origins, the base path. Begin
    /// with [`Config::embedded`].
    ///
    /// # Errors
    ///
    /// [`AppError`]: the address, or the certificate, can't be used.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future stops what was started.
    pub async fn start(config: Config, handler: impl Handler) -> Result<Self, AppError> {
        let stop = CancellationToken::new();
        let app = Box::pin(App::host(config, stop.clone(), Hosted::new(handler))).await?;
        let handle = app.handle().ok_or_else(|| AppError::System(io::Error::other("no handle")))?;
        Ok(Self { app, handle, stop })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.app.public()
    }

    /// What reaches its connections, and stops it.
    #[must_use]
    pub fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// What it counts, in the text format of Prometheus.
    #[must_use]
    pub fn metrics(&self) -> String {
        self.app.metrics().render()
    }

    /// Serves until [`Handle::stop`], then closes every connection with 1012.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future drops every connection without a word.
    pub async fn run(self) -> Stopped {
        Box::pin(self.app.run()).await
    }

    /// Serves until SIGINT or SIGTERM, or [`Handle::stop`].
    ///
    /// # Errors
    ///
    /// When the system gives no signal handlers; then it never served.
    ///
    /// # Cancel safety
    ///
    /// As [`Server::run`].
    pub async fn run_until_signal(self) -> io::Result<Stopped> {
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut terminate = signal(SignalKind::terminate())?;
        let stop = self.stop.clone();
        let mut running = Box::pin(self.run());
        loop {
            // The end first; signals are cancel safe.
            tokio::select! {
                biased;
                stopped = &mut running => return Ok(stopped),
                _ = interrupt.recv() => stop.cancel(),
                _ = terminate.recv() => stop.cancel(),
            }
        }
    }
}
