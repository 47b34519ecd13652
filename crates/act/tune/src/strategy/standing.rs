//! Which of two outcomes is better, and what is known of each point.

use std::cmp::Ordering;
use std::collections::HashMap;

use crate::history::{History, Outcome};

/// How good an outcome is; less is better. What kept every constraint stands before what broke one, by its value; that before what
/// failed, by how much it broke (Deb, Computer Methods in Applied Mechanics and Engineering 186, 2000).
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Standing {
    /// It kept every constraint; its value.
    Feasible(f64),
    /// It broke one; the sum of what it broke them by, and its value.
    Infeasible(f64, f64),
    /// It gave no value.
    Failed,
}

impl Standing {
    pub(crate) fn of(outcome: &Outcome) -> Standing {
        match outcome {
            Outcome::Measured(measured) if measured.feasible => Standing::Feasible(measured.value),
            Outcome::Measured(measured) => {
                let broken = measured.margins.iter().filter(|margin| **margin < 0.0).map(|margin| -margin);
                Standing::Infeasible(broken.sum(), measured.value)
            }
            Outcome::Failed => Standing::Failed,
        }
    }

    pub(crate) fn value(self) -> Option<f64> {
        match self {
            Standing::Feasible(value) => Some(value),
            Standing::Infeasible(..) | Standing::Failed => None,
        }
    }

    pub(crate) fn order(&self, other: &Standing) -> Ordering {
        match (self, other) {
            (Standing::Feasible(a), Standing::Feasible(b)) => a.total_cmp(b),
            (Standing::Infeasible(a, x), Standing::Infeasible(b, y)) => a.total_cmp(b).then(x.total_cmp(y)),
            _ => self.class().cmp(&other.class()),
        }
    }

    fn class(self) -> u8 {
        match self {
            Standing::Feasible(_) => 0,
            Standing::Infeasible(..) => 1,
            Standing::Failed => 2,
        }
    }
}

/// What all measurements of one point say together.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Known {
    pub(crate) point: Vec<f64>,
    /// The mean of its values where each kept the constraints, else the worst of its outcomes.
    pub(crate) standing: Standing,
    pub(crate) count: usize,
}

/// All points with an outcome, in the order in which they were first asked for.
pub(crate) fn known(seen: &History) -> Vec<Known> {
    let mut places: HashMap<Vec<u64>, usize> = HashMap::with_capacity(seen.trials().len());
    let mut points: Vec<Known> = Vec::new();
    for trial in seen.trials() {
        let Some(outcome) = &trial.outcome else { continue };
        let standing = Standing::of(outcome);
        let place = *places.entry(key(&trial.point)).or_insert(points.len());
        match points.get_mut(place) {
            None => points.push(Known { point: trial.point.clone(), standing, count: 1 }),
            Some(point) => {
                point.count += 1;
                point.standing = both(point.standing, standing, point.count);
            }
        }
    }
    points
}

/// The best of them, the first among equals; `None` where nothing was measured.
pub(crate) fn best_known(known: &[Known]) -> Option<&Known> {
    let measured = known.iter().filter(|point| point.standing != Standing::Failed);
    measured.min_by(|a, b| a.standing.order(&b.standing))
}

/// Tells what others find from what a strategy was told of itself.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Strangers {
    best_own: Option<Standing>,
}

impl Strangers {
    /// A strategy was told of its own trial, or has begun at a point.
    pub(crate) fn told(&mut self, standing: Standing) {
        if self.best_own.is_none_or(|best| standing.order(&best) == Ordering::Less) {
            self.best_own = Some(standing);
        }
    }

    /// The best that is known, where others found it and it is better than all that the strategy was told of; once.
    pub(crate) fn better<'a>(&mut self, known: &'a [Known]) -> Option<&'a Known> {
        let (best, own) = (best_known(known)?, self.best_own?);
        (best.standing.order(&own) == Ordering::Less).then(|| {
            self.best_own = Some(best.standing);
            best
        })
    }
}

