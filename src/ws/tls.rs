//! TLS: certificates from PEM files, and their renewal while sockets are open.
//!
//! Invariants:
//! - TLS 1.2 or newer, `http/1.1` as the only protocol;
//! - a certificate that cannot be used changes nothing: new handshakes go on with
//!   the one before;
//! - open connections keep what they were made with.
//!
//! Not here: how long a handshake may take (`http`), when to reload (`app`).

use std::{
    fmt, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use parking_lot::RwLock;
use sha2::{Digest as _, Sha256};
use tokio::net::TcpStream;
use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        self, ServerConfig,
        crypto::aws_lc_rs,
        pki_types::{
            CertificateDer, PrivateKeyDer,
            pem::{self, PemObject as _},
        },
    },
};

use super::Stream;
use crate::config::TlsFiles;

/// The TLS side of a listener. Clones share the certificate.
#[derive(Clone)]
pub struct Tls {
    files: Arc<TlsFiles>,
    current: Arc<RwLock<Loaded>>,
}

impl fmt::Debug for Tls {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Tls").field("files", &self.files).finish_non_exhaustive()
    }
}

#[derive(Clone)]
struct Loaded {
    config: Arc<ServerConfig>,
    /// Of both files, to notice a change however they were replaced.
    digest: [u8; 32],
}

/// Why a certificate cannot be used. The operator's fault.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The file is not there, or may not be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// Which file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The file is not PEM.
    #[error("{} is not a PEM file: {reason}", path.display())]
    Pem {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The file is PEM, but nothing of what is needed.
    #[error("{} has no {what}", path.display())]
    Missing {
        /// Which file.
        path: PathBuf,
        /// What was looked for.
        what: &'static str,
    },
    /// The pair does not fit, or is of a kind that cannot be used.
    #[error("certificate {} and key {} cannot be used: {source}", certificate.display(), key.display())]
    Unusable {
        /// The chain.
        certificate: PathBuf,
        /// The key.
        key: PathBuf,
        /// What the library said.
        source: rustls::Error,
    },
}

impl Tls {
    /// Reads and checks the pair that `files` names.
    ///
    /// # Errors
    ///
    /// [`TlsError`] names the file and what is wrong with it.
    pub fn open(files: &TlsFiles) -> Result<Self, TlsError> {
        let loaded = Loaded::read(files)?;
        Ok(Self { files: Arc::new(files.clone()), current: Arc::new(RwLock::new(loaded)) })
    }

    /// Reads the files again; later handshakes use what they hold. Returns whether
    /// anything changed. Reads two small files, so call it rarely.
    ///
    /// # Errors
    ///
    /// [`TlsError`]; then everything stays as it was.
    pub fn reload(&self) -> Result<bool, TlsError> {
        let loaded = Loaded::read(&self.files)?;
        let mut current = self.current.write();
        let changed = current.digest != loaded.digest;
        if changed {
            *current = loaded;
        }
        Ok(changed)
    }

    /// Shakes hands with the peer of `socket`.
    ///
    /// # Errors
    ///
    /// When the peer does not speak TLS, or not a kind that is accepted, or goes
    /// away. The peer's fault.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future closes the socket.
    pub async fn accept(&self, socket: TcpStream) -> io::Result<Stream> {
        let config = Arc::clone(&self.current.read().config);
        let tls = TlsAcceptor::from(config).accept(socket).await?;
        Ok(Stream::Tls(Box::new(tls)))
    }
}

impl Loaded {
    fn read(files: &TlsFiles) -> Result<Self, TlsError> {
        let certificate = read(&files.certificate)?;
        let key = read(&files.key)?;
        let mut digest = Sha256::new();
        digest.update(certificate.len().to_be_bytes());
        digest.update(&certificate);
        digest.update(&key);
        let config = server_config(files, &certificate, &key)?;
        Ok(Self { config: Arc::new(config), digest: digest.finalize().into() })
    }
}

fn read(path: &Path) -> Result<Vec<u8>, TlsError> {
    std::fs::read(path).map_err(|source| TlsError::Read { path: path.to_owned(), source })
}

fn server_config(
    files: &TlsFiles,
    certificate: &[u8],
    key: &[u8],
) -> Result<ServerConfig, TlsError> {
    let chain: Vec<_> = CertificateDer::pem_slice_iter(certificate)
        .collect::<Result<_, _>>()
        .map_err(|error| pem_error(&files.certificate, "certificate", &error))?;
    if chain.is_empty() {
        return Err(TlsError::Missing { path: files.certificate.clone(), what: "certificate" });
    }
    let key = PrivateKeyDer::from_pem_slice(key)
        .map_err(|error| pem_error(&files.key, "private key", &error))?;
    let unusable = |source| TlsError::Unusable {
        certificate: files.certificate.clone(),
        key: files.key.clone(),
        source,
    };
    let mut config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(unusable)?
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .map_err(unusable)?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

fn pem_error(path: &Path, what: &'static str, error: &pem::Error) -> TlsError {
    if matches!(error, pem::Error::NoItemsFound) {
        return TlsError::Missing { path: path.to_owned(), what };
    }
    // The library's text may quote the line that it stumbled over, which could be
    // a piece of the key.
    let reason = if matches!(error, pem::Error::MissingSectionEnd { .. }) {
        "a section has no end"
    } else {
        "a section cannot be decoded"
    };
    TlsError::Pem { path: path.to_owned(), reason }
}
