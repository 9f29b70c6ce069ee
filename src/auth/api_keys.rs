//! Who calls the server API.
//!
//! Invariants: keys are kept and compared as digests, every key is compared with
//! every presented text, and in constant time: neither length nor prefix leaks.

use std::{fmt, sync::Arc};

use parking_lot::RwLock;
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

use crate::config;

/// The keys of the server API. Cloning shares them.
#[derive(Clone)]
pub struct ApiKeys(Arc<RwLock<Arc<[KnownKey]>>>);

#[derive(Clone)]
struct KnownKey {
    digest: [u8; 32],
    caller: ApiCaller,
}

/// Who presented a known key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiCaller {
    /// Name of the key, for logs and limits.
    pub name: String,
    /// Place of the key in the configuration, for tables of limits.
    pub index: usize,
    /// Realms that it may use; empty means every realm.
    realms: Vec<String>,
}

impl ApiCaller {
    /// True when this caller may read from and write to `realm`: an exact match.
    #[must_use]
    pub fn may_use(&self, realm: &str) -> bool {
        self.realms.is_empty() || self.realms.iter().any(|own| own == realm)
    }
}

impl fmt::Debug for ApiKeys {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_list().entries(self.0.read().iter().map(|known| &known.caller)).finish()
    }
}

impl ApiKeys {
    /// Takes the configured keys. Empty ones never match.
    #[must_use]
    pub fn new(keys: &[config::ApiKey]) -> Self {
        Self(Arc::new(RwLock::new(known(keys))))
    }

    /// Replaces all keys. A request that is under way was let in by the old ones.
    pub fn replace(&self, keys: &[config::ApiKey]) {
        *self.0.write() = known(keys);
    }

    /// True when there is no key, so that nobody can be told from anybody.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.read().is_empty()
    }

    /// Whose key `presented` is; `None` when it is nobody's.
    #[must_use]
    pub fn find(&self, presented: &str) -> Option<ApiCaller> {
        let digest = digest(presented);
        let keys = Arc::clone(&self.0.read());
        // No early end: the time does not say which key was near.
        let same = keys.iter().filter(|known| bool::from(known.digest.ct_eq(&digest)));
        same.fold(None, |_, known| Some(&known.caller)).cloned()
    }
}

fn known(keys: &[config::ApiKey]) -> Arc<[KnownKey]> {
    let filled = keys.iter().enumerate().filter(|(_, key)| !key.key.reveal().is_empty());
    let known = filled.map(|(index, key)| KnownKey {
        digest: digest(key.key.reveal()),
        caller: ApiCaller { name: key.name.clone(), index, realms: key.realms.clone() },
    });
    known.collect()
}

fn digest(key: &str) -> [u8; 32] {
    Sha256::digest(key.as_bytes()).into()
}
