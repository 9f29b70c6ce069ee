//! Checks what a start would check, without starting.
//!
//! Invariants: nothing is bound, written or fetched.

use super::AppError;
use crate::{auth::Verifier, clock::Clock, config::Config, ws::Tls};

/// Opens the keys and the certificate that `config` names.
///
/// # Errors
///
/// All of them, the operator's fault.
pub fn check(config: &Config) -> Result<(), Vec<AppError>> {
    let keys = Verifier::new(&config.auth, Clock::system()).map(drop).map_err(AppError::Keys);
    let tls = config.public.tls.as_ref().map_or(Ok(()), |files| Tls::open(files).map(drop));
    let errors: Vec<AppError> =
        [keys, tls.map_err(AppError::Tls)].into_iter().filter_map(Result::err).collect();
    if errors.is_empty() { Ok(()) } else { Err(errors) }
}
