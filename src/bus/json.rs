//! Protobuf's JSON, as far as the bus speaks it.
//!
//! Invariants: a zero value is left out; a name or number that is not known is refused.

use serde_json::{Map, Value};

/// An object of JSON.
pub(super) type Object = Map<String, Value>;

/// Objects whose members are data: a zero value in them is kept.
const PLAIN_MAPS: [&str; 2] = ["MetaStore", "Attributes"];

/// Why an event is refused. The publisher's fault.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Refusal {
    /// The member that is to blame, such as `Target.Path`; empty for the whole event.
    pub field: String,
    /// What is wrong with it.
    pub message: String,
}

impl Refusal {
    pub(super) fn new(field: &str, message: &str) -> Self {
        Self { field: field.to_owned(), message: message.to_owned() }
    }

    /// The same of a member of the object `outer`.
    pub(super) fn inside(self, outer: &str) -> Self {
        Self { field: format!("{outer}.{}", self.field), message: self.message }
    }
}

/// The object that `text` is.
pub(super) fn object(text: &str) -> Result<Object, Refusal> {
    match serde_json::from_str(text) {
        Ok(Value::Object(object)) => Ok(object),
        Ok(_) | Err(_) => Err(Refusal::new("", "a payload is an object")),
    }
}

/// The object in a member; `None` when it is absent.
pub(super) fn member(object: &mut Object, name: &str) -> Result<Option<Object>, Refusal> {
    match object.remove(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Object(inner)) => Ok(Some(inner)),
        Some(_) => Err(Refusal::new(name, "an object is expected")),
    }
}

/// The text in a member; empty when it is absent.
pub(super) fn text<'a>(object: &'a Object, name: &str) -> &'a str {
    object.get(name).and_then(Value::as_str).unwrap_or_default()
}

/// The same one level deeper.
pub(super) fn text_in<'a>(object: &'a Object, name: &str, inner: &str) -> &'a str {
    object.get(name).and_then(Value::as_object).map_or("", |object| text(object, inner))
}

/// The name that a member of an enum has, by name or number; the first one when it is
/// absent.
pub(super) fn name(
    object: &Object,
    field: &str,
    names: &[&'static str],
) -> Result<&'static str, Refusal> {
    let known = match object.get(field) {
        None | Some(Value::Null) => names.first(),
        Some(Value::String(text)) => names.iter().find(|name| *name == text),
        Some(Value::Number(number)) => {
            number.as_u64().and_then(|at| usize::try_from(at).ok()).and_then(|at| names.get(at))
        }
        Some(_) => None,
    };
    known.copied().ok_or_else(|| Refusal::new(field, "this name or number is not known"))
}

/// A 64-bit number as a text; `None` for zero.
pub(super) fn long(value: &Value) -> Option<Result<String, ()>> {
    let number = match value {
        Value::Null => return None,
        Value::Number(number) => number.as_i64(),
        Value::String(text) => text.parse().ok(),
        Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    };
    match number {
        Some(0) => None,
        Some(number) => Some(Ok(number.to_string())),
        None => Some(Err(())),
    }
}

/// Leaves out what is zero, at every level.
pub(super) fn prune(object: &mut Object) {
    object.retain(|name, value| {
        if let Value::Object(inner) = value
            && !PLAIN_MAPS.contains(&name.as_str())
        {
            prune(inner);
        }
        if let Value::Array(elements) = value {
            elements.iter_mut().filter_map(Value::as_object_mut).for_each(prune);
        }
        !is_zero(value)
    });
}

fn is_zero(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(is_set) => !is_set,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::String(text) => text.is_empty(),
        Value::Array(elements) => elements.is_empty(),
        Value::Object(_) => false,
    }
}
