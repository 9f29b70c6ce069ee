//! Which web pages may open a socket.
//!
//! Browsers send cookies with a WebSocket whatever page opens it, and tell the page
//! in `Origin`; so the origin is compared part by part, never by prefix or suffix.

use crate::config::AllowedOrigins;

/// Host and port, as in a `Host` header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Authority<'text> {
    host: &'text str,
    port: Option<u16>,
}

impl<'text> Authority<'text> {
    /// Reads `host`, `host:port`, `[v6]` or `[v6]:port`.
    pub(super) fn parse(text: &'text str) -> Option<Self> {
        let (host, port) = match text.rsplit_once(':') {
            // The last colon is inside the brackets of an IPv6 address.
            Some((_, after)) if after.ends_with(']') => (text, None),
            Some((host, port)) => (host, Some(port)),
            None => (text, None),
        };
        let port = match port {
            Some(digits) if digits.bytes().all(|byte| byte.is_ascii_digit()) => {
                Some(digits.parse().ok()?)
            }
            Some(_) => return None,
            None => None,
        };
        is_host(host).then_some(Self { host, port })
    }
}

fn is_host(host: &str) -> bool {
    if let Some(address) = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        return address.parse::<std::net::Ipv6Addr>().is_ok();
    }
    let is_fine = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_');
    !host.is_empty() && host.len() <= 255 && host.bytes().all(is_fine)
}

/// A page's address without its path. The port is always known for web pages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Origin<'text> {
    scheme: &'text str,
    host: &'text str,
    port: Option<u16>,
}

impl<'text> Origin<'text> {
    /// Reads an origin as browsers write it: lower case, nothing behind the port.
    fn parse(text: &'text str) -> Option<Self> {
        let (scheme, authority) = text.split_once("://")?;
        let is_scheme = |byte: u8| {
            byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'+' | b'-' | b'.')
        };
        let is_lower = !text.bytes().any(|byte| byte.is_ascii_uppercase());
        if scheme.is_empty() || !scheme.bytes().all(is_scheme) || !is_lower {
            return None;
        }
        let Authority { host, port } = Authority::parse(authority)?;
        Some(Self { scheme, host, port: port.or(default_port(scheme)) })
    }
}

fn default_port(scheme: &str) -> Option<u16> {
    match scheme {
        "http" => Some(80),
        "https" => Some(443),
        _ => None,
    }
}

/// True when a page of `origin` may open a socket at `host`.
///
/// `tls` tells that this listener speaks TLS itself. Without it a proxy in front may
/// do so, and the scheme of the same origin cannot be known.
pub(super) fn is_allowed(
    origin: &str,
    allowed: &AllowedOrigins,
    host: Authority<'_>,
    tls: bool,
) -> bool {
    match allowed {
        AllowedOrigins::Any => true,
        AllowedOrigins::List(list) => Origin::parse(origin).is_some_and(|origin| {
            list.iter().any(|entry| {
                let entry = entry.trim_end_matches('/').to_ascii_lowercase();
                Origin::parse(&entry) == Some(origin)
            })
        }),
        AllowedOrigins::SameOrigin => {
            Origin::parse(origin).is_some_and(|origin| is_same(origin, host, tls))
        }
    }
}

fn is_same(origin: Origin<'_>, host: Authority<'_>, tls: bool) -> bool {
    let is_web = if tls { origin.scheme == "https" } else { default_port(origin.scheme).is_some() };
    let host_port = host.port.or(default_port(origin.scheme));
    is_web && origin.host.eq_ignore_ascii_case(host.host) && origin.port == host_port
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn h18_an_origin_is_the_same_only_in_all_parts() {
        let check = |origin, host, tls, expected| {
            let host = Authority::parse(host).unwrap();
            let found = is_allowed(origin, &AllowedOrigins::SameOrigin, host, tls);
            assert_eq!(found, expected, "{origin} at {host:?}, tls {tls}");
        };
        check("http://good.example", "good.example", false, true);
        check("https://good.example", "good.example", false, true);
        check("http://good.example:80", "good.example", false, true);
        check("https://good.example", "good.example:443", false, true);
        check("http://127.0.0.1:8065", "127.0.0.1:8065", false, true);
        check("http://[::1]:8065", "[::1]:8065", false, true);
        check("https://good.example", "good.example", true, true);
        check("http://good.example", "GOOD.example", false, true);

        check("http://good.example", "good.example", true, false);
        check("http://good.example:8066", "good.example:8065", false, false);
        check("http://good.example", "good.example:8065", false, false);
        check("null", "good.example", false, false);
        check("", "good.example", false, false);
        check("https://good.example.evil.com", "good.example", false, false);
        check("https://evil.com/https://good.example", "good.example", false, false);
        check("https://good.example/", "good.example", false, false);
        check("https://user@good.example", "good.example", false, false);
        check("HTTPS://GOOD.EXAMPLE", "good.example", false, false);
        check("https://good.example:99999", "good.example", false, false);
        check("chrome-extension://good.example", "good.example", false, false);
        check("good.example", "good.example", false, false);
    }

    #[test]
    fn h18_a_list_is_matched_exactly() {
        let list = ["https://good.example", "https://Other.example:8443/", "capacitor://localhost"];
        let allowed = AllowedOrigins::List(list.map(str::to_owned).to_vec());
        let check = |origin, expected| {
            let host = Authority::parse("hub.example").unwrap();
            assert_eq!(is_allowed(origin, &allowed, host, true), expected, "{origin}");
        };
        check("https://good.example", true);
        check("https://good.example:443", true);
        check("https://other.example:8443", true);
        check("capacitor://localhost", true);
        check("http://good.example", false);
        check("https://good.example:444", false);
        check("https://a.good.example", false);
        check("https://other.example", false);
        check("https://hub.example", false);
        check("null", false);
    }

    #[test]
    fn h12_a_host_is_a_name_or_an_address_with_a_port() {
        for good in ["a", "a.b:1", "127.0.0.1:65535", "[::1]", "[::1]:80", "a_b-c.d"] {
            assert!(Authority::parse(good).is_some(), "{good}");
        }
        for bad in [
            "", ":80", "a:", "a:x", "a:+1", "a:65536", "a b", "a/b", "u@a", "[::1", "::1", "[x]",
            "a,b",
        ] {
            assert!(Authority::parse(bad).is_none(), "{bad}");
        }
    }
}
