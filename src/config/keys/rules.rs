//! What texts must look like. Each error is the end of "must be …".

use crate::model::Id;

/// Printable, without line breaks, not empty.
pub(super) fn line(text: &str) -> Result<(), &'static str> {
    let fits = !text.is_empty() && text.len() <= 256 && !text.chars().any(char::is_control);
    fits.then_some(()).ok_or("one line of 1 to 256 bytes")
}

/// An id, or empty.
pub(super) fn id(text: &str) -> Result<(), &'static str> {
    let fits = text.is_empty() || Id::parse(text).is_ok();
    fits.then_some(()).ok_or("1 to 64 letters, digits or `_.@-`")
}

/// An id that other texts are appended to.
pub(super) fn prefix(text: &str) -> Result<(), &'static str> {
    let fits = text.len() <= 32 && Id::parse(text).is_ok();
    fits.then_some(()).ok_or("1 to 32 letters, digits or `_.@-`")
}

/// A cookie's name (RFC 6265 §4.1.1), or empty.
pub(super) fn cookie(text: &str) -> Result<(), &'static str> {
    let token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    let fits = text.len() <= 64 && text.bytes().all(token);
    fits.then_some(()).ok_or("a cookie name, or empty for no cookies")
}

/// Where keys are fetched: encrypted, or from this machine.
pub(super) fn jwks_url(text: &str) -> Result<(), &'static str> {
    let host = text.strip_prefix("http://").map(host_of);
    let local = host.is_some_and(|host| {
        host == "localhost"
            || host.parse().is_ok_and(|address: std::net::IpAddr| address.is_loopback())
    });
    let secure = text.strip_prefix("https://").is_some_and(|rest| !host_of(rest).is_empty());
    let clean = !text.contains(|letter: char| letter.is_whitespace() || letter.is_control());
    (clean && (local || secure)).then_some(()).ok_or("an https:// URL (http:// only on loopback)")
}

/// The host of `host:port/path`, without the brackets of IPv6.
fn host_of(rest: &str) -> &str {
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    match authority.strip_prefix('[') {
        Some(v6) => v6.split(']').next().unwrap_or_default(),
        // Credentials before an `@` would make the check look at the wrong name.
        None if authority.contains('@') => "",
        None => authority.split(':').next().unwrap_or_default(),
    }
}

/// `*`, or scheme, host and port as browsers send them.
pub(super) fn origin(text: &str) -> Result<(), &'static str> {
    let exact = text.split_once("://").is_some_and(|(scheme, host)| {
        !scheme.is_empty()
            && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte))
            && !host.is_empty()
            && host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-_:[]".contains(&byte))
    });
    (exact || text == "*")
        .then_some(())
        .ok_or("an origin such as `https://chat.example.org`, without a path, or `*`")
}

/// A path of the public listener.
pub(super) fn route(text: &str) -> Result<(), &'static str> {
    let fits = text.starts_with('/')
        && !text.contains("//")
        && text.len() <= 256
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"/._~-".contains(&byte));
    fits.then_some(()).ok_or("a path that begins with `/`, of letters, digits and `/._~-`")
}

/// A path of the public listener, or empty.
pub(super) fn maybe_route(text: &str) -> Result<(), &'static str> {
    if text.is_empty() { Ok(()) } else { route(text) }
}

/// A level, or a filter such as `info,hubbub::log=debug`.
pub(super) fn log_level(text: &str) -> Result<(), &'static str> {
    let level = |text: &str| {
        ["off", "error", "warn", "info", "debug", "trace"]
            .iter()
            .any(|known| known.eq_ignore_ascii_case(text))
    };
    let target = |text: &str| {
        !text.is_empty()
            && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_:-".contains(&byte))
    };
    let fits = text.split(',').all(|part| match part.split_once('=') {
        Some((name, wanted)) => target(name) && level(wanted),
        None => level(part),
    });
    fits.then_some(())
        .ok_or("off, error, warn, info, debug or trace, or a list such as `info,hubbub::log=debug`")
}
