//! Who proposes what to measure next.

mod annealing;
mod auto;
mod bayes;
mod choice;
mod cma_es;
mod curvature;
mod descent;
mod design;
mod frame;
pub mod genetic;
mod lines;
mod lipo;
mod quadratic;
mod random_search;
mod spsa;
pub(crate) mod standing;
mod story;
mod structured;
mod tempering;
mod trust_region;
mod walker;

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

pub use annealing::Annealing;
pub use auto::Auto;
pub use bayes::Bayes;
pub use choice::Choice;
pub use cma_es::CmaEs;
pub use genetic::Genetic;
pub use lipo::Lipo;
pub use random_search::RandomSearch;
pub use spsa::Spsa;
pub use structured::Structured;
pub use tempering::Tempering;
pub use trust_region::TrustRegion;

use rand::Rng;

use crate::history::{History, Trial};
use crate::phases::MultiPhase;
use crate::portfolio::{LedgerRow, MEMBERS, Portfolio};
use crate::random::Random;
use crate::safe::{Alarm, Constraint, Safe};
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
    /// What must be kept, in the order of [`Measured::margins`](crate::Measured::margins); empty where nothing was declared.
    pub constraints: Arc<[Constraint]>,
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

    /// Who proposed the point that it asked for last: one of the strategies that it consists of; itself, where it is not made of others,
    /// or where several of them agreed.
    fn author(&self) -> &'static str {
        self.name()
    }

    /// One of the points that it asked for has an outcome; `seen` has it too.
    fn tell(&mut self, seen: &History, trial: &Trial);

    /// What each of the strategies that it consists of got and earned; empty for one that is not made of others.
    fn ledger(&self) -> Vec<LedgerRow> {
        Vec::new()
    }

    /// The trial that it would settle on and the value that it expects there; `None` where the lowest measurement is as good a choice.
    fn recommend(&self, _seen: &History) -> Option<(u64, f64)> {
        None
    }

    /// What it has to say besides its proposals.
    fn alarms(&self) -> &[Alarm] {
        &[]
    }
}

/// The strategies that can be named.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Strategy {
    /// What fits the space, the budget and the noise.
    #[default]
    Auto,
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
    /// Several strategies on one budget, by what each earns; see [`MEMBERS`].
    Portfolio,
    /// Explore, exploit, polish.
    MultiPhase,
    /// By quadratic models within a trust region.
    TrustRegion,
    /// By a bound on slopes, and a trust region by turns.
    Lipo,
    /// By the structure that the function turns out to have.
    Structured,
    /// Bayesian optimisation: a Gaussian process and the knowledge that a measurement would bring.
    Bayes,
    /// Within what is certified to keep the declared constraints; see [`safe`](crate::safe).
    Safe,
}

impl Strategy {
    /// All of them.
    pub const ALL: [Strategy; 14] = [
        Strategy::Auto,
        Strategy::Random,
        Strategy::CmaEs,
        Strategy::Genetic,
        Strategy::Spsa,
        Strategy::Annealing,
        Strategy::Tempering,
        Strategy::Portfolio,
        Strategy::MultiPhase,
        Strategy::TrustRegion,
        Strategy::Lipo,
        Strategy::Structured,
        Strategy::Bayes,
        Strategy::Safe,
    ];

    /// The word that names it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Strategy::Auto => "auto",
            Strategy::Random => "random",
            Strategy::CmaEs => "cma-es",
            Strategy::Genetic => "genetic",
            Strategy::Spsa => "spsa",
            Strategy::Annealing => "annealing",
            Strategy::Tempering => "tempering",
            Strategy::Portfolio => "portfolio",
            Strategy::MultiPhase => "multi-phase",
            Strategy::TrustRegion => "trust-region",
            Strategy::Lipo => "lipo",
            Strategy::Structured => "structured",
            Strategy::Bayes => "bayes",
            Strategy::Safe => "safe",
        }
    }

    /// The strategy, ready to be asked. The space has at least one axis.
    pub fn begin(self, brief: &Brief) -> Box<dyn Propose> {
        match self {
            Strategy::Auto => Box::new(Auto::new(brief)),
            Strategy::Random => Box::new(RandomSearch::new(brief)),
            Strategy::CmaEs => Box::new(CmaEs::new(brief)),
            Strategy::Genetic => Box::new(Genetic::new(brief)),
            Strategy::Spsa => Box::new(Spsa::new(brief)),
            Strategy::Annealing => Box::new(Annealing::new(brief)),
            Strategy::Tempering => Box::new(Tempering::new(brief)),
            Strategy::Portfolio => Box::new(Portfolio::of(&MEMBERS, brief)),
            Strategy::MultiPhase => Box::new(MultiPhase::standard(brief)),
            Strategy::TrustRegion => Box::new(TrustRegion::new(brief)),
            Strategy::Lipo => Box::new(Lipo::new(brief)),
            Strategy::Structured => Box::new(Structured::new(brief)),
            Strategy::Bayes => Box::new(Bayes::new(brief)),
            Strategy::Safe => Box::new(Safe::new(brief)),
        }
    }
}

/// The square of the distance of two points.
pub(crate) fn apart(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| (a - b).powi(2)).sum()
}

/// The place of the point that lies nearest to `to`: whoever measured may have moved the one that was asked for.
pub(crate) fn nearest<'a>(points: impl Iterator<Item = &'a Vec<f64>>, to: &[f64]) -> Option<usize> {
    let apart = points.map(|point| apart(point, to)).enumerate();
    apart.min_by(|a, b| a.1.total_cmp(&b.1)).map(|(place, _)| place)
}

/// Which of so many categories a coordinate stands for.
fn category(u: f64, of: u64) -> u64 {
    ((u * of as f64) as u64).min(of - 1)
}

/// The coordinate of one of the other categories.
fn another_category(u: f64, of: u64, random: &mut Random) -> f64 {
    let (own, other) = (category(u, of), random.random_range(0..of - 1));
    ((if other < own { other } else { other + 1 }) as f64 + 0.5) / of as f64
}

/// A point is drawn so often before one that is known is measured again.
const DRAWS: usize = 30;

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
