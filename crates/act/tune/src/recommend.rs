//! Which of the points that were measured is best: under noise, not the luckiest.

use crate::history::History;
use crate::model::{Effort, Learned, Model, Trust, observations};
use crate::noise::{Noise, judge};
use crate::space::Space;

/// Fewer measurements than this say nothing of noise, and the lowest is taken.
const FEWEST: usize = 5;

/// A recommended trial, and what its settings are expected to give.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Recommendation {
    /// The trial.
    pub id: u64,
    /// What its settings are expected to give.
    pub value: f64,
}

/// Recommends from the history of any strategy.
///
/// Where equal settings give equal values it is the lowest. Else a model explains all measurements, and of the feasible ones the
/// one is taken whose settings have the lowest expected value: a lucky measurement among worse neighbours is pulled towards them, and
/// one that was confirmed keeps its place. Keeps what it learned from call to call.
#[derive(Debug, Default)]
pub struct Recommender {
    learned: Option<Learned>,
    learned_at: usize,
    last: Option<(usize, Option<Recommendation>)>,
}

impl Recommender {
    /// The recommendation; `None` before the first feasible measurement.
    pub fn recommend(&mut self, space: &Space, history: &History) -> Option<Recommendation> {
        let ended = history.trials().iter().filter(|trial| trial.outcome.is_some()).count();
        if let Some((_, kept)) = self.last.filter(|(at, _)| *at == ended) {
            return kept;
        }
        let found = self.find(space, history);
        self.last = Some((ended, found));
        found
    }

    fn find(&mut self, space: &Space, history: &History) -> Option<Recommendation> {
        let (trial, measured) = history.lowest()?;
        let lowest = Recommendation { id: trial.id, value: measured.value };
        let noise = judge(history);
        let count = history.measured().count();
        if noise == Noise::None || count < FEWEST {
            return Some(lowest);
        }
        // A fit costs more than its use: it is made anew when a tenth has come in, else the last one explains the newest too.
        let effort = if count * 10 >= self.learned_at * 11 { Effort::Fresh } else { Effort::Keep };
        let seen = observations(history);
        let Some(model) = Model::fit(space, &seen, noise, Trust::Doubtful, self.learned.as_ref(), effort)
        else {
            return Some(lowest);
        };
        if effort == Effort::Fresh {
            self.learned = Some(model.learned().clone());
            self.learned_at = count;
        }
        Some(best_of(&model, history).unwrap_or(lowest))
    }
}

/// The feasible measurement that the model expects most of. Points that the model has not seen are no candidates.
pub(crate) fn best_of(model: &Model, history: &History) -> Option<Recommendation> {
    let feasible = |point: &[f64]| {
        history.trials().iter().find(|trial| trial.feasible().is_some() && trial.point == point)
    };
    let mut order: Vec<usize> = (0..model.points().len()).collect();
    order.sort_by(|a, b| model.mean_at(*a).total_cmp(&model.mean_at(*b)));
    order.into_iter().find_map(|index| {
        let trial = feasible(&model.points()[index])?;
        Some(Recommendation { id: trial.id, value: model.in_units(model.mean_at(index)) })
    })
}

#[cfg(test)]
mod tests {
    use rand::Rng;
    use rand_distr::{Distribution, StandardNormal};

    use super::*;
    use crate::history::{Measured, Outcome};
    use crate::random::seeded;

    fn space() -> Space {
        serde_json::from_str(
            r#"{"x": {"type": "float", "min": 0, "max": 1}, "y": {"type": "float", "min": 0, "max": 1}}"#,
        )
        .expect("a space")
    }

    fn truth(point: &[f64]) -> f64 {
        10.0 * ((point[0] - 0.3).powi(2) + (point[1] - 0.6).powi(2))
    }

    fn noisy(seed: u64) -> History {
        let mut random = seeded(seed, 0);
        let mut history = History::default();
        for _ in 0..40 {
            let point: Vec<f64> = (0..2).map(|_| random.random()).collect();
            let noise: f64 = StandardNormal.sample(&mut random);
            let value = truth(&point) + noise;
            let id = history.begin(point);
            history.end(id, Outcome::Measured(Measured::of(value)));
        }
        history
    }

    #[test]
    fn under_noise_what_is_recommended_beats_the_luckiest() {
        let (mut recommended, mut luckiest) = (0.0, 0.0);
        for seed in 0..20 {
            let history = noisy(seed);
            let found = Recommender::default().recommend(&space(), &history).expect("measured");
            let at = |id: u64| history.trial(id).map_or(f64::NAN, |trial| truth(&trial.point));
            recommended += at(found.id);
            luckiest += history.lowest().map_or(f64::NAN, |(trial, _)| truth(&trial.point));
        }
        assert!(recommended < 0.7 * luckiest, "{recommended} {luckiest}");
    }

    #[test]
    fn where_a_repeat_gives_the_same_value_the_lowest_is_recommended() {
        let mut history = noisy(3);
        let (point, value) =
            history.measured().next().map(|(trial, m)| (trial.point.clone(), m.value)).expect("measured");
        let id = history.begin(point);
        history.end(id, Outcome::Measured(Measured::of(value)));
        let lowest = history.lowest().map(|(trial, m)| Recommendation { id: trial.id, value: m.value });
        assert_eq!(Recommender::default().recommend(&space(), &history), lowest);
    }

    #[test]
    fn what_broke_a_constraint_is_never_recommended() {
        let mut history = History::default();
        for step in 0..20 {
            let id = history.begin(vec![f64::from(step) / 20.0, 0.5]);
            let value = f64::from(step) + f64::from(step % 3);
            let measured = Measured { feasible: step >= 10, ..Measured::of(value) };
            history.end(id, Outcome::Measured(measured));
        }
        let found = Recommender::default().recommend(&space(), &history).expect("measured");
        assert!(found.id >= 10);
    }
}
