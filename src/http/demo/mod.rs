//! The pages at `/` and `/demo/`, embedded in the binary.
//!
//! Invariants: every file is known at compile time; a page loads nothing from
//! elsewhere and holds no inline script or style, so [`HEADERS`] can forbid both;
//! the pages use relative addresses only, so any `public.base_path` works.
//!
//! Not here: whether the pages are on, and the calls that they make.

/// A file of the pages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asset {
    /// The `Content-Type`.
    pub content_type: &'static str,
    /// The body.
    pub bytes: &'static [u8],
    /// The strong `ETag`, quoted, made from the body.
    pub etag: String,
}

/// The headers of every answer that carries an [`Asset`], names in lower case.
///
/// `no-cache` makes a browser ask each time; the `ETag` makes the answer short.
pub const HEADERS: [(&str, &str); 6] = [
    (
        "content-security-policy",
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; \
         img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    ),
    ("x-content-type-options", "nosniff"),
    ("referrer-policy", "no-referrer"),
    ("cross-origin-opener-policy", "same-origin"),
    ("cross-origin-resource-policy", "same-origin"),
    ("cache-control", "no-cache"),
];

const HTML: &str = "text/html; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";
const STYLE: &str = "text/css; charset=utf-8";
const PICTURE: &str = "image/svg+xml";

/// Path below the base path, content type, body.
const FILES: [(&str, &str, &[u8]); 12] = [
    ("/", HTML, include_bytes!("room.html")),
    ("/demo/", HTML, include_bytes!("demo.html")),
    ("/demo/pydio/", HTML, include_bytes!("pydio.html")),
    ("/demo/assets/page.css", STYLE, include_bytes!("page.css")),
    ("/demo/assets/icon.svg", PICTURE, include_bytes!("icon.svg")),
    ("/demo/assets/socket.js", SCRIPT, include_bytes!("socket.js")),
    ("/demo/assets/outbox.js", SCRIPT, include_bytes!("outbox.js")),
    ("/demo/assets/view.js", SCRIPT, include_bytes!("view.js")),
    ("/demo/assets/room.js", SCRIPT, include_bytes!("room.js")),
    ("/demo/assets/mattermost.js", SCRIPT, include_bytes!("mattermost.js")),
    ("/demo/assets/demo.js", SCRIPT, include_bytes!("demo.js")),
    ("/demo/assets/pydio.js", SCRIPT, include_bytes!("pydio.js")),
];

/// The file at `path`, which begins with `/` and does not hold the base path.
#[must_use]
pub fn asset(path: &str) -> Option<Asset> {
    let (_, content_type, bytes) = FILES.into_iter().find(|(name, ..)| *name == path)?;
    Some(Asset { content_type, bytes, etag: format!("\"{:016x}\"", digest(bytes)) })
}

/// Where a browser that asks for `path` should go instead, relative to it:
/// `/demo` and `/demo/pydio` lack the slash that the relative addresses of their pages
/// need.
#[must_use]
pub fn redirect(path: &str) -> Option<&'static str> {
    match path {
        "/demo" => Some("demo/"),
        "/demo/pydio" => Some("pydio/"),
        _ => None,
    }
}

/// FNV-1a: tells versions of a file apart, no more is asked of an `ETag`.
fn digest(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |sum, byte| {
        (sum ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests;
