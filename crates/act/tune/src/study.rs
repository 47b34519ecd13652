//! Ask for trials, tell what came of them, hear what is best.

use std::cell::RefCell;
use std::sync::Arc;

use crate::history::{History, Measured, Outcome};
use crate::portfolio::LedgerRow;
use crate::recommend::Recommender;
use crate::safe::{Alarm, Constraint};
use crate::space::{Config, Space, SpaceError};
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
    /// For each trial, whether the strategy proposed it.
    proposed: Vec<bool>,
    /// Points to measure before the strategy is asked.
    suggested: Vec<Vec<f64>>,
    budget: Option<usize>,
    /// Trials that nobody asked for.
    added: usize,
    /// How many constraints were declared.
    constraints: usize,
    recommender: RefCell<Recommender>,
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
    /// Settings that are none of the space.
    #[error("{0}")]
    Settings(#[from] SpaceError),
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
        Study::with(space, budget, seed, |brief| strategy.begin(brief))
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
        Ok(Study::over(space, constraints, budget, seed, |brief| strategy.begin(brief)))
    }

    /// A study by whatever `begin` makes of the brief. It is asked where there is something to choose: the space has an axis.
    pub fn with(
        space: Space,
        budget: Option<usize>,
        seed: u64,
        begin: impl FnOnce(&Brief) -> Box<dyn Propose>,
    ) -> Study {
        Study::over(space, Vec::new(), budget, seed, begin)
    }

    fn over(
        space: Space,
        constraints: Vec<Constraint>,
        budget: Option<usize>,
        seed: u64,
        begin: impl FnOnce(&Brief) -> Box<dyn Propose>,
    ) -> Study {
        let space = Arc::new(space);
        let declared = constraints.len();
        let brief = Brief { space: Arc::clone(&space), budget, seed, constraints: constraints.into() };
        let strategy = (!space.axes().is_empty()).then(|| begin(&brief));
        Study {
            space,
            strategy,
            history: History::default(),
            proposed: Vec::new(),
            suggested: Vec::new(),
            budget,
            added: 0,
            constraints: declared,
            recommender: RefCell::default(),
        }
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

    /// What the strategy has to say besides its proposals.
    pub fn alarms(&self) -> &[Alarm] {
        self.strategy.as_ref().map_or(&[], |strategy| strategy.alarms())
    }

    /// The next trial; `None` once the budget is spent, or once an [alarm](Study::alarms) ends the search. Where the space says where everything stands, that is the first one.
    pub fn ask(&mut self) -> Option<Asked> {
        if self.alarms().iter().any(Alarm::ends) {
            return None;
        }
        if self.budget.is_some_and(|budget| self.history.trials().len() - self.added >= budget) {
            return None;
        }
        let (point, proposed) = self.next();
        let config = self.space.decode(&point);
        Some(Asked { id: self.begin(point, proposed), config })
    }

    /// Takes a trial of an earlier run of the same study, in its turn, instead of asking for it. A strategy that would ask for another
    /// one now, such as a later version's, sees it as one that nobody asked for; it still counts towards the budget.
    ///
    /// # Errors
    /// As [`Study::add`].
    pub fn replay(&mut self, config: &Config, outcome: Outcome) -> Result<u64, StudyError> {
        let was = self.space.snap(&self.space.encode(config)?);
        self.check(self.history.trials().len() as u64, &outcome)?;
        // Where nobody suggested it when it was measured, the strategy was asked.
        let suggested = std::mem::take(&mut self.suggested);
        if suggested.contains(&was) {
            self.suggested.clone_from(&suggested);
        }
        let (point, proposed) = self.next();
        self.suggested = suggested;
        let same = self.space.decode(&point) == self.space.decode(&was);
        let id = self.begin(if same { point } else { was }, proposed && same);
        self.tell(id, outcome)?;
        Ok(id)
    }

    /// Has `config` measured before the strategy is asked for more, unless it was measured: what a rule of thumb or somebody who knows
    /// the system would set. It counts towards the budget. Not for a search by [`Strategy::Safe`], which measures only what it has reason to
    /// trust.
    ///
    /// # Errors
    /// [`StudyError::Settings`], where the settings are none of the space.
    pub fn suggest(&mut self, config: &Config) -> Result<(), StudyError> {
        let point = self.space.snap(&self.space.encode(config)?);
        if !self.suggested.contains(&point) {
            self.suggested.push(point);
        }
        Ok(())
    }

    /// Takes what came of trial `id`.
    ///
    /// # Errors
    /// [`StudyError`]; the study then stands where it stood.
    pub fn tell(&mut self, id: u64, outcome: Outcome) -> Result<(), StudyError> {
        self.check(id, &outcome)?;
        if !self.history.end(id, sound(outcome)) {
            return Err(StudyError::NotUnderWay(id));
        }
        let proposed = self.proposed.get(id as usize).is_some_and(|proposed| *proposed);
        if let (true, Some(strategy), Some(trial)) = (proposed, &mut self.strategy, self.history.trial(id)) {
            strategy.tell(&self.history, trial);
        }
        Ok(())
    }

    /// Takes a measurement that nobody asked for, such as one of an earlier study; gives the number of its trial. It costs no
    /// budget.
    ///
    /// # Errors
    /// [`StudyError`], where the settings are none of the space or the value is no number.
    pub fn add(&mut self, config: &Config, outcome: Outcome) -> Result<u64, StudyError> {
        let point = self.space.snap(&self.space.encode(config)?);
        self.check(self.history.trials().len() as u64, &outcome)?;
        let id = self.begin(point, false);
        self.history.end(id, sound(outcome));
        self.added += 1;
        Ok(id)
    }

    /// What is best, as far as can be told: under noise not the luckiest measurement, see [`Recommender`]. `None` before the first
    /// feasible one.
    pub fn best(&self) -> Option<Best> {
        let own = self.strategy.as_ref().and_then(|strategy| strategy.recommend(&self.history));
        let general = || {
            let found = self.recommender.borrow_mut().recommend(&self.space, &self.history)?;
            Some((found.id, found.value))
        };
        let (id, value) = own.or_else(general)?;
        Some(Best { id, config: self.space.decode(&self.history.trial(id)?.point), value })
    }

    /// The point to measure next, and whether the strategy proposed it.
    fn next(&mut self) -> (Vec<f64>, bool) {
        if self.history.trials().is_empty() && self.space.has_start() {
            return (self.space.start(), false);
        }
        let tried = |point: &Vec<f64>| self.history.trials().iter().any(|trial| trial.point == *point);
        if let Some(point) = self.suggested.iter().find(|point| !tried(point)) {
            return (point.clone(), false);
        }
        let point = self.strategy.as_mut().map_or_else(Vec::new, |strategy| strategy.ask(&self.history));
        (self.space.snap(&point), true)
    }

    fn begin(&mut self, point: Vec<f64>, proposed: bool) -> u64 {
        self.proposed.push(proposed);
        self.history.begin(point)
    }

    fn check(&self, id: u64, outcome: &Outcome) -> Result<(), StudyError> {
        let Outcome::Measured(Measured { value, margins, .. }) = outcome else { return Ok(()) };
        if !value.is_finite() {
            return Err(StudyError::NotFinite(id, *value));
        }
        let told = margins.iter().filter(|margin| margin.is_finite()).count();
        let expected = if self.constraints == 0 { margins.len() } else { self.constraints };
        if told != expected || margins.len() != expected {
            return Err(StudyError::Margins { trial: id, told, declared: self.constraints });
        }
        Ok(())
    }
}

