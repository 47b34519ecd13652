//! The normal distribution that is sampled, and how it learns.
//!
//! Notation and constants are those of Hansen, "The CMA Evolution Strategy: A Tutorial", arXiv 1604.00772v2 (2023), table 1 and
//! appendix A, with negative weights (active CMA).

use nalgebra::{DMatrix, DVector, SymmetricEigen};
use rand_distr::{Distribution, StandardNormal};

use super::normal::{above, exceeded};
use crate::random::Random;

/// `mean + sigma · diag(stretch) · N(0, covariance)`.
#[derive(Clone, Debug)]
pub(super) struct Gauss {
    pub(super) mean: DVector<f64>,
    pub(super) sigma: f64,
    /// What the margin has widened each coordinate by.
    stretch: DVector<f64>,
    covariance: DMatrix<f64>,
    /// The covariance's eigenvectors and the roots of its eigenvalues.
    axes: DMatrix<f64>,
    lengths: DVector<f64>,
    path: DVector<f64>,
    path_sigma: DVector<f64>,
    generation: i32,
    learning: Learning,
}

/// What depends on the dimension and the size of a generation alone.
#[derive(Clone, Debug)]
struct Learning {
    weights: Vec<f64>,
    mu_eff: f64,
    c_sigma: f64,
    d_sigma: f64,
    c_c: f64,
    c_1: f64,
    c_mu: f64,
    expected_length: f64,
}

impl Learning {
    fn new(dimension: usize, lambda: usize) -> Learning {
        let n = dimension as f64;
        let raw: Vec<f64> =
            (1..=lambda).map(|rank| ((lambda as f64 + 1.0) / 2.0).ln() - (rank as f64).ln()).collect();
        let (better, worse) = raw.split_at(lambda / 2);
        let sum = |part: &[f64]| part.iter().map(|w| w.abs()).sum::<f64>();
        let effective = |part: &[f64]| sum(part).powi(2) / part.iter().map(|w| w * w).sum::<f64>();
        let mu_eff = effective(better);
        let c_sigma = (mu_eff + 2.0) / (n + mu_eff + 5.0);
        let c_1 = 2.0 / ((n + 1.3).powi(2) + mu_eff);
        let c_mu = (2.0 * (0.25 + mu_eff + 1.0 / mu_eff - 2.0) / ((n + 2.0).powi(2) + mu_eff)).min(1.0 - c_1);
        let negative = (1.0 + c_1 / c_mu)
            .min(1.0 + 2.0 * effective(worse) / (mu_eff + 2.0))
            .min((1.0 - c_1 - c_mu) / (n * c_mu))
            .max(0.0);
        let (gain, loss) = (sum(better), sum(worse));
        let weights = raw.iter().map(|w| if *w >= 0.0 { w / gain } else { negative * w / loss }).collect();
        Learning {
            weights,
            mu_eff,
            c_sigma,
            d_sigma: 1.0 + 2.0 * (((mu_eff - 1.0) / (n + 1.0)).sqrt() - 1.0).max(0.0) + c_sigma,
            c_c: (4.0 + mu_eff / n) / (n + 4.0 + 2.0 * mu_eff / n),
            c_1,
            c_mu,
            expected_length: n.sqrt() * (1.0 - 1.0 / (4.0 * n) + 1.0 / (21.0 * n * n)),
        }
    }
}

impl Gauss {
    /// Round, of standard deviation `sigma`, for generations of `lambda`, at least 4.
    pub(super) fn new(mean: Vec<f64>, sigma: f64, lambda: usize) -> Gauss {
        let n = mean.len();
        Gauss {
            mean: DVector::from_vec(mean),
            sigma,
            stretch: DVector::from_element(n, 1.0),
            covariance: DMatrix::identity(n, n),
            axes: DMatrix::identity(n, n),
            lengths: DVector::from_element(n, 1.0),
            path: DVector::zeros(n),
            path_sigma: DVector::zeros(n),
            generation: 0,
            learning: Learning::new(n, lambda),
        }
    }

    pub(super) fn sample(&self, random: &mut Random) -> Vec<f64> {
        let z = DVector::from_fn(self.mean.len(), |_, _| StandardNormal.sample(random));
        let y = &self.axes * self.lengths.component_mul(&z);
        (&self.mean + self.stretch.component_mul(&y) * self.sigma).as_slice().to_vec()
    }

