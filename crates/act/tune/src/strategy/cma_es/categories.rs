//! Axes without an order: a distribution over the categories of each.

use rand::Rng;

use crate::random::Random;

/// The probabilities of one axis' categories. They move toward what the better half of a generation chose and never fall below a
/// margin, as in Hamano et al., "CatCMA", GECCO 2024; the step is that of population-based incremental learning (Baluja, 1994).
#[derive(Clone, Debug)]
pub(super) struct Categories {
    probabilities: Vec<f64>,
    floor: f64,
}

impl Categories {
    /// Of `count` categories, each as likely, on one of `axes` axes.
    pub(super) fn new(count: usize, axes: usize) -> Categories {
        // With this margin a generation of size 1 still keeps its best choices with probability 0.73.
        let floor = (1.0 - 0.73_f64.powf(1.0 / axes as f64)) / (count as f64 - 1.0);
        Categories { probabilities: vec![1.0 / count as f64; count], floor: floor.min(0.5 / count as f64) }
    }

    pub(super) fn sample(&self, random: &mut Random) -> usize {
        let mut left: f64 = random.random();
        for (category, probability) in self.probabilities.iter().enumerate() {
            left -= probability;
            if left < 0.0 {
                return category;
            }
        }
        self.probabilities.len() - 1
    }

    /// Moves by `rate` toward what was chosen, with its weights; they sum to 1.
    pub(super) fn learn(&mut self, chosen: impl Iterator<Item = (usize, f64)>, rate: f64) {
        self.probabilities.iter_mut().for_each(|p| *p *= 1.0 - rate);
        for (category, weight) in chosen {
            self.probabilities[category] += rate * weight;
        }
        self.keep_floor();
    }

    /// Begins at `category`, without forgetting the others.
    pub(super) fn lean(&mut self, category: usize) {
        self.learn([(category, 1.0)].into_iter(), 0.5);
    }

    /// Those below the floor are lifted to it at the others' cost, in proportion to what these have above it.
    fn keep_floor(&mut self) {
        let floor = self.floor;
        self.probabilities.iter_mut().for_each(|p| *p = p.max(floor));
        let total: f64 = self.probabilities.iter().sum();
        let spare = total - floor * self.probabilities.len() as f64;
        if spare > 0.0 {
            let keep = 1.0 - (total - 1.0) / spare;
            self.probabilities.iter_mut().for_each(|p| *p = floor + (*p - floor) * keep);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_category_freezes_and_probabilities_sum_to_one() {
        let mut categories = Categories::new(3, 2);
        for _ in 0..200 {
            categories.learn([(1, 1.0)].into_iter(), 0.3);
        }
        let total: f64 = categories.probabilities.iter().sum();
        assert!((total - 1.0).abs() < 1e-12);
        assert!(categories.probabilities[1] > 0.8);
        assert!(categories.probabilities.iter().all(|p| *p > 0.07), "{categories:?}");
    }
}
