//! Tokens of the users: HS256, made here so that the server does not judge itself.

use anyhow::Result;
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use hmac::{Hmac, Mac as _};
use serde_json::json;
use sha2::Sha256;

use crate::system::now_ms;

/// A token of `user` that is good for two hours.
///
/// # Errors
///
/// Never with a secret of any length.
pub fn mint(secret: &str, user: &str) -> Result<String> {
    let encode = |text: String| URL_SAFE_NO_PAD.encode(text);
    #[expect(clippy::cast_possible_truncation, reason = "seconds since 1970")]
    let now = (now_ms() / 1000.0) as i64;
    let header = encode(json!({"alg": "HS256", "typ": "JWT"}).to_string());
    let claims =
        json!({"sub": user, "sid": format!("{user}-login"), "iat": now, "exp": now + 7200});
    let signed = format!("{header}.{}", encode(claims.to_string()));
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes())?;
    mac.update(signed.as_bytes());
    Ok(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes())))
}
