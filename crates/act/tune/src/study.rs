//! Ask for trials, tell what came of them, hear what is best.

use std::sync::Arc;

use crate::history::{History, Measured, Outcome};
use crate::safe::{Alarm, Constraint};
use crate::space::{Config, Space};
use crate::strategy::{Brief, Propose, Strategy};

/// A search under way.
///
/// ```
/// use kandela_tune::{Measured, Outcome, Space, Strategy, Study};
///
/// let space: Space = serde_json::from_str(r#"{"pool": {"type": "int", "min": 1, "max": 128, "log": true}}"#).unwrap();
/// let mut study = Study::new(space, Strategy::Random, Some(20), 7);
/// while let Some(asked) = study.ask() {
///     let pool = asked.config["pool"].to_string().parse::<f64>().unwrap();
///     study.tell(asked.id, Outcome::Measured(Measured::of((pool - 24.0).powi(2)))).unwrap();
/// }
/// assert!(study.best().is_some());
/// ```
pub struct Study {
    space: Arc<Space>,
    /// None where the space has one point: there is nothing to choose.
    strategy: Option<Box<dyn Propose>>,
    history: History,
    budget: Option<usize>,
    /// How many constraints were declared.
    constraints: usize,
}

/// A trial that wants measuring.
#[derive(Clone, Debug, PartialEq)]
pub struct Asked {
    /// Its number, to tell of it.
    pub id: u64,
    /// The settings to measure.
    pub config: Config,
}

/// What a study recommends.
#[derive(Clone, Debug, PartialEq)]
pub struct Best {
    /// A trial of these settings.
    pub id: u64,
    /// The settings.
    pub config: Config,
    /// What they are expected to give.
    pub value: f64,
}

/// What was told can't be taken.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum StudyError {
    /// No trial of that number is under way.
    #[error("no trial {0} is under way: each is told once, by the number that it was asked with")]
    NotUnderWay(u64),
    /// The value is no number.
    #[error("trial {0}: {1} is no value to minimise; tell a finite number, or that the trial failed")]
    NotFinite(u64, f64),
    /// Margins that do not belong to the declared constraints.
    #[error(
        "trial {trial}: {told} margins for {declared} declared constraints; tell one finite margin for each, in their order"
    )]
    Margins {
        /// The trial.
        trial: u64,
        /// How many finite margins were told.
        told: usize,
        /// How many constraints were declared.
        declared: usize,
    },
    /// A declared constraint that can't be kept track of.
    #[error("constraint {constraint}: {what}")]
    Constraint {
        /// The constraint.
        constraint: String,
        /// What is wrong with it, and what to do.
        what: &'static str,
    },
    /// A safe search without a place to start from.
    #[error(
        "parameter {0} has no default: a safe search starts where the constraints are known to be kept; say where that is"
    )]
    NoStart(String),
}

impl Study {
    /// A study of `space` by `strategy`; `budget` trials, where that is known. The same seed gives the same study.
    pub fn new(space: Space, strategy: Strategy, budget: Option<usize>, seed: u64) -> Study {
        Study::begin(space, Vec::new(), strategy, budget, seed)
    }

    /// A study that keeps `constraints` in view: trials are told with a margin for each. [`Strategy::Safe`] keeps them while it
    /// searches, beginning at the defaults of the space, which must keep them; other strategies hear of them only.
    ///
    /// # Errors
    /// [`StudyError`], which names the constraint, or the parameter that has no default.
    pub fn constrained(
        space: Space,
        constraints: Vec<Constraint>,
        strategy: Strategy,
        budget: Option<usize>,
        seed: u64,
    ) -> Result<Study, StudyError> {
        constraints.iter().enumerate().try_for_each(|(place, constraint)| {
            let twice = constraints[..place].iter().any(|other| other.name == constraint.name);
            let what = constraint.fault().or(twice.then_some("it is there twice; name each once"));
            what.map_or(Ok(()), |what| {
                Err(StudyError::Constraint { constraint: constraint.name.clone(), what })
            })
        })?;
        if strategy == Strategy::Safe {
            let axes = (0..space.axes().len()).map(|index| space.axis_parameter(index));
            if let Some(parameter) = axes.into_iter().find(|parameter| parameter.default.is_none()) {
                return Err(StudyError::NoStart(parameter.spec.name.clone()));
            }
        }
        Ok(Study::begin(space, constraints, strategy, budget, seed))
    }

