//! The arrays of tables: `[[auth.keys]]` and `[[internal.api_keys]]`.
//!
//! Invariants: an entry is complete or reported; every error names the entry and
//! its field, such as `auth.keys[0].secret`.
//!
//! Not here: rules for all keys together (`checks`).

use std::path::PathBuf;

use super::{
    draft::Draft,
    error::{ConfigError, Problem},
    gather::read_secret,
    keys::TABLES,
    source::Source,
    types::{ApiKey, AuthKey, KeyMaterial, Secret},
};
use crate::model::Id;

/// The algorithms with a shared secret, then those with a public key.
pub(super) const HMAC: [&str; 3] = ["HS256", "HS384", "HS512"];
const PUBLIC: [&str; 9] =
    ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "EdDSA"];

/// What reading the arrays needs and makes.
#[derive(Debug)]
pub(super) struct Reading<'a, S> {
    /// Files of secrets are read from here.
    pub(super) source: &'a S,
    /// The place to fill.
    pub(super) draft: &'a mut Draft,
    /// What is wrong.
    pub(super) errors: &'a mut Vec<ConfigError>,
    /// What looks wrong.
    pub(super) warnings: &'a mut Vec<String>,
}

impl<S: Source> Reading<'_, S> {
    /// Reads all entries of `table`.
    pub(super) fn table(&mut self, table: &'static str, value: &toml::Value, origin: &str) {
        let entries: Option<Vec<&toml::Table>> =
            value.as_array().and_then(|values| values.iter().map(toml::Value::as_table).collect());
        let Some(entries) = entries else {
            let problem = Problem::WrongType("an array of tables: `[[…]]`");
            self.errors.push(ConfigError::new(table, origin, problem));
            return;
        };
        for (index, entry) in entries.into_iter().enumerate() {
            let path = format!("{table}[{index}]");
            let mut fields = Fields { reading: self, entry, path, origin };
            fields.refuse_unknown(table);
            if table == "auth.keys" { fields.auth_key() } else { fields.api_key() }
        }
    }
}

/// One entry of an array.
struct Fields<'a, 'b, S> {
    reading: &'a mut Reading<'b, S>,
    entry: &'a toml::Table,
    path: String,
    origin: &'a str,
}

impl<S: Source> Fields<'_, '_, S> {
    fn refuse(&mut self, field: &str, problem: Problem) {
        let key = format!("{}.{field}", self.path);
        self.reading.errors.push(ConfigError::new(key, self.origin, problem));
    }

    fn refuse_unknown(&mut self, table: &str) {
        let known = TABLES.iter().find(|(name, _)| *name == table).map_or(&[][..], |row| row.1);
        for name in self.entry.keys() {
            if !known.contains(&name.as_str()) {
                self.refuse(name, Problem::Unknown { similar: None });
            }
        }
    }

    fn text(&mut self, field: &str) -> Option<String> {
        let text = self.entry.get(field)?.as_str().map(str::to_owned);
        if text.is_none() {
            self.refuse(field, Problem::WrongType("a text"));
        }
        text
    }

    /// The secret of `field`, or of the file that `field_file` names.
    fn secret(&mut self, field: &str) -> Option<Secret> {
        let file_field = format!("{field}_file");
        let (direct, file) = (self.text(field), self.text(&file_field));
        if direct.is_some() && file.is_some() {
            self.refuse(field, Problem::Duplicate);
        }
        let text = match (direct, file) {
            (Some(text), _) => text,
            (None, Some(path)) => {
                let name = format!("{}.{file_field}", self.path);
                match read_secret(self.reading.source, &name, &path) {
                    Ok((text, warning)) => {
                        self.reading.warnings.extend(warning);
                        text
                    }
                    Err(problem) => {
                        self.refuse(&file_field, problem);
                        return None;
                    }
                }
            }
            (None, None) => return None,
        };
        Some(Secret::new(&text))
    }

    fn missing(&mut self, field: &str) {
        if !self.entry.contains_key(field) && !self.entry.contains_key(&format!("{field}_file")) {
            self.refuse(field, Problem::Refused("is missing".to_owned()));
        }
    }

    fn auth_key(&mut self) {
        let kid = self.text("kid");
        let algorithm = self.text("algorithm");
        self.missing("algorithm");
        let Some(algorithm) = algorithm else { return };
        let material = if HMAC.contains(&algorithm.as_str()) {
            self.missing("secret");
            self.secret("secret").map(KeyMaterial::Secret)
        } else if PUBLIC.contains(&algorithm.as_str()) {
            self.missing("public_key");
            self.text("public_key_file").map(|path| KeyMaterial::PublicKeyFile(PathBuf::from(path)))
        } else {
            let words = HMAC.iter().chain(&PUBLIC).copied().collect::<Vec<_>>().join(", ");
            return self.refuse("algorithm", Problem::NoSuchChoice(words));
        };
        let unused = match material {
            Some(KeyMaterial::Secret(_)) => &["public_key_file"][..],
            Some(KeyMaterial::PublicKeyFile(_)) => &["secret", "secret_file"],
            None => return,
        };
        for field in unused {
            if self.entry.contains_key(*field) {
                let text = format!("does not belong to {algorithm}");
                self.refuse(field, Problem::Refused(text));
            }
        }
        let keys = &mut self.reading.draft.config.auth.keys;
        if kid.is_some() && keys.iter().any(|other| other.kid == kid) {
            return self.refuse("kid", Problem::Duplicate);
        }
        keys.extend(material.map(|material| AuthKey { kid, algorithm, material }));
    }

    fn api_key(&mut self) {
        let name = self.text("name");
        let key = self.secret("key");
        let realms = self.realms();
        self.missing("name");
        self.missing("key");
        let (Some(name), Some(key)) = (name, key) else { return };
        if Id::parse(&name).is_err() {
            let text = "must be 1 to 64 letters, digits or `_.@-`".to_owned();
            self.refuse("name", Problem::Refused(text));
        }
        let keys = &mut self.reading.draft.config.internal.api_keys;
        if name == "default" || keys.iter().any(|other| other.name == name) {
            let text = "is taken: each key needs its own name (`default` is `internal.api_key`)";
            return self.refuse("name", Problem::Refused(text.to_owned()));
        }
        if keys.iter().any(|other| other.key == key) {
            return self.refuse("key", Problem::Refused("is the key of another name".to_owned()));
        }
        keys.push(ApiKey { name, key, realms });
    }

    fn realms(&mut self) -> Vec<String> {
        let Some(value) = self.entry.get("realms") else { return Vec::new() };
        let realms: Option<Vec<String>> = value.as_array().and_then(|values| {
            values
                .iter()
                .map(|value| value.as_str().filter(|realm| Id::parse(realm).is_ok()))
                .map(|realm| realm.map(str::to_owned))
                .collect()
        });
        match realms {
            Some(realms) if !realms.is_empty() => realms,
            Some(_) | None => {
                // An empty list must not quietly mean every realm.
                let expected = "a list of realms; leave it out for every realm";
                self.refuse("realms", Problem::WrongType(expected));
                Vec::new()
            }
        }
    }
}
