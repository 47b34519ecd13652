//! What to use when nobody says: by the space, the budget, and whether a second measurement gives the same value.
//!
//! - Where the space has categories or switches, where trials are few for its axes, or where measurements are noisy: [`Bayes`], which
//!   learns most from each trial. Once it has had so many that a model of all of them costs more than it tells, a portfolio goes on.
//! - Where all axes are numbers, trials are many and measurements exact: [`Structured`], which finds minima to the last digit.
//!
//! Whether measurements are exact is tried at the beginning, by measuring one point twice, where it makes a difference.

use super::{Bayes, Brief, Propose, Structured};
use crate::history::{History, Trial};
use crate::noise::{Noise, judge};
use crate::portfolio::{LedgerRow, MEMBERS, Portfolio};
use crate::space::Axis;

/// Trials for each axis from which on a search by structure pays: it spends about three an axis to look around.
const GENEROUS: usize = 15;
/// Trials of which a model of all of them is worth its cost.
const MODELLED: usize = 250;
/// How often the start is measured to see whether it gives the same value.
const TRIED: usize = 2;

/// The strategy `auto`.
pub struct Auto {
    brief: Brief,
    phase: Phase,
    tried: usize,
    /// Whether it asked for the start itself the last time.
    tries: bool,
    current: Box<dyn Propose>,
    /// The number of the first trial that the current strategy was asked for, and who was asked before.
    since: u64,
    former: Option<Box<dyn Propose>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// The start is measured twice; if more is asked for meanwhile, it is of the search by structure.
    Trying,
    Modelling,
    Structured,
    Sharing,
}

impl Auto {
    /// A search of the brief's space.
    pub fn new(brief: &Brief) -> Auto {
        let axes = brief.space.axes();
        let numbers = axes.iter().all(|axis| matches!(axis, Axis::Real));
        let generous = brief.budget.is_none_or(|budget| budget >= GENEROUS * axes.len());
        let (phase, current): (Phase, Box<dyn Propose>) = if numbers && generous {
            (Phase::Trying, Box::new(Structured::new(brief)))
        } else {
            (Phase::Modelling, Box::new(Bayes::new(brief)))
        };
        Auto { brief: brief.clone(), phase, tried: 0, tries: false, current, since: 0, former: None }
    }

    /// What fits by what is known now.
    fn settle(&mut self, seen: &History) {
        match self.phase {
            Phase::Trying => match judge(seen) {
                Noise::None => self.phase = Phase::Structured,
                Noise::Some(_) => self.hand_over(Phase::Modelling, seen),
                // It failed, or broke a constraint: nothing shows that measurements differ.
                Noise::Unknown if self.tried == TRIED && seen.pending().next().is_none() => {
                    self.phase = Phase::Structured;
                }
                Noise::Unknown => {}
            },
            Phase::Modelling if seen.trials().len() >= MODELLED => self.hand_over(Phase::Sharing, seen),
            Phase::Modelling | Phase::Structured | Phase::Sharing => {}
        }
    }

    fn hand_over(&mut self, to: Phase, seen: &History) {
        let next: Box<dyn Propose> = match to {
            Phase::Trying | Phase::Structured => Box::new(Structured::new(&self.brief)),
            Phase::Modelling => Box::new(Bayes::new(&self.brief)),
            Phase::Sharing => Box::new(Portfolio::of(&MEMBERS, &self.brief)),
        };
        self.phase = to;
        self.since = seen.trials().len() as u64;
        self.former = Some(std::mem::replace(&mut self.current, next));
    }
}