    /// Learns from a generation, best first; the first `lambda` of it count. What it did not sample itself, or sampled long ago, is
    /// drawn in to a length that it could have sampled (Hansen, "Injecting External Solutions Into CMA-ES", arXiv 1110.4181).
    pub(super) fn learn(&mut self, by_rank: &[&[f64]]) {
        let n = self.mean.len() as f64;
        let learning = &self.learning;
        let longest = n.sqrt() + 2.0 * n / (n + 2.0);
        let steps: Vec<(DVector<f64>, f64)> = by_rank
            .iter()
            .take(learning.weights.len())
            .map(|x| {
                let off = DVector::from_column_slice(x) - &self.mean;
                let y = off.component_div(&self.stretch) / self.sigma;
                let length = self.whiten(&y).norm();
                let shrink = (longest / length).min(1.0);
                (y * shrink, length * shrink)
            })
            .collect();
        let better = steps.iter().zip(&learning.weights).filter(|(_, weight)| **weight > 0.0);
        let step = better.fold(DVector::zeros(self.mean.len()), |sum, ((y, _), weight)| sum + y * *weight);

        self.mean += self.stretch.component_mul(&step) * self.sigma;
        let keep = 1.0 - learning.c_sigma;
        let push = (learning.c_sigma * (1.0 + keep) * learning.mu_eff).sqrt();
        self.path_sigma = &self.path_sigma * keep + self.whiten(&step) * push;
        let length = self.path_sigma.norm();
        self.generation += 1;
        let settled = (1.0 - keep.powi(2 * self.generation)).sqrt();
        let moving = length / settled < (1.4 + 2.0 / (n + 1.0)) * learning.expected_length;
        let push = (learning.c_c * (2.0 - learning.c_c) * learning.mu_eff).sqrt();
        self.path *= 1.0 - learning.c_c;
        if moving {
            self.path += &step * push;
        }
        let stalled = if moving { 0.0 } else { learning.c_1 * learning.c_c * (2.0 - learning.c_c) };
        let used: f64 = learning.weights.iter().take(steps.len()).sum();
        self.covariance *= 1.0 + stalled - learning.c_1 - learning.c_mu * used;
        self.covariance.ger(learning.c_1, &self.path, &self.path, 1.0);
        for ((y, length), weight) in steps.iter().zip(&learning.weights) {
            let weight = if *weight < 0.0 { weight * n / length.powi(2).max(1e-300) } else { *weight };
            self.covariance.ger(learning.c_mu * weight, y, y, 1.0);
        }
        let turn = learning.c_sigma / learning.d_sigma * (length / learning.expected_length - 1.0);
        self.sigma *= turn.min(1.0).exp();
        self.decompose();
    }

    /// Puts coordinates that left the unit interval back by mirroring them at its ends, with all that was learnt of them.
    pub(super) fn fold_mean(&mut self, coordinate: usize) {
        let turns = self.mean[coordinate].floor();
        self.mean[coordinate] = fold(self.mean[coordinate]);
        if turns.rem_euclid(2.0) == 1.0 {
            for other in 0..self.mean.len() {
                if other != coordinate {
                    self.covariance[(coordinate, other)] *= -1.0;
                    self.covariance[(other, coordinate)] *= -1.0;
                }
            }
            self.axes.row_mut(coordinate).neg_mut();
            self.path[coordinate] *= -1.0;
            self.path_sigma[coordinate] *= -1.0;
        }
    }

    /// Keeps the probability of leaving the cell from `low` to `high`, of which those outside of 0 to 1 have no neighbour, at `margin`
    /// at least, so that a whole number does not freeze: Hamano, Saito, Nomura and Shirakawa, "CMA-ES with Margin", GECCO 2022,
    /// equations 14 to 21.
    pub(super) fn keep_margin(&mut self, coordinate: usize, (low, high): (f64, f64), margin: f64) {
        let deviation = self.deviation(coordinate);
        let mean = self.mean[coordinate];
        match (low > 0.0, high < 1.0) {
            (false, false) => {}
            (false, true) => {
                self.mean[coordinate] = mean.max(high - exceeded(margin) * deviation);
            }
            (true, false) => {
                self.mean[coordinate] = mean.min(low + exceeded(margin) * deviation);
            }
            (true, true) => {
                let (below, over) = (above((mean - low) / deviation), above((high - mean) / deviation));
                let half = 0.5 * margin;
                if below >= half && over >= half {
                    return;
                }
                let inside = 1.0 - below - over;
                let (wider, other) = (below.max(half), over.max(half));
                let excess = (1.0 - wider - other - inside) / (wider + other + inside - 3.0 * half);
                let wanted = |p: f64| exceeded((p + excess * (p - half)).clamp(1e-12, 0.5 - 1e-9));
                let (to_low, to_high) = (wanted(wider), wanted(other));
                self.mean[coordinate] = (low * to_high + high * to_low) / (to_low + to_high);
                self.stretch[coordinate] *= (high - low) / (to_low + to_high) / deviation;
            }
        }
    }

