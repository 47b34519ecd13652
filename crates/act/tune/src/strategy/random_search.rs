//! Uniformly at random: what every other strategy has to beat.

use rand::Rng;

use super::{Brief, Propose};
use crate::history::{History, Trial};
use crate::random::{Random, seeded};

/// Each point uniform in the unit cube, whatever was seen.
#[derive(Clone, Debug)]
pub struct RandomSearch {
    random: Random,
    dimension: usize,
}

impl RandomSearch {
    /// Random search of the brief's space.
    pub fn new(brief: &Brief) -> RandomSearch {
        RandomSearch { random: seeded(brief.seed, 0), dimension: brief.space.axes().len() }
    }
}

impl Propose for RandomSearch {
    fn name(&self) -> &'static str {
        "random"
    }

    fn ask(&mut self, _seen: &History) -> Vec<f64> {
        (0..self.dimension).map(|_| self.random.random()).collect()
    }

    fn tell(&mut self, _seen: &History, _trial: &Trial) {}
}
