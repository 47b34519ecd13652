//! Keyed hashes that stand in for values.

use hmac::{Hmac, Mac};
use sha2::Sha256;

/// Bytes of a hash that are kept: enough that two values do not meet by accident.
const KEPT: usize = 16;

/// HMAC-SHA-256 under the configured secret.
pub(super) struct Hasher(Option<Hmac<Sha256>>);

impl std::fmt::Debug for Hasher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Hasher(secret)")
    }
}

impl Hasher {
    pub(super) fn new(secret: &[u8]) -> Self {
        Self(<Hmac<Sha256> as Mac>::new_from_slice(secret).ok())
    }

    /// 32 hex digits.
    pub(super) fn hash(&self, value: &[u8]) -> String {
        let Some(keyed) = &self.0 else { return String::new() };
        let mut mac = keyed.clone();
        mac.update(value);
        mac.finalize().into_bytes().iter().take(KEPT).map(|byte| format!("{byte:02x}")).collect()
    }
}
