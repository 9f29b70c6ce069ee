//! Writes the key table for people: the commented default file and the page of
//! the documents.
//!
//! Invariants: the default file parses back to the defaults; both texts depend on
//! nothing but the table and the defaults.

use super::{
    draft::Draft,
    keys::{self, Key, Kind},
    source::VARIABLE_PREFIX,
    units, value,
};

/// Lines are broken here.
const COLUMNS: usize = 90;

/// The default configuration as a commented TOML file (`hubbub config`).
#[must_use]
pub fn default_file() -> String {
    let mut text = String::from(
        "# The configuration of hubbub, with every default.\n\
         #\n\
         # Precedence: flag > environment > this file > default. The variable of a key is HUBBUB_\n\
         # and the key in capitals, with `__` between levels: HUBBUB_PUBLIC__LISTEN. Durations and\n\
         # sizes have units. Secrets also exist as a key that ends in `_file`.\n",
    );
    let (mut production, mut dev) = (Draft::defaults(false), Draft::defaults(true));
    let mut section = "";
    for key in keys::all() {
        let (within, name) = key.name.rsplit_once('.').unwrap_or(("", key.name));
        if within != section {
            section = within;
            write(&mut text, format_args!("\n[{section}]\n"));
        }
        let in_dev = value::print(&mut dev, key);
        let default = value::print(&mut production, key);
        let mut comment = key.doc.to_owned();
        if says_more_than_its_value(key) {
            write(&mut comment, format_args!(" {}.", sentence(&takes(key))));
        }
        if let Some(in_dev) = in_dev.filter(|in_dev| default.as_ref() != Some(in_dev)) {
            write(&mut comment, format_args!(" With `--dev`: {in_dev}."));
        }
        for line in wrapped(&comment) {
            write(&mut text, format_args!("# {line}\n"));
        }
        match default {
            Some(default) => write(&mut text, format_args!("{name} = {default}\n")),
            None => write(&mut text, format_args!("# {name} = \"\"\n")),
        }
    }
    text.push_str(TABLE_EXAMPLES);
    text
}

/// The page `docs/configuration.md` (`hubbub config --markdown`).
#[must_use]
pub fn page() -> String {
    let mut text = String::from(PAGE_HEAD);
    let (mut production, mut dev) = (Draft::defaults(false), Draft::defaults(true));
    let mut section = "";
    for key in keys::all() {
        let within = key.name.split('.').next().unwrap_or_default();
        if within != section {
            section = within;
            write(
                &mut text,
                format_args!(
                    "\n## `{section}`\n\n| key | default | takes | SIGHUP | meaning |\n\
                     |---|---|---|---|---|\n"
                ),
            );
        }
        let default = shown(value::print(&mut production, key));
        let in_dev = shown(value::print(&mut dev, key));
        let default = if default == in_dev { default } else { format!("{default}, dev {in_dev}") };
        let reload = if key.reloadable { "yes" } else { "restart" };
        write(
            &mut text,
            format_args!(
                "| `{}` | {default} | {} | {reload} | {} |\n",
                key.name,
                takes(key),
                key.doc.replace('|', "\\|"),
            ),
        );
    }
    text.push_str(PAGE_FOOT);
    text
}

const TABLE_EXAMPLES: &str = "
# More keys that sign tokens: HS256, HS384, HS512 with `secret` or `secret_file`;
# RS256 to RS512, PS256 to PS512, ES256, ES384, EdDSA with `public_key_file` (PEM).
# [[auth.keys]]
# kid = \"2025-01\"
# algorithm = \"EdDSA\"
# public_key_file = \"/etc/hubbub/tokens.pem\"

# More keys of the server API, with `key` or `key_file`. Without `realms`: every realm.
# [[internal.api_keys]]
# name = \"backend\"
# key_file = \"/run/secrets/hubbub-backend\"
# realms = [\"default\"]
";

const PAGE_HEAD: &str = "# Configuration

<!-- Generated from the key table by `hubbub config --markdown`. A test compares both. -->

Flag > environment > TOML file (`--config FILE`) > default. Every key has a variable: `HUBBUB_` and the key in
capitals, with `__` between levels, such as `HUBBUB_PUBLIC__LISTEN`; lists are separated by commas. Every key has a flag,
too: `--set public.listen=127.0.0.1:9000`. A value that a stronger place overrides is still checked.

- All errors are reported at once, each naming its key, and the exit code is 2. An unknown key is an error, and so is an
  unknown variable with `__`; a `HUBBUB_` variable without `__` (Kubernetes makes such) is warned about and ignored.
