//! Parallel tempering.

use std::sync::Arc;

use rand::Rng;

use super::annealing::new_neighbour;
use super::design::Design;
use super::standing::{Known, Standing, Strangers, cost, known};
use super::walker::Walker;
use super::{Brief, Propose, nearest};
use crate::history::{History, Trial};
use crate::random::{Random, seeded};
use crate::space::Space;

/// Parallel tempering (Swendsen and Wang, Physical Review Letters 57, 1986; Geyer, 1991): random walks at temperatures that stay,
/// which exchange their places as the Metropolis rule allows. The coldest takes every second step.
#[derive(Clone, Debug)]
pub struct Tempering {
    space: Arc<Space>,
    design: Design,
    random: Random,
    /// Coldest first; empty before they begin.
    walkers: Vec<Walker>,
    count: usize,
    asked: usize,
    told: usize,
    /// Who waits for which point.
    pending: Vec<(usize, Vec<f64>)>,
    strangers: Strangers,
}

/// Heat of the coldest and of the hottest walk.
const HEAT: (f64, f64) = (0.003, 1.0);

impl Tempering {
    /// Tempering in the brief's space.
    pub fn new(brief: &Brief) -> Tempering {
        Tempering {
            space: Arc::clone(&brief.space),
            design: Design::new(brief),
            random: seeded(brief.seed, 6),
            walkers: Vec::new(),
            // Each walk needs some tens of steps.
            count: brief.budget.map_or(4, |budget| (budget / 25).clamp(2, 4)),
            asked: 0,
            told: 0,
            pending: Vec::new(),
            strangers: Strangers::default(),
        }
    }

    fn heat(&self, walker: usize) -> f64 {
        HEAT.0 * (HEAT.1 / HEAT.0).powf(walker as f64 / (self.count - 1) as f64)
    }

    fn begin(&mut self, seen: &History) {
        let mut known = known(seen);
        known.retain(|point| point.standing != Standing::Failed);
        known.sort_by(|a, b| a.standing.order(&b.standing));
        if known.len() >= self.count {
            self.strangers.told(known[0].standing);
            let from = |k: &Known| Walker::new(k.point.clone(), cost(k.standing, seen));
            self.walkers = known.iter().take(self.count).map(from).collect();
        }
    }

    fn exchange(&mut self) {
        for cold in 0..self.walkers.len() - 1 {
            let inverse = |walker: usize| 1.0 / self.walkers[walker].temperature(self.heat(walker));
            let gain = self.walkers[cold].cost - self.walkers[cold + 1].cost;
            let odds = (inverse(cold) - inverse(cold + 1)) * gain;
            if odds >= 0.0 || self.random.random::<f64>() < odds.exp() {
                // Places are exchanged; step lengths belong to the temperature.
                let (left, right) = self.walkers.split_at_mut(cold + 1);
                std::mem::swap(&mut left[cold].at, &mut right[0].at);
                std::mem::swap(&mut left[cold].cost, &mut right[0].cost);
            }
        }
    }
}

impl Propose for Tempering {
    fn name(&self) -> &'static str {
        "tempering"
    }

    fn ask(&mut self, seen: &History) -> Vec<f64> {
        if self.walkers.is_empty() {
            if let Some(point) = self.design.next(seen) {
                return point;
            }
            self.begin(seen);
        }
        if self.walkers.is_empty() {
            return (0..self.space.axes().len()).map(|_| self.random.random()).collect();
        }
        let hot = 1 + (self.asked / 2) % (self.count - 1);
        let walker = if self.asked.is_multiple_of(2) { 0 } else { hot };
        self.asked += 1;
        let known = known(seen);
        if let Some(stranger) = self.strangers.better(&known) {
            self.walkers[0].at.clone_from(&stranger.point);
            self.walkers[0].cost = cost(stranger.standing, seen);
        }
        let point = new_neighbour(&self.walkers[walker], &self.space, &known, seen, &mut self.random);
        self.pending.push((walker, point.clone()));
        point
    }

    fn tell(&mut self, seen: &History, trial: &Trial) {
        let nearest = nearest(self.pending.iter().map(|(_, point)| point), &trial.point);
        let (Some(place), Some(outcome)) = (nearest, &trial.outcome) else { return };
        let (walker, _) = self.pending.swap_remove(place);
        let heat = self.heat(walker);
        let standing = Standing::of(outcome);
        self.strangers.told(standing);
        let cost = cost(standing, seen);
        self.walkers[walker].decide(&trial.point, cost, heat, &mut self.random);
        self.told += 1;
        if self.told.is_multiple_of(self.count) {
            self.exchange();
        }
    }
}
