//! Runs a node under the operating system: signals stop it and reload it.
//!
//! Invariants: a configuration that has an error changes nothing in a running node;
//! a second interrupt ends the process at once.
//!
//! Not here: the order of a stop (`stop`).

use std::{io, sync::Arc, time::Duration};

use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    sync::watch,
    time::{Interval, MissedTickBehavior, interval},
};

use super::{App, AppError, Banner, Stopped};
use crate::{
    auth::{ApiKeys, Verifier},
    config::{self, Limits, LoadArgs, Loaded, System},
    lifecycle::CancellationToken,
    session::Context,
    telemetry::LogLevel,
    ws::Tls,
};

/// How often the certificate's files are looked at.
const CERTIFICATE_CHECK: Duration = Duration::from_secs(10);

/// What a reload needs.
#[derive(Debug)]
pub struct Reloading {
    /// How the configuration was loaded.
    pub args: LoadArgs,
    /// The level of the log.
    pub level: LogLevel,
}

/// Builds a node, calls `announce` when it is ready, and runs it until a signal, or
/// `POST /drain`, or a failure stops it.
///
/// # Errors
///
/// [`AppError`]: the node never ran.
///
/// # Cancel safety
///
/// Dropping the future drops every socket without a word.
pub async fn serve(
    loaded: Loaded,
    reloading: Reloading,
    announce: impl FnOnce(&Banner),
) -> Result<Stopped, AppError> {
    let mut signals = Signals::listen().map_err(AppError::System)?;
    let stop = CancellationToken::new();
    let app = App::start(loaded.config.clone(), stop.clone()).await?;
    announce(&app.banner());
    tracing::info!(public = %app.public(), internal = %app.internal(), "ready");
    let mut reloader = Reloader {
        loaded,
        reloading,
        verifier: Arc::clone(&app.verifier),
        limits: app.limits.clone(),
        api_keys: app.api_keys.clone(),
        context: Arc::clone(&app.context),
        tls: app.tls.clone(),
    };
    let running = app.run();
    tokio::pin!(running);
    let mut interrupts = 0_u32;
    loop {
        // Every arm but the first is cancel safe, and the first holds no lock across
        // an await.
        tokio::select! {
            biased;
            stopped = &mut running => return Ok(stopped),
            wake = signals.next() => match wake {
                Wake::Interrupt if interrupts > 0 => {
                    tracing::warn!("interrupted twice, sockets are cut");
                    return Ok(Stopped::CutShort);
                }
                Wake::Interrupt => {
                    interrupts += 1;
                    stop.cancel();
                }
                Wake::Terminate => stop.cancel(),
                Wake::Reload => reloader.reload(),
                Wake::CertificateCheck => reloader.reload_certificate(),
            }
        }
    }
}

/// What wakes the loop.
enum Wake {
    Interrupt,
    Terminate,
    Reload,
    CertificateCheck,
}

struct Signals {
    interrupt: Signal,
    terminate: Signal,
    hangup: Signal,
    certificate: Interval,
}

impl Signals {
    fn listen() -> io::Result<Self> {
        let mut certificate = interval(CERTIFICATE_CHECK);
        certificate.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hangup: signal(SignalKind::hangup())?,
            certificate,
        })
    }

    /// Safe to cancel: a signal that was not returned is kept.
    async fn next(&mut self) -> Wake {
        tokio::select! {
            biased;
            _ = self.interrupt.recv() => Wake::Interrupt,
            _ = self.terminate.recv() => Wake::Terminate,
            _ = self.hangup.recv() => Wake::Reload,
            _ = self.certificate.tick() => Wake::CertificateCheck,
        }
    }
}

/// Brings changes into the running node.
struct Reloader {
    loaded: Loaded,
    reloading: Reloading,
    verifier: Arc<Verifier>,
    limits: watch::Sender<Arc<Limits>>,
    api_keys: watch::Sender<Arc<ApiKeys>>,
    context: Arc<Context>,
    tls: Option<Tls>,
}

impl Reloader {
    /// Loads the configuration again. Every part is checked before any is changed.
    fn reload(&mut self) {
        self.reload_certificate();
        let reloaded = match config::reload(&self.reloading.args, &System, &self.loaded) {
            Ok(reloaded) => reloaded,
            Err(errors) => {
                for error in errors.0 {
                    tracing::error!(%error, "configuration not reloaded");
                }
                return;
            }
        };
        let config = &reloaded.loaded.config;
        if let Err(errors) = self.verifier.reload(&config.auth) {
            for error in errors {
                tracing::error!(%error, "configuration not reloaded");
            }
            return;
        }
        // The loader has checked the level already.
        if let Err(error) = self.reloading.level.set(&config.telemetry.log_level) {
            tracing::error!(%error, "log level not changed");
        }
        let limits = Arc::new(config.limits.clone());
        self.context.set_limits(Arc::clone(&limits));
        self.limits.send_replace(limits);
        self.api_keys.send_replace(Arc::new(ApiKeys::new(&config.internal.api_keys)));
        for warning in &reloaded.loaded.warnings {
            tracing::warn!(warning, "configuration");
        }
        for key in &reloaded.restart_needed {
            tracing::warn!(key, "changed key waits for a restart");
        }
        self.loaded = reloaded.loaded;
        tracing::info!("configuration reloaded");
    }

    fn reload_certificate(&self) {
        let Some(tls) = &self.tls else { return };
        match tls.reload() {
            Ok(true) => tracing::info!("certificate reloaded"),
            Ok(false) => {}
            Err(error) => tracing::error!(%error, "certificate not reloaded"),
        }
    }
}
