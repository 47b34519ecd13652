//! A random walk that takes every step down, and a step up as often as its temperature allows (Metropolis et al., Journal of Chemical
//! Physics 21, 1953), with a step length of its own for each axis (Corana, Marchesi, Martini and Ridella, ACM Transactions on
//! Mathematical Software 13(3), 1987).

use std::collections::VecDeque;

use rand::Rng;
use rand_distr::{Distribution, StandardNormal};

use super::another_category;
use crate::random::Random;
use crate::space::{Axis, Space};

#[derive(Clone, Debug)]
pub(super) struct Walker {
    pub(super) at: Vec<f64>,
    pub(super) cost: f64,
    steps: Vec<f64>,
    /// What the last steps would have changed the cost by: the unit of temperature.
    changes: VecDeque<f64>,
}

/// So many of the last changes make the unit of temperature.
const REMEMBERED: usize = 20;
/// Steps grow while more than this share of them is taken, and shrink while fewer are.
const TAKEN: f64 = 0.25;

impl Walker {
    pub(super) fn new(at: Vec<f64>, cost: f64) -> Walker {
        let steps = vec![0.2; at.len()];
        Walker { at, cost, steps, changes: VecDeque::new() }
    }

    /// A neighbour, not yet snapped.
    pub(super) fn neighbour(&self, space: &Space, random: &mut Random) -> Vec<f64> {
        let count = self.at.len();
        let chosen = random.random_range(0..count);
        let mut to = self.at.clone();
        for (index, u) in to.iter_mut().enumerate() {
            if index == chosen || random.random_range(0..2 * count) < count.min(4) {
                *u = self.moved(space, index, random);
            }
        }
        to
    }

    fn moved(&self, space: &Space, index: usize, random: &mut Random) -> f64 {
        let u = self.at[index];
        let step: f64 = StandardNormal.sample(random);
        let step = step * self.steps[index];
        let to = match (space.axes()[index], space.cell(index, u)) {
            (Axis::Category(of), _) => return another_category(u, of, random),
            (Axis::Whole(_), Some((low, high))) => {
                // At least one cell away, else it would be no step; turned back at an end, one cell away on the other side.
                let to = if step < 0.0 { low + step - 1e-9 } else { high + step + 1e-9 };
                return if (0.0..=1.0).contains(&to) { to } else { beyond(low + high - to, (low, high)) };
            }
            _ => u + step,
        };
        if (0.0..=1.0).contains(&to) { to } else { (2.0 * u - to).clamp(0.0, 1.0) }
    }

    /// Takes the step to `to`, or does not, at `heat` times the unit of temperature; gives whether it did.
    pub(super) fn decide(&mut self, to: &[f64], cost: f64, heat: f64, random: &mut Random) -> bool {
        let change = cost - self.cost;
        self.changes.push_back(change.abs());
        if self.changes.len() > REMEMBERED {
            self.changes.pop_front();
        }
        let takes = change <= 0.0 || random.random::<f64>() < (-change / self.temperature(heat)).exp();
        let pull = if change < 0.0 { 1.0 - TAKEN } else { -TAKEN };
        for ((step, a), b) in self.steps.iter_mut().zip(&self.at).zip(to) {
            if a != b {
                *step = (*step * (0.8 * pull).exp()).clamp(1e-9, 0.5);
            }
        }
        if takes {
            self.at = to.to_vec();
            self.cost = cost;
        }
        takes
    }

    /// `heat` times the median of the last changes: temperature falls by itself as the walk closes in, whatever the objective's scale.
    pub(super) fn temperature(&self, heat: f64) -> f64 {
        let mut changes: Vec<f64> = self.changes.iter().copied().collect();
        changes.sort_by(f64::total_cmp);
        let unit = changes.get(changes.len() / 2).copied().unwrap_or(0.0);
        (heat * unit).max(f64::MIN_POSITIVE)
    }
}

/// `to`, or the end of the axis next to it; where the cell from `low` to `high` lies there, a place on its other side.
fn beyond(to: f64, (low, high): (f64, f64)) -> f64 {
    let end = to.clamp(0.0, 1.0);
    if end < low || end > high {
        end
    } else if low > 0.0 {
        0.5 * low
    } else {
        0.5 * (1.0 + high)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::seeded;

    #[test]
    fn a_cold_walk_takes_no_step_up_and_a_hot_one_takes_some() {
        let taken = |heat: f64| {
            let (mut walker, mut random) = (Walker::new(vec![0.5], 1.0), seeded(1, 0));
            (0..200)
                .filter(|_| {
                    walker.cost = 1.0;
                    walker.decide(&[0.4], 1.5, heat, &mut random)
                })
                .count()
        };
        assert_eq!(taken(1e-3), 0);
        assert!((50..100).contains(&taken(1.0)), "{}", taken(1.0));
    }

    #[test]
    fn a_step_of_a_whole_axis_leaves_its_cell_however_long_it_is() {
        for scale in [r#""max": 4"#, r#""max": 2"#, r#""max": 60, "log": true"#] {
            let json = format!(r#"{{"n": {{"type": "int", "min": 1, {scale}}}}}"#);
            let space: Space = serde_json::from_str(&json).expect("a space");
            let mut random = seeded(1, 0);
            for step in 0..=60 {
                let at = space.snap(&[f64::from(step) / 60.0]);
                let mut walker = Walker::new(at.clone(), 0.0);
                for length in [1e-6, 0.2, 0.5] {
                    walker.steps = vec![length];
                    for _ in 0..40 {
                        assert_ne!(space.snap(&walker.neighbour(&space, &mut random)), at, "{json} {length}");
                    }
                }
            }
        }
    }
}
