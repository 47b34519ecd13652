//! Who proposes what to measure next.

mod annealing;
mod choice;
mod cma_es;
mod design;
pub mod genetic;
pub(crate) mod noise;
mod random_search;
mod spsa;
pub(crate) mod standing;
mod tempering;
mod walker;

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

pub use annealing::Annealing;
pub use choice::Choice;
pub use cma_es::CmaEs;
pub use genetic::Genetic;
pub use random_search::RandomSearch;
pub use spsa::Spsa;
pub use tempering::Tempering;

use crate::history::{History, Trial};
use crate::phases::MultiPhase;
use crate::portfolio::{LedgerRow, MEMBERS, Portfolio};
use crate::space::Space;

/// What a strategy is told before it begins.
#[derive(Clone, Debug)]
pub struct Brief {
    /// What may be set.
    pub space: Arc<Space>,
    /// How many trials there will be, where that is known.
    pub budget: Option<usize>,
    /// What its randomness is seeded with.
    pub seed: u64,
}

/// A strategy, by ask and tell.
///
/// It sees the whole [`History`], whoever proposed what stands in it, and is told of its own trials one by one. The same brief and
/// the same history give the same proposals.
pub trait Propose: Send {
    /// Its name in ledgers: `cma-es`.
    fn name(&self) -> &'static str;

    /// A point of the unit cube that is worth measuring next, one coordinate for each of [`Space::axes`]. There always is one, also
    /// while others are [pending](History::pending), and however often a strategy is asked before it is told.
    fn ask(&mut self, seen: &History) -> Vec<f64>;

    /// One of the points that it asked for has an outcome; `seen` has it too.
    fn tell(&mut self, seen: &History, trial: &Trial);

    /// What each of the strategies that it consists of got and earned; empty for one that is not made of others.
    fn ledger(&self) -> Vec<LedgerRow> {
        Vec::new()
    }
}

/// The strategies that can be named.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Strategy {
    /// Uniformly at random.
    Random,
    /// Covariance matrix adaptation.
    CmaEs,
    /// A genetic algorithm.
    Genetic,
    /// Simultaneous perturbation stochastic approximation.
    Spsa,
    /// Simulated annealing.
    Annealing,
    /// Parallel tempering.
    Tempering,
    /// CMA-ES, annealing and a genetic algorithm on one budget, by what each earns.
    Portfolio,
    /// Explore, exploit, polish.
    MultiPhase,
}

impl Strategy {
    /// All of them.
    pub const ALL: [Strategy; 8] = [
        Strategy::Random,
        Strategy::CmaEs,
        Strategy::Genetic,
        Strategy::Spsa,
        Strategy::Annealing,
        Strategy::Tempering,
        Strategy::Portfolio,
        Strategy::MultiPhase,
    ];

    /// The word that names it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Strategy::Random => "random",
            Strategy::CmaEs => "cma-es",
            Strategy::Genetic => "genetic",
            Strategy::Spsa => "spsa",
            Strategy::Annealing => "annealing",
            Strategy::Tempering => "tempering",
            Strategy::Portfolio => "portfolio",
            Strategy::MultiPhase => "multi-phase",
        }
    }

    /// The strategy, ready to be asked. The space has at least one axis.
    pub fn begin(self, brief: &Brief) -> Box<dyn Propose> {
        match self {
            Strategy::Random => Box::new(RandomSearch::new(brief)),
            Strategy::CmaEs => Box::new(CmaEs::new(brief)),
            Strategy::Genetic => Box::new(Genetic::new(brief)),
            Strategy::Spsa => Box::new(Spsa::new(brief)),
            Strategy::Annealing => Box::new(Annealing::new(brief)),
            Strategy::Tempering => Box::new(Tempering::new(brief)),
            Strategy::Portfolio => Box::new(Portfolio::of(&MEMBERS, brief)),
            Strategy::MultiPhase => Box::new(MultiPhase::standard(brief)),
        }
    }
}

/// The square of the distance of two points.
pub(crate) fn apart(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| (a - b).powi(2)).sum()
}

impl fmt::Display for Strategy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Strategy {
    type Err = UnknownStrategy;

    fn from_str(word: &str) -> Result<Strategy, UnknownStrategy> {
        let known = Strategy::ALL.into_iter().find(|strategy| strategy.as_str() == word);
        known.ok_or_else(|| UnknownStrategy(word.to_owned()))
    }
}

/// A word that names no strategy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownStrategy(pub String);

impl fmt::Display for UnknownStrategy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let known: Vec<&str> = Strategy::ALL.iter().map(|strategy| strategy.as_str()).collect();
        write!(f, "there is no strategy {:?}; there are {}", self.0, known.join(", "))
    }
}

impl std::error::Error for UnknownStrategy {}
