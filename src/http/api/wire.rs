//! Shapes that several calls of the server API share.
//!
//! Invariants: what the OpenAPI document says about a value is what is checked
//! when it is read; a field that is absent and one that is `null` differ: `null`
//! is refused.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{
        ObjectBuilder, RefOr, Schema,
        schema::{AdditionalProperties, OneOfBuilder, SchemaType, Type},
    },
};

use crate::model::{self, ConnectionId, Id};

/// What ids look like.
pub(in crate::http) const ID_PATTERN: &str = "^[A-Za-z0-9_.@-]{1,64}$";
/// What connection ids look like.
pub(in crate::http) const CONNECTION_PATTERN: &str = "^[a-z0-9]{26}$";

/// The name of a user, a channel and so on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::http) struct Name(pub(in crate::http) Id);

impl<'de> Deserialize<'de> for Name {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        Id::parse(&text).map(Self).map_err(D::Error::custom)
    }
}

impl Serialize for Name {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.0.as_str())
    }
}

impl PartialSchema for Name {
    fn schema() -> RefOr<Schema> {
        patterned(ID_PATTERN)
    }
}

impl ToSchema for Name {}

/// The name of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::http) struct ConnectionName(pub(in crate::http) ConnectionId);

impl<'de> Deserialize<'de> for ConnectionName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        ConnectionId::parse(&text).map(Self).map_err(D::Error::custom)
    }
}

impl Serialize for ConnectionName {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.0.as_str())
    }
}

impl PartialSchema for ConnectionName {
    fn schema() -> RefOr<Schema> {
        patterned(CONNECTION_PATTERN)
    }
}

impl ToSchema for ConnectionName {}

/// The schema of a text that follows `pattern`.
pub(in crate::http) fn patterned(pattern: &str) -> RefOr<Schema> {
    let text = SchemaType::new(Type::String);
    RefOr::T(ObjectBuilder::new().schema_type(text).pattern(Some(pattern)).build().into())
}

/// The schema of an object with exactly one of these members.
pub(in crate::http) fn exactly_one(
    members: impl IntoIterator<Item = (&'static str, RefOr<Schema>)>,
) -> RefOr<Schema> {
    let choice = |(name, schema): (&'static str, RefOr<Schema>)| {
        ObjectBuilder::new()
            .property(name, schema)
            .required(name)
            .additional_properties(Some(AdditionalProperties::FreeForm(false)))
            .build()
    };
    let choices = members.into_iter().map(choice);
    let one = choices.fold(OneOfBuilder::new(), |one, choice| one.item(Schema::from(choice)));
    RefOr::T(one.build().into())
}

/// The schema of a switch that can only be on.
pub(in crate::http) fn only_true() -> RefOr<Schema> {
    let switch =
        ObjectBuilder::new().schema_type(SchemaType::new(Type::Boolean)).enum_values(Some([true]));
    RefOr::T(switch.build().into())
}

/// Reads a field that may be absent, but not `null`.
pub(in crate::http) fn present<'de, D, T>(deserializer: D) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    T::deserialize(deserializer).map(Some)
}

/// Reads a whole number up to [`NUMBER_MAX`]; `5.0` is one, too (JSON has no integers).
pub(in crate::http) fn whole<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    deserializer.deserialize_any(Whole)
}

/// Reads a whole number of a query up to [`NUMBER_MAX`].
pub(in crate::http) fn digits<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    in_range(u64::deserialize(deserializer)?)
}

/// The largest number that every client can hold.
const NUMBER_MAX: u64 = i64::MAX.cast_unsigned();
/// Up to here every whole number is a float.
const FLOAT_MAX: f64 = 9_007_199_254_740_992.0;

fn in_range<E: serde::de::Error>(number: u64) -> Result<u64, E> {
    if number <= NUMBER_MAX { Ok(number) } else { Err(E::custom("number is too large")) }
}

struct Whole;

impl serde::de::Visitor<'_> for Whole {
    type Value = u64;

    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("a whole number from 0")
    }

    fn visit_u64<E: serde::de::Error>(self, number: u64) -> Result<u64, E> {
        in_range(number)
    }

    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked before")]
    fn visit_f64<E: serde::de::Error>(self, number: f64) -> Result<u64, E> {
        if number.fract() == 0.0 && (0.0..=FLOAT_MAX).contains(&number) {
            Ok(number as u64)
        } else {
            Err(E::invalid_value(serde::de::Unexpected::Float(number), &self))
        }
    }
}

/// A place in a realm's log.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(in crate::http) struct Position {
    /// The life of the log. It changes when records may have been lost.
    pub(in crate::http) generation: String,
    /// Counts the records of the realm from 1.
    pub(in crate::http) offset: u64,
    /// The random mark of the record, 16 hexadecimal digits.
    pub(in crate::http) tag: String,
}

impl From<&model::Position> for Position {
    fn from(position: &model::Position) -> Self {
        Self {
            generation: position.generation.as_str().to_owned(),
            offset: position.offset,
            tag: position.tag.to_string(),
        }
    }
}

/// The answer to a change: where it stands in the log.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::http) struct Recorded {
    /// Events after this place obey the change, events before it do not.
    pub(in crate::http) position: Position,
}

/// An error.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(in crate::http) struct ErrorBody {
    /// What went wrong.
    pub(in crate::http) error: ErrorDetail,
}

/// What went wrong.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(in crate::http) struct ErrorDetail {
    /// For machines: one word in `snake_case`.
    pub(in crate::http) code: &'static str,
    /// For people.
    pub(in crate::http) message: String,
    /// The part of the request that is to blame, such as `events[3].to`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub(in crate::http) field: Option<String>,
}
