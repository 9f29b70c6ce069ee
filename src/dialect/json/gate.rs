//! The walk over a JSON text that checks limits and keys.

use std::{borrow::Cow, cell::Cell, collections::BTreeSet, fmt};

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};

use super::{JsonError, JsonLimits};

/// One level of the walk.
#[derive(Clone, Copy)]
struct Level<'walk> {
    limits: &'walk JsonLimits,
    /// How many arrays and objects are open around this value.
    depth: usize,
    /// The rule that was broken: the parser's own error can't carry it.
    broken: &'walk Cell<Option<JsonError>>,
}

/// Reads a key, and refuses one that is too long.
struct Key<'walk>(Level<'walk>);

pub(super) fn walk(text: &str, limits: &JsonLimits) -> Result<(), JsonError> {
    let broken = Cell::new(None);
    let mut parser = serde_json::Deserializer::from_str(text);
    let walked = Level { limits, depth: 0, broken: &broken }.deserialize(&mut parser);
    let ended = walked.and_then(|()| parser.end());
    ended.map_err(|_| broken.get().unwrap_or(JsonError::Syntax))
}

impl<'walk> Level<'walk> {
    fn refuse<T, E: Error>(self, error: JsonError) -> Result<T, E> {
        self.broken.set(Some(error));
        Err(E::custom("refused"))
    }

    /// The level of the elements of an array or object that begins here.
    fn inside<E: Error>(self) -> Result<Self, E> {
        if self.depth >= self.limits.depth {
            return self.refuse(JsonError::Depth);
        }
        Ok(Self { depth: self.depth + 1, ..self })
    }

    fn string<E: Error>(self, text: &str) -> Result<(), E> {
        if text.len() > self.limits.string_bytes {
            return self.refuse(JsonError::StringBytes);
        }
        Ok(())
    }
}

impl<'de> DeserializeSeed<'de> for Level<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Level<'_> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a JSON value")
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E: Error>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<(), E> {
        self.string(text)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<(), A::Error> {
        let inside = self.inside()?;
        let mut count = 0;
        while elements.next_element_seed(inside)?.is_some() {
            count += 1;
            if count > self.limits.elements {
                return self.refuse(JsonError::Elements);
            }
        }
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<(), A::Error> {
        let inside = self.inside()?;
        let mut keys = BTreeSet::new();
        while let Some(key) = members.next_key_seed(Key(inside))? {
            if keys.len() >= self.limits.elements {
                return self.refuse(JsonError::Elements);
            }
            if !keys.insert(key) {
                return self.refuse(JsonError::DuplicateKey);
            }
            members.next_value_seed(inside)?;
        }
        Ok(())
    }
}

impl<'de> DeserializeSeed<'de> for Key<'_> {
    type Value = Cow<'de, str>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'de> Visitor<'de> for Key<'_> {
    type Value = Cow<'de, str>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a key")
    }

    fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<Self::Value, E> {
        self.0.string(text).map(|()| Cow::Borrowed(text))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
        self.0.string(text).map(|()| Cow::Owned(text.to_owned()))
    }
}
