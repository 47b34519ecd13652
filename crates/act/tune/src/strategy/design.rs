//! The first points of a search, before anything is known.

use rand::Rng;
use rand::seq::SliceRandom;

use super::Brief;
use super::standing::{best_known, known};
use crate::history::History;
use crate::noise::{Noise, judge};
use crate::random::seeded;

/// A Latin hypercube (McKay, Beckman and Conover, Technometrics 21(2), 1979) that begins at the point of all defaults, where the space
/// has one, and ends by measuring its best point again where nobody says how noisy a measurement is.
///
/// It depends on the brief alone: strategies of one brief have the same design, so that a portfolio measures it once.
#[derive(Clone, Debug)]
pub(super) struct Design {
    points: Vec<Vec<f64>>,
    next: usize,
    repeated: bool,
}

impl Design {
    pub(super) fn new(brief: &Brief) -> Design {
        let space = &brief.space;
        let dimension = space.axes().len();
        let size = size(dimension, brief.budget);
        let mut random = seeded(brief.seed, 1);
        let mut points = vec![Vec::with_capacity(dimension); size];
        let mut cells: Vec<usize> = (0..size).collect();
        for _ in 0..dimension {
            cells.shuffle(&mut random);
            for (point, cell) in points.iter_mut().zip(&cells) {
                point.push((*cell as f64 + random.random::<f64>()) / size as f64);
            }
        }
        if space.has_start() {
            points[0] = space.start();
        }
        Design { points, next: 0, repeated: false }
    }

    /// The next point; `None` once enough is known, by whomever.
    pub(super) fn next(&mut self, seen: &History) -> Option<Vec<f64>> {
        let before = seen.trials().len() >= self.points.len() && self.next == 0;
        if self.next < self.points.len() && !before {
            self.next += 1;
            return Some(self.points[self.next - 1].clone());
        }
        if !self.repeated && judge(seen) == Noise::Unknown {
            self.repeated = true;
            return best_known(&known(seen)).map(|best| best.point.clone());
        }
        None
    }
}

/// A twelfth of the budget goes by before a search can aim, at most; two points an axis are enough for what follows.
fn size(dimension: usize, budget: Option<usize>) -> usize {
    (2 * dimension + 2).min(budget.map_or(usize::MAX, |budget| budget / 6)).max(4)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::history::{Measured, Outcome};

    fn brief(json: &str) -> Brief {
        Brief {
            space: Arc::new(serde_json::from_str(json).expect("a space")),
            budget: Some(60),
            seed: 3,
            constraints: Arc::from([]),
        }
    }

    #[test]
    fn every_axis_is_covered_evenly() {
        let brief = brief(
            r#"{"a": {"type": "float", "min": 0, "max": 1}, "b": {"type": "float", "min": 0, "max": 1}}"#,
        );
        let points = Design::new(&brief).points;
        for axis in 0..2 {
            let mut cells: Vec<usize> =
                points.iter().map(|p| (p[axis] * points.len() as f64) as usize).collect();
            cells.sort_unstable();
            assert_eq!(cells, (0..points.len()).collect::<Vec<_>>());
        }
    }

    #[test]
    fn it_ends_by_measuring_its_best_again_unless_the_noise_is_told() {
        for (noise, repeats) in [(None, 1), (Some(0.1), 0)] {
            let brief = brief(r#"{"a": {"type": "float", "min": 0, "max": 1, "default": 0.5}}"#);
            let (mut design, mut seen) = (Design::new(&brief), History::default());
            while let Some(point) = design.next(&seen) {
                let value = point[0];
                let id = seen.begin(point);
                seen.end(id, Outcome::Measured(Measured { noise, ..Measured::of(value) }));
            }
            let points: Vec<f64> = seen.trials().iter().map(|trial| trial.point[0]).collect();
            let lowest = points.iter().copied().fold(1.0, f64::min);
            assert_eq!(points[0], 0.5);
            assert_eq!(points.iter().filter(|point| **point == lowest).count(), 1 + repeats);
        }
    }

    #[test]
    fn where_others_have_measured_enough_there_is_none() {
        let brief = brief(r#"{"a": {"type": "float", "min": 0, "max": 1}}"#);
        let mut seen = History::default();
        for step in 0..9 {
            let id = seen.begin(vec![f64::from(step) / 10.0]);
            seen.end(id, Outcome::Measured(Measured { noise: Some(0.0), ..Measured::of(1.0) }));
        }
        assert_eq!(Design::new(&brief).next(&seen), None);
    }
}
