//! What the configuration says about servers, ready for use.
//!
//! Invariants: every connection speaks RESP3, answers to a dead link within seconds,
//! and logs in as configured; nothing here is printed with a password.
//!
//! Not here: which server is in charge (`topology`).

use std::{fmt, path::Path, time::Duration};

use redis::{
    Client, ConnectionAddr, ConnectionInfo, IntoConnectionInfo as _, ProtocolVersion,
    RedisConnectionInfo, TlsCertificates,
    io::tcp::{TcpSettings, socket2::TcpKeepalive},
};
use tokio_rustls::rustls::{
    crypto::{CryptoProvider, aws_lc_rs},
    pki_types::{CertificateDer, pem::PemObject as _},
};

use super::error::RedisError;
use crate::config::{Redis, RedisMode, Secret};

/// Longest wait for the answer to one request.
pub(super) const COMMAND_TIMEOUT: Duration = Duration::from_secs(2);

/// Longest time from the first packet to a connection that is logged in.
pub(super) const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);

/// How long sent bytes may stay without an acknowledgement of the peer's system.
const LINK_TIMEOUT: Duration = Duration::from_secs(3);

/// Where a server listens.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Address {
    /// A name or an address without brackets.
    pub(super) host: String,
    /// Its port.
    pub(super) port: u16,
}

impl fmt::Display for Address {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(formatter, "[{}]:{}", self.host, self.port)
        } else {
            write!(formatter, "{}:{}", self.host, self.port)
        }
    }
}

impl Address {
    /// Reads `host:port`; the port is what follows the last colon.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (host, port) = text.rsplit_once(':')?;
        let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        Some(Self { host, port: port.parse().ok()? })
    }

    /// True when no packet to it leaves this machine.
    pub(super) fn is_loopback(&self) -> bool {
        let address = self.host.parse::<std::net::IpAddr>();
        self.host == "localhost" || address.is_ok_and(|address| address.is_loopback())
    }
}

/// Whom a connection is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Peer {
    /// A server that holds data.
    Server,
    /// A sentinel.
    Sentinel,
}

/// The servers and how to log in.
pub(super) struct Settings {
    /// How the servers work together.
    pub(super) mode: RedisMode,
    /// Who can be asked first; never empty.
    pub(super) seeds: Vec<Address>,
    /// Name of the primary at the sentinels.
    pub(super) master_name: String,
    /// First part of every key name.
    pub(super) prefix: String,
    /// Whether connections are encrypted.
    pub(super) is_encrypted: bool,
    /// Whether a password is sent to servers.
    pub(super) has_password: bool,
    /// A connection to a server, but for its address.
    server: ConnectionInfo,
    /// The same to a sentinel.
    sentinel: ConnectionInfo,
}

impl fmt::Debug for Settings {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = formatter.debug_struct("Settings");
        text.field("mode", &self.mode).field("seeds", &self.seeds);
        text.field("master_name", &self.master_name).finish_non_exhaustive()
    }
}

impl Settings {
    /// Reads `config`, and the file of certificates that it names.
    pub(super) fn new(config: &Redis) -> Result<Self, RedisError> {
        let infos = config.urls.iter().map(parse).collect::<Result<Vec<_>, _>>()?;
        let Some(first) = infos.first() else {
            return Err(RedisError::settings("url", "is empty"));
        };
        let is_encrypted = matches!(first.addr(), ConnectionAddr::TcpTls { .. });
        let alike = |info: &ConnectionInfo| {
            matches!(info.addr(), ConnectionAddr::TcpTls { .. }) == is_encrypted
                && info.redis_settings().db() == first.redis_settings().db()
        };
        if !infos.iter().all(alike) {
            let text = "has URLs that differ in more than host and port";
            return Err(RedisError::settings("url", text));
        }
        let seeds = infos.iter().filter_map(|info| address(info.addr())).collect();
        let template = with_certificates(first.clone(), is_encrypted, config.tls_ca.as_deref())?;
        let by_url = template.redis_settings().clone();
        let by_keys = login(by_url.clone(), config);
        // A sentinel has one database, number 0.
        let sentinel = template.clone().set_redis_settings(by_url.set_db(0));
        Ok(Self {
            mode: config.mode,
            seeds,
            master_name: config.sentinel_master.clone().unwrap_or_default(),
            prefix: config.prefix.clone(),
            is_encrypted,
            has_password: by_keys.password().is_some(),
            sentinel: if config.mode == RedisMode::Sentinel { sentinel } else { template.clone() },
            server: template.set_redis_settings(by_keys),
        })
    }

    /// All that is needed to connect to `address`.
    pub(super) fn connection(&self, address: &Address, peer: Peer) -> ConnectionInfo {
        let template = match peer {
            Peer::Server => &self.server,
            Peer::Sentinel => &self.sentinel,
        };
        let (host, port) = (address.host.clone(), address.port);
        let place = if let ConnectionAddr::TcpTls { tls_params, .. } = template.addr() {
            let tls_params = tls_params.clone();
            ConnectionAddr::TcpTls { host, port, insecure: false, tls_params }
        } else {
            ConnectionAddr::Tcp(host, port)
        };
        template.clone().set_addr(place).set_tcp_settings(tcp())
    }
}

