//! A search in phases: each has a strategy of its own, and the next begins once the evidence says that this one is done.
//!
//! Every phase sees the whole history, so it begins where the one before it has arrived. A phase ends when nothing better was found
//! for as long as it has patience, or when its share of the budget is spent; the last one stays.

use serde::Serialize;

use crate::history::{History, Trial};
use crate::strategy::standing::{Standing, best_known, known};
use crate::strategy::{Brief, CmaEs, Propose, Strategy, apart};

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
pub struct Phases {
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

impl Phases {
    /// These phases, at least one, within the brief's budget; without one they end by patience alone.
    pub fn new(phases: Vec<Phase>, brief: &Brief) -> Phases {
        Phases {
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
    pub fn standard(brief: &Brief) -> Phases {
        let axes = brief.space.axes().len();
        let phase = |name, strategy, share, patience| Phase { name, strategy, share, patience };
        Phases::new(
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

impl Propose for Phases {
    fn name(&self) -> &'static str {
        "phases"
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
        let to = |(_, point): &(usize, Vec<f64>)| apart(point, &trial.point);
        let nearest =
            (0..self.pending.len()).min_by(|a, b| to(&self.pending[*a]).total_cmp(&to(&self.pending[*b])));
        if let Some(nearest) = nearest {
            let (phase, _) = self.pending.remove(nearest);
            self.phases[phase].strategy.tell(seen, trial);
        }
    }
}
