//! Genetic algorithms for mixed spaces: one objective here, several in [`multi`].

pub mod multi;
mod variation;

use std::sync::Arc;

use rand::Rng;

use super::design::Design;
use super::standing::{Known, Standing, known};
use super::{Brief, DRAWS, Propose};
use crate::history::{History, Trial};
use crate::noise::judge;
use crate::random::{Random, seeded};
use crate::space::Space;

/// A steady-state genetic algorithm (Whitley, "The GENITOR Algorithm", 1989).
///
/// Its population is the best points of the whole history, whoever proposed them; parents are chosen by tournaments of two. Where
/// measurements are noisy, one trial in eight measures the population's least measured leader again.
#[derive(Clone, Debug)]
pub struct Genetic {
    space: Arc<Space>,
    design: Design,
    random: Random,
    size: usize,
}

impl Genetic {
    /// A genetic algorithm in the brief's space.
    pub fn new(brief: &Brief) -> Genetic {
        Genetic {
            space: Arc::clone(&brief.space),
            design: Design::new(brief),
            random: seeded(brief.seed, 3),
            size: population_size(brief),
        }
    }
}

/// Large enough to keep several valleys, small enough to be replaced some ten times within the budget.
fn population_size(brief: &Brief) -> usize {
    brief.budget.map_or(20, |budget| (budget / 10).clamp(6, 20))
}

impl Propose for Genetic {
    fn name(&self) -> &'static str {
        "genetic"
    }

    fn ask(&mut self, seen: &History) -> Vec<f64> {
        if let Some(point) = self.design.next(seen) {
            return point;
        }
        let mut population = known(seen);
        population.retain(|point| point.standing != Standing::Failed);
        population.sort_by(|a, b| a.standing.order(&b.standing));
        let is_noisy = judge(seen).deviation() > 0.0;
        if is_noisy && !population.is_empty() && self.random.random_range(0..8) == 0 {
            let leaders = &population[..population.len().div_ceil(4).min(self.size)];
            let again = leaders.iter().min_by_key(|leader| leader.count);
            return again.map_or_else(Vec::new, |leader| leader.point.clone());
        }
        let parents: Vec<&[f64]> = population.iter().take(self.size).map(|k| k.point.as_slice()).collect();
        if parents.len() < 2 {
            return (0..self.space.axes().len()).map(|_| self.random.random()).collect();
        }
        let mut point = Vec::new();
        for _ in 0..DRAWS {
            let pair = (parents[self.tournament(parents.len())], parents[self.tournament(parents.len())]);
            point = self.space.snap(&variation::child(&self.space, pair, &mut self.random));
            if !is_tried(&point, &population, seen) {
                break;
            }
        }
        point
    }

    fn tell(&mut self, _seen: &History, _trial: &Trial) {}
}

impl Genetic {
    /// The better of two of `count` places.
    fn tournament(&mut self, count: usize) -> usize {
        self.random.random_range(0..count).min(self.random.random_range(0..count))
    }
}

fn is_tried(point: &[f64], known: &[Known], seen: &History) -> bool {
    known.iter().any(|known| known.point == point) || seen.pending().any(|pending| pending == point)
}
