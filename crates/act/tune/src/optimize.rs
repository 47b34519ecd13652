//! The whole search in one call: what to measure, what to keep, how long it may take.
//!
//! ```
//! use std::collections::BTreeMap;
//! use std::time::Duration;
//! use kandela_tune::optimize::{Measurement, Optimizer};
//! use kandela_tune::{Bound, Constraint};
//!
//! let space = serde_json::from_str(r#"{"pool": {"type": "int", "min": 1, "max": 128, "log": true, "default": 8}}"#).unwrap();
//! let memory = Constraint::new("memory", Bound::Max(40.0));
//! let metrics = |config: &kandela_tune::Config| {
//!     let pool: f64 = config["pool"].to_string().parse().unwrap();
//!     let values = BTreeMap::from([("memory".to_owned(), 2.0 * pool)]);
//!     Measurement { objective: Some((pool - 24.0).abs()), noise: None, values, seconds: 30.0 }
//! };
//! let found = Optimizer::new(space, 7).optimize(metrics, &[memory], Duration::from_secs(1800)).unwrap();
//! assert_eq!(found.best.unwrap().config["pool"].to_string(), "20");
//! ```

use std::collections::{BTreeMap, HashSet};
use std::fmt;
use std::time::Duration;

use serde::Serialize;

use crate::history::{Measured, Outcome};
use crate::noise::judge;
use crate::portfolio::LedgerRow;
use crate::safe::{Alarm, Constraint};
use crate::space::{Config, Space};
use crate::strategy::standing::key;
use crate::strategy::{Brief, Strategy};
use crate::study::{Best, Study, StudyError};

/// Searches a space. Strategy and seed are given before, what a search is about with [`Optimizer::optimize`].
#[derive(Clone, Debug)]
pub struct Optimizer {
    space: Space,
    strategy: Strategy,
    seed: u64,
}

/// What measuring one configuration gave.
#[derive(Clone, Debug, PartialEq)]
pub struct Measurement {
    /// What is minimised; `None`, or no number, where the configuration gave nothing.
    pub objective: Option<f64>,
    /// The standard error of the objective, where it is known.
    pub noise: Option<f64>,
    /// What else was measured, by name, for constraints.
    pub values: BTreeMap<String, f64>,
    /// What it took, in seconds; above 0.
    pub seconds: f64,
}

/// What a search found.
#[derive(Clone, Debug, PartialEq)]
pub struct Optimum {
    /// The best settings that kept every constraint; `None` where there were none.
    pub best: Option<Best>,
    /// What the settings at the beginning gave, where they could be measured.
    pub baseline: Option<f64>,
    /// Why it stopped.
    pub why: Stopped,
    /// How many configurations were measured, the beginning included.
    pub trials: usize,
    /// What they took, in seconds.
    pub seconds: f64,
    /// What each strategy earned.
    pub ledger: Vec<LedgerRow>,
}

/// Why a search stopped.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Stopped {
    /// The time budget is spent.
    TimeSpent,
    /// Every setting was measured, and measurements are exact.
    Exhausted,
    /// Constraints that nothing met.
    Unmeetable(Vec<Unmet>),
    /// The first so many configurations gave no value.
    NeverMeasured(usize),
}

/// A constraint that nothing met: alone, or together with the others that are told.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Unmet {
    /// Its name.
    pub name: String,
    /// What it demands.
    pub bound: String,
    /// The value that came closest.
    pub closest: f64,
}

/// Why a search can't be.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum OptimizeError {
    /// A constraint on what is not measured.
    #[error(
        "constraint {constraint} is on a value that was not measured; measured were: {measured}. Name one of them, or measure it"
    )]
    NotMeasured {
        /// The constraint.
        constraint: String,
        /// What was measured.
        measured: String,
    },
    /// A measurement that took no time.
    #[error("a measurement took {0} seconds, so a time budget would never end; tell what it took, above 0")]
    NoTime(f64),
    /// A study's refusal.
    #[error(transparent)]
    Study(#[from] StudyError),
}

