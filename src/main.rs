//! The `hubbub` command: parse, build, run, exit code.
//!
//! Exit codes: 0 clean, 1 failed while running or a stop that was cut short, 2 bad
//! configuration or arguments.
//!
//! Not here: anything that a library user could need.

use std::{
    io::{self, Write as _},
    process::ExitCode,
    sync::Arc,
};

use anyhow::Context as _;
use clap::{CommandFactory as _, Parser as _};
use hubbub::{
    app::{self, AppError, HealthcheckError, Reloading, Stopped},
    auth::{MintClaims, mint},
    clock::{self, Clock},
    config::{
        self, Cli, Command, ConfigArgs, HealthcheckArgs, LoadArgs, Secret, ServeArgs, System,
        TokenArgs,
    },
    redis_client::{RedisError, StartError},
    telemetry,
};

/// Of the program only: who embeds the library has an own one. `docs/decisions/0016` has the
/// figures.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Bad configuration or arguments.
const EXIT_USAGE: u8 = 2;

fn main() -> ExitCode {
    match run(Cli::parse().into_command(&System)) {
        Ok(code) => code,
        Err(failure) => {
            say(&failure.text());
            ExitCode::from(failure.code())
        }
    }
}

/// Why the command did not do its work.
enum Failure {
    /// The operator must change something.
    Usage(String),
    /// It may work another time.
    Run(anyhow::Error),
}

impl Failure {
    fn text(&self) -> String {
        match self {
            Self::Usage(text) => format!("hubbub: the configuration cannot be used\n{text}"),
            Self::Run(error) => format!("hubbub: {error:#}"),
        }
    }

    fn code(&self) -> u8 {
        match self {
            Self::Usage(_) => EXIT_USAGE,
            Self::Run(_) => 1,
        }
    }
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        Self::Run(error)
    }
}

impl From<config::ConfigErrors> for Failure {
    fn from(errors: config::ConfigErrors) -> Self {
        Self::Usage(errors.to_string())
    }
}

impl From<AppError> for Failure {
    fn from(error: AppError) -> Self {
        match error {
            AppError::Store(cause) if cause.needs_operator() => {
                Self::Usage(format!("{:#}", anyhow::Error::new(cause)))
            }
            AppError::Redis(StartError::Unreachable(_)) => Self::Run(error.into()),
            AppError::Keys(_)
            | AppError::Tls(_)
            | AppError::Config(_)
            | AppError::Redis(_)
            | AppError::Log(RedisError::Settings { .. }) => {
                Self::Usage(format!("{:#}", anyhow::Error::new(error)))
            }
            AppError::Log(_) | AppError::Store(_) | AppError::Bind { .. } | AppError::System(_) => {
                Self::Run(error.into())
            }
        }
    }
}

fn run(command: Command) -> Result<ExitCode, Failure> {
    match command {
        Command::Serve(args) => serve(&args),
        Command::Token(args) => token(&args),
        Command::CheckConfig(args) => check_config(&args),
        Command::Config(ConfigArgs { markdown: false }) => print(&config::default_file()),
        Command::Config(ConfigArgs { markdown: true }) => print(&config::page()),
        Command::Healthcheck(args) => healthcheck(&args),
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "hubbub", &mut script);
            print(&String::from_utf8_lossy(&script))
        }
    }
}

fn serve(args: &ServeArgs) -> Result<ExitCode, Failure> {
    let open_files = config::raise_open_files();
    let args = node_args(args);
    let loaded = config::load(&args, &System)?;
    let log = telemetry::init(&loaded.config.telemetry).context("the log")?;
    for warning in &loaded.warnings {
        tracing::warn!(warning, "configuration");
    }
    tracing::info!(
        version = env!("CARGO_PKG_VERSION"),
        node = loaded.config.node.id,
        connections = loaded.config.limits.connections,
        open_files,
        "starting"
    );
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .thread_name("hubbub")
        .build()
        .context("the threads cannot be started")?;
    let reloading = Reloading { args, level: log.level() };
    // A closed stdout must not stop a node: the lines are for whoever looks.
    let announce = |banner: &app::Banner| drop(print(&banner.to_string()));
    let stopped = runtime.block_on(app::serve(loaded, reloading, announce))?;
    Ok(match stopped {
        Stopped::Clean => ExitCode::SUCCESS,
        Stopped::CutShort => ExitCode::FAILURE,
    })
}

