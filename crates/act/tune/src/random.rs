//! Seeded randomness, the same on every machine and in every version.

use rand::Rng;
use rand_pcg::Pcg64;

/// The generator that every strategy and experiment draws from.
pub type Random = Pcg64;

/// A generator of its own for each `stream` of one `seed`: streams do not disturb each other, whatever each of them draws.
pub fn seeded(seed: u64, stream: u64) -> Random {
    Pcg64::new(u128::from(seed) << 64 | 0x9e37_79b9_7f4a_7c15, u128::from(stream))
}

/// A point of the unit cube, drawn by lot.
pub fn point(axes: usize, random: &mut Random) -> Vec<f64> {
    (0..axes).map(|_| random.random()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_of_one_seed_differ_and_repeat() {
        let draw = |stream| seeded(7, stream).random::<u64>();
        assert_eq!(draw(1), draw(1));
        assert_ne!(draw(1), draw(2));
    }
}
