//! Observations on one scale, whatever their units.

use serde::{Deserialize, Serialize};

/// Running mean and spread of each coordinate (Welford, 1962).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Normal {
    pub(super) count: u64,
    pub(super) mean: Vec<f64>,
    /// Sums of squared deviations.
    pub(super) squares: Vec<f64>,
}

impl Normal {
    /// How many spreads from the mean an observation may seem to be.
    const FARTHEST: f32 = 10.0;

    pub(super) fn new(width: usize) -> Normal {
        Normal { count: 0, mean: vec![0.0; width], squares: vec![0.0; width] }
    }

    pub(super) fn learn(&mut self, observation: &[f32]) {
        self.count += 1;
        let count = self.count as f64;
        for ((number, mean), square) in observation.iter().zip(&mut self.mean).zip(&mut self.squares) {
            let before = f64::from(*number) - *mean;
            *mean += before / count;
            *square += before * (f64::from(*number) - *mean);
        }
    }

    /// Mean, and what to multiply a deviation by, of each coordinate. One that never moved is only shifted.
    pub(super) fn scales(&self) -> impl Iterator<Item = (f32, f32)> {
        let scale = |square: &f64| {
            let spread = (square / self.count.max(1) as f64).sqrt();
            if spread > 1e-6 { (1.0 / spread) as f32 } else { 1.0 }
        };
        self.mean.iter().map(|mean| *mean as f32).zip(self.squares.iter().map(scale))
    }

    /// Writes the normalised `observation` to `out`, by [`Normal::scales`].
    pub(super) fn apply(scales: &[(f32, f32)], observation: &[f32], out: &mut [f32]) {
        for ((slot, number), (mean, scale)) in out.iter_mut().zip(observation).zip(scales) {
            *slot = ((number - mean) * scale).clamp(-Normal::FARTHEST, Normal::FARTHEST);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn coordinates_of_any_unit_come_out_on_one_scale() {
        let mut normal = Normal::new(3);
        for step in 0..100_u8 {
            let turn = f32::from(step % 2);
            normal.learn(&[1000.0 * turn, 1e-3 * turn, 7.0]);
        }
        let scales: Vec<(f32, f32)> = normal.scales().collect();
        let mut out = [0.0; 3];
        Normal::apply(&scales, &[1000.0, 0.0, 7.0], &mut out);
        assert!((out[0] - 1.0).abs() < 1e-4 && (out[1] + 1.0).abs() < 1e-4 && out[2] == 0.0, "{out:?}");
    }
}
