//! The whole life of `hubbub serve`: start, announce, obey signals, stop.
//!
//! Invariants:
//! - signal handlers are installed before anything is started, so that no signal
//!   ends the process without a drain;
//! - an interrupt during a stop ends the process at once.
//!
//! Not here: the order of a stop (`stop`), what a reload changes (`reload`).

use std::{io, time::Duration};

use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    time::{Instant, MissedTickBehavior, interval_at},
};

use super::{
    App, AppError, Banner, Stopped, dev,
    reload::{Reloader, Reloading},
};
use crate::{config::Loaded, lifecycle::CancellationToken};

/// How often the files of the certificate are looked at.
const CERTIFICATE_PASS: Duration = Duration::from_secs(5);

/// Builds a node, calls `announce` when it is ready, and runs it until a signal, or
/// `POST /drain`, or a failure stops it.
///
/// SIGTERM and SIGINT drain it; SIGHUP loads the configuration again.
///
/// # Errors
///
/// [`AppError`]: the node never ran, and nothing is left behind.
///
/// # Cancel safety
///
/// Dropping the future drops every socket without a word.
pub async fn serve(
    loaded: Loaded,
    reloading: Reloading,
    announce: impl FnOnce(&Banner),
) -> Result<Stopped, AppError> {
    let mut signals = Signals::install().map_err(AppError::System)?;
    let stop = CancellationToken::new();
    let app = Box::pin(App::start(loaded.config.clone(), stop.clone())).await?;
    if loaded.config.dev && loaded.config.demo {
        dev::define_workspace(app.node()).await;
    }
    let mut reloader = Reloader::new(app.reloads.clone(), loaded, reloading);
    announce(&app.banner());
    tracing::info!(public = %app.public(), internal = %app.internal(), "ready");
    let mut certificate_pass = interval_at(Instant::now() + CERTIFICATE_PASS, CERTIFICATE_PASS);
    certificate_pass.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut running = Box::pin(app.run());
    loop {
        // The end first, then people, then the clock. The node runs on while an arm's
        // body works, because its parts are tasks of their own.
        tokio::select! {
            biased;
            stopped = &mut running => return Ok(stopped),
            order = signals.next() => match order {
                Order::Reload => reloader.reload(),
                Order::Interrupt if stop.is_cancelled() => {
                    tracing::warn!("interrupted while stopping, sockets are cut");
                    return Ok(Stopped::CutShort);
                }
                Order::Interrupt | Order::Terminate => stop.cancel(),
            },
            _ = certificate_pass.tick() => reloader.renew_certificate(),
        }
    }
}

/// What the process is told by a signal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Order {
    Terminate,
    Interrupt,
    Reload,
}

/// The signals that the process obeys.
#[derive(Debug)]
struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
}

impl Signals {
    fn install() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    /// The next signal. Cancel safe: a signal that was not returned stays.
    async fn next(&mut self) -> Order {
        // Every arm is cancel safe; ending is more urgent than reloading.
        tokio::select! {
            biased;
            Some(()) = self.interrupt.recv() => Order::Interrupt,
            Some(()) = self.terminate.recv() => Order::Terminate,
            Some(()) = self.hangup.recv() => Order::Reload,
            else => std::future::pending().await,
        }
    }
}