/// What finds a dead link: the system while bytes wait, its probes while none do.
fn tcp() -> TcpSettings {
    let probes = TcpKeepalive::new().with_time(Duration::from_secs(1));
    let probes = probes.with_interval(Duration::from_secs(1)).with_retries(2);
    TcpSettings::default().set_nodelay(true).set_keepalive(probes).set_user_timeout(LINK_TIMEOUT)
}

/// The library's errors about URLs name the fault and never the URL.
fn parse(url: &Secret) -> Result<ConnectionInfo, RedisError> {
    let info = url.reveal().into_connection_info();
    let info = info.map_err(|error| RedisError::settings("url", error.to_string()))?;
    let is_known = matches!(
        info.addr(),
        ConnectionAddr::Tcp(..) | ConnectionAddr::TcpTls { insecure: false, .. }
    );
    if !is_known {
        let text = "must begin with redis:// or rediss://, without `#insecure`";
        return Err(RedisError::settings("url", text));
    }
    let login = info.redis_settings().clone();
    let login = login.set_protocol(ProtocolVersion::RESP3);
    let login = login.set_lib_name("hubbub", env!("CARGO_PKG_VERSION"));
    Ok(info.set_redis_settings(login))
}

fn address(place: &ConnectionAddr) -> Option<Address> {
    let (ConnectionAddr::Tcp(host, port) | ConnectionAddr::TcpTls { host, port, .. }) = place
    else {
        return None;
    };
    Some(Address { host: host.clone(), port: *port })
}

fn login(by_url: RedisConnectionInfo, config: &Redis) -> RedisConnectionInfo {
    let Some(password) = &config.password else { return by_url };
    let login = by_url.set_password(password.reveal());
    match &config.username {
        Some(name) => login.set_username(name),
        None => login,
    }
}

fn with_certificates(
    info: ConnectionInfo,
    is_encrypted: bool,
    file: Option<&Path>,
) -> Result<ConnectionInfo, RedisError> {
    if !is_encrypted {
        return Ok(info);
    }
    if CryptoProvider::get_default().is_none() {
        // Fails only when another thread was faster, with the same provider.
        aws_lc_rs::default_provider().install_default().ok();
    }
    let Some(file) = file else { return Ok(info) };
    let unusable = |reason: String| {
        RedisError::settings("tls_ca", format!("{} cannot be used: {reason}", file.display()))
    };
    let pem = std::fs::read(file).map_err(|error| unusable(error.to_string()))?;
    if !CertificateDer::pem_slice_iter(&pem).any(|certificate| certificate.is_ok()) {
        return Err(unusable("it has no certificate".to_owned()));
    }
    let certificates = TlsCertificates { client_tls: None, root_cert: Some(pem) };
    let client = Client::build_with_tls(info, certificates);
    let client = client.map_err(|error| unusable(error.to_string()))?;
    Ok(client.get_connection_info().clone())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    fn settings(urls: &[&str]) -> Result<Settings, RedisError> {
        let mut config = Config::for_tests().redis;
        config.urls = urls.iter().map(|url| Secret::new(url)).collect();
        Settings::new(&config)
    }

    /// Goal: what the configuration lets pass can be used, and is not shown.
    #[test]
    fn urls_that_the_configuration_accepts_are_understood() {
        let one = settings(&["rediss://u:p%40%25@10.0.0.1/3"]).unwrap();
        assert!(one.is_encrypted && one.has_password);
        assert!(!format!("{one:?}").contains("p@"), "{one:?}");
        let login = one.connection(&one.seeds[0], Peer::Server);
        let login = login.redis_settings();
        assert_eq!((login.username(), login.password(), login.db()), (Some("u"), Some("p@%"), 3));

        let two = settings(&["redis://[::1]:7000", "redis://:x@b_1-c.example:1"]).unwrap();
        let seeds: Vec<String> = two.seeds.iter().map(ToString::to_string).collect();
        assert_eq!(seeds, ["[::1]:7000", "b_1-c.example:1"]);
        assert!(two.seeds[0].is_loopback() && !two.seeds[1].is_loopback());
        assert_eq!(Address::parse("[::1]:7000").as_ref(), Some(&two.seeds[0]));
        assert_eq!(Address::parse("::1:7000").as_ref(), Some(&two.seeds[0]), "as MOVED has it");
        assert_eq!(Address::parse("host"), None);
    }

    #[test]
    fn other_urls_are_refused_without_being_shown() {
        for urls in [
            &[][..],
            &["redis://a", "rediss://b"],
            &["redis://a/1", "redis://b/2"],
            &["rediss://:secret@a#insecure"],
            &["redis://:secret@a:99999"],
            &["unix:///secret"],
        ] {
            let error = settings(urls).unwrap_err();
            assert!(matches!(error, RedisError::Settings { key: "url", .. }), "{error:?}");
            assert!(!format!("{error:?} {error}").contains("secret"), "{error:?}");
        }
    }
}
