//! Log lines: their form, their level, and the way to stderr.
//!
//! Invariants: logging never blocks, fails or panics, whatever stderr is; stdout
//! stays free for what people asked for; messages are constant and in lowercase,
//! data is in fields, payloads and tokens are nowhere.
//!
//! Not here: metrics (`metrics`).

mod queue;
#[cfg(test)]
mod tests;

use std::{
    io::{self, IsTerminal as _},
    time::Duration,
};

use queue::{Notice, Queue};
use tracing::Subscriber;
use tracing_subscriber::{
    EnvFilter, Layer, Registry, layer::SubscriberExt as _, registry::LookupSpan, reload,
    util::SubscriberInitExt as _,
};

use crate::config::{self, LogFormat};

/// How long the end of the process waits for its last lines.
const FLUSH_PATIENCE: Duration = Duration::from_millis(500);

/// Why there are no log lines.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// The level is none. The operator's fault.
    #[error("`{0}` is no log level")]
    Level(String),
    /// Logging was started before in this process. A bug.
    #[error("logging was started twice")]
    Twice,
    /// The thread that writes could not be started.
    #[error("the thread that writes log lines could not be started")]
    Thread(#[source] io::Error),
}

/// The log of this process. Dropping it writes the last lines.
#[derive(Debug)]
pub struct Log {
    level: LogLevel,
    queue: Queue,
}

/// Changes the level while the node runs. Cloning shares it.
#[derive(Debug, Clone)]
pub struct LogLevel(reload::Handle<EnvFilter, Registry>);

impl Log {
    /// The handle that changes the level.
    #[must_use]
    pub fn level(&self) -> LogLevel {
        self.level.clone()
    }

    /// Lines that were lost since the start, because stderr did not take them.
    #[must_use]
    pub fn lines_lost(&self) -> u64 {
        self.queue.lost()
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        self.queue.flush(FLUSH_PATIENCE);
    }
}

impl LogLevel {
    /// Writes lines from `level` on: a level, or a filter such as `info,hubbub::log=debug`.
    ///
    /// # Errors
    ///
    /// [`TelemetryError::Level`]; the old level stays.
    pub fn set(&self, level: &str) -> Result<(), TelemetryError> {
        let filter = filter(level)?;
        // The subscriber lives as long as the process.
        self.0.reload(filter).map_err(|_gone| TelemetryError::Level(level.to_owned()))
    }
}

/// Starts the log of this process: lines to stderr, in the form and from the level
/// that `config` says. Panics become lines, too.
///
/// # Errors
///
/// [`TelemetryError`]; then nothing is logged.
pub fn init(config: &config::Telemetry) -> Result<Log, TelemetryError> {
    let is_terminal = io::stderr().is_terminal();
    let form = Form::of(config.log_format, is_terminal);
    let queue = Queue::start(io::stderr(), form.notice()).map_err(TelemetryError::Thread)?;
    let (filter, handle) = reload::Layer::new(filter(&config.log_level)?);
    let lines = lines(form, queue.clone());
    tracing_subscriber::registry()
        .with(filter)
        .with(lines)
        .try_init()
        .map_err(|_taken| TelemetryError::Twice)?;
    std::panic::set_hook(Box::new(|panic| {
        // The place only: the text of a panic can quote what a client sent.
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        tracing::error!(place, "panicked");
    }));
    Ok(Log { level: LogLevel(handle), queue })
}

fn filter(level: &str) -> Result<EnvFilter, TelemetryError> {
    EnvFilter::try_new(level).map_err(|_malformed| TelemetryError::Level(level.to_owned()))
}

/// What a line looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Colour,
    Text,
    Json,
}

impl Form {
    fn of(format: LogFormat, is_terminal: bool) -> Self {
        match (format, is_terminal) {
            (LogFormat::Auto | LogFormat::Text, true) => Self::Colour,
            (LogFormat::Text, false) => Self::Text,
            (LogFormat::Json, _) | (LogFormat::Auto, false) => Self::Json,
        }
    }

    fn notice(self) -> Notice {
        match self {
            Self::Colour | Self::Text => |lost| format!("WARN log lines lost lines={lost}\n"),
            Self::Json => |lost| {
                format!("{{\"level\":\"WARN\",\"message\":\"log lines lost\",\"lines\":{lost}}}\n")
            },
        }
    }
}

fn lines<S>(form: Form, queue: Queue) -> Box<dyn Layer<S> + Send + Sync>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    let layer = tracing_subscriber::fmt::layer().with_writer(queue);
    match form {
        Form::Colour => layer.with_ansi(true).boxed(),
        Form::Text => layer.with_ansi(false).boxed(),
        Form::Json => layer.json().flatten_event(true).with_span_list(false).boxed(),
    }
}