- Durations and sizes have units: `250ms`, `30s`, `5m`, `24h`; `512B`, `64KiB`, `256MiB`. A bare number is refused.
- `internal.api_key`, `auth.secret`, `redis.url` and `redis.password` are secrets. Each also exists as a key that ends in
  `_file` and names a file with the value; its last line end does not count. Secrets are not taken from flags, but for
  `redis.url`. A file that every user of the machine can read is warned about.
- `hubbub config` prints the commented default file; `hubbub check-config` checks what `serve` would check.
- SIGHUP loads everything again. Keys marked \"yes\" change at once; a change of another is logged and waits for a
  restart; an error changes nothing. Certificates are read again, too.
- `--dev` (what `cargo run` does) needs no keys, listens on loopback only and turns on what is marked \"dev\".
";

const PAGE_FOOT: &str = "
## Arrays of tables

Only the file can hold these.

`[[auth.keys]]`: more keys that sign tokens. A token that names a `kid` is checked with the key of that name only.

| field | takes |
|---|---|
| `kid` | name of the key |
| `algorithm` | HS256, HS384, HS512, RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384 or EdDSA |
| `secret`, `secret_file` | HMAC secret of at least 32 bytes, for HS algorithms |
| `public_key_file` | PEM file of the public key, for the others |

`[[internal.api_keys]]`: more keys of the server API.

| field | takes |
|---|---|
| `name` | name of the key in logs and limits |
| `key`, `key_file` | the key |
| `realms` | list of realms that it may use; left out: every realm |
";

/// What the key takes, for people.
fn takes(key: &Key) -> String {
    match key.kind {
        Kind::Switch(_) => "`true` or `false`".to_owned(),
        Kind::Count(_, min, max) => format!("number, {min} to {max}"),
        Kind::Burst(_, min, max) => format!("number, {min} to {max}"),
        Kind::Rate(_, min, max) => format!("per second, {min} to {max}"),
        Kind::Size(_, min, max) => {
            format!("size, {} to {}", units::print_size(min), units::print_size(max))
        }
        Kind::Duration(_, min, max) => {
            format!("duration, {} to {}", units::print_duration(min), units::print_duration(max))
        }
        Kind::Address(_) => "address and port".to_owned(),
        Kind::Text(..) | Kind::MaybeText(..) => "text".to_owned(),
        Kind::Choice(_, words) => {
            let quoted: Vec<String> = words.iter().map(|word| format!("`{word}`")).collect();
            format!("one of {}", quoted.join(", "))
        }
        Kind::Path(_) => "path".to_owned(),
        Kind::Texts(..) => "list of texts".to_owned(),
        Kind::Networks(_) => "list of networks".to_owned(),
        Kind::Secret(_) => {
            let (_, name) = key.name.rsplit_once('.').unwrap_or(("", key.name));
            format!("secret; also `{name}_file`")
        }
    }
}

/// Whether the value alone does not show what the key takes.
fn says_more_than_its_value(key: &Key) -> bool {
    match key.kind {
        Kind::Count(..)
        | Kind::Burst(..)
        | Kind::Rate(..)
        | Kind::Size(..)
        | Kind::Duration(..)
        | Kind::Choice(..)
        | Kind::Secret(_) => true,
        Kind::Switch(_)
        | Kind::Address(_)
        | Kind::Text(..)
        | Kind::MaybeText(..)
        | Kind::Path(_)
        | Kind::Texts(..)
        | Kind::Networks(_) => false,
    }
}

fn sentence(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

fn shown(value: Option<String>) -> String {
    value
        .filter(|value| value != "\"\"" && value != "[]")
        .map_or_else(|| "–".to_owned(), |value| format!("`{}`", value.trim_matches('"')))
}

fn wrapped(text: &str) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.is_empty() => line.push_str(word),
            Some(line) if line.len() + 1 + word.len() <= COLUMNS => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

fn write(text: &mut String, arguments: std::fmt::Arguments<'_>) {
    text.push_str(&std::fmt::format(arguments));
}

/// The variable that sets `key`, such as `HUBBUB_PUBLIC__LISTEN`.
#[must_use]
pub fn variable(key: &str) -> String {
    format!("{VARIABLE_PREFIX}{}", key.to_uppercase().replace('.', "__"))
}

/// Name and default of every key, for tests that compare documents and charts.
#[must_use]
pub fn key_names() -> Vec<&'static str> {
    keys::all().map(|key| key.name).collect()
}
