//! The outer shape of a request.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

/// A request before its parts are checked. Other keys are ignored.
#[derive(Deserialize)]
pub(super) struct RequestWire<'text> {
    /// A positive integer when the client is sane.
    #[serde(borrow)]
    pub(super) seq: Option<&'text RawValue>,
    #[serde(borrow)]
    pub(super) action: Option<Cow<'text, str>>,
    /// An object when the client is sane.
    #[serde(borrow)]
    pub(super) data: Option<&'text RawValue>,
}
