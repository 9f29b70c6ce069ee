//! The strict reading of a request head, before anything else reads it.
//!
//! hyper repairs some malformed heads (both lengths at once, bare line feeds,
//! repeated lengths). A proxy in front may repair them another way, so here they
//! are refused: both sides agree where a request ends, or there is no request.
//!
//! Invariants: a head that passed has one reading of its length; every byte of it
//! is printable ASCII; it has one `Host` when it is HTTP/1.1.
//!
//! Not here: paths, methods of routes, the WebSocket handshake (`ws`).

#[cfg(test)]
mod tests;

use crate::config::Limits;

/// The caps of a head.
#[derive(Debug, Clone, Copy)]
pub(super) struct HeadLimits {
    /// Bytes of the whole head.
    pub(super) bytes: usize,
    /// Header lines.
    pub(super) headers: usize,
    /// Bytes of the request target.
    pub(super) url_bytes: usize,
}

impl HeadLimits {
    pub(super) fn of(limits: &Limits) -> Self {
        Self { bytes: limits.head_bytes, headers: limits.headers, url_bytes: limits.url_bytes }
    }
}

/// Where the request ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Framing {
    /// After so many bytes of body.
    Length(u64),
    /// Where its chunks end.
    Chunked,
    /// It has no body, and what follows may be frames of a WebSocket.
    Upgrade,
}

/// Why there is no request. The peer's fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Refusal {
    /// Status of the answer.
    pub(super) status: u16,
    /// Label in `rejections_total{stage="http"}`.
    pub(super) reason: &'static str,
    /// What the answer says.
    pub(super) text: &'static str,
}

const fn refusal(status: u16, reason: &'static str, text: &'static str) -> Refusal {
    Refusal { status, reason, text }
}

/// The head did not arrive in time.
pub(super) const TIMED_OUT: Refusal = refusal(408, "head_timeout", "the request took too long");
pub(super) const MALFORMED: Refusal = refusal(400, "malformed", "the request is malformed");
const HOST: Refusal = refusal(400, "malformed", "a request needs exactly one valid Host");
const LENGTH: Refusal = refusal(400, "malformed", "the length of the body is ambiguous");
const BODY: Refusal = refusal(400, "malformed", "an upgrade has no body");
const URL: Refusal = refusal(414, "url_too_large", "the request target is too long");
const HEAD: Refusal = refusal(431, "head_too_large", "the request head is too large");
const VERSION: Refusal = refusal(505, "version", "this server speaks HTTP/1.1");
const METHOD: Refusal = refusal(405, "method", "this method is not served");

/// Looks for the end of the head in `bytes`, of which the first `scanned` were
/// looked at before. `Ok(Some(n))`: the head is the first `n` bytes. `Ok(None)`:
/// more bytes are needed.
pub(super) fn find_end(
    bytes: &[u8],
    scanned: usize,
    limits: HeadLimits,
) -> Result<Option<usize>, Refusal> {
    if bytes.first().is_some_and(|first| !first.is_ascii_uppercase()) {
        return Err(MALFORMED);
    }
    // The end may straddle what was scanned before.
    let from = scanned.saturating_sub(3);
    let fresh = bytes.get(from..).unwrap_or_default();
    for (at, _) in fresh.iter().enumerate().filter(|(_, byte)| **byte == b'\n') {
        let end = from + at + 1;
        let head = bytes.get(..end).unwrap_or_default();
        if !head.ends_with(b"\r\n") {
            return Err(MALFORMED);
        }
        if head.ends_with(b"\r\n\r\n") {
            return if end > limits.bytes { Err(HEAD) } else { Ok(Some(end)) };
        }
    }
    let line_end = bytes.iter().position(|byte| *byte == b'\n');
    let line = bytes.get(..line_end.unwrap_or(bytes.len())).unwrap_or_default();
    if line_end.is_some() {
        request_line(line.strip_suffix(b"\r").unwrap_or(line), limits)?;
    } else if line.len() > limits.url_bytes + LINE_REST_BYTES {
        return Err(URL);
    }
    if bytes.len() >= limits.bytes { Err(HEAD) } else { Ok(None) }
}

/// Room in a request line for what is not the target.
const LINE_REST_BYTES: usize = 32;

