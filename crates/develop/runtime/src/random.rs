//! Seeded numbers, so that what is drawn can be drawn again: SplitMix64. Not for secrets.
//!
//! Source: Steele, Lea, Flood, "Fast Splittable Pseudorandom Number Generators", OOPSLA 2014: a counter whose steps are mixed, which
//! gives each 64-bit number once before it begins anew.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};

const STEP: u64 = 0x9e37_79b9_7f4a_7c15;

/// The first number of the seed `number`: a hash of it that is well spread.
#[inline]
pub const fn mix(number: u64) -> u64 {
    let mut bits = number.wrapping_add(STEP);
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

/// A number from 0 up to, but not including, 1, of 64 random bits.
#[inline]
pub const fn unit(bits: u64) -> f64 {
    (bits >> 11) as f64 / (1_u64 << 53) as f64
}

/// A generator that one owner draws from.
#[derive(Clone, Debug)]
pub struct Random {
    state: u64,
}

impl Random {
    /// The same numbers for the same seed.
    pub const fn seeded(seed: u64) -> Random {
        Random { state: seed }
    }

    /// The next 64 bits.
    pub const fn bits(&mut self) -> u64 {
        let bits = mix(self.state);
        self.state = self.state.wrapping_add(STEP);
        bits
    }

    /// A number from 0 up to, but not including, 1.
    pub const fn unit(&mut self) -> f64 {
        unit(self.bits())
    }
}

/// A generator that threads share without a lock. Its numbers are those of a [`Random`] of the same seed.
#[derive(Debug)]
pub struct SharedRandom {
    state: AtomicU64,
}

impl SharedRandom {
    /// The same numbers for the same seed.
    pub const fn seeded(seed: u64) -> SharedRandom {
        SharedRandom { state: AtomicU64::new(seed) }
    }

    /// Seeded by the operating system, by way of the keys of [`RandomState`].
    pub fn from_system() -> SharedRandom {
        SharedRandom::seeded(RandomState::new().build_hasher().finish())
    }

    /// The next 64 bits.
    pub fn bits(&self) -> u64 {
        mix(self.state.fetch_add(STEP, Ordering::Relaxed))
    }

    /// A number from 0 up to, but not including, 1.
    pub fn unit(&self) -> f64 {
        unit(self.bits())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_numbers_are_those_of_the_published_algorithm() {
        let mut random = Random::seeded(0);
        assert_eq!([random.bits(), random.bits()], [0xe220_a839_7b1d_cdaf, 0x6e78_9e6a_a1b9_65f4]);
    }

    #[test]
    fn what_threads_share_gives_the_numbers_of_its_seed() {
        let (mut own, shared) = (Random::seeded(7), SharedRandom::seeded(7));
        assert!((0..100).all(|_| own.bits() == shared.bits()));
    }

    #[test]
    fn numbers_from_the_unit_interval_fill_it_and_stay_within() {
        let mut random = Random::seeded(7);
        let numbers: Vec<f64> = (0..10_000).map(|_| random.unit()).collect();
        let mean = numbers.iter().sum::<f64>() / 10_000.0;
        assert!(numbers.iter().all(|number| (0.0..1.0).contains(number)));
        assert!((mean - 0.5).abs() < 0.01, "{mean}");
    }
}
