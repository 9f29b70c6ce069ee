//! How one value is read, checked and written.
//!
//! Invariants: a value outside its range never reaches the draft; what is written
//! for a key parses back to the same value.
//!
//! Not here: where the value came from (`gather`), rules between keys (`checks`).

use std::{
    net::{IpAddr, SocketAddr},
    path::PathBuf,
};

use ipnet::IpNet;

use super::{
    draft::Draft,
    error::Problem,
    keys::{Key, Kind, Rule},
    types::Secret,
    units,
};

/// A value before it is understood.
#[derive(Debug, Clone)]
pub(super) enum Given {
    /// From a variable, a flag or the file of a secret.
    Text(String),
    /// From the TOML file.
    Toml(toml::Value),
}

impl Given {
    fn text(&self) -> Result<&str, Problem> {
        match self {
            Self::Text(text) | Self::Toml(toml::Value::String(text)) => Ok(text),
            Self::Toml(_) => Err(Problem::WrongType("a text")),
        }
    }

    fn switch(&self) -> Result<bool, Problem> {
        match self {
            Self::Toml(toml::Value::Boolean(on)) => Ok(*on),
            Self::Text(text) if text == "true" => Ok(true),
            Self::Text(text) if text == "false" => Ok(false),
            Self::Text(_) | Self::Toml(_) => Err(Problem::WrongType("true or false")),
        }
    }

    fn whole(&self) -> Result<i128, Problem> {
        match self {
            Self::Toml(toml::Value::Integer(number)) => Some(i128::from(*number)),
            Self::Text(text) => text.trim().parse().ok(),
            Self::Toml(_) => None,
        }
        .ok_or(Problem::WrongType("a whole number"))
    }

    fn decimal(&self) -> Result<f64, Problem> {
        match self {
            Self::Toml(toml::Value::Float(number)) => Some(*number),
            Self::Toml(toml::Value::Integer(number)) => {
                i32::try_from(*number).ok().map(f64::from).or(Some(f64::INFINITY))
            }
            Self::Text(text) => text.trim().parse().ok(),
            Self::Toml(_) => None,
        }
        .filter(|number| !number.is_nan())
        .ok_or(Problem::WrongType("a number"))
    }

    fn with_unit(&self, example: &'static str, expected: &'static str) -> Result<&str, Problem> {
        match self {
            Self::Text(text) | Self::Toml(toml::Value::String(text)) => Ok(text),
            Self::Toml(toml::Value::Integer(_) | toml::Value::Float(_)) => {
                Err(Problem::UnitMissing(example))
            }
            Self::Toml(_) => Err(Problem::WrongType(expected)),
        }
    }

    fn list(&self) -> Result<Vec<String>, Problem> {
        match self {
            Self::Text(text) => Ok(split(text)),
            Self::Toml(toml::Value::Array(values)) => values
                .iter()
                .map(|value| value.as_str().map(str::to_owned))
                .collect::<Option<_>>()
                .ok_or(Problem::WrongType("a list of texts")),
            Self::Toml(_) => Err(Problem::WrongType("a list of texts")),
        }
    }
}

fn split(text: &str) -> Vec<String> {
    text.split(',').map(str::trim).filter(|part| !part.is_empty()).map(str::to_owned).collect()
}

/// Puts `given` into its place in `draft`.
///
/// # Errors
///
/// What is wrong with it; the draft then keeps what it had.
pub(super) fn set(draft: &mut Draft, key: &Key, given: &Given) -> Result<(), Problem> {
    match key.kind {
        Kind::Switch(place) => *place(draft) = given.switch()?,
        Kind::Count(place, min, max) => {
            let number = given.whole()?;
            *place(draft) = within(number, min, max, |edge| edge.to_string())?;
        }
        Kind::Burst(place, min, max) => {
            let number = given.whole()?;
            *place(draft) =
                within(number, u64::from(min), u64::from(max), |edge| edge.to_string())?;
        }
        Kind::Rate(place, min, max) => {
            let number = given.decimal()?;
            if !(min..=max).contains(&number) {
                return Err(out_of_range(&min, &max));
            }
            *place(draft) = number;
        }
        Kind::Size(place, min, max) => {
            let text = given.with_unit("64KiB", "a size such as `64KiB`")?;
            let bytes = i128::from(units::parse_size(text)?);
            *place(draft) = within(bytes, min, max, units::print_size)?;
        }
        Kind::Duration(place, min, max) => {
            let text = given.with_unit("30s", "a duration such as `30s`")?;
            let duration = units::parse_duration(text)?;
            if !(min..=max).contains(&duration) {
                let print = units::print_duration;
                return Err(out_of_range(&print(min), &print(max)));
            }
            *place(draft) = duration;
        }
        Kind::Address(place) => *place(draft) = address(given.text()?)?,
        Kind::Text(place, rule) => *place(draft) = obeying(rule, given.text()?)?,
        Kind::MaybeText(place, rule) => {
            let text = given.text()?;
            let some = (!text.is_empty()).then(|| obeying(rule, text)).transpose()?;
            *place(draft) = some;
        }
        Kind::Choice(place, words) => {
            let text = given.text()?;
            if !words.contains(&text) {
                return Err(Problem::NoSuchChoice(words.join(", ")));
            }
            text.clone_into(place(draft));
        }
        Kind::Path(place) => {
            let text = given.text()?;
            *place(draft) = (!text.is_empty()).then(|| PathBuf::from(text));
        }
        Kind::Texts(place, rule) => {
            let texts = given.list()?;
            texts.iter().try_for_each(|text| obeying(rule, text).map(drop))?;
            *place(draft) = texts;
        }
        Kind::Networks(place) => *place(draft) = networks(&given.list()?)?,
        Kind::Secret(place) => {
            let text = given.text()?;
            *place(draft) = (!text.is_empty()).then(|| Secret::new(text));
        }
    }
    Ok(())
}

