//! Few and noisy measurements: a model of all that was seen, and the measurement that would teach most about where it is best.

mod acquire;
mod design;

use std::sync::Arc;

use super::{Brief, Propose};
use crate::history::{History, Trial};
use crate::model::{Effort, Learned, Model, Observation, Trust, observations};
use crate::noise::{Noise, judge};
use crate::random::{Random, point, seeded};
use crate::space::Space;
use acquire::Acquisition;

/// Bayesian optimisation of mixed spaces under noise.
///
/// Begins with the defaults, where there are any, and points that fill the space. One of these is measured again, which tells whether
/// measurements repeat. Then a Gaussian process explains all values, and the point is measured after which the expected value of
/// what would be recommended is lowest: the knowledge gradient over what was measured and the point itself (Frazier, Powell, Dayanik
/// 2009; Scott, Frazier, Powell 2011, "The Correlated Knowledge Gradient for Simulation Optimization of Continuous Parameters").
/// Without noise that is the expected improvement; with it, measuring a promising point again may be worth most, and then is proposed.
/// Where trials fail or break constraints, a second model says where the next ones would.
pub struct Bayes {
    space: Arc<Space>,
    random: Random,
    design: Vec<Vec<f64>>,
    learned: Option<Learned>,
    learned_at: usize,
    learned_of_failure: Option<Learned>,
}

impl Bayes {
    /// Bayesian optimisation of the brief's space.
    pub fn new(brief: &Brief) -> Bayes {
        let mut random = seeded(brief.seed, 1);
        let design = design::fill(&brief.space, design::size(&brief.space, brief.budget), &mut random);
        let space = Arc::clone(&brief.space);
        Bayes { space, random, design, learned: None, learned_at: 0, learned_of_failure: None }
    }

    fn anywhere(&mut self) -> Vec<f64> {
        self.space.snap(&point(self.space.axes().len(), &mut self.random))
    }

    /// The lowest point of the design, once: whether its value comes again says whether there is noise.
    fn again(&self, seen: &History, noise: Noise) -> Option<Vec<f64>> {
        let first = seen.trials().len() == self.design.len() && self.design.len() >= 4;
        let (lowest, _) = seen.lowest().filter(|_| first && noise == Noise::Unknown)?;
        Some(lowest.point.clone())
    }

    fn by_model(&mut self, seen: &History, noise: Noise) -> Option<Vec<f64>> {
        let mut data = observations(seen);
        if noise == Noise::None {
            // What repeats exactly adds nothing, and would make the covariance singular.
            let mut kept: Vec<Observation> = Vec::with_capacity(data.len());
            for observation in data {
                if kept.iter().all(|other| other.point != observation.point) {
                    kept.push(observation);
                }
            }
            data = kept;
        }
        let grown = data.len() * 100 >= self.learned_at * 115;
        let effort = if grown {
            Effort::Fresh
        } else if data.len() < 100 {
            Effort::Follow
        } else {
            Effort::Keep
        };
        let mut model =
            Model::fit(&self.space, &data, noise, Trust::Doubtful, self.learned.as_ref(), effort)?;
        self.learned = Some(model.learned().clone());
        if grown {
            self.learned_at = data.len();
        }
        let pending: Vec<Vec<f64>> = seen.pending().map(<[f64]>::to_vec).collect();
        if !pending.is_empty() {
            // What is under way is taken to give what is expected of it.
            let believed = pending.into_iter().map(|point| {
                let value = model.in_units(model.predict(&point).mean);
                Observation { point, value, noise: None }
            });
            let believed: Vec<Observation> = believed.collect();
            data.extend(believed.into_iter().filter(|b| b.value.is_finite()));
            model =
                Model::fit(&self.space, &data, noise, Trust::Doubtful, self.learned.as_ref(), Effort::Keep)?;
        }
        let feasible = self.feasibility(seen);
        Acquisition::new(&self.space, &model, feasible.as_ref(), seen)?.search(&mut self.random)
    }

    /// A model of 0 where a trial was feasible and 1 where not; `None` where all were.
    fn feasibility(&mut self, seen: &History) -> Option<Model> {
        // Newest first: what a point did last counts, and a label without noise stands once.
        let mut labels: Vec<Observation> = Vec::new();
        for trial in seen.trials().iter().rev().filter(|trial| trial.outcome.is_some()) {
            if labels.len() < 200 && labels.iter().all(|label| label.point != trial.point) {
                let value = if trial.feasible().is_some() { 0.0 } else { 1.0 };
                labels.push(Observation { point: trial.point.clone(), value, noise: None });
            }
        }
        if labels.iter().all(|label| label.value == 0.0) || labels.iter().all(|label| label.value == 1.0) {
            return None;
        }
        let effort = if self.learned_of_failure.is_some() { Effort::Follow } else { Effort::Fresh };
        let model = Model::fit(
            &self.space,
            &labels,
            Noise::None,
            Trust::Full,
            self.learned_of_failure.as_ref(),
            effort,
        )?;
        self.learned_of_failure = Some(model.learned().clone());
        Some(model)
    }
}

