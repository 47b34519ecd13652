//! The standard normal distribution.

use std::f64::consts::SQRT_2;

/// The probability of more than `z`.
pub(super) fn above(z: f64) -> f64 {
    0.5 * libm::erfc(z / SQRT_2)
}

/// The `z` that is exceeded with probability `p`, from 0 to one half.
pub(super) fn exceeded(p: f64) -> f64 {
    let (mut low, mut high) = (0.0, 40.0);
    for _ in 0..60 {
        let middle = 0.5 * (low + high);
        if above(middle) > p {
            low = middle;
        } else {
            high = middle;
        }
    }
    0.5 * (low + high)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_those_of_the_tables() {
        for (p, z) in [(0.5, 0.0), (0.025, 1.959_963_984_540_054), (1e-6, 4.753_424_308_822_899)] {
            assert!((exceeded(p) - z).abs() < 1e-9, "{p}: {}", exceeded(p));
        }
    }
}