    fn begin(
        space: Space,
        constraints: Vec<Constraint>,
        strategy: Strategy,
        budget: Option<usize>,
        seed: u64,
    ) -> Study {
        let space = Arc::new(space);
        let declared = constraints.len();
        let brief = Brief { space: Arc::clone(&space), budget, seed, constraints: constraints.into() };
        let strategy = (!space.axes().is_empty()).then(|| strategy.begin(&brief));
        Study { space, strategy, history: History::default(), budget, constraints: declared }
    }

    /// The space that is searched.
    pub fn space(&self) -> &Space {
        &self.space
    }

    /// All trials so far.
    pub fn history(&self) -> &History {
        &self.history
    }

    /// What the strategy has to say besides its proposals.
    pub fn alarms(&self) -> &[Alarm] {
        self.strategy.as_ref().map_or(&[], |strategy| strategy.alarms())
    }

    /// The next trial; `None` once the budget is spent, or once an [alarm](Study::alarms) ends the search.
    pub fn ask(&mut self) -> Option<Asked> {
        if self.alarms().iter().any(Alarm::ends) {
            return None;
        }
        if self.budget.is_some_and(|budget| self.history.trials().len() >= budget) {
            return None;
        }
        let point = self.strategy.as_mut().map_or_else(Vec::new, |strategy| strategy.ask(&self.history));
        let point = self.space.snap(&point);
        let config = self.space.decode(&point);
        Some(Asked { id: self.history.begin(point), config })
    }

    /// Takes what came of trial `id`.
    ///
    /// # Errors
    /// [`StudyError`]; the study then stands where it stood.
    pub fn tell(&mut self, id: u64, outcome: Outcome) -> Result<(), StudyError> {
        if let Outcome::Measured(Measured { value, .. }) = &outcome
            && !value.is_finite()
        {
            return Err(StudyError::NotFinite(id, *value));
        }
        if let Outcome::Measured(Measured { margins, .. }) = &outcome {
            let told = margins.iter().filter(|margin| margin.is_finite()).count();
            let expected = if self.constraints == 0 { margins.len() } else { self.constraints };
            if told != expected || margins.len() != expected {
                return Err(StudyError::Margins { trial: id, told, declared: self.constraints });
            }
        }
        if !self.history.end(id, outcome) {
            return Err(StudyError::NotUnderWay(id));
        }
        if let (Some(strategy), Some(trial)) = (&mut self.strategy, self.history.trial(id)) {
            strategy.tell(&self.history, trial);
        }
        Ok(())
    }

    /// What is best, as far as can be told; `None` before the first feasible measurement.
    pub fn best(&self) -> Option<Best> {
        let recommended = self.strategy.as_ref().and_then(|strategy| strategy.recommend(&self.history));
        let lowest = || self.history.lowest().map(|(trial, measured)| (trial.id, measured.value));
        let (id, value) = recommended.or_else(lowest)?;
        Some(Best { id, config: self.space.decode(&self.history.trial(id)?.point), value })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn study(json: &str, budget: usize) -> Study {
        let space: Space = serde_json::from_str(json).expect("a space");
        Study::new(space, Strategy::Random, Some(budget), 1)
    }

    #[test]
    fn a_space_of_one_point_is_asked_for_that_point() {
        let mut study = study(r#"{"a": {"type": "enum", "values": ["only"]}}"#, 3);
        let asked = study.ask().expect("within the budget");
        assert_eq!(asked.config["a"].to_string(), "only");
        study.tell(asked.id, Outcome::Measured(Measured::of(2.0))).expect("told");
        assert_eq!(study.best().map(|best| best.value), Some(2.0));
    }

    #[test]
    fn what_is_no_number_is_refused_and_the_trial_stays_open() {
        let mut study = study(r#"{"a": {"type": "bool"}}"#, 3);
        let asked = study.ask().expect("within the budget");
        let told = study.tell(asked.id, Outcome::Measured(Measured::of(f64::NAN)));
        assert!(matches!(told, Err(StudyError::NotFinite(0, _))));
        study.tell(asked.id, Outcome::Failed).expect("still under way");
        assert_eq!(study.tell(asked.id, Outcome::Failed), Err(StudyError::NotUnderWay(0)));
        assert_eq!(study.best(), None);
    }

    #[test]
    fn a_budget_is_kept() {
        let mut study = study(r#"{"a": {"type": "bool"}}"#, 2);
        assert!(study.ask().is_some() && study.ask().is_some() && study.ask().is_none());
    }
}
