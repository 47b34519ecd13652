//! Simulated annealing.

use std::sync::Arc;

use rand::Rng;

use super::design::Design;
use super::standing::{Known, Standing, Strangers, best_known, cost, known};
use super::walker::Walker;
use super::{Brief, DRAWS, Propose};
use crate::history::{History, Trial};
use crate::noise::judge;
use crate::random::{Random, seeded};
use crate::space::Space;

/// Simulated annealing (Kirkpatrick, Gelatt and Vecchi, Science 220, 1983): one random walk that cools geometrically over the budget.
///
/// Temperature is told in units of what steps change, so no scale of the objective has to be known. A walk that has not improved for
/// long goes back to the best point that is known, and at once to a better one that others find.
#[derive(Clone, Debug)]
pub struct Annealing {
    space: Arc<Space>,
    budget: Option<usize>,
    design: Design,
    random: Random,
    walker: Option<Walker>,
    best: f64,
    since_best: usize,
    strangers: Strangers,
}

/// Heat at the beginning and at the end.
const HEAT: (f64, f64) = (0.3, 0.003);

impl Annealing {
    /// Annealing in the brief's space.
    pub fn new(brief: &Brief) -> Annealing {
        Annealing {
            space: Arc::clone(&brief.space),
            budget: brief.budget,
            design: Design::new(brief),
            random: seeded(brief.seed, 5),
            walker: None,
            best: f64::INFINITY,
            since_best: 0,
            strangers: Strangers::default(),
        }
    }

    fn heat(&self, seen: &History) -> f64 {
        let gone = seen.trials().len() as f64;
        let whole = self.budget.map_or(gone + 50.0 * self.space.axes().len() as f64, |budget| budget as f64);
        HEAT.0 * (HEAT.1 / HEAT.0).powf((gone / whole.max(1.0)).min(1.0))
    }

    fn walk_from_best(&mut self, known: &[Known], seen: &History) {
        if let Some(best) = best_known(known) {
            let at = cost(best.standing, seen);
            self.walker = Some(Walker::new(best.point.clone(), at));
            self.strangers.told(best.standing);
            self.best = at;
            self.since_best = 0;
        }
    }
}

impl Propose for Annealing {
    fn name(&self) -> &'static str {
        "annealing"
    }

    fn ask(&mut self, seen: &History) -> Vec<f64> {
        if self.walker.is_none()
            && let Some(point) = self.design.next(seen)
        {
            return point;
        }
        let known = known(seen);
        let patience = 10 + 10 * self.space.axes().len();
        if self.walker.is_none() || self.since_best > patience {
            self.walk_from_best(&known, seen);
        }
        if let (Some(walker), Some(stranger)) = (&mut self.walker, self.strangers.better(&known)) {
            walker.at.clone_from(&stranger.point);
            walker.cost = cost(stranger.standing, seen);
            self.best = walker.cost;
            self.since_best = 0;
        }
        match &self.walker {
            Some(walker) => new_neighbour(walker, &self.space, &known, seen, &mut self.random),
            None => (0..self.space.axes().len()).map(|_| self.random.random()).collect(),
        }
    }

    fn tell(&mut self, seen: &History, trial: &Trial) {
        let heat = self.heat(seen);
        let (Some(walker), Some(outcome)) = (&mut self.walker, &trial.outcome) else { return };
        let standing = Standing::of(outcome);
        self.strangers.told(standing);
        let cost = cost(standing, seen);
        walker.decide(&trial.point, cost, heat, &mut self.random);
        if cost < self.best {
            self.best = cost;
            self.since_best = 0;
        } else {
            self.since_best += 1;
        }
    }
}

/// A neighbour that nobody has measured, unless measurements are noisy or none is found.
pub(super) fn new_neighbour(
    walker: &Walker,
    space: &Space,
    known: &[Known],
    seen: &History,
    random: &mut Random,
) -> Vec<f64> {
    let is_noisy = judge(seen).deviation() > 0.0;
    let mut point = space.snap(&walker.neighbour(space, random));
    for _ in 0..DRAWS {
        let is_new = !known.iter().any(|known| known.point == point) && !seen.pending().any(|p| p == point);
        if is_noisy || is_new {
            break;
        }
        point = space.snap(&walker.neighbour(space, random));
    }
    point
}
