//! The command line.
//!
//! Invariants: a flag that sets a key goes the way of every other setting, so it is
//! checked and reported in the same way.
//!
//! Not here: what the commands do (`main`).

use std::{path::PathBuf, time::Duration};

use clap::{Args, Parser, Subcommand, builder::styling::Styles};

use super::{
    load::{LoadArgs, Mode, Purpose},
    source::{Source, cargo_runs_it},
    types::Secret,
    units,
};
use crate::model::Id;

/// A cluster-aware WebSocket server for chat-like applications.
#[derive(Debug, Parser)]
#[command(name = "hubbub", version, args_conflicts_with_subcommands = true)]
#[command(styles = Styles::plain(), disable_help_subcommand = true)]
pub struct Cli {
    /// What to do; nothing means `serve`.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// The flags of `serve`.
    #[command(flatten)]
    pub serve: ServeArgs,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Runs a node (the default command)
    Serve(ServeArgs),
    /// Prints a JWT signed with the configured secret
    Token(Box<TokenArgs>),
    /// Checks what `serve` would check
    CheckConfig(ServeArgs),
    /// Prints the commented default configuration (TOML)
    Config(ConfigArgs),
    /// Exits with 0 when the node is ready
    Healthcheck(HealthcheckArgs),
    /// Prints a completion script
    Completions {
        /// For this shell
        shell: clap_complete::Shell,
    },
}

/// The flags of `serve` and `check-config`.
#[derive(Debug, Clone, Default, Args)]
pub struct ServeArgs {
    /// Loopback only, embedded log, pages on, no API key needed; prints ready tokens
    #[arg(long)]
    pub dev: bool,
    /// TOML file with the configuration
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Address of the public listener
    #[arg(long, value_name = "ADDR")]
    pub listen: Option<String>,
    /// Address of the internal listener
    #[arg(long, value_name = "ADDR")]
    pub internal_listen: Option<String>,
    /// Redis server, or a comma-separated list of them
    #[arg(long, value_name = "URL")]
    pub redis_url: Option<String>,
    /// PEM file with the certificate chain
    #[arg(long, value_name = "FILE")]
    pub tls_cert: Option<String>,
    /// PEM file with the key of the certificate
    #[arg(long, value_name = "FILE")]
    pub tls_key: Option<String>,
    /// Sets any key, such as `limits.ping_interval=30s`
    #[arg(long, value_name = "KEY=VALUE")]
    pub set: Vec<String>,
}

impl ServeArgs {
    /// What to load for running a node. `dev_secret` signs tokens in dev when no key
    /// is configured: random, at least 32 bytes.
    #[must_use]
    pub fn load_args(&self, dev_secret: Secret) -> LoadArgs {
        let flags = [
            ("--listen", "public.listen", &self.listen),
            ("--internal-listen", "internal.listen", &self.internal_listen),
            ("--redis-url", "redis.url", &self.redis_url),
            ("--tls-cert", "public.tls_cert", &self.tls_cert),
            ("--tls-key", "public.tls_key", &self.tls_key),
        ];
        LoadArgs {
            mode: if self.dev { Mode::Dev { secret: dev_secret } } else { Mode::Production },
            purpose: Purpose::Serve,
            file: self.config.clone(),
            flags: flags
                .into_iter()
                .filter_map(|(flag, key, value)| Some((flag, key, value.clone()?)))
                .collect(),
            set: self.set.clone(),
        }
    }
}

impl Cli {
    /// The command, with `serve` for none. A `cargo run` without a command and a file
    /// is `serve --dev`: a newcomer looks at the project.
    #[must_use]
    pub fn into_command(self, source: &impl Source) -> Command {
        let Self { command, mut serve } = self;
        command.unwrap_or_else(|| {
            serve.dev |= serve.config.is_none() && cargo_runs_it(source);
            Command::Serve(serve)
        })
    }
}

/// The flags of `token`.
#[derive(Debug, Clone, Args)]
pub struct TokenArgs {
    /// Id of the user (`sub`)
    #[arg(long, value_name = "ID", value_parser = id)]
    pub user: Id,
    /// Tenant
    #[arg(long, value_parser = id)]
    pub realm: Option<Id>,
    /// Login session (`sid`)
    #[arg(long, value_parser = id)]
    pub session: Option<Id>,
    /// Channels to be added to, separated by commas
    #[arg(long, value_parser = id, value_delimiter = ',')]
    pub channels: Vec<Id>,
    /// Teams to be added to, separated by commas
    #[arg(long, value_parser = id, value_delimiter = ',')]
    pub teams: Vec<Id>,
    /// Workspaces to be added to, separated by commas
    #[arg(long, value_parser = id, value_delimiter = ',')]
    pub workspaces: Vec<Id>,
    /// Roles, separated by commas
    #[arg(long, value_parser = id, value_delimiter = ',')]
    pub roles: Vec<Id>,
    /// Profile
    #[arg(long)]
    pub profile: Option<String>,
    /// Name to show
    #[arg(long)]
    pub name: Option<String>,
    /// How long the token lives
    #[arg(long, default_value = "1h", value_parser = duration)]
    pub ttl: Duration,
    /// File with the secret, instead of the configured one
    #[arg(long, value_name = "FILE")]
    pub secret_file: Option<String>,
    /// TOML file with the configuration
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Sets any key
    #[arg(long, value_name = "KEY=VALUE")]
    pub set: Vec<String>,
}

impl TokenArgs {
    /// What to load for signing.
    #[must_use]
    pub fn load_args(&self) -> LoadArgs {
        let flag = |path: &String| ("--secret-file", "auth.secret_file", path.clone());
        LoadArgs {
            flags: self.secret_file.iter().map(flag).collect(),
            ..inspect(self.config.as_ref(), &self.set)
        }
    }
}

/// The flags of `config`.
#[derive(Debug, Clone, Args)]
pub struct ConfigArgs {
    /// Prints the page of the documents instead
    #[arg(long, hide = true)]
    pub markdown: bool,
}

/// The flags of `healthcheck`.
#[derive(Debug, Clone, Args)]
pub struct HealthcheckArgs {
    /// What to ask instead of `/ready` of the configured internal listener
    #[arg(long)]
    pub url: Option<String>,
    /// TOML file with the configuration
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Sets any key
    #[arg(long, value_name = "KEY=VALUE")]
    pub set: Vec<String>,
}

impl HealthcheckArgs {
    /// What to load for finding the internal listener.
    #[must_use]
    pub fn load_args(&self) -> LoadArgs {
        inspect(self.config.as_ref(), &self.set)
    }
}

fn inspect(file: Option<&PathBuf>, set: &[String]) -> LoadArgs {
    LoadArgs {
        mode: Mode::Production,
        purpose: Purpose::Inspect,
        file: file.cloned(),
        flags: Vec::new(),
        set: set.to_vec(),
    }
}

fn id(text: &str) -> Result<Id, crate::model::IdError> {
    Id::parse(text)
}

fn duration(text: &str) -> Result<Duration, super::Problem> {
    units::parse_duration(text)
}
