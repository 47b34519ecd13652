//! How new what is seen is.

use std::collections::BTreeMap;

use super::normal::Normal;

/// Counts of visits to cells of the observation's space, half a spread wide; the reward for the `n`-th visit is `1/√n` (Strehl and
/// Littman, 2008; over cells, Tang et al., 2017).
#[derive(Clone, Debug, Default)]
pub(super) struct Novelty {
    visits: BTreeMap<Vec<i8>, u32>,
    normalised: Vec<f32>,
}

impl Novelty {
    const CELL: f32 = 0.5;

    /// Counts a visit, and says how new it was: from 0 to 1.
    pub(super) fn visit(&mut self, scales: &[(f32, f32)], observation: &[f32]) -> f32 {
        self.normalised.resize(observation.len(), 0.0);
        Normal::apply(scales, observation, &mut self.normalised);
        let cell = self.normalised.iter().map(|number| (number / Novelty::CELL).floor() as i8).collect();
        let visits = self.visits.entry(cell).or_default();
        *visits = visits.saturating_add(1);
        1.0 / (*visits as f32).sqrt()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_less_new_each_time_and_another_is_new() {
        let mut novelty = Novelty::default();
        let mut visit = |number| novelty.visit(&[(0.0, 1.0)], &[number]);
        assert_eq!((visit(0.1), visit(1.1)), (1.0, 1.0));
        assert!((visit(0.2) - 0.5_f32.sqrt()).abs() < 1e-6);
        assert!((visit(0.3) - (1.0_f32 / 3.0).sqrt()).abs() < 1e-6);
    }
}