fn within<T: TryFrom<i128>>(
    number: i128,
    min: u64,
    max: u64,
    print: fn(u64) -> String,
) -> Result<T, Problem> {
    Some(number)
        .filter(|number| (i128::from(min)..=i128::from(max)).contains(number))
        .and_then(|number| T::try_from(number).ok())
        .ok_or_else(|| out_of_range(&print(min), &print(max)))
}

fn out_of_range(min: &impl ToString, max: &impl ToString) -> Problem {
    Problem::OutOfRange { min: min.to_string(), max: max.to_string() }
}

fn obeying(rule: Rule, text: &str) -> Result<String, Problem> {
    rule(text).map_err(|expected| Problem::Refused(format!("must be {expected}")))?;
    Ok(text.to_owned())
}

fn address(text: &str) -> Result<SocketAddr, Problem> {
    // The one name that needs no resolver.
    let numeric = match text.strip_prefix("localhost:") {
        Some(port) => format!("127.0.0.1:{port}"),
        None => text.to_owned(),
    };
    numeric.parse().map_err(|_| Problem::WrongType("an address such as `127.0.0.1:8065`"))
}

fn networks(texts: &[String]) -> Result<Vec<IpNet>, Problem> {
    texts
        .iter()
        .map(|text| {
            let single = || text.parse::<IpAddr>().map(IpNet::from).ok();
            text.parse::<IpNet>().ok().or_else(single)
        })
        .collect::<Option<_>>()
        .ok_or(Problem::WrongType("networks such as `10.0.0.0/8`"))
}

/// The value of `key` in `draft` as TOML; `None` when it is not set.
pub(super) fn print(draft: &mut Draft, key: &Key) -> Option<String> {
    Some(match key.kind {
        Kind::Switch(place) => place(draft).to_string(),
        Kind::Count(place, ..) => place(draft).to_string(),
        Kind::Burst(place, ..) => place(draft).to_string(),
        Kind::Rate(place, ..) => place(draft).to_string(),
        Kind::Size(place, ..) => {
            quote(&units::print_size(u64::try_from(*place(draft)).unwrap_or(u64::MAX)))
        }
        Kind::Duration(place, ..) => quote(&units::print_duration(*place(draft))),
        Kind::Address(place) => quote(&place(draft).to_string()),
        Kind::Text(place, _) | Kind::Choice(place, _) => quote(place(draft)),
        Kind::MaybeText(place, _) => quote(place(draft).as_deref()?),
        Kind::Path(place) => quote(&place(draft).as_deref()?.to_string_lossy()),
        Kind::Texts(place, _) => quote_all(place(draft).iter()),
        Kind::Networks(place) => quote_all(place(draft).iter()),
        Kind::Secret(place) => quote(place(draft).as_ref()?.reveal()),
    })
}

fn quote(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}

fn quote_all(items: impl Iterator<Item = impl ToString>) -> String {
    let quoted: Vec<String> = items.map(|item| quote(&item.to_string())).collect();
    format!("[{}]", quoted.join(", "))
}

/// Makes `key` in `to` what it is in `from`.
pub(super) fn copy(from: &mut Draft, to: &mut Draft, key: &Key) {
    match key.kind {
        Kind::Switch(place) => *place(to) = *place(from),
        Kind::Count(place, ..) | Kind::Size(place, ..) => *place(to) = *place(from),
        Kind::Burst(place, ..) => *place(to) = *place(from),
        Kind::Rate(place, ..) => *place(to) = *place(from),
        Kind::Duration(place, ..) => *place(to) = *place(from),
        Kind::Address(place) => *place(to) = *place(from),
        Kind::Text(place, _) | Kind::Choice(place, _) => place(to).clone_from(place(from)),
        Kind::MaybeText(place, _) => place(to).clone_from(place(from)),
        Kind::Path(place) => place(to).clone_from(place(from)),
        Kind::Texts(place, _) => place(to).clone_from(place(from)),
        Kind::Networks(place) => place(to).clone_from(place(from)),
        Kind::Secret(place) => place(to).clone_from(place(from)),
    }
}
