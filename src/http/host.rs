//! Which hosts and origins a node without keys believes.
//!
//! A development node trusts whoever reaches it, so a web page must not be able to
//! reach it under a name of its own (DNS rebinding), nor by a request from its own
//! origin.
//!
//! Invariants: only names and addresses of the loopback pass.

use std::net::IpAddr;

use hyper::{
    HeaderMap,
    header::{self, HeaderName},
};

/// True when every `Host` of a request names the loopback.
#[must_use]
pub(super) fn is_loopback(headers: &HeaderMap) -> bool {
    headers.get_all(header::HOST).iter().all(|host| host.to_str().is_ok_and(names_loopback))
}

fn names_loopback(host: &str) -> bool {
    let name = without_port(host);
    let name = name.trim_end_matches('.').to_ascii_lowercase();
    let bare = name.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(&name);
    name == "localhost"
        || name.ends_with(".localhost")
        || bare.parse::<IpAddr>().is_ok_and(|address| address.to_canonical().is_loopback())
}

fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        Some(_) | None => host,
    }
}

/// True when a request does not come from a page, or from a page of the same host.
#[must_use]
pub(super) fn is_same_origin(headers: &HeaderMap) -> bool {
    let single = |name: HeaderName| {
        let mut values = headers.get_all(name).into_iter();
        let first = values.next().and_then(|value| value.to_str().ok());
        first.filter(|_| values.next().is_none())
    };
    if !headers.contains_key(header::ORIGIN) {
        return true;
    }
    let Some(origin) = single(header::ORIGIN) else { return false };
    let authority = origin.split_once("://").map(|(_, authority)| authority);
    authority.is_some_and(|authority| {
        single(header::HOST).is_some_and(|host| host.eq_ignore_ascii_case(authority))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_loopback_passes() {
        for good in
            ["localhost", "LOCALHOST:80", "a.localhost", "127.0.0.1:8065", "[::1]:1", "127.9.9.9"]
        {
            assert!(names_loopback(good), "{good}");
        }
        for bad in
            ["example.com", "localhost.example.com", "10.0.0.1", "[::2]", "127.0.0.1.nip.io", ""]
        {
            assert!(!names_loopback(bad), "{bad}");
        }
    }

    #[test]
    fn a_page_of_another_host_does_not_pass() {
        let check = |origin: Option<&'static str>| {
            let mut headers = HeaderMap::new();
            headers.insert("host", "127.0.0.1:8067".parse().unwrap());
            if let Some(origin) = origin {
                headers.insert("origin", origin.parse().unwrap());
            }
            is_same_origin(&headers)
        };
        assert!(check(None));
        assert!(check(Some("http://127.0.0.1:8067")));
        assert!(!check(Some("http://127.0.0.1:8065")));
        assert!(!check(Some("null")));
        assert!(!check(Some("https://evil.example/http://127.0.0.1:8067")));
    }
}