    /// Widens, where all of a generation came out alike.
    pub(super) fn widen(&mut self) {
        self.sigma *= (0.2 + self.learning.c_sigma / self.learning.d_sigma).exp();
    }

    /// The standard deviation of a coordinate.
    pub(super) fn deviation(&self, coordinate: usize) -> f64 {
        self.sigma * self.stretch[coordinate] * self.covariance[(coordinate, coordinate)].max(0.0).sqrt()
    }

    /// Whether it is still a distribution to sample from: finite, and not a line.
    pub(super) fn is_sound(&self) -> bool {
        let (short, long) = (self.lengths.min(), self.lengths.max());
        self.sigma.is_finite()
            && self.mean.iter().all(|m| m.is_finite())
            && long.is_finite()
            && short > 0.0
            && long / short < 1e7
    }

    /// The covariance's inverse root times `y`.
    fn whiten(&self, y: &DVector<f64>) -> DVector<f64> {
        &self.axes * self.axes.tr_mul(y).component_div(&self.lengths)
    }

    fn decompose(&mut self) {
        let symmetric = (&self.covariance + self.covariance.transpose()) * 0.5;
        if !symmetric.iter().all(|c| c.is_finite()) {
            self.sigma = f64::NAN;
            return;
        }
        let eigen = SymmetricEigen::new(symmetric.clone());
        self.covariance = symmetric;
        self.lengths = eigen.eigenvalues.map(|value| value.max(0.0).sqrt());
        self.axes = eigen.eigenvectors;
    }
}

/// The coordinate in the unit interval that mirroring at its ends leads to.
pub(super) fn fold(coordinate: f64) -> f64 {
    let turn = coordinate.rem_euclid(2.0);
    if turn > 1.0 { 2.0 - turn } else { turn }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::seeded;

    #[test]
    fn it_finds_the_minimum_of_a_tilted_valley() {
        let valley = |x: &[f64]| 1e4 * (x[0] - x[1] - 0.1).powi(2) + (x[0] + x[1] - 0.9).powi(2);
        let (mut gauss, mut random) = (Gauss::new(vec![0.2, 0.8], 0.2, 6), seeded(1, 0));
        for _ in 0..120 {
            let mut generation: Vec<Vec<f64>> = (0..6).map(|_| gauss.sample(&mut random)).collect();
            generation.sort_by(|a, b| valley(a).total_cmp(&valley(b)));
            gauss.learn(&generation.iter().map(Vec::as_slice).collect::<Vec<_>>());
        }
        assert!(valley(gauss.mean.as_slice()) < 1e-12, "{}", valley(gauss.mean.as_slice()));
    }

    #[test]
    fn with_a_margin_both_neighbours_of_a_cell_stay_likely() {
        for mean in [0.41, 0.5, 0.59] {
            let mut gauss = Gauss::new(vec![mean, 0.5], 1e-6, 6);
            gauss.keep_margin(0, (0.4, 0.6), 0.05);
            let deviation = gauss.deviation(0);
            assert!(above((gauss.mean[0] - 0.4) / deviation) > 0.0249, "{gauss:?}");
            assert!(above((0.6 - gauss.mean[0]) / deviation) > 0.0249, "{gauss:?}");
        }
        let mut last = Gauss::new(vec![0.99], 1e-6, 6);
        last.keep_margin(0, (0.8, 1.0), 0.05);
        assert!((above((last.mean[0] - 0.8) / last.deviation(0)) - 0.05).abs() < 1e-9);
    }

    #[test]
    fn mirroring_the_mean_mirrors_what_was_learnt() {
        let mut gauss = Gauss::new(vec![1.2, 0.5], 0.1, 6);
        gauss.covariance[(0, 1)] = 0.3;
        gauss.covariance[(1, 0)] = 0.3;
        gauss.fold_mean(0);
        assert!((gauss.mean[0] - 0.8).abs() < 1e-12);
        assert_eq!((gauss.covariance[(0, 1)], gauss.covariance[(1, 0)]), (-0.3, -0.3));
        assert!((fold(-0.25) - 0.25).abs() < 1e-12 && (fold(2.25) - 0.25).abs() < 1e-12);
    }
}
