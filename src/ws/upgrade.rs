//! The opening handshake: which HTTP requests become WebSockets.
//!
//! [`check`] judges a request, [`respond`] answers it. Who serves the connection then
//! takes it from hyper, together with the bytes that were read already.
//!
//! Invariants: an extension is never negotiated, a subprotocol only if it was
//! offered; no text of the request goes into a response.
//!
//! Not here: sizes of heads, routes, tokens, rates, the connection (`http`, `auth`,
//! `limits`).

use base64::{
    Engine as _, alphabet,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use bytes::Bytes;
use http_body_util::Empty;
use hyper::{
    HeaderMap, Method, Request, Response, StatusCode, Version,
    header::{self, AsHeaderName, HeaderName, HeaderValue},
};

use super::{
    extensions::is_extension_list,
    origin::{Authority, is_allowed},
};
use crate::config::AllowedOrigins;

/// What a route accepts.
#[derive(Debug, Clone, Copy)]
pub struct UpgradePolicy<'route> {
    /// Which pages may open a socket. A request without `Origin` is from no browser,
    /// and passes.
    pub origins: &'route AllowedOrigins,
    /// Subprotocols that the route speaks besides none.
    pub protocols: &'route [&'static str],
    /// True when this listener speaks TLS itself.
    pub tls: bool,
}

/// A request that may be answered with 101.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Accepted {
    /// The first of the client's offers that the route speaks.
    pub protocol: Option<&'static str>,
}

/// Why a request is not upgraded. The client's fault. The answer closes the
/// connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
#[error("{}", self.message())]
pub enum Refusal {
    /// Not GET.
    Method,
    /// Not HTTP/1.1.
    HttpVersion,
    /// A header value with bytes outside ASCII.
    HeaderValue,
    /// None, more than one, or one that names no host.
    Host,
    /// `Upgrade` does not ask for a WebSocket.
    NotWebSocket,
    /// `Connection` does not ask for an upgrade.
    Connection,
    /// None, more than one, or one that is not 16 bytes in base64.
    Key,
    /// Not exactly one version, 13.
    WebSocketVersion,
    /// The request has a body.
    Body,
    /// The page may not open a socket here.
    Origin,
    /// `Sec-WebSocket-Extensions` is not a list of extensions.
    Extensions,
}

impl Refusal {
    /// Every refusal.
    pub const ALL: [Self; 11] = [
        Self::Method,
        Self::HttpVersion,
        Self::HeaderValue,
        Self::Host,
        Self::NotWebSocket,
        Self::Connection,
        Self::Key,
        Self::WebSocketVersion,
        Self::Body,
        Self::Origin,
        Self::Extensions,
    ];

    /// The status of the answer.
    #[must_use]
    pub fn status(self) -> StatusCode {
        match self {
            Self::Method => StatusCode::METHOD_NOT_ALLOWED,
            Self::HttpVersion => StatusCode::HTTP_VERSION_NOT_SUPPORTED,
            Self::NotWebSocket | Self::WebSocketVersion => StatusCode::UPGRADE_REQUIRED,
            Self::Origin => StatusCode::FORBIDDEN,
            Self::HeaderValue
            | Self::Host
            | Self::Connection
            | Self::Key
            | Self::Body
            | Self::Extensions => StatusCode::BAD_REQUEST,
        }
    }

    /// Headers that the status calls for; `Connection: close` is not among them.
    #[must_use]
    pub fn headers(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::Method => &[("allow", "GET")],
            Self::NotWebSocket | Self::WebSocketVersion => {
                &[("upgrade", "websocket"), ("sec-websocket-version", "13")]
            }
            Self::HttpVersion
            | Self::HeaderValue
            | Self::Host
            | Self::Connection
            | Self::Key
            | Self::Body
            | Self::Origin
            | Self::Extensions => &[],
        }
    }

    /// The label in metrics, of the stage `handshake`.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Method => "method",
            Self::HttpVersion => "http_version",
            Self::HeaderValue => "header_value",
            Self::Host => "host",
            Self::NotWebSocket => "not_websocket",
            Self::Connection => "connection_header",
            Self::Key => "websocket_key",
            Self::WebSocketVersion => "websocket_version",
            Self::Body => "body",
            Self::Origin => "origin",
            Self::Extensions => "extensions",
        }
    }

    /// The text of the answer.
    #[must_use]
    pub fn message(self) -> &'static str {
        match self {
            Self::Method => "a WebSocket is opened with GET",
            Self::HttpVersion => "a WebSocket is opened with HTTP/1.1",
            Self::HeaderValue => "a header value is not ASCII",
            Self::Host => "exactly one valid Host is needed",
            Self::NotWebSocket => "this is a WebSocket: Upgrade must name websocket",
            Self::Connection => "Connection must name upgrade",
            Self::Key => "exactly one Sec-WebSocket-Key of 16 bytes is needed",
            Self::WebSocketVersion => "Sec-WebSocket-Version must be 13",
            Self::Body => "an upgrade has no body",
            Self::Origin => "this origin may not connect",
            Self::Extensions => "Sec-WebSocket-Extensions cannot be read",
        }
    }
}