impl Propose for Bayes {
    fn name(&self) -> &'static str {
        "bayes"
    }

    fn ask(&mut self, seen: &History) -> Vec<f64> {
        if let Some(point) = self.design.get(seen.trials().len()) {
            return point.clone();
        }
        let noise = judge(seen);
        let again = self.again(seen, noise);
        again.or_else(|| self.by_model(seen, noise)).unwrap_or_else(|| self.anywhere())
    }

    fn tell(&mut self, _seen: &History, _trial: &Trial) {}
}

#[cfg(test)]
mod tests {
    use kandela_model::KnobValue;

    use crate::{Config, Measured, Outcome, Space, Strategy, Study};

    fn mixed() -> Space {
        let json = r#"{
            "pool": {"type": "int", "min": 1, "max": 256, "log": true},
            "policy": {"type": "enum", "values": ["a", "b", "c"]},
            "rate": {"type": "float", "min": 0.001, "max": 1, "log": true, "when": {"parameter": "policy", "among": ["b"]}},
            "on": {"type": "bool"}
        }"#;
        serde_json::from_str(json).expect("a space")
    }

    fn number(config: &Config, name: &str) -> Option<f64> {
        match config.get(name)? {
            KnobValue::Int(number) => Some(*number as f64),
            KnobValue::Float(number) => Some(*number),
            KnobValue::Bool(on) => Some(f64::from(u8::from(*on))),
            KnobValue::Choice(_) => None,
        }
    }

    /// Lowest, at 0, for pool 32, policy b, rate 0.05, on.
    fn cost(config: &Config) -> f64 {
        let pool = (number(config, "pool").unwrap_or(1.0) / 32.0).ln();
        let policy = number(config, "rate").map_or(2.0, |rate| 0.3 * (rate / 0.05).ln().powi(2));
        pool * pool + policy + 1.0 - number(config, "on").unwrap_or(0.0)
    }

    fn study(strategy: Strategy, seed: u64, budget: usize) -> Study {
        Study::new(mixed(), strategy, Some(budget), seed)
    }

    fn found(strategy: Strategy, seed: u64) -> f64 {
        let mut study = study(strategy, seed, 30);
        while let Some(asked) = study.ask() {
            study.tell(asked.id, Outcome::Measured(Measured::of(cost(&asked.config)))).expect("told");
        }
        cost(&study.best().expect("measured").config)
    }

    #[test]
    fn thirty_trials_find_the_best_of_a_mixed_space() {
        let sum = |strategy| (0..3).map(|seed| found(strategy, seed)).sum::<f64>();
        let (ours, random) = (sum(Strategy::Bayes), sum(Strategy::Random));
        assert!(ours < 0.2 * random && ours < 0.3, "{ours} {random}");
    }

    #[test]
    fn the_same_seed_proposes_the_same() {
        let run = || {
            let mut study = study(Strategy::Bayes, 5, 16);
            while let Some(asked) = study.ask() {
                study.tell(asked.id, Outcome::Measured(Measured::of(cost(&asked.config)))).expect("told");
            }
            study.history().clone()
        };
        assert_eq!(run(), run());
    }

    #[test]
    fn it_goes_on_where_every_trial_fails_or_none_was_told() {
        let mut failing = study(Strategy::Bayes, 1, 20);
        while let Some(asked) = failing.ask() {
            failing.tell(asked.id, Outcome::Failed).expect("told");
        }
        let mut untold = study(Strategy::Bayes, 1, 20);
        while untold.ask().is_some() {}
        assert_eq!((failing.history().trials().len(), untold.history().trials().len()), (20, 20));
    }

    #[test]
    fn where_trials_fail_is_avoided() {
        let mut study = study(Strategy::Bayes, 2, 40);
        let mut failed = Vec::new();
        while let Some(asked) = study.ask() {
            let fails = number(&asked.config, "pool").is_some_and(|pool| pool > 20.0);
            failed.push(fails);
            let outcome =
                if fails { Outcome::Failed } else { Outcome::Measured(Measured::of(cost(&asked.config))) };
            study.tell(asked.id, outcome).expect("told");
        }
        let late = failed[20..].iter().filter(|fails| **fails).count();
        let best = cost(&study.best().expect("measured").config);
        // Pool 20 is the best that does not fail, at 0.22.
        assert!(late <= 12 && best < 0.3, "{late} of the last 20 failed, best {best}");
    }
}
