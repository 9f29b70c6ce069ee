//! Where settings come from: the environment, files, the machine.
//!
//! Invariants: [`System`] is the only reader of the environment in the program.

use std::{collections::BTreeMap, ffi::OsString, io, path::Path};

use super::machine::Machine;

/// The start of every variable that is ours.
pub(super) const VARIABLE_PREFIX: &str = "HUBBUB_";

/// A file that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileContent {
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// Whether every user of the machine may read it.
    pub world_readable: bool,
}

/// What a configuration is loaded from.
pub trait Source {
    /// Names and values of the environment.
    fn variables(&self) -> Vec<(OsString, OsString)>;

    /// Reads a whole file.
    ///
    /// # Errors
    ///
    /// What the operating system says.
    fn file(&self, path: &Path) -> io::Result<FileContent>;

    /// The facts that some defaults are derived from.
    fn machine(&self) -> Machine;
}

/// The real environment, files and machine.
#[derive(Debug, Clone, Copy, Default)]
pub struct System;

impl Source for System {
    fn variables(&self) -> Vec<(OsString, OsString)> {
        std::env::vars_os().collect()
    }

    fn file(&self, path: &Path) -> io::Result<FileContent> {
        use std::os::unix::fs::PermissionsExt as _;
        let bytes = std::fs::read(path)?;
        let mode = std::fs::metadata(path)?.permissions().mode();
        Ok(FileContent { bytes, world_readable: mode & 0o004 != 0 })
    }

    fn machine(&self) -> Machine {
        Machine::here()
    }
}

/// Variables and files from maps, for tests.
#[derive(Debug, Clone, Default)]
pub struct Map {
    /// The environment.
    pub variables: BTreeMap<String, String>,
    /// Files by path: text, and whether every user may read it.
    pub files: BTreeMap<String, (String, bool)>,
}

impl Source for Map {
    fn variables(&self) -> Vec<(OsString, OsString)> {
        self.variables.iter().map(|(name, value)| (name.into(), value.into())).collect()
    }

    fn file(&self, path: &Path) -> io::Result<FileContent> {
        let (text, world_readable) = path
            .to_str()
            .and_then(|path| self.files.get(path))
            .ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))?;
        Ok(FileContent { bytes: text.clone().into_bytes(), world_readable: *world_readable })
    }

    fn machine(&self) -> Machine {
        Machine::for_tests()
    }
}

/// Whether `cargo run` of this project started the process: then a newcomer looks
/// at it, and nobody deploys it.
#[must_use]
pub fn cargo_runs_it(source: &impl Source) -> bool {
    source
        .variables()
        .iter()
        .any(|(name, value)| name == "CARGO_PKG_NAME" && value == env!("CARGO_PKG_NAME"))
}
