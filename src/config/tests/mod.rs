//! Goal: values come from the right place, every error names its key, and no node
//! starts that must not.
//! Method: environment and files from maps; one table of cases per rule.

mod documents;
mod reloading;
mod rules;
mod values;

use super::*;

/// Long enough for HMAC.
const SECRET: &str = "0123456789abcdef0123456789abcdef";

/// A place with a file `f.toml` (when not empty) and variables.
fn source(file: &str, variables: &[(&str, &str)]) -> Map {
    let mut map = Map::default();
    map.files.insert("f.toml".to_owned(), (file.to_owned(), false));
    for (name, value) in variables {
        map.variables.insert((*name).to_owned(), (*value).to_owned());
    }
    map
}

/// Arguments that name `f.toml`.
fn args(mode: Mode, set: &[&str]) -> LoadArgs {
    LoadArgs {
        mode,
        purpose: Purpose::Serve,
        file: Some("f.toml".into()),
        flags: Vec::new(),
        set: set.iter().map(|&text| text.to_owned()).collect(),
    }
}

fn dev() -> Mode {
    Mode::Dev { secret: Secret::new(SECRET) }
}

/// Loads in dev mode, which needs no keys.
fn load_dev(file: &str, variables: &[(&str, &str)], set: &[&str]) -> Result<Loaded, ConfigErrors> {
    load(&args(dev(), set), &source(file, variables))
}

/// The errors of a file in dev mode, one text each.
fn errors(file: &str) -> Vec<String> {
    texts(load_dev(file, &[], &[]))
}

fn texts(result: Result<Loaded, ConfigErrors>) -> Vec<String> {
    result.err().map_or_else(Vec::new, |errors| errors.0.iter().map(ToString::to_string).collect())
}