/// Judges an upgrade request by RFC 6455 section 4.2.1 and `policy`.
///
/// # Errors
///
/// [`Refusal`], the first that applies.
pub fn check<B>(request: &Request<B>, policy: &UpgradePolicy<'_>) -> Result<Accepted, Refusal> {
    let headers = request.headers();
    ensure(request.method() == Method::GET, Refusal::Method)?;
    ensure(request.version() == Version::HTTP_11, Refusal::HttpVersion)?;
    ensure(headers.values().all(|value| value.as_bytes().is_ascii()), Refusal::HeaderValue)?;
    let host = host_of(request).ok_or(Refusal::Host)?;
    ensure(has_token(headers, header::UPGRADE, "websocket"), Refusal::NotWebSocket)?;
    ensure(has_token(headers, header::CONNECTION, "upgrade"), Refusal::Connection)?;
    let version = single(headers, header::SEC_WEBSOCKET_VERSION);
    ensure(version == Some("13"), Refusal::WebSocketVersion)?;
    let key = single(headers, header::SEC_WEBSOCKET_KEY);
    ensure(key.is_some_and(is_key), Refusal::Key)?;
    ensure(!has_body(headers), Refusal::Body)?;
    if headers.contains_key(header::ORIGIN) {
        let origin = single(headers, header::ORIGIN).ok_or(Refusal::Origin)?;
        ensure(is_allowed(origin, policy.origins, host, policy.tls), Refusal::Origin)?;
    }
    let mut extensions = texts(headers, header::SEC_WEBSOCKET_EXTENSIONS);
    ensure(extensions.all(is_extension_list), Refusal::Extensions)?;
    Ok(Accepted { protocol: choose_protocol(headers, policy.protocols) })
}

/// The 101 that answers a request which [`check`] accepted. When it has been sent,
/// the connection and what was read behind the request belong to the frames.
///
/// # Errors
///
/// [`Refusal::Key`] for a request that [`check`] would have refused.
pub fn respond<B>(
    request: &mut Request<B>,
    accepted: Accepted,
) -> Result<Response<Empty<Bytes>>, Refusal> {
    // The library's stream is not wanted: it comes with a reader and its buffer.
    let (mut response, _stream) =
        fastwebsockets::upgrade::upgrade(request).map_err(|_unchecked| Refusal::Key)?;
    let headers = response.headers_mut();
    headers.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
    if let Some(protocol) = accepted.protocol {
        headers.insert(header::SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(protocol));
    }
    Ok(response)
}

fn ensure(holds: bool, refusal: Refusal) -> Result<(), Refusal> {
    if holds { Ok(()) } else { Err(refusal) }
}

/// The values of a header that are ASCII, which [`check`] has made sure of.
fn texts(headers: &HeaderMap, name: impl AsHeaderName) -> impl Iterator<Item = &str> {
    headers.get_all(name).into_iter().map(|value| value.to_str().unwrap_or_default())
}

/// The value of a header that must come once.
fn single(headers: &HeaderMap, name: HeaderName) -> Option<&str> {
    let mut values = texts(headers, name);
    values.next().filter(|_first| values.next().is_none())
}

fn has_token(headers: &HeaderMap, name: HeaderName, token: &str) -> bool {
    texts(headers, name)
        .flat_map(|text| text.split(','))
        .any(|found| found.trim().eq_ignore_ascii_case(token))
}

/// The one host that the request names, in its target or its `Host`.
fn host_of<B>(request: &Request<B>) -> Option<Authority<'_>> {
    let host = single(request.headers(), header::HOST)?;
    if let Some(target) = request.uri().authority()
        && !target.as_str().eq_ignore_ascii_case(host)
    {
        return None;
    }
    Authority::parse(host)
}

/// 24 characters that stand for 16 bytes. Bits behind the last byte are ignored, as
/// they are by most servers.
fn is_key(text: &str) -> bool {
    const CONFIG: GeneralPurposeConfig = GeneralPurposeConfig::new()
        .with_decode_allow_trailing_bits(true)
        .with_decode_padding_mode(DecodePaddingMode::RequireCanonical);
    const ENGINE: GeneralPurpose = GeneralPurpose::new(&alphabet::STANDARD, CONFIG);
    ENGINE.decode(text).is_ok_and(|bytes| bytes.len() == 16)
}

fn has_body(headers: &HeaderMap) -> bool {
    headers.contains_key(header::TRANSFER_ENCODING)
        || texts(headers, header::CONTENT_LENGTH).any(|length| length != "0")
}

fn choose_protocol(headers: &HeaderMap, spoken: &[&'static str]) -> Option<&'static str> {
    texts(headers, header::SEC_WEBSOCKET_PROTOCOL)
        .flat_map(|text| text.split(','))
        .find_map(|offered| spoken.iter().copied().find(|name| *name == offered.trim()))
}