/// So many configurations that all give nothing are a target that gives nothing.
const FAILED_ALWAYS: usize = 20;

impl Optimizer {
    /// An optimiser of `space` by the portfolio. The same seed gives the same search, if the measurements are the same.
    pub fn new(space: Space, seed: u64) -> Optimizer {
        Optimizer { space, strategy: Strategy::Portfolio, seed }
    }

    /// By another strategy.
    pub fn by(self, strategy: Strategy) -> Optimizer {
        Optimizer { strategy, ..self }
    }

    /// Measures configurations by `metrics` until `time_budget` is spent, by the seconds that the measurements tell; the last may
    /// exceed it. The first is that of all defaults. A constraint is on the value of its name in [`Measurement::values`];
    /// [`Strategy::Safe`] keeps it while it searches, other strategies look for what keeps it.
    ///
    /// It stops early where every setting was measured exactly, where nothing can be measured, and where constraints can't be met:
    /// all settings break them, or thirty trials and ten an axis do and the closest of them lies in the first half, or a safe search
    /// finds nothing near its start that keeps them.
    ///
    /// # Errors
    /// [`OptimizeError`]; what was measured until then is lost.
    pub fn optimize(
        &self,
        mut metrics: impl FnMut(&Config) -> Measurement,
        constraints: &[Constraint],
        time_budget: Duration,
    ) -> Result<Optimum, OptimizeError> {
        let faulty = |constraint: &Constraint| Some((constraint.name.clone(), constraint.fault()?));
        if let Some((constraint, what)) = constraints.iter().find_map(faulty) {
            return Err(StudyError::Constraint { constraint, what }.into());
        }
        let safe = (self.strategy == Strategy::Safe).then(|| {
            Study::constrained(self.space.clone(), constraints.to_vec(), self.strategy, None, self.seed)
        });
        let safe = safe.transpose()?;
        let budget = time_budget.as_secs_f64();
        let start = self.space.decode(&self.space.start());
        let first = metrics(&start);
        let mut kept = Kept::new(constraints);
        let baseline = kept.take(&first)?;
        let mut study = safe.unwrap_or_else(|| self.study(budget / first.seconds));
        study.add(&start, baseline.clone())?;
        let why = loop {
            if kept.seconds >= budget {
                break Stopped::TimeSpent;
            }
            if let Some(why) = kept.is_hopeless(&study) {
                break why;
            }
            let Some(asked) = study.ask() else { break kept.alarmed(&study) };
            let outcome = kept.take(&metrics(&asked.config))?;
            study.tell(asked.id, outcome)?;
        };
        let baseline = match baseline {
            Outcome::Measured(measured) => Some(measured.value),
            Outcome::Failed => None,
        };
        let (trials, seconds) = (kept.trials, kept.seconds);
        Ok(Optimum { best: study.best(), baseline, why, trials, seconds, ledger: study.ledger() })
    }

    /// A study without an end, whose strategy expects about so many trials.
    fn study(&self, expected: f64) -> Study {
        let expected = expected.clamp(10.0, 10_000.0) as usize;
        Study::with(self.space.clone(), None, self.seed, |brief| {
            self.strategy.begin(&Brief { budget: Some(expected), ..brief.clone() })
        })
    }
}

impl fmt::Display for Stopped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Stopped::TimeSpent => f.write_str("the time budget is spent"),
            Stopped::Exhausted => f.write_str("every setting was measured"),
            Stopped::NeverMeasured(trials) => {
                write!(
                    f,
                    "none of {trials} configurations gave a value: see whether the target answers at all"
                )
            }
            Stopped::Unmeetable(unmet) => {
                let told = unmet.iter().map(|u| format!("{} {} (closest: {})", u.name, u.bound, u.closest));
                let told = told.collect::<Vec<_>>().join(" and ");
                let together = if unmet.len() > 1 { " together" } else { "" };
                write!(f, "no setting was found that keeps {told}{together}: loosen it, or widen the space")
            }
        }
    }
}

