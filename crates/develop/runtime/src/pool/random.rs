//! Draws from the distributions that the simulation and the sizer use.

use crate::random;

/// A seeded generator.
#[derive(Clone, Debug)]
pub(super) struct Random(random::Random);

impl Random {
    pub(super) fn new(seed: u64) -> Random {
        Random(random::Random::seeded(seed))
    }

    /// Above 0, at most 1.
    pub(super) fn uniform(&mut self) -> f64 {
        ((self.0.bits() >> 11) + 1) as f64 / (1_u64 << 53) as f64
    }

    /// Of mean 1.
    pub(super) fn exponential(&mut self) -> f64 {
        -self.uniform().ln()
    }

    /// Of mean 0 and variance 1 (Box & Muller).
    pub(super) fn normal(&mut self) -> f64 {
        let radius = (2.0 * self.exponential()).sqrt();
        radius * (std::f64::consts::TAU * self.uniform()).cos()
    }
}
