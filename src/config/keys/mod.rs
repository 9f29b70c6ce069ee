//! The key table: every key of the configuration, once.
//!
//! It feeds the parser, the commented default file, the documents and the texts
//! of errors. A row names the place in the [`Draft`] that the key fills, so a
//! default is whatever the fresh draft holds there.
//!
//! Invariants: names are unique; a secret has a second spelling that ends in
//! `_file`.
//!
//! Not here: how a text becomes a value (`value`), rules between keys (`checks`).

mod limits;
mod rules;
mod server;

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use ipnet::IpNet;

use super::{draft::Draft, types::Secret};

/// The place in a draft that a key fills.
pub(super) type Place<T> = fn(&mut Draft) -> &mut T;

/// A rule that a text must obey; the error is the end of "must be …".
pub(super) type Rule = fn(&str) -> Result<(), &'static str>;

/// What a key takes, with its range and its place.
#[derive(Debug, Clone, Copy)]
pub(super) enum Kind {
    /// `true` or `false`.
    Switch(Place<bool>),
    /// A whole number.
    Count(Place<usize>, u64, u64),
    /// A small whole number.
    Burst(Place<u32>, u32, u32),
    /// Per second.
    Rate(Place<f64>, f64, f64),
    /// Bytes, with a unit.
    Size(Place<usize>, u64, u64),
    /// Time, with a unit.
    Duration(Place<Duration>, Duration, Duration),
    /// Address and port.
    Address(Place<SocketAddr>),
    /// A text.
    Text(Place<String>, Rule),
    /// A text; empty means none.
    MaybeText(Place<Option<String>>, Rule),
    /// One of these words.
    Choice(Place<String>, &'static [&'static str]),
    /// A file or folder; empty means none.
    Path(Place<Option<PathBuf>>),
    /// A list of texts.
    Texts(Place<Vec<String>>, Rule),
    /// A list of networks.
    Networks(Place<Vec<IpNet>>),
    /// A secret; empty means none.
    Secret(Place<Option<Secret>>),
}

/// One row of the table.
#[derive(Debug, Clone, Copy)]
pub(super) struct Key {
    /// Dotted name.
    pub(super) name: &'static str,
    /// What it takes.
    pub(super) kind: Kind,
    /// What it does, in one or two sentences.
    pub(super) doc: &'static str,
    /// Whether SIGHUP applies a change.
    pub(super) reloadable: bool,
}

/// A row whose change needs a restart.
const fn fixed(name: &'static str, kind: Kind, doc: &'static str) -> Key {
    Key { name, kind, doc, reloadable: false }
}

/// A row whose change SIGHUP applies.
const fn live(name: &'static str, kind: Kind, doc: &'static str) -> Key {
    Key { name, kind, doc, reloadable: true }
}

const fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// Arrays of tables, which only the file can hold, with their fields.
pub(super) const TABLES: [(&str, &[&str]); 2] = [
    ("auth.keys", &["kid", "algorithm", "secret", "secret_file", "public_key_file"]),
    ("internal.api_keys", &["name", "key", "key_file", "realms"]),
];

/// Every row, section by section.
pub(super) fn all() -> impl Iterator<Item = &'static Key> {
    server::ROWS.iter().chain(limits::ROWS)
}

/// How a name of a file, variable or flag is meant.
#[derive(Debug, Clone, Copy)]
pub(super) enum Meaning {
    /// The value of this key.
    Value(&'static Key),
    /// The path of a file that holds the value of this key.
    File(&'static Key),
    /// An array of tables.
    Table(&'static str),
    /// A section that holds keys.
    Section,
    /// Nothing, but it looks like this.
    Unknown(Option<&'static str>),
}

/// Looks up a dotted name.
pub(super) fn find(name: &str) -> Meaning {
    if let Some(key) = all().find(|key| key.name == name) {
        return Meaning::Value(key);
    }
    if let Some((table, _)) = TABLES.iter().find(|(table, _)| *table == name) {
        return Meaning::Table(table);
    }
    let stem = name.strip_suffix("_file");
    if let Some(key) = all().find(|key| stem == Some(key.name)) {
        match key.kind {
            Kind::Secret(_) => return Meaning::File(key),
            // `tls_key` is the path of a key already: both spellings mean it.
            Kind::Path(_) if key.name.ends_with("_key") || key.name.ends_with("_cert") => {
                return Meaning::Value(key);
            }
            Kind::Switch(_)
            | Kind::Count(..)
            | Kind::Burst(..)
            | Kind::Rate(..)
            | Kind::Size(..)
            | Kind::Duration(..)
            | Kind::Address(_)
            | Kind::Text(..)
            | Kind::MaybeText(..)
            | Kind::Choice(..)
            | Kind::Path(_)
            | Kind::Texts(..)
            | Kind::Networks(_) => {}
        }
    }
    let within = |key: &str| key.strip_prefix(name).is_some_and(|rest| rest.starts_with('.'));
    if all().any(|key| within(key.name)) {
        return Meaning::Section;
    }
    Meaning::Unknown(similar(name))
}

/// The known name that lacks only its section, or is few edits away.
fn similar(name: &str) -> Option<&'static str> {
    let inner = |known: &str| known.strip_suffix(name).is_some_and(|rest| rest.ends_with('.'));
    all().map(|key| key.name).find(|known| inner(known)).or_else(|| {
        all()
            .map(|key| (distance(name, key.name), key.name))
            .min()
            .filter(|(edits, _)| *edits <= 3)
            .map(|(_, known)| known)
    })
}

/// How many letters must be added, removed or replaced (Levenshtein).
fn distance(left: &str, right: &str) -> usize {
    let mut above: Vec<usize> = (0..=right.len()).collect();
    for (line, letter) in left.bytes().enumerate() {
        let mut diagonal = line;
        let mut before = line + 1;
        let mut row = vec![before];
        for (other, up) in right.bytes().zip(above.iter().skip(1)) {
            let replaced = diagonal + usize::from(letter != other);
            before = replaced.min(before + 1).min(up + 1);
            diagonal = *up;
            row.push(before);
        }
        above = row;
    }
    above.last().copied().unwrap_or_default()
}
