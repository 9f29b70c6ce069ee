//! A folder of files to a history.
//!
//! Every `*.jsonl` is read, in the order of names. A line that is not understood is
//! kept as an error with its place, and the reading goes on, so that one run shows
//! all of them.
//!
//! Invariants: no line is skipped silently; an unreadable file is an error of its own.

use std::{
    fs,
    io::{self, BufRead as _, BufReader},
    path::{Path, PathBuf},
};

use crate::{
    history::{History, Writer},
    wire::{self, LineError},
};

/// A folder that cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The folder or a file cannot be read.
    #[error("cannot read {path}")]
    Io {
        /// Which one.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// There is no history in it.
    #[error("no *.jsonl in {0}")]
    Empty(PathBuf),
}

/// A line that is not one of the format.
#[derive(Debug)]
pub struct BadLine {
    /// The name of the file.
    pub file: String,
    /// The number of the line, from 1.
    pub line: u32,
    /// What is wrong with it.
    pub error: LineError,
}

/// What was read.
#[derive(Debug, Default)]
pub struct Read {
    /// What was understood.
    pub history: History,
    /// What was not.
    pub bad: Vec<BadLine>,
}

impl Read {
    /// Adds a file with this name and text.
    pub fn add(&mut self, file: &str, text: &str) {
        let mut writer = self.writer(file);
        for (line, number) in text.lines().zip(1..) {
            self.line(&mut writer, number, line);
        }
        self.history.writers.push(writer);
    }

    fn add_file(&mut self, path: &Path) -> io::Result<()> {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let mut writer = self.writer(&name);
        for (line, number) in BufReader::new(fs::File::open(path)?).lines().zip(1..) {
            self.line(&mut writer, number, &line?);
        }
        self.history.writers.push(writer);
        Ok(())
    }

    fn writer(&mut self, file: &str) -> Writer {
        Writer { file: self.history.names.intern(file), lines: Vec::new() }
    }

    fn line(&mut self, writer: &mut Writer, number: u32, text: &str) {
        match wire::line(text, number, &mut self.history.names) {
            Ok(line) => writer.lines.push(line),
            Err(error) => {
                let file = self.history.names.text(writer.file).to_owned();
                self.bad.push(BadLine { file, line: number, error });
            }
        }
    }
}

/// Reads all histories of `folder`, not of folders in it.
///
/// # Errors
///
/// [`ReadError`] when the folder or a file in it cannot be read, or none is there.
pub fn folder(folder: &Path) -> Result<Read, ReadError> {
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |source| ReadError::Io { path, source }
    };
    let mut paths = Vec::new();
    for entry in fs::read_dir(folder).map_err(failed(folder))? {
        let path = entry.map_err(failed(folder))?.path();
        if path.extension().is_some_and(|extension| extension == "jsonl") {
            paths.push(path);
        }
    }
    if paths.is_empty() {
        return Err(ReadError::Empty(folder.to_owned()));
    }
    paths.sort();
    let mut read = Read::default();
    for path in paths {
        read.add_file(&path).map_err(failed(&path))?;
    }
    Ok(read)
}
