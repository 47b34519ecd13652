//! Differences of pairs, with the interval that their sampling leaves.

use kandela_tune::random::seeded;
use rand::Rng;

const DRAWS: usize = 10_000;

/// A mean and the bounds of its 95 % bootstrap interval (percentiles of means of pairs drawn with replacement; Efron 1979).
#[derive(Clone, Copy, Debug, serde::Serialize)]
pub(super) struct Interval {
    pub(super) mean: f64,
    pub(super) low: f64,
    pub(super) high: f64,
}

/// The interval of the mean of `differences`, of which there is at least one.
pub(super) fn interval(differences: &[f64]) -> Interval {
    let count = differences.len();
    let mean = |sum: f64| sum / count as f64;
    let mut random = seeded(95, 0);
    let mut draw = || mean((0..count).map(|_| differences[random.random_range(0..count)]).sum());
    let mut means: Vec<f64> = (0..DRAWS).map(|_| draw()).collect();
    means.sort_by(f64::total_cmp);
    let at = |share: f64| means[((DRAWS - 1) as f64 * share).round() as usize];
    Interval { mean: mean(differences.iter().sum()), low: at(0.025), high: at(0.975) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_interval_of_a_mean_is_about_two_standard_errors() {
        let differences: Vec<f64> = (0..100).map(|k| f64::from(k % 2)).collect();
        let found = interval(&differences);
        assert_eq!(found.mean, 0.5);
        assert!((found.low - 0.402).abs() < 0.02 && (found.high - 0.598).abs() < 0.02, "{found:?}");
    }
}
