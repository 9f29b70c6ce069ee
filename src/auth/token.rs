//! Where a request carries its token.
//!
//! Invariants: Mattermost's order holds: cookie, `Bearer`, `Token`; so a stale
//! cookie beats a good header. An empty value is no token. `Debug` hides tokens.
//!
//! Not here: whether the token is good (`verifier`).

use std::fmt;

/// A token that a request carries.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct TokenSource<'a> {
    /// The token as sent, unchecked.
    pub token: &'a str,
    /// True when a browser may have sent it by itself, so that the `Origin` matters.
    pub from_cookie: bool,
}

impl fmt::Debug for TokenSource<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("TokenSource")
            .field("from_cookie", &self.from_cookie)
            .finish_non_exhaustive()
    }
}

/// Finds the token among the header lines of a request, given as name and value.
///
/// `cookie_name` is matched exactly; an empty one turns cookies off. Values that
/// are not UTF-8 are passed over.
pub fn token_from_headers<'a>(
    headers: impl IntoIterator<Item = (&'a str, &'a [u8])>,
    cookie_name: &str,
) -> Option<TokenSource<'a>> {
    let mut bearer = None;
    let mut plain = None;
    for (name, value) in headers {
        let Ok(value) = std::str::from_utf8(value) else {
            continue;
        };
        if name.eq_ignore_ascii_case("cookie") && !cookie_name.is_empty() {
            if let Some(token) = from_cookies(value, cookie_name) {
                return Some(TokenSource { token, from_cookie: true });
            }
        } else if name.eq_ignore_ascii_case("authorization") {
            bearer = bearer.or_else(|| from_scheme(value, "bearer"));
            plain = plain.or_else(|| from_scheme(value, "token"));
        }
    }
    bearer.or(plain).map(|token| TokenSource { token, from_cookie: false })
}

/// The key of the server API: `Authorization: Bearer` and nothing else.
pub fn api_key_from_headers<'a>(
    headers: impl IntoIterator<Item = (&'a str, &'a [u8])>,
) -> Option<&'a str> {
    let mut values =
        headers.into_iter().filter(|(name, _)| name.eq_ignore_ascii_case("authorization"));
    values.find_map(|(_, value)| from_scheme(std::str::from_utf8(value).ok()?, "bearer"))
}

fn from_scheme<'a>(value: &'a str, scheme: &str) -> Option<&'a str> {
    let (found, token) = value.trim().split_once(' ')?;
    let token = token.trim();
    (found.eq_ignore_ascii_case(scheme) && !token.is_empty()).then_some(token)
}

/// The first cookie of that name (RFC 6265 §4.2.1), without its quotes.
fn from_cookies<'a>(value: &'a str, cookie_name: &str) -> Option<&'a str> {
    let mut pairs = value.split(';').filter_map(|pair| pair.split_once('='));
    let (_, value) = pairs.find(|(name, _)| name.trim() == cookie_name)?;
    let value = value.trim();
    let inner = value.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
    let token = inner.unwrap_or(value);
    (!token.is_empty()).then_some(token)
}
