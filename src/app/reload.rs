//! New values for a node that runs: keys, limits, log level, certificate.
//!
//! Invariants:
//! - a configuration with any error changes nothing, and each error is logged with
//!   its key;
//! - what can't change without a restart keeps its value, and is named in the log;
//! - what a reload replaced counts for sockets that are open, too.
//!
//! Not here: which keys can change (`config`), when to reload (`run`).

use std::sync::Arc;

use tokio::sync::watch;

use super::{backends::memory_limits, build::node_limits};
use crate::{
    auth::{ApiKeys, KeyError, Verifier},
    config::{Config, Limits, LoadArgs, Loaded, System, reload},
    http::CookieName,
    log::AnyLog,
    node::Node,
    session::Doorkeeper,
    telemetry::LogLevel,
    ws::Tls,
};

/// The parts of a node that take new values.
#[derive(Debug, Clone)]
pub(super) struct Reloads {
    pub(super) verifier: Arc<Verifier>,
    pub(super) api_keys: ApiKeys,
    pub(super) cookie: CookieName,
    pub(super) limits: watch::Sender<Arc<Limits>>,
    pub(super) doorkeeper: Doorkeeper,
    pub(super) node: Arc<Node>,
    pub(super) log: AnyLog,
    pub(super) tls: Option<Tls>,
}

/// What a reload needs from whoever started the process.
#[derive(Debug)]
pub struct Reloading {
    /// How the configuration was loaded.
    pub args: LoadArgs,
    /// The level of the log.
    pub level: LogLevel,
}

/// Reloads what the process was started with.
#[derive(Debug)]
pub(super) struct Reloader {
    parts: Reloads,
    running: Loaded,
    reloading: Reloading,
    /// What the last look at the certificate ended with, so that the log says it once.
    certificate_error: Option<String>,
}

impl Reloader {
    pub(super) fn new(parts: Reloads, running: Loaded, reloading: Reloading) -> Self {
        Self { parts, running, reloading, certificate_error: None }
    }

    /// Loads the configuration again and applies it, or logs why not.
    ///
    /// Reads a few small files, so call it rarely.
    pub(super) fn reload(&mut self) {
        self.renew_certificate();
        let reloaded = match reload(&self.reloading.args, &System, &self.running) {
            Ok(reloaded) => reloaded,
            Err(errors) => {
                for error in &errors.0 {
                    tracing::error!(key = error.key, %error, "configuration not reloaded");
                }
                return;
            }
        };
        if let Err(errors) = self.parts.apply(&reloaded.loaded.config) {
            for error in &errors {
                tracing::error!(key = error.key, %error, "configuration not reloaded");
            }
            return;
        }
        if let Err(error) = self.reloading.level.set(&reloaded.loaded.config.telemetry.log_level) {
            // The configuration's own check believed the level.
            tracing::error!(key = "telemetry.log_level", %error, "log level not changed");
        }
        for warning in &reloaded.loaded.warnings {
            tracing::warn!(warning, "configuration");
        }
        for key in &reloaded.restart_needed {
            tracing::warn!(key, "changed key waits for a restart");
        }
        self.running = reloaded.loaded;
        tracing::info!("configuration reloaded");
    }

    /// Takes a new certificate when its files have changed.
    pub(super) fn renew_certificate(&mut self) {
        let Some(tls) = &self.parts.tls else { return };
        match tls.reload() {
            Ok(changed) => {
                self.certificate_error = None;
                if changed {
                    tracing::info!("certificate reloaded");
                }
            }
            Err(error) => {
                let text = error.to_string();
                if self.certificate_error.as_ref() != Some(&text) {
                    tracing::error!(key = "public.tls_cert", %error, "certificate not reloaded");
                    self.certificate_error = Some(text);
                }
            }
        }
    }
}

impl Reloads {
    /// Applies keys and limits: all of them, or none.
    fn apply(&self, config: &Config) -> Result<(), Vec<KeyError>> {
        self.verifier.reload(&config.auth)?;
        self.api_keys.replace(&config.internal.api_keys);
        self.cookie.replace(&config.auth.cookie);
        // Those that look at the limits of now come first, those that keep a copy next.
        self.limits.send_replace(Arc::new(config.limits.clone()));
        self.doorkeeper.apply_limits(&config.limits);
        self.node.apply_limits(node_limits(config));
        self.log.apply_limits(&memory_limits(config));
        Ok(())
    }
}
