//! Loads a configuration, and loads it again while the node runs.
//!
//! Invariants: nothing is half applied: either every rule holds, or all errors
//! are returned together and nothing changes.

use std::path::PathBuf;

use super::{
    checks::check,
    draft::Draft,
    error::{ConfigError, ConfigErrors},
    gather::gather,
    keys,
    source::Source,
    tables::Reading,
    types::{Config, Secret},
    value,
};

/// What the command line says.
#[derive(Debug, Clone)]
pub struct LoadArgs {
    /// For whom the node runs.
    pub mode: Mode,
    /// What the configuration is for.
    pub purpose: Purpose,
    /// The TOML file.
    pub file: Option<PathBuf>,
    /// Flags of their own: flag, key, value.
    pub flags: Vec<(&'static str, &'static str, String)>,
    /// `--set key=value`, as given.
    pub set: Vec<String>,
}

/// For whom the node runs.
#[derive(Debug, Clone)]
pub enum Mode {
    /// Others can reach it: keys are required.
    Production,
    /// `--dev`: this machine only; `secret` signs tokens when no key is configured.
    Dev {
        /// A random secret of at least 32 bytes.
        secret: Secret,
    },
}

/// What the configuration is for. Only a node that serves needs to be complete.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// Running a node, or checking whether it could run.
    Serve,
    /// Everything else: single values are looked up.
    Inspect,
}

/// A configuration that holds, and what was odd about it.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// The configuration.
    pub config: Config,
    /// What looks like a mistake but may be none; for people.
    pub warnings: Vec<String>,
    pub(super) draft: Draft,
}

/// A configuration for a node that runs already.
#[derive(Debug, Clone)]
pub struct Reloaded {
    /// The new values of keys that can change, the old values of the others.
    pub loaded: Loaded,
    /// Keys that changed and wait for a restart.
    pub restart_needed: Vec<&'static str>,
}

/// Reads every place, checks every value and every rule.
///
/// # Errors
///
/// Everything that is wrong, each with its key: the operator's fault.
pub fn load(args: &LoadArgs, source: &impl Source) -> Result<Loaded, ConfigErrors> {
    let gathered = gather(args, source);
    let (mut errors, mut warnings) = (gathered.errors, gathered.warnings);
    let mut draft = Draft::defaults(matches!(args.mode, Mode::Dev { .. }));
    for setting in &gathered.settings {
        if let Err(problem) = value::set(&mut draft, setting.key, &setting.given) {
            errors.push(ConfigError::new(&setting.name, &setting.origin, problem));
        }
    }
    let mut reading =
        Reading { source, draft: &mut draft, errors: &mut errors, warnings: &mut warnings };
    for (table, value, origin) in &gathered.tables {
        reading.table(table, value, origin);
    }
    if let Mode::Dev { secret } = &args.mode
        && draft.auth_secret.is_none()
        && draft.config.auth.keys.is_empty()
    {
        draft.auth_secret = Some(secret.clone());
    }
    complete(draft, args.purpose, source, (errors, warnings))
}

/// Loads again for the node that runs with `running`.
///
/// # Errors
///
/// As [`load`]; the node then keeps what it has.
pub fn reload(
    args: &LoadArgs,
    source: &impl Source,
    running: &Loaded,
) -> Result<Reloaded, ConfigErrors> {
    let fresh = load(args, source)?;
    let (mut draft, mut old) = (fresh.draft, running.draft.clone());
    let mut restart_needed = Vec::new();
    for key in keys::all().filter(|key| !key.reloadable) {
        if value::print(&mut draft, key) != value::print(&mut old, key) {
            restart_needed.push(key.name);
            value::copy(&mut old, &mut draft, key);
        }
    }
    // The mixture of old and new must obey the rules, too.
    let loaded = complete(draft, args.purpose, source, (Vec::new(), fresh.warnings))?;
    Ok(Reloaded { loaded, restart_needed })
}

fn complete(
    draft: Draft,
    purpose: Purpose,
    source: &impl Source,
    found: (Vec<ConfigError>, Vec<String>),
) -> Result<Loaded, ConfigErrors> {
    let (mut errors, mut warnings) = found;
    let (more_errors, more_warnings) = check(&draft, purpose, source);
    for error in more_errors {
        // What could not be read is not missing as well.
        if !errors.iter().any(|known| known.key.trim_end_matches("_file") == error.key) {
            errors.push(error);
        }
    }
    if !errors.is_empty() {
        return Err(ConfigErrors(errors));
    }
    for warning in more_warnings {
        if !warnings.contains(&warning) {
            warnings.push(warning);
        }
    }
    Ok(Loaded { config: draft.clone().finish(&source.machine()), warnings, draft })
}