/// Reads a complete head strictly.
pub(super) fn inspect(head: &[u8], limits: HeadLimits) -> Result<Framing, Refusal> {
    let head = head.strip_suffix(b"\r\n\r\n").ok_or(MALFORMED)?;
    let text = std::str::from_utf8(head).map_err(|_| MALFORMED)?;
    let mut lines = text.split("\r\n");
    let version = request_line(lines.next().unwrap_or_default().as_bytes(), limits)?;
    let mut found = Found::default();
    for (index, line) in lines.enumerate() {
        if index >= limits.headers {
            return Err(HEAD);
        }
        let (name, value) = line.split_once(':').ok_or(MALFORMED)?;
        let printable = |byte: u8| byte == b'\t' || (b' '..=b'~').contains(&byte);
        if name.is_empty() || !name.bytes().all(is_token) || !value.bytes().all(printable) {
            return Err(MALFORMED);
        }
        found.note(name, value.trim_matches([' ', '\t']))?;
    }
    found.framing(version)
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Version {
    Http10,
    Http11,
}

fn request_line(line: &[u8], limits: HeadLimits) -> Result<Version, Refusal> {
    let mut words = line.split(|byte| *byte == b' ');
    let (Some(method), Some(target), Some(version), None) =
        (words.next(), words.next(), words.next(), words.next())
    else {
        return Err(MALFORMED);
    };
    if target.len() > limits.url_bytes {
        return Err(URL);
    }
    let visible = |byte: &u8| byte.is_ascii_graphic();
    if method.is_empty() || !method.iter().copied().all(is_token) || !target.iter().all(visible) {
        return Err(MALFORMED);
    }
    let version = match version {
        b"HTTP/1.1" => Version::Http11,
        b"HTTP/1.0" => Version::Http10,
        other if other.starts_with(b"HTTP/") => return Err(VERSION),
        _ => return Err(MALFORMED),
    };
    let origin_form = target.starts_with(b"/") || target.starts_with(b"http");
    if method == b"CONNECT" {
        return Err(METHOD);
    }
    if !origin_form && target != b"*" {
        return Err(MALFORMED);
    }
    Ok(version)
}

/// What the header lines say about host and length.
#[derive(Debug, Default)]
struct Found {
    hosts: usize,
    length: Option<u64>,
    chunked: bool,
    websocket: bool,
}

impl Found {
    fn note(&mut self, name: &str, value: &str) -> Result<(), Refusal> {
        if name.eq_ignore_ascii_case("host") {
            self.hosts += 1;
            let fine = |byte: u8| byte.is_ascii_alphanumeric() || b".-_:[]".contains(&byte);
            if value.is_empty() || !value.bytes().all(fine) {
                return Err(HOST);
            }
        } else if name.eq_ignore_ascii_case("content-length") {
            let digits = !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit());
            let length = value.parse().ok().filter(|_| digits).ok_or(LENGTH)?;
            if self.length.replace(length).is_some() {
                return Err(LENGTH);
            }
        } else if name.eq_ignore_ascii_case("transfer-encoding") {
            if self.chunked || !value.eq_ignore_ascii_case("chunked") {
                return Err(LENGTH);
            }
            self.chunked = true;
        } else if name.eq_ignore_ascii_case("upgrade") {
            let words = value.split(',').map(str::trim);
            self.websocket |= words.into_iter().any(|word| word.eq_ignore_ascii_case("websocket"));
        }
        Ok(())
    }

    fn framing(&self, version: Version) -> Result<Framing, Refusal> {
        let hosts_fine = match version {
            Version::Http11 => self.hosts == 1,
            Version::Http10 => self.hosts <= 1,
        };
        if !hosts_fine {
            return Err(HOST);
        }
        if self.chunked && (self.length.is_some() || version == Version::Http10) {
            return Err(LENGTH);
        }
        if !self.websocket {
            let length = Framing::Length(self.length.unwrap_or(0));
            return Ok(if self.chunked { Framing::Chunked } else { length });
        }
        if version == Version::Http10 {
            return Err(VERSION);
        }
        if self.chunked || self.length.is_some_and(|length| length > 0) {
            return Err(BODY);
        }
        Ok(Framing::Upgrade)
    }
}

/// RFC 9110 §5.6.2.
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}