fn check_config(args: &ServeArgs) -> Result<ExitCode, Failure> {
    let loaded = config::load(&node_args(args), &System)?;
    app::check(&loaded.config).map_err(|errors| {
        let lines = errors.into_iter().map(|error| format!("{:#}", anyhow::Error::new(error)));
        Failure::Usage(lines.collect::<Vec<_>>().join("\n"))
    })?;
    for warning in &loaded.warnings {
        say(&format!("warning: {warning}"));
    }
    print("the configuration is good\n")
}

fn node_args(args: &ServeArgs) -> LoadArgs {
    let random: [u8; 32] = clock::random_bytes();
    let secret: String = random.iter().map(|byte| format!("{byte:02x}")).collect();
    args.load_args(Secret::new(&secret))
}

fn token(args: &TokenArgs) -> Result<ExitCode, Failure> {
    let loaded = config::load(&args.load_args(), &System)?;
    for warning in &loaded.warnings {
        say(&format!("warning: {warning}"));
    }
    let auth = &loaded.config.auth;
    let key = auth.signing_key().ok_or_else(|| {
        let text = "auth.secret: is missing: set it, or give `--secret-file`";
        Failure::Usage(text.to_owned())
    })?;
    if args.ttl > auth.max_lifetime {
        let text = "--ttl: must be at most `auth.max_lifetime`, or the node refuses the token";
        return Err(Failure::Usage(text.to_owned()));
    }
    let claims = MintClaims {
        realm: args.realm.clone(),
        session: args.session.clone(),
        channels: args.channels.clone(),
        teams: args.teams.clone(),
        workspaces: args.workspaces.clone(),
        roles: args.roles.clone(),
        profile: args.profile.as_deref().map(Arc::from),
        name: args.name.as_deref().map(Arc::from),
        issuer: auth.issuer.clone(),
        audience: auth.audience.clone(),
        ..MintClaims::new(args.user.clone(), args.ttl)
    };
    let token = mint(key, &claims, &Clock::system())
        .map_err(|error| Failure::Usage(format!("token: {error}")))?;
    print(&format!("{token}\n"))
}

fn healthcheck(args: &HealthcheckArgs) -> Result<ExitCode, Failure> {
    let url = match &args.url {
        Some(url) => url.clone(),
        None => {
            let loaded = config::load(&args.load_args(), &System)?;
            app::ready_url(loaded.config.internal.listen)
        }
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("the runtime cannot be started")?;
    let answer = runtime.block_on(app::healthcheck(&url));
    // A name that is still being looked up must not delay the answer.
    runtime.shutdown_background();
    match answer {
        Ok(()) => Ok(ExitCode::SUCCESS),
        Err(error @ HealthcheckError::Url(_)) => Err(Failure::Usage(error.to_string())),
        Err(error @ (HealthcheckError::Silent { .. } | HealthcheckError::NotReady { .. })) => {
            Err(Failure::Run(error.into()))
        }
    }
}

/// Writes to stdout. A reader that has seen enough is no failure.
fn print(text: &str) -> Result<ExitCode, Failure> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Ok(()) => Ok(ExitCode::SUCCESS),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(ExitCode::SUCCESS),
        Err(error) => Err(Failure::Run(anyhow::Error::new(error).context("stdout"))),
    }
}

/// Writes to stderr; when nobody listens, the exit code has to do.
fn say(text: &str) {
    drop(writeln!(io::stderr(), "{text}"));
}
