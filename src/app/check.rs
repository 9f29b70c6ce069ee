//! Checks what a start would check, without starting.
//!
//! Invariants: nothing is bound, written or fetched.

use std::io;

use super::AppError;
use crate::{auth::Verifier, clock::Clock, config::Config, store::StoreError, ws::Tls};

/// Opens the keys and the certificate that `config` names, and looks for its folder.
///
/// # Errors
///
/// All of them, the operator's fault.
pub fn check(config: &Config) -> Result<(), Vec<AppError>> {
    let keys = Verifier::new(&config.auth, Clock::system()).map(drop).map_err(AppError::Keys);
    let tls = config.public.tls.as_ref().map_or(Ok(()), |files| Tls::open(files).map(drop));
    let folder = config.data_dir.as_ref().filter(|path| path.exists() && !path.is_dir());
    let folder = folder.map_or(Ok(()), |path| {
        let source = io::Error::from(io::ErrorKind::NotADirectory);
        Err(AppError::Store(StoreError::Folder { path: path.clone(), source }))
    });
    let checks = [keys, tls.map_err(AppError::Tls), folder];
    let errors: Vec<AppError> = checks.into_iter().filter_map(Result::err).collect();
    if errors.is_empty() { Ok(()) } else { Err(errors) }
}
