//! Ask for trials, tell what came of them, hear what is best.

use std::sync::Arc;

use crate::history::{History, Measured, Outcome};
use crate::portfolio::LedgerRow;
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
}

impl Study {
    /// A study of `space` by `strategy`; `budget` trials, where that is known. The same seed gives the same study.
    pub fn new(space: Space, strategy: Strategy, budget: Option<usize>, seed: u64) -> Study {
        Study::with(space, budget, seed, |brief| strategy.begin(brief))
    }

    /// A study by whatever `begin` makes of the brief. It is asked where there is something to choose: the space has an axis.
    pub fn with(
        space: Space,
        budget: Option<usize>,
        seed: u64,
        begin: impl FnOnce(&Brief) -> Box<dyn Propose>,
    ) -> Study {
        let space = Arc::new(space);
        let brief = Brief { space: Arc::clone(&space), budget, seed };
        let strategy = (!space.axes().is_empty()).then(|| begin(&brief));
        Study { space, strategy, history: History::default(), budget }
    }

    /// The space that is searched.
    pub fn space(&self) -> &Space {
        &self.space
    }

    /// All trials so far.
    pub fn history(&self) -> &History {
        &self.history
    }

    /// What each strategy got and earned, where there are several.
    pub fn ledger(&self) -> Vec<LedgerRow> {
        self.strategy.as_ref().map_or_else(Vec::new, |strategy| strategy.ledger())
    }

    /// The next trial; `None` once the budget is spent.
    pub fn ask(&mut self) -> Option<Asked> {
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
        let (trial, measured) = self.history.lowest()?;
        Some(Best { id: trial.id, config: self.space.decode(&trial.point), value: measured.value })
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
