//! The histories of a run: JSON lines, one file for each writer.

use std::{
    fs::File,
    io::{BufWriter, Write as _},
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::{Context as _, Result};
use parking_lot::Mutex;
use serde_json::{Map, Value};

use crate::system::now_ms;

/// The folder of one run.
#[derive(Debug, Clone)]
pub struct History {
    folder: PathBuf,
}

/// One file. Its lines are in the order in which its writer saw things.
#[derive(Debug, Clone)]
pub struct Writer {
    name: Arc<str>,
    file: Arc<Mutex<BufWriter<File>>>,
}

impl History {
    /// A history in `folder`, which is made.
    ///
    /// # Errors
    ///
    /// When the folder can't be made.
    pub fn new(folder: &Path) -> Result<Self> {
        std::fs::create_dir_all(folder).context("the folder of histories")?;
        Ok(Self { folder: folder.to_owned() })
    }

    /// Where it is.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The file of a new writer.
    ///
    /// # Errors
    ///
    /// When the file can't be made.
    pub fn writer(&self, name: &str) -> Result<Writer> {
        let file = File::create(self.folder.join(format!("{name}.jsonl")));
        let file = file.with_context(|| format!("the history of {name}"))?;
        Ok(Writer { name: name.into(), file: Arc::new(Mutex::new(BufWriter::new(file))) })
    }
}

impl Writer {
    /// Writes one record; `fields` is an object without time and writer.
    ///
    /// A disk that refuses is noticed by [`Writer::flush`].
    pub fn write(&self, fields: Value) {
        let Value::Object(fields) = fields else { return };
        let mut line = Map::new();
        line.insert("at".into(), now_ms().into());
        line.insert("w".into(), Value::from(&*self.name));
        line.extend(fields);
        let mut file = self.file.lock();
        // BufWriter keeps what it could not write, so that the flush fails, too.
        serde_json::to_writer(&mut *file, &Value::Object(line)).ok();
        file.write_all(b"\n").ok();
    }

    /// Writes what is buffered.
    ///
    /// # Errors
    ///
    /// When the disk refuses.
    pub fn flush(&self) -> Result<()> {
        self.file.lock().flush().with_context(|| format!("the history of {}", self.name))
    }
}