/// Equal points have equal keys.
pub(crate) fn key(point: &[f64]) -> Vec<u64> {
    point.iter().map(|u| (u + 0.0).to_bits()).collect()
}

/// One more outcome of a point that has had `count - 1`.
pub(crate) fn both(so_far: Standing, next: Standing, count: usize) -> Standing {
    match (so_far, next) {
        (Standing::Feasible(mean), Standing::Feasible(value)) => {
            Standing::Feasible(mean + (value - mean) / count as f64)
        }
        (a, b) => {
            if a.order(&b) == Ordering::Less {
                b
            } else {
                a
            }
        }
    }
}

/// An outcome as one number, for strategies that subtract: what broke a constraint is worse than all that kept them, what failed worse
/// still.
pub(crate) fn cost(standing: Standing, seen: &History) -> f64 {
    let values =
        seen.measured().filter(|(_, measured)| measured.feasible).map(|(_, measured)| measured.value);
    let (low, high) = values.fold((f64::INFINITY, f64::NEG_INFINITY), |(a, b), v| (a.min(v), b.max(v)));
    let (high, spread) = if low <= high { (high, (high - low).max(f64::MIN_POSITIVE)) } else { (0.0, 1.0) };
    match standing {
        Standing::Feasible(value) => value,
        // What it broke them by may add up to more than a number can say.
        Standing::Infeasible(broken, _) if broken.is_infinite() => high + 2.0 * spread,
        Standing::Infeasible(broken, _) => high + spread * (1.0 + broken / (1.0 + broken)),
        Standing::Failed => high + 3.0 * spread,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::Measured;

    fn infeasible(value: f64, margin: f64) -> Outcome {
        Outcome::Measured(Measured { feasible: false, margins: vec![1.0, margin], ..Measured::of(value) })
    }

    #[test]
    fn feasible_stands_before_infeasible_and_that_before_failed() {
        let by_rank = [
            Standing::of(&Outcome::Measured(Measured::of(5.0))),
            Standing::of(&infeasible(9.0, -0.5)),
            Standing::of(&infeasible(1.0, -2.0)),
            Standing::of(&Outcome::Failed),
        ];
        assert!(by_rank.is_sorted_by(|a, b| a.order(b) == Ordering::Less));
        let mut seen = History::default();
        for value in [2.0, 7.0] {
            let id = seen.begin(vec![]);
            seen.end(id, Outcome::Measured(Measured::of(value)));
        }
        assert!(by_rank.map(|standing| cost(standing, &seen)).is_sorted());
        let hopeless = Measured { margins: vec![-f64::MAX; 2], feasible: false, ..Measured::of(1.0) };
        assert_eq!(cost(Standing::of(&Outcome::Measured(hopeless)), &seen), 17.0);
    }

    #[test]
    fn what_others_find_is_taken_in_once() {
        let known = |u: f64, value| Known { point: vec![u], standing: Standing::Feasible(value), count: 1 };
        let mut strangers = Strangers::default();
        strangers.told(Standing::Feasible(3.0));
        let (own, other) = ([known(0.1, 3.0)], [known(0.1, 3.0), known(0.2, 1.0)]);
        assert_eq!(strangers.better(&own), None);
        assert_eq!(strangers.better(&other).map(|k| k.point[0]), Some(0.2));
        assert_eq!(strangers.better(&other), None);
    }

    #[test]
    fn a_point_is_known_by_the_mean_of_its_measurements_and_by_its_worst_failure() {
        let mut seen = History::default();
        let told = [(0.1, 1.0), (0.2, 5.0), (0.1, 3.0), (0.1, 8.0)]
            .map(|(u, v)| (u, Outcome::Measured(Measured::of(v))));
        for (u, outcome) in told.into_iter().chain([(0.2, Outcome::Failed)]) {
            let id = seen.begin(vec![u]);
            seen.end(id, outcome);
        }
        let points = known(&seen);
        assert_eq!((points[0].standing, points[0].count), (Standing::Feasible(4.0), 3));
        assert_eq!(points[1].standing, Standing::Failed);
        assert_eq!(best_known(&points), Some(&points[0]));
    }
}
