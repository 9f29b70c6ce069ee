//! What `redis.url` may say.
//!
//! Invariants: no error shows a part of a URL, which may hold a password.
//!
//! Not here: the other keys of `redis.*` (`checks`).

/// What the URLs of a deployment have in common.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Common {
    /// `rediss://`
    pub(super) is_encrypted: bool,
    /// The number behind the slash.
    pub(super) database: u32,
}

/// Reads every URL; they must not differ in what they have in common.
pub(super) fn read<'a>(mut urls: impl Iterator<Item = &'a str>) -> Result<Common, &'static str> {
    let first = one(urls.next().unwrap_or_default())?;
    for url in urls {
        if one(url)? != first {
            return Err("must not mix redis:// and rediss://, nor databases");
        }
    }
    Ok(first)
}

fn one(url: &str) -> Result<Common, &'static str> {
    let (is_encrypted, rest) = match (url.strip_prefix("redis://"), url.strip_prefix("rediss://")) {
        (Some(rest), _) => (false, rest),
        (_, Some(rest)) => (true, rest),
        (None, None) => return Err("must be URLs that begin with redis:// or rediss://"),
    };
    if rest.contains(['?', '#']) || rest.contains(char::is_whitespace) {
        return Err("must not have spaces, a query or a fragment (in a password: %20, %3F, %23)");
    }
    let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
    let database = if path.is_empty() { Some(0) } else { path.parse().ok() };
    let database = database.filter(|number| *number < 1_000_000);
    let database = database.ok_or("may have one number as their path, of a database")?;
    let (login, place) = authority.rsplit_once('@').unwrap_or(("", authority));
    if login.contains('@') || !escapes_are_whole(login) {
        return Err("must have `@`, `/` and `%` of a password as %40, %2F and %25");
    }
    if !is_place(place) {
        return Err("must name a host, and a port from 1 to 65535 if any");
    }
    Ok(Common { is_encrypted, database })
}

/// Each `%` begins the two hex digits of a byte.
fn escapes_are_whole(text: &str) -> bool {
    text.split('%').skip(1).all(|rest| {
        rest.get(..2).is_some_and(|hex| hex.bytes().all(|byte| byte.is_ascii_hexdigit()))
    })
}

fn is_place(place: &str) -> bool {
    let (host_fits, rest) = match place.strip_prefix('[') {
        Some(v6) => {
            let (host, rest) = v6.split_once(']').unwrap_or_default();
            (host.parse::<std::net::Ipv6Addr>().is_ok(), rest)
        }
        None => {
            let end = place.find(':').unwrap_or(place.len());
            let (host, rest) = place.split_at(end);
            let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
            (!host.is_empty() && host.len() <= 253 && host.bytes().all(fits), rest)
        }
    };
    let port_fits = rest.is_empty()
        || rest
            .strip_prefix(':')
            .is_some_and(|port| port.parse::<u16>().is_ok_and(|port| port > 0));
    host_fits && port_fits
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_read_or_refused_without_being_shown() {
        let read = |urls: &[&str]| read(urls.iter().copied());
        let common = |is_encrypted, database| Ok(Common { is_encrypted, database });
        assert_eq!(read(&["redis://localhost"]), common(false, 0));
        assert_eq!(read(&["redis://localhost/"]), common(false, 0));
        assert_eq!(read(&["rediss://u:p%40%25@10.0.0.1:6380/3"]), common(true, 3));
        assert_eq!(read(&["redis://[::1]:7000", "redis://:x@b_1-c.example:1"]), common(false, 0));
        for bad in [
            "",
            "localhost:6379",
            "http://localhost",
            "redis://",
            "redis://:1",
            "redis://host:0",
            "redis://host:65536",
            "redis://host:",
            "redis://[::1",
            "redis://[host]",
            "redis://::1",
            "redis://ho st",
            "redis://host/x",
            "redis://host/-1",
            "redis://host/0/1",
            "redis://a@b@host",
            "redis://:50%@host",
            "redis://:a/b@host",
            "rediss://host#insecure",
            "redis://host?protocol=resp2",
        ] {
            let error = read(&[bad]).unwrap_err();
            assert!(!error.contains("host:"), "{bad}: {error}");
        }
        assert!(read(&["redis://a", "rediss://b"]).is_err());
        assert!(read(&["redis://a/1", "redis://b/2"]).is_err());
    }
}
