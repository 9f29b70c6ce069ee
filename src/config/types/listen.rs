//! `node.*`, `public.*` and `internal.*`: who the node is and where it listens.
//!
//! Not here: the listeners (`http`).

use std::{net::SocketAddr, path::PathBuf};

use ipnet::IpNet;

use super::Secret;

/// `node.*`
#[derive(Debug, Clone)]
pub struct Node {
    /// Label, lease name and `server_hostname`.
    pub id: String,
}

/// `public.*`
#[derive(Debug, Clone)]
pub struct Public {
    /// Address of the public listener.
    pub listen: SocketAddr,
    /// PEM files of certificate chain and key: both or none.
    pub tls: Option<TlsFiles>,
    /// Which `Origin` headers may open a socket.
    pub allowed_origins: AllowedOrigins,
    /// Peers whose `X-Forwarded-For` counts.
    pub trusted_proxies: Vec<IpNet>,
    /// Prefix of every public route; begins and ends with `/`.
    pub base_path: String,
}

/// Where a certificate is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFiles {
    /// PEM chain.
    pub certificate: PathBuf,
    /// PEM key.
    pub key: PathBuf,
}

/// `public.allowed_origins`
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AllowedOrigins {
    /// The origin's host and port must be the request's `Host`.
    SameOrigin,
    /// Exactly these origins (scheme, host and port).
    List(Vec<String>),
    /// Any origin: only without cookie authentication.
    Any,
}

/// `internal.*`
#[derive(Debug, Clone)]
pub struct Internal {
    /// Address of the internal listener.
    pub listen: SocketAddr,
    /// Keys of the server API; empty only in dev.
    pub api_keys: Vec<ApiKey>,
}

/// One key of the server API.
#[derive(Debug, Clone)]
pub struct ApiKey {
    /// For logs and limits.
    pub name: String,
    /// The key.
    pub key: Secret,
    /// Realms that it may use; empty means every realm.
    pub realms: Vec<String>,
}
