//! Collects settings from file, environment and flags, the weakest first.
//!
//! Invariants: every name that is ours is either understood or reported; a place
//! that sets a key twice is an error; a secret is never taken from the command
//! line, where every user of the machine sees it.
//!
//! Not here: what the values mean (`value`), the entries of arrays of tables
//! (`tables`).

use std::path::Path;

use super::{
    LoadArgs,
    error::{ConfigError, Problem},
    keys::{self, Key, Kind, Meaning},
    source::{Source, VARIABLE_PREFIX},
    value::Given,
};

/// One value for one key.
#[derive(Debug)]
pub(super) struct Setting {
    /// Which key.
    pub(super) key: &'static Key,
    /// How the key was written, with or without `_file`.
    pub(super) name: String,
    /// The value.
    pub(super) given: Given,
    /// Where it came from, for people.
    pub(super) origin: String,
    /// Which of the three places it came from: a later one wins.
    layer: Layer,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Layer {
    File,
    Environment,
    Flag,
}

/// What was found.
#[derive(Debug, Default)]
pub(super) struct Gathered {
    /// Settings, the weakest first.
    pub(super) settings: Vec<Setting>,
    /// Arrays of tables, with their origin.
    pub(super) tables: Vec<(&'static str, toml::Value, String)>,
    /// What is wrong so far.
    pub(super) errors: Vec<ConfigError>,
    /// What looks like a mistake but may be none.
    pub(super) warnings: Vec<String>,
}

/// Asks the three places.
pub(super) fn gather(args: &LoadArgs, source: &impl Source) -> Gathered {
    let mut gatherer = Gatherer { source, found: Gathered::default() };
    if let Some(path) = &args.file {
        gatherer.add_file(path);
    }
    gatherer.add_environment();
    for (flag, name, value) in &args.flags {
        gatherer.add_flag(&format!("flag {flag}"), name, value);
    }
    for text in &args.set {
        match text.split_once('=') {
            Some((name, value)) => gatherer.add_flag("flag --set", name.trim(), value),
            None => gatherer.refuse(text, "flag --set", Problem::WrongType("`key=value`")),
        }
    }
    gatherer.found
}

struct Gatherer<'a, S> {
    source: &'a S,
    found: Gathered,
}

impl<S: Source> Gatherer<'_, S> {
    fn refuse(&mut self, key: &str, origin: &str, problem: Problem) {
        self.found.errors.push(ConfigError::new(key, origin, problem));
    }

    fn add_file(&mut self, path: &Path) {
        let name = path.display().to_string();
        let content = match self.source.file(path) {
            Ok(content) => content,
            Err(error) => {
                return self.refuse(&name, "flag --config", Problem::unreadable(path, &error));
            }
        };
        let Ok(text) = String::from_utf8(content.bytes) else {
            return self.refuse(&name, "flag --config", Problem::WrongType("a text in UTF-8"));
        };
        match text.parse::<toml::Table>() {
            Ok(table) => self.add_table("", &table, &format!("file {name}")),
            Err(error) => self.add_syntax_error(&name, &text, &error),
        }
        let holds_secret = self.found.settings.iter().any(|setting| {
            matches!(setting.key.kind, Kind::Secret(_)) && setting.name == setting.key.name
        });
        if content.world_readable && (holds_secret || !self.found.tables.is_empty()) {
            self.found.warnings.push(format!("{name} holds secrets and every user can read it"));
        }
    }

    /// Names the key when the parser found it twice, else the line. The line itself
    /// is not shown: it may hold a secret.
    fn add_syntax_error(&mut self, file: &str, text: &str, error: &toml::de::Error) {
        let span = error.span().unwrap_or_default();
        let before = text.get(..span.start).unwrap_or_default();
        let line = before.matches('\n').count() + 1;
        let reason = error.message().to_owned();
        if reason.contains("duplicate key") {
            let section = before
                .lines()
                .rev()
                .find_map(|line| line.trim().strip_prefix('[')?.strip_suffix(']'))
                .map_or_else(String::new, |section| format!("{section}."));
            let key = text.get(span).unwrap_or_default().trim();
            let origin = format!("file {file} line {line}");
            return self.refuse(&format!("{section}{key}"), &origin, Problem::Duplicate);
        }
        self.refuse(file, "flag --config", Problem::Syntax { line, reason });
    }

    fn add_table(&mut self, path: &str, table: &toml::Table, origin: &str) {
        for (name, value) in table {
            let name = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
            match (keys::find(&name), value) {
                (Meaning::Section, toml::Value::Table(inner)) => {
                    self.add_table(&name, inner, origin);
                }
                (Meaning::Section, _) => {
                    self.refuse(&name, origin, Problem::WrongType("a table of keys"));
                }
                (Meaning::Table(table), _) => {
                    self.found.tables.push((table, value.clone(), origin.to_owned()));
                }
                (meaning @ (Meaning::Value(_) | Meaning::File(_) | Meaning::Unknown(_)), _) => {
                    let given = Given::Toml(value.clone());
                    self.add(meaning, &name, given, (Layer::File, origin));
                }
            }
        }
    }