/// What was kept of the constraints so far.
struct Kept<'a> {
    constraints: &'a [Constraint],
    /// For each constraint, the best margin.
    best_margins: Vec<f64>,
    /// The trial that came closest to keeping all: its number, what it broke them by, and its margins.
    closest: (usize, f64, Vec<f64>),
    trials: usize,
    measured: usize,
    feasible: usize,
    seconds: f64,
}

impl Kept<'_> {
    fn new(constraints: &[Constraint]) -> Kept<'_> {
        Kept {
            constraints,
            best_margins: vec![f64::NEG_INFINITY; constraints.len()],
            closest: (0, f64::INFINITY, Vec::new()),
            trials: 0,
            measured: 0,
            feasible: 0,
            seconds: 0.0,
        }
    }

    fn take(&mut self, measurement: &Measurement) -> Result<Outcome, OptimizeError> {
        if !(measurement.seconds.is_finite() && measurement.seconds > 0.0) {
            return Err(OptimizeError::NoTime(measurement.seconds));
        }
        self.trials += 1;
        self.seconds += measurement.seconds;
        let Some(value) = measurement.objective.filter(|value| value.is_finite()) else {
            return Ok(Outcome::Failed);
        };
        let mut margins = Vec::with_capacity(self.constraints.len());
        for constraint in self.constraints {
            match measurement.values.get(&constraint.name) {
                Some(value) if value.is_finite() => margins.push(constraint.bound.margin(*value)),
                // A source that once was there may be gone for a while; it then shows nothing.
                _ if self.measured > 0 => return Ok(Outcome::Failed),
                _ => {
                    let measured = measurement.values.keys().cloned().collect::<Vec<_>>().join(", ");
                    return Err(OptimizeError::NotMeasured { constraint: constraint.name.clone(), measured });
                }
            }
        }
        self.measured += 1;
        let feasible = margins.iter().all(|margin| *margin >= 0.0);
        self.feasible += usize::from(feasible);
        self.best_margins.iter_mut().zip(&margins).for_each(|(best, margin)| *best = best.max(*margin));
        let broken: f64 = margins.iter().map(|margin| (-margin).max(0.0)).sum();
        if broken < self.closest.1 {
            self.closest = (self.measured, broken, margins.clone());
        }
        let (noise, seconds) = (measurement.noise, Some(measurement.seconds));
        Ok(Outcome::Measured(Measured { value, noise, feasible, margins, seconds }))
    }

    /// Why to go on makes no sense, where it makes none.
    fn is_hopeless(&self, study: &Study) -> Option<Stopped> {
        if self.measured == 0 {
            return (self.trials >= FAILED_ALWAYS).then_some(Stopped::NeverMeasured(self.trials));
        }
        let is_exhausted = is_exhausted(study);
        let enough = 30 + 10 * study.space().axes().len();
        let stuck = self.measured >= enough && 2 * self.closest.0 < self.measured;
        if self.feasible == 0 && (is_exhausted || stuck) {
            return Some(Stopped::Unmeetable(self.unmet()));
        }
        is_exhausted.then_some(Stopped::Exhausted)
    }

    /// Why a search without an end asks for nothing more: an alarm ended it.
    fn alarmed(&self, study: &Study) -> Stopped {
        if study.alarms().contains(&Alarm::StartFails) {
            Stopped::NeverMeasured(self.trials)
        } else {
            Stopped::Unmeetable(self.unmet())
        }
    }

    /// The constraints that nothing met; where each was met at times, those that the closest trial broke and kept at others' cost.
    fn unmet(&self) -> Vec<Unmet> {
        let never = self.best_margins.iter().any(|margin| *margin < 0.0);
        let unmet = |(place, constraint): (usize, &Constraint)| {
            let margin = if never { self.best_margins[place] } else { self.closest.2[place] };
            let closest = constraint.bound.at(margin);
            (!never || margin < 0.0).then(|| Unmet {
                name: constraint.name.clone(),
                bound: constraint.bound.to_string(),
                closest,
            })
        };
        self.constraints.iter().enumerate().filter_map(unmet).collect()
    }
}

