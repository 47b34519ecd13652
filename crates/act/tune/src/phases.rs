//! A search in phases: each has a strategy of its own, and the next begins once the evidence says that this one is done.
//!
//! Every phase sees the whole history, so it begins where the one before it has arrived. A phase ends when nothing better was found
//! for as long as it has patience, or when its share of the budget is spent; the last one stays.

use serde::Serialize;

use crate::history::{History, Trial};
use crate::portfolio::LedgerRow;
use crate::strategy::standing::{Standing, best_known, known};
use crate::strategy::{Brief, CmaEs, Propose, Strategy, nearest};

/// A part of a search.
pub struct Phase {
    /// Its name in reports: `explore`.
    pub name: &'static str,
    /// Who proposes.
    pub strategy: Box<dyn Propose>,
    /// The share of the budget that it gets at most, from 0 to 1.
    pub share: f64,
    /// After so many trials without anything better it ends.
    pub patience: usize,
}

/// That a phase ended.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Switch {
    /// How many trials there were.
    pub trials: usize,
    /// The phase that ended.
    pub from: &'static str,
    /// The phase that began.
    pub to: &'static str,
    /// Why.
    pub why: Why,
}

/// Why a phase ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Why {
    /// Nothing better was found for long.
    Stalled,
    /// Its share of the budget was spent.
    Spent,
}

/// A search in phases. See the [module](self).
pub struct MultiPhase {
    phases: Vec<Phase>,
    at: usize,
    budget: Option<usize>,
    /// How many trials there were when the phase began.
    begun: usize,
    best: Option<Standing>,
    /// How many trials there were when the best was found.
    improved: usize,
    switches: Vec<Switch>,
    pending: Vec<(usize, Vec<f64>)>,
}

impl MultiPhase {
    /// These phases within the brief's budget; without one they end by patience alone.
    ///
    /// # Panics
    /// Where there are none.
    pub fn new(phases: Vec<Phase>, brief: &Brief) -> MultiPhase {
        assert!(!phases.is_empty(), "a search has at least one phase");
        MultiPhase {
            phases,
            at: 0,
            budget: brief.budget,
            begun: 0,
            best: None,
            improved: 0,
            switches: Vec::new(),
            pending: Vec::new(),
        }
    }

    /// Explore by a genetic algorithm, exploit by a portfolio, polish by a narrow CMA-ES.
    pub fn standard(brief: &Brief) -> MultiPhase {
        let axes = brief.space.axes().len();
        let phase = |name, strategy, share, patience| Phase { name, strategy, share, patience };
        MultiPhase::new(
            vec![
                phase("explore", Strategy::Genetic.begin(brief), 0.3, 5 + axes),
                phase("exploit", Strategy::Portfolio.begin(brief), 0.5, 10 + 4 * axes),
                phase("polish", Box::new(CmaEs::with_width(brief, 0.02)), 1.0, usize::MAX),
            ],
            brief,
        )
    }

    /// The phase that it is in.
    pub fn phase(&self) -> &'static str {
        self.phases[self.at].name
    }

    /// The phases that ended so far.
    pub fn switches(&self) -> &[Switch] {
        &self.switches
    }

    fn is_over(&self, trials: usize) -> Option<Why> {
        let phase = &self.phases[self.at];
        let gone = trials - self.begun;
        if trials - self.improved.max(self.begun) > phase.patience {
            return Some(Why::Stalled);
        }
        let share = self.budget.map(|budget| phase.share * budget as f64);
        share.is_some_and(|share| gone as f64 >= share).then_some(Why::Spent)
    }
}

impl Propose for MultiPhase {
    fn name(&self) -> &'static str {
        "multi-phase"
    }

    fn ask(&mut self, seen: &History) -> Vec<f64> {
        let trials = seen.trials().len();
        if let Some(why) = self.is_over(trials).filter(|_| self.at + 1 < self.phases.len()) {
            let from = self.phase();
            self.at += 1;
            self.begun = trials;
            self.switches.push(Switch { trials, from, to: self.phase(), why });
        }
        let point = self.phases[self.at].strategy.ask(seen);
        self.pending.push((self.at, point.clone()));
        point
    }

    fn author(&self) -> &'static str {
        self.phases[self.at].strategy.author()
    }

    /// That of the phase that it is in.
    fn ledger(&self) -> Vec<LedgerRow> {
        self.phases[self.at].strategy.ledger()
    }

    fn tell(&mut self, seen: &History, trial: &Trial) {
        let best = best_known(&known(seen)).map(|best| best.standing);
        let is_better = match (&best, &self.best) {
            (Some(best), Some(before)) => best.order(before).is_lt(),
            (Some(_), None) => true,
            (None, _) => false,
        };
        if is_better {
            self.improved = seen.trials().len();
            self.best = best;
        }
        if let Some(nearest) = nearest(self.pending.iter().map(|(_, point)| point), &trial.point) {
            let (phase, _) = self.pending.remove(nearest);
            self.phases[phase].strategy.tell(seen, trial);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::history::{Measured, Outcome};

    /// Proposes its number.
    struct Fixed(f64);

    impl Propose for Fixed {
        fn name(&self) -> &'static str {
            "fixed"
        }

        fn ask(&mut self, _seen: &History) -> Vec<f64> {
            vec![self.0]
        }

        fn tell(&mut self, _seen: &History, _trial: &Trial) {}
    }

    fn switches(value: impl Fn(usize) -> f64) -> Vec<(usize, Why)> {
        let space = serde_json::from_str(r#"{"x": {"type": "float", "min": 0, "max": 1}}"#).expect("a space");
        let brief = Brief { space: Arc::new(space), budget: Some(40), seed: 1, constraints: Arc::from([]) };
        let phase =
            |name, at, share, patience| Phase { name, strategy: Box::new(Fixed(at)), share, patience };
        let all = vec![phase("a", 0.1, 0.5, 5), phase("b", 0.2, 0.25, 8), phase("c", 0.3, 1.0, 3)];
        let (mut phases, mut seen) = (MultiPhase::new(all, &brief), History::default());
        for trial in 0..40 {
            let point = phases.ask(&seen);
            let id = seen.begin(vec![point[0] + trial as f64 * 1e-6]);
            seen.end(id, Outcome::Measured(Measured::of(value(trial))));
            let trial = seen.trial(id).expect("begun").clone();
            phases.tell(&seen, &trial);
        }
        assert_eq!(phases.phase(), "c");
        phases.switches().iter().map(|switch| (switch.trials, switch.why)).collect()
    }

    #[test]
    fn while_it_improves_a_phase_lasts_for_its_share() {
        assert_eq!(switches(|trial| -(trial as f64)), [(20, Why::Spent), (30, Why::Spent)]);
    }

    #[test]
    fn a_phase_that_has_stalled_ends() {
        // The first measurement is the best of all.
        assert_eq!(switches(|trial| trial as f64), [(7, Why::Stalled), (16, Why::Stalled)]);
    }
}