/// The outcome without a standard error or a time that is none: they count as not told.
fn sound(outcome: Outcome) -> Outcome {
    let told = |number: &f64| number.is_finite() && *number >= 0.0;
    match outcome {
        Outcome::Measured(Measured { value, noise, feasible, margins, seconds }) => {
            Outcome::Measured(Measured {
                value,
                noise: noise.filter(told),
                feasible,
                margins,
                seconds: seconds.filter(told),
            })
        }
        Outcome::Failed => Outcome::Failed,
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
    fn what_somebody_suggests_comes_after_the_defaults_and_once() {
        let space = r#"{"a": {"type": "int", "min": 1, "max": 9, "default": 2}}"#;
        let seven: Config = [("a".to_owned(), kandela_model::KnobValue::Int(7))].into();
        let suggested = || {
            let mut study = study(space, 4);
            study.suggest(&seven).expect("settings of the space");
            study
        };
        let mut first = suggested();
        let mut asked = Vec::new();
        while let Some(next) = first.ask() {
            asked.push(next.config.clone());
            first.tell(next.id, Outcome::Measured(Measured::of(1.0))).expect("told");
        }
        assert_eq!((asked[0]["a"].to_string(), &asked[1], asked.len()), ("2".to_owned(), &seven, 4));
        let taken_up = |mut later: Study| {
            for config in &asked[..3] {
                later.replay(config, Outcome::Measured(Measured::of(1.0))).expect("settings of the space");
            }
            later.ask().map(|next| next.config)
        };
        assert_eq!(taken_up(suggested()), Some(asked[3].clone()));
        // Without the suggestion, what was measured is one that nobody asked for, and the search goes on.
        assert!(taken_up(study(space, 4)).is_some());
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
    fn an_error_or_a_time_that_is_none_counts_as_not_told() {
        let mut study = study(r#"{"a": {"type": "bool"}}"#, 9);
        for none in [f64::NAN, f64::INFINITY, -1.0] {
            let asked = study.ask().expect("within the budget");
            let measured = Measured { noise: Some(none), seconds: Some(none), ..Measured::of(1.0) };
            study.tell(asked.id, Outcome::Measured(measured.clone())).expect("told");
            study.add(&asked.config, Outcome::Measured(measured)).expect("added");
        }
        assert_eq!(study.history().measured().count(), 6);
        assert!(study.history().measured().all(|(_, m)| *m == Measured::of(1.0)));
    }

    #[test]
    fn where_everything_stands_is_measured_first() {
        let mut study = study(r#"{"a": {"type": "int", "min": 1, "max": 99, "default": 7}}"#, 2);
        assert_eq!(study.ask().map(|asked| asked.config["a"].to_string()), Some("7".to_owned()));
    }

    #[test]
    fn a_study_that_was_cut_off_goes_on_as_if_it_had_not_been() {
        let json = r#"{"a": {"type": "float", "min": 1, "max": 99, "default": 7}}"#;
        let (mut whole, mut again) = (study(json, 9), study(json, 9));
        for _ in 0..5 {
            let asked = whole.ask().expect("within the budget");
            let outcome = Outcome::Measured(Measured::of(1.0));
            whole.tell(asked.id, outcome.clone()).expect("told");
            again.replay(&asked.config, outcome).expect("replayed");
        }
        assert_eq!(again.ask(), whole.ask());
    }

    #[test]
    fn a_trial_that_the_strategy_would_not_ask_for_now_is_kept_all_the_same() {
        let mut study = study(r#"{"a": {"type": "int", "min": 1, "max": 99}}"#, 2);
        let config = Config::from([("a".to_owned(), kandela_model::KnobValue::Int(50))]);
        study.replay(&config, Outcome::Measured(Measured::of(1.0))).expect("replayed");
        assert_eq!(study.best().map(|best| best.config), Some(config));
        assert!(study.ask().is_some() && study.ask().is_none());
    }

    #[test]
    fn a_budget_is_kept() {
        let mut study = study(r#"{"a": {"type": "bool"}}"#, 2);
        assert!(study.ask().is_some() && study.ask().is_some() && study.ask().is_none());
    }
}
