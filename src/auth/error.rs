//! Why a token was refused, and why a key was not taken.
//!
//! Invariants: every message is made of fixed words and names of settings or
//! claims; none quotes a token, a claim's value or a key.

/// Why a token proves nothing. The bearer's fault, except for
/// [`AuthError::UnknownKey`] while the key set cannot be fetched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AuthError {
    /// Longer than 8 KiB.
    #[error("token is longer than 8 KiB")]
    TooLong,
    /// Not three parts of strict base64url, or a part is not the JSON it must be.
    #[error("token is malformed")]
    Malformed,
    /// An encrypted token.
    #[error("encrypted tokens are not supported")]
    Encrypted,
    /// Its header demands extensions that nobody here knows.
    #[error("token demands extensions that are not supported")]
    Critical,
    /// Its algorithm is not the one that its key is pinned to.
    #[error("token is signed with an algorithm that its key does not allow")]
    Algorithm,
    /// No key of that name, or none that could have signed it.
    #[error("token is signed with an unknown key")]
    UnknownKey,
    /// The signature is wrong.
    #[error("signature of the token is wrong")]
    Signature,
    /// A required claim is missing.
    #[error("claim {0} is missing")]
    Missing(&'static str),
    /// A claim has the wrong type or a value out of range.
    #[error("claim {0} is malformed")]
    Claim(&'static str),
    /// `exp` has passed.
    #[error("token has expired")]
    Expired,
    /// `exp` is farther away than the configured lifetime allows.
    #[error("token lives longer than is allowed")]
    Lifetime,
    /// `nbf` has not come yet.
    #[error("token is not valid yet")]
    NotYet,
    /// `iat` is in the future.
    #[error("token was issued in the future")]
    IssuedInFuture,
    /// `iss` is another issuer.
    #[error("token is from another issuer")]
    Issuer,
    /// `aud` does not name this server.
    #[error("token is for another audience")]
    Audience,
}

impl AuthError {
    /// The word for metrics and logs.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::TooLong => "token_too_long",
            Self::Malformed => "token_malformed",
            Self::Encrypted => "token_encrypted",
            Self::Critical => "token_critical",
            Self::Algorithm => "token_algorithm",
            Self::UnknownKey => "token_unknown_key",
            Self::Signature => "token_signature",
            Self::Missing(_) | Self::Claim(_) => "token_claims",
            Self::Expired => "token_expired",
            Self::Lifetime => "token_lifetime",
            Self::NotYet | Self::IssuedInFuture => "token_not_yet",
            Self::Issuer => "token_issuer",
            Self::Audience => "token_audience",
        }
    }

    /// Every label, for metrics whose labels start at 0.
    pub const LABELS: [&'static str; 13] = [
        "token_too_long",
        "token_malformed",
        "token_encrypted",
        "token_critical",
        "token_algorithm",
        "token_unknown_key",
        "token_signature",
        "token_claims",
        "token_expired",
        "token_lifetime",
        "token_not_yet",
        "token_issuer",
        "token_audience",
    ];
}

/// A setting of `auth.*` that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{key}: {problem}")]
pub struct KeyError {
    /// The name of the setting.
    pub key: String,
    /// What is wrong with it.
    pub problem: KeyProblem,
}

/// What is wrong with a key, or with the place to fetch keys from.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyProblem {
    /// Not one of the algorithms.
    #[error(
        "must be one of HS256, HS384, HS512, RS256, RS384, RS512, PS256, PS384, PS512, ES256, \
         ES384, EdDSA"
    )]
    Algorithm,
    /// Secret and public-key algorithm, or the other way round.
    #[error("does not fit the algorithm: HS… needs a secret, all others a public key")]
    Mismatch,
    /// An HMAC secret that can be guessed.
    #[error("has less than 32 bytes")]
    ShortSecret,
    /// The file cannot be read.
    #[error("cannot be read: {0}")]
    Unreadable(std::io::ErrorKind),
    /// A PEM file with something else in it.
    #[error("is not one public key in PEM for this algorithm")]
    NotPublicKey,
    /// A private key where a public one belongs.
    #[error("holds a private key: give the public one")]
    PrivateKey,
    /// An RSA key that can be broken.
    #[error("is not an RSA public key of 2048 to 8192 bits with an odd exponent of 3 or more")]
    WeakRsa,
    /// A key of a curve that the algorithm does not use.
    #[error("is a key of another curve than the algorithm's")]
    Curve,
    /// A key of that name exists already.
    #[error("is the name of another key, too")]
    DuplicateKid,
    /// Not a URL that keys may come from.
    #[error("must be an https URL without credentials; http only for a loopback address")]
    Url,
    /// The machine's TLS cannot be set up.
    #[error("cannot be used: no TLS client can be made on this machine")]
    Client,
    /// The tolerance is too large.
    #[error("must be at most 60s")]
    Leeway,
}