impl Propose for Auto {
    fn name(&self) -> &'static str {
        "auto"
    }

    fn ask(&mut self, seen: &History) -> Vec<f64> {
        self.settle(seen);
        self.tries = self.phase == Phase::Trying && self.tried < TRIED;
        if self.tries {
            self.tried += 1;
            self.since = seen.trials().len() as u64 + 1;
            return self.brief.space.start();
        }
        self.current.ask(seen)
    }

    fn author(&self) -> &'static str {
        if self.tries { self.name() } else { self.current.author() }
    }

    fn tell(&mut self, seen: &History, trial: &Trial) {
        if trial.id >= self.since {
            self.current.tell(seen, trial);
        } else if let Some(former) = &mut self.former {
            former.tell(seen, trial);
        }
    }

    fn ledger(&self) -> Vec<LedgerRow> {
        self.current.ledger()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::history::{Measured, Outcome};
    use crate::space::Space;

    const NUMBERS: &str =
        r#"{"x": {"type": "float", "min": -1, "max": 1}, "y": {"type": "float", "min": -1, "max": 1}}"#;
    const MIXED: &str = r#"{"x": {"type": "float", "min": -1, "max": 1}, "on": {"type": "bool"}}"#;

    fn auto(space: &str, budget: Option<usize>) -> Auto {
        let space: Space = serde_json::from_str(space).expect("a space");
        Auto::new(&Brief { space: Arc::new(space), budget, seed: 5, constraints: Arc::from([]) })
    }

    fn bowl(point: &[f64]) -> Outcome {
        Outcome::Measured(Measured::of(point.iter().map(|u| (u - 0.3).powi(2)).sum()))
    }

    /// Asks for and tells `count` trials, `open` at a time, and gives all points.
    fn run(auto: &mut Auto, count: usize, open: usize, outcome: impl Fn(u64, &[f64]) -> Outcome) -> History {
        let mut seen = History::default();
        let tell = |auto: &mut Auto, seen: &mut History, id: u64| {
            let point = seen.trial(id).expect("begun").point.clone();
            seen.end(id, outcome(id, &point));
            auto.tell(seen, &seen.trial(id).expect("begun").clone());
        };
        for step in 0..count {
            let point = auto.ask(&seen);
            let id = seen.begin(auto.brief.space.snap(&point));
            assert_eq!(id, step as u64);
            if let Some(due) = (step + 1).checked_sub(open) {
                tell(auto, &mut seen, due as u64);
            }
        }
        seen
    }

    #[test]
    fn exact_numbers_and_many_trials_are_searched_by_structure() {
        let mut exact = auto(NUMBERS, Some(60));
        let seen = run(&mut exact, 60, 1, |_, point| bowl(point));
        assert_eq!(exact.phase, Phase::Structured);
        assert_eq!(seen.trials()[0].point, seen.trials()[1].point);
        assert!(seen.lowest().is_some_and(|(_, measured)| measured.value < 1e-12));
        let mut unlimited = auto(NUMBERS, None);
        run(&mut unlimited, 10, 1, |_, point| bowl(point));
        assert_eq!(unlimited.phase, Phase::Structured);
    }

    #[test]
    fn what_is_noisy_has_choices_or_few_trials_is_modelled() {
        let noisy = |id: u64, _: &[f64]| Outcome::Measured(Measured::of((id as f64).sin()));
        for (mut auto, asks) in
            [(auto(NUMBERS, Some(60)), 4), (auto(NUMBERS, Some(29)), 1), (auto(MIXED, Some(60)), 1)]
        {
            run(&mut auto, asks, 1, noisy);
            assert_eq!(auto.phase, Phase::Modelling);
        }
    }

    #[test]
    fn a_told_error_needs_no_trying() {
        let mut told = auto(NUMBERS, Some(60));
        let measured = Measured { noise: Some(0.1), ..Measured::of(1.0) };
        run(&mut told, 2, 1, |_, _| Outcome::Measured(measured.clone()));
        assert_eq!(told.phase, Phase::Modelling);
    }

    #[test]
    fn a_start_that_fails_is_left() {
        let mut failing = auto(NUMBERS, Some(60));
        let start = failing.brief.space.start();
        let seen =
            run(&mut failing, 60, 1, |_, point| if point == start { Outcome::Failed } else { bowl(point) });
        assert_eq!(failing.phase, Phase::Structured);
        assert!(seen.lowest().is_some_and(|(_, measured)| measured.value < 1e-6));
    }

    #[test]
    fn more_than_a_model_bears_is_shared() {
        let mut long = auto(MIXED, None);
        let mut seen = History::default();
        for step in 0..MODELLED {
            let id = seen.begin(long.brief.space.snap(&[step as f64 / MODELLED as f64, 0.2]));
            seen.end(id, bowl(&[0.1]));
        }
        let point = long.ask(&seen);
        assert_eq!(long.phase, Phase::Sharing);
        let id = seen.begin(long.brief.space.snap(&point));
        seen.end(id, bowl(&point));
        long.tell(&seen, &seen.trial(id).expect("begun").clone());
        assert!(!long.ledger().is_empty());
    }

    #[test]
    fn while_trials_are_open_others_are_asked_for_and_a_replay_gives_the_same() {
        for open in [1, 5, 12] {
            let run = || run(&mut auto(NUMBERS, Some(80)), 80, open, |_, point| bowl(point));
            let seen = run();
            assert_eq!(seen, run());
            let start = &seen.trials()[0].point;
            let there = seen.trials().iter().filter(|trial| trial.point == *start).count();
            assert!(there <= TRIED + 2, "{there} of {open}");
        }
    }
}
