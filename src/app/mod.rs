//! The composition root: builds each part from the configuration, owns each task,
//! and stops them in order.
//!
//! Invariants:
//! - every port is bound before anything is served;
//! - a core task that ends stops the node;
//! - a stop ends in bounded time, and its result says whether it was clean.
//!
//! Not here: what the parts do.

mod backends;
mod banner;
mod build;
mod check;
mod dev;
mod healthcheck;
mod reload;
mod serve;
mod stop;
#[cfg(test)]
mod tests;
mod watchdog;

use std::{io, net::SocketAddr};

pub use banner::Banner;
pub use build::App;
pub use check::check;
pub use healthcheck::{HealthcheckError, healthcheck, ready_url};
pub use reload::Reloading;
pub use serve::serve;

use crate::{
    auth::KeyError,
    config::ConfigErrors,
    redis_client::{RedisError, StartError},
    store::StoreError,
    ws::TlsError,
};

/// How a node ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stopped {
    /// Everything was closed and flushed in time.
    Clean,
    /// The drain was cut short, or a core task failed.
    CutShort,
}

/// Why a node did not start. Nothing of it is left behind.
#[derive(Debug, thiserror::Error)]
pub enum AppError {
    /// A port can't be bound. The operator's fault.
    #[error("can't listen on {address}")]
    Bind {
        /// The address.
        address: SocketAddr,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// A key can't be used. The operator's fault.
    #[error("{}", list(.0))]
    Keys(Vec<KeyError>),
    /// The certificate can't be used. The operator's fault.
    #[error("can't use the certificate")]
    Tls(#[from] TlsError),
    /// The configuration can't be used.
    #[error("the configuration can't be used")]
    Config(#[from] ConfigErrors),
    /// The servers of the log can't be used. The operator's fault, or they are away.
    #[error(transparent)]
    Redis(#[from] StartError),
    /// The log can't be opened.
    #[error("can't open the log")]
    Log(#[from] RedisError),
    /// What `data.dir` holds can't be used.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A thread or a signal handler can't be had.
    #[error("the system refused")]
    System(#[source] io::Error),
}

fn list(errors: &[KeyError]) -> String {
    let lines: Vec<String> = errors.iter().map(ToString::to_string).collect();
    lines.join("\n")
}