/// Whether every setting was measured, and measurements are exact.
fn is_exhausted(study: &Study) -> bool {
    let Some(size) = study.space().size() else { return false };
    let trials = study.history().trials();
    if (trials.len() as u64) < size || judge(study.history()).deviation() > 0.0 {
        return false;
    }
    let told = trials.iter().filter(|trial| trial.outcome.is_some());
    told.map(|trial| key(&trial.point)).collect::<HashSet<_>>().len() as u64 >= size
}

#[cfg(test)]
mod tests {
    use kandela_model::KnobValue;

    use super::*;
    use crate::safe::Bound;

    const SPACE: &str = r#"{
        "x": {"type": "float", "min": 0, "max": 10, "default": 1},
        "y": {"type": "float", "min": 0, "max": 10, "default": 1}
    }"#;

    fn number(config: &Config, name: &str) -> f64 {
        match &config[name] {
            KnobValue::Int(n) => *n as f64,
            KnobValue::Float(x) => *x,
            other => unreachable!("{other}"),
        }
    }

    fn metrics(config: &Config) -> Measurement {
        let (x, y) = (number(config, "x"), number(config, "y"));
        let values = BTreeMap::from([("load".to_owned(), x + y), ("rate".to_owned(), x)]);
        Measurement {
            objective: Some((x - 7.0).powi(2) + (y - 7.0).powi(2)),
            noise: None,
            values,
            seconds: 10.0,
        }
    }

    fn constraint(name: &str, bound: Bound) -> Constraint {
        Constraint::new(name, bound)
    }

    fn optimize(
        metrics: impl FnMut(&Config) -> Measurement,
        constraints: &[Constraint],
    ) -> Result<Optimum, OptimizeError> {
        let space = serde_json::from_str(SPACE).expect("a space");
        Optimizer::new(space, 1).optimize(metrics, constraints, Duration::from_secs(1500))
    }

    #[test]
    fn the_best_within_the_constraints_is_found_in_time() {
        let found = optimize(metrics, &[constraint("load", Bound::Max(10.0))]).expect("a search");
        let best = found.best.expect("one is feasible");
        assert!(number(&best.config, "x") + number(&best.config, "y") <= 10.0);
        assert!((8.0..9.5).contains(&best.value), "{}", best.value);
        assert_eq!((found.why, found.trials, found.seconds), (Stopped::TimeSpent, 150, 1500.0));
        assert_eq!(found.baseline, Some(72.0));
        // What several strategies shared, after one had descended.
        let shared: f64 = found.ledger.iter().map(|row| row.trials + row.checks).sum();
        assert!((1.0..150.0).contains(&shared), "{shared}");
    }

    #[test]
    fn a_constraint_that_nothing_meets_is_told_with_what_came_closest() {
        let impossible = [constraint("rate", Bound::Min(1.0)), constraint("load", Bound::Min(25.0))];
        let found = optimize(metrics, &impossible).expect("a search");
        assert_eq!(found.best, None);
        assert!(found.trials < 150, "{}", found.trials);
        let Stopped::Unmeetable(unmet) = &found.why else { unreachable!("{:?}", found.why) };
        assert_eq!((unmet.len(), unmet[0].name.as_str()), (1, "load"));
        assert!((15.0..=20.0).contains(&unmet[0].closest), "{}", unmet[0].closest);
        assert!(found.why.to_string().starts_with("no setting was found that keeps load at least 25"));
    }

    #[test]
    fn constraints_that_exclude_each_other_are_told_together() {
        let both = [constraint("rate", Bound::Min(8.0)), constraint("load", Bound::Max(5.0))];
        let Stopped::Unmeetable(unmet) = optimize(metrics, &both).expect("a search").why else {
            unreachable!("they exclude each other")
        };
        assert_eq!(unmet.iter().map(|u| u.name.as_str()).collect::<Vec<_>>(), ["rate", "load"]);
    }

    #[test]
    fn the_defaults_are_measured_once_and_may_be_the_best() {
        let space = serde_json::from_str(SPACE).expect("a space");
        let found =
            Optimizer::new(space, 1).optimize(metrics, &[], Duration::from_secs(10)).expect("a search");
        assert_eq!((found.trials, found.why), (1, Stopped::TimeSpent));
        assert_eq!(found.best.map(|best| (best.id, best.value)), Some((0, 72.0)));
    }

    #[test]
    fn the_safe_strategy_keeps_the_constraints_of_the_call() {
        let by =
            |space: &str| Optimizer::new(serde_json::from_str(space).expect("a space"), 1).by(Strategy::Safe);
        let mut loads = Vec::new();
        let seen = |config: &Config| {
            let measurement = metrics(config);
            loads.push(measurement.values["load"]);
            measurement
        };
        let bounds = [constraint("load", Bound::Max(10.0))];
        let found = by(SPACE).optimize(seen, &bounds, Duration::from_secs(400)).expect("a search");
        assert!(found.trials == 40 && loads.iter().all(|load| *load <= 10.0), "{loads:?}");
        assert!(found.best.is_some_and(|best| best.value < 20.0));

        let bounds = [constraint("load", Bound::Max(-9.0))];
        let found = by(SPACE).optimize(metrics, &bounds, Duration::from_secs(4000)).expect("a search");
        assert!(
            matches!(&found.why, Stopped::Unmeetable(unmet) if unmet[0].name == "load"),
            "{:?}",
            found.why
        );
        let nowhere = r#"{"x": {"type": "float", "min": 0, "max": 1}}"#;
        let never = |_: &Config| unreachable!("nothing is known to be safe");
        let refused = by(nowhere).optimize(never, &bounds, Duration::from_secs(9)).expect_err("refused");
        assert!(refused.to_string().contains("parameter x has no default"), "{refused}");
    }

    #[test]
    fn a_target_that_gives_nothing_ends_the_search() {
        let nothing = |_: &Config| Measurement {
            objective: Some(f64::NAN),
            noise: None,
            values: BTreeMap::new(),
            seconds: 1.0,
        };
        let found = optimize(nothing, &[]).expect("a search");
        assert_eq!((found.why, found.best), (Stopped::NeverMeasured(20), None));
    }

    #[test]
    fn a_small_space_is_searched_once() {
        let space = serde_json::from_str(r#"{"n": {"type": "int", "min": 1, "max": 6}}"#).expect("a space");
        let metrics = |config: &Config| Measurement {
            objective: Some((number(config, "n") - 5.0).abs()),
            noise: None,
            values: BTreeMap::new(),
            seconds: 1.0,
        };
        let found =
            Optimizer::new(space, 1).optimize(metrics, &[], Duration::from_secs(1000)).expect("a search");
        assert_eq!(found.why, Stopped::Exhausted);
        assert_eq!(found.best.map(|best| best.value), Some(0.0));
        assert!(found.trials < 30, "{}", found.trials);
    }

    #[test]
    fn what_is_no_search_is_refused_with_what_to_do() {
        let refuse = |constraints: &[Constraint], seconds| {
            let timed = |config: &Config| Measurement { seconds, ..metrics(config) };
            optimize(timed, constraints).expect_err("no search").to_string()
        };
        assert!(refuse(&[constraint("p99", Bound::Max(1.0))], 1.0).contains("measured were: load, rate"));
        assert!(refuse(&[constraint("load", Bound::Max(f64::NAN))], 1.0).contains("constraint load"));
        assert!(refuse(&[], 0.0).contains("took 0 seconds"));
    }
}