    fn add_environment(&mut self) {
        let mut variables = self.source.variables();
        variables.sort();
        for (name, value) in variables {
            let name = name.to_string_lossy();
            let Some(rest) = name.strip_prefix(VARIABLE_PREFIX) else { continue };
            let origin = format!("environment {name}");
            if !rest.contains("__") {
                let warning = format!("environment {name} is not a setting (no `__`): ignored");
                self.found.warnings.push(warning);
                continue;
            }
            let key = rest.to_lowercase().replace("__", ".");
            let meaning =
                if rest == rest.to_uppercase() { keys::find(&key) } else { Meaning::Section };
            match (meaning, value.into_string()) {
                (Meaning::Table(_), _) => {
                    let text = "is an array of tables, which only the file can hold".to_owned();
                    self.refuse(&key, &origin, Problem::Refused(text));
                }
                (Meaning::Section, _) => {
                    self.refuse(&name, &origin, Problem::Unknown { similar: None });
                }
                (_, Err(_)) => self.refuse(&key, &origin, Problem::WrongType("a text in UTF-8")),
                (meaning @ (Meaning::Value(_) | Meaning::File(_)), Ok(text)) => {
                    self.add(meaning, &key, Given::Text(text), (Layer::Environment, &origin));
                }
                (meaning @ Meaning::Unknown(_), Ok(text)) => {
                    self.add(meaning, &name, Given::Text(text), (Layer::Environment, &origin));
                }
            }
        }
    }

    fn add_flag(&mut self, origin: &str, name: &str, value: &str) {
        let meaning = keys::find(name);
        if let Meaning::Value(Key { name: known, kind: Kind::Secret(_), .. }) = meaning {
            // Only a Redis URL may come by flag: it need not hold a password.
            if *known != "redis.url" {
                let text = format!(
                    "is a secret, which the command line would show to every user: use \
                     `{known}_file` or the environment"
                );
                return self.refuse(name, origin, Problem::Refused(text));
            }
            if value.contains('@') {
                self.found.warnings.push(format!("{origin}: every user can see this password"));
            }
        }
        match meaning {
            Meaning::Section => self.refuse(name, origin, Problem::WrongType("one key")),
            Meaning::Table(_) => {
                let text = "is an array of tables, which only the file can hold".to_owned();
                self.refuse(name, origin, Problem::Refused(text));
            }
            Meaning::Value(_) | Meaning::File(_) | Meaning::Unknown(_) => {
                self.add(meaning, name, Given::Text(value.to_owned()), (Layer::Flag, origin));
            }
        }
    }

    fn add(&mut self, meaning: Meaning, name: &str, given: Given, place: (Layer, &str)) {
        let (layer, origin) = place;
        let (key, given) = match meaning {
            Meaning::Value(key) => (key, Some(given)),
            Meaning::File(key) => (key, self.read_secret(name, &given, origin)),
            Meaning::Unknown(similar) => {
                return self.refuse(name, origin, Problem::Unknown { similar });
            }
            Meaning::Table(_) | Meaning::Section => return,
        };
        let mut settings = self.found.settings.iter();
        if settings.any(|other| other.layer == layer && other.key.name == key.name) {
            self.refuse(name, origin, Problem::Duplicate);
        }
        if let Some(given) = given {
            let (name, origin) = (name.to_owned(), origin.to_owned());
            self.found.settings.push(Setting { key, name, given, origin, layer });
        }
    }

    /// The text of the file that `given` names, without the line end.
    fn read_secret(&mut self, name: &str, given: &Given, origin: &str) -> Option<Given> {
        let (Given::Text(path) | Given::Toml(toml::Value::String(path))) = given else {
            self.refuse(name, origin, Problem::WrongType("the path of a file"));
            return None;
        };
        let secret = read_secret(self.source, name, path);
        match secret {
            Ok((secret, warning)) => {
                self.found.warnings.extend(warning);
                Some(Given::Text(secret))
            }
            Err(problem) => {
                self.refuse(name, origin, problem);
                None
            }
        }
    }
}

/// Reads the file of a secret, without its line end; the second part is a warning
/// when every user may read it.
pub(super) fn read_secret(
    source: &impl Source,
    name: &str,
    path: &str,
) -> Result<(String, Option<String>), Problem> {
    let path = Path::new(path);
    let content = source.file(path).map_err(|error| Problem::unreadable(path, &error))?;
    let text = String::from_utf8(content.bytes)
        .map_err(|_| Problem::Refused(format!("{} is not UTF-8", path.display())))?;
    let text = text.trim_end_matches(['\r', '\n']).to_owned();
    if text.is_empty() {
        return Err(Problem::Refused(format!("{} is empty", path.display())));
    }
    let warning =
        content.world_readable.then(|| format!("{name}: every user can read {}", path.display()));
    Ok((text, warning))
}
