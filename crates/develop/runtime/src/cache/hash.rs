//! Maps whose keys are hashes already.

use std::hash::{BuildHasherDefault, Hasher};

/// A map from a hash that is well mixed.
pub(super) type HashMap<T> = hashbrown::HashMap<u64, T, BuildHasherDefault<AsItIs>>;

/// Takes a `u64` as its own hash.
#[derive(Default)]
pub(super) struct AsItIs(u64);

impl Hasher for AsItIs {
    fn write(&mut self, bytes: &[u8]) {
        // Never called for a `u64`, and right for anything else.
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
    }
    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }
    fn finish(&self) -> u64 {
        self.0
    }
}
