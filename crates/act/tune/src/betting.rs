//! Confidence that may be looked at after every observation, by betting.
//!
//! Observations lie within a declared bound on both sides of zero. Whoever doubts that their mean is at most `m` bets a share of its
//! capital on each observation being above `m`; were the doubt unfounded, capital would not grow on average, and would reach `1/a`
//! with probability at most `a`, ever (Ville's inequality). Nothing is asked of the noise but that, given all that came before, the
//! next observation's mean is at most `m`: it may be correlated, drift in scale, have heavy tails. See Waudby-Smith and Ramdas,
//! "Estimating means of bounded random variables by betting", JRSS-B 2023.
//!
//! The share to bet that grows capital fastest is not known beforehand, so capital is spread over [`SHARES`], each its own gambler;
//! what they have together stays within a small factor of the best of them.

use serde::{Deserialize, Serialize};

/// The shares of the capital that are bet, of what could be lost at most: two of them to each factor of two. Smaller ones than the
/// last would need hundreds of observations to tell anything.
pub const SHARES: [f64; 11] = [1.0, 0.707, 0.5, 0.354, 0.25, 0.177, 0.125, 0.088, 0.0625, 0.044, 0.031];

/// How capital is spread over [`SHARES`]; sums to 1.
pub type Spread = [f64; SHARES.len()];

/// Capital spread evenly.
pub const EVEN: Spread = [1.0 / SHARES.len() as f64; SHARES.len()];

/// A range of a mean that evidence leaves open, in natural logarithms of a ratio.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Interval {
    /// The least that is not refuted.
    pub lower: f64,
    /// The most that is not refuted.
    pub upper: f64,
}

/// The bets that a mean lies above a bound.
#[derive(Clone, Debug)]
pub struct Bets {
    bound: f64,
    spread: Spread,
    seen: Vec<f64>,
    /// What each gambler against "at most 0" has.
    capital: Spread,
}

impl Bets {
    /// No bets yet, on observations within `bound` of zero, which is above 0 and finite.
    pub fn new(bound: f64, spread: Spread) -> Bets {
        Bets { bound, spread, seen: Vec::new(), capital: spread }
    }

    /// Takes an observation, clipped at the bound; what is no number counts as the worst.
    pub fn observe(&mut self, value: f64) {
        let value = if value.is_nan() { -self.bound } else { value.clamp(-self.bound, self.bound) };
        self.seen.push(value);
        self.capital = std::array::from_fn(|i| self.capital[i] * (1.0 + SHARES[i] * value / self.bound));
    }

    /// How many observations there were.
    pub fn len(&self) -> usize {
        self.seen.len()
    }

    /// Whether there were none.
    pub fn is_empty(&self) -> bool {
        self.seen.is_empty()
    }

    /// The observations, clipped.
    pub fn seen(&self) -> &[f64] {
        &self.seen
    }

    /// What a capital of 1 has grown to by betting against "the mean is at most 0".
    pub fn capital(&self) -> f64 {
        self.capital.iter().sum()
    }

    /// How capital is spread by now: bets that went well have more of it. It is what to start with on further data of the kind.
    pub fn spread(&self) -> Spread {
        let all = self.capital();
        if all > 0.0 && all.is_finite() { self.capital.map(|capital| capital / all) } else { self.spread }
    }

    /// What a capital of 1 has grown to by betting against "the mean is at most `mean`". It falls as `mean` rises.
    pub fn capital_against(&self, mean: f64) -> f64 {
        let most = self.bound + mean;
        if most <= 0.0 {
            return f64::INFINITY;
        }
        let gambler = |(share, start): (&f64, &f64)| {
            self.seen.iter().fold(*start, |capital, value| capital * (1.0 + share * (value - mean) / most))
        };
        SHARES.iter().zip(&self.spread).map(gambler).sum()
    }

    /// The greatest mean that is refuted at `level`, to within a thousandth of the bound; `-bound` where none is. `known` is one that
    /// is refuted already.
    pub fn refuted(&self, level: f64, known: f64) -> f64 {
        let (mut low, mut high) = (known.max(-self.bound), self.bound);
        let step = self.bound / 1000.0;
        if self.capital_against(low + step) * level < 1.0 {
            return low;
        }
        while high - low > step {
            let middle = f64::midpoint(low, high);
            *(if self.capital_against(middle) * level >= 1.0 { &mut low } else { &mut high }) = middle;
        }
        low
    }

    /// How many more observations at least until capital is `goal`: as many as it takes if each is the best that can be.
    pub fn at_least_until(&self, goal: f64) -> u32 {
        let mut capital = self.capital;
        let mut more = 0;
        while capital.iter().sum::<f64>() < goal && more < 10_000 {
            capital = std::array::from_fn(|i| capital[i] * (1.0 + SHARES[i]));
            more += 1;
        }
        more
    }
}

/// An interval for a mean that only narrows, valid at all times at once.
#[derive(Clone, Debug)]
pub struct Sequence {
    above: Bets,
    below: Bets,
    lower_level: f64,
    upper_level: f64,
    interval: Interval,
}

impl Sequence {
    /// Nothing seen, of observations within `bound`. The mean is ever below the lower end with probability at most `lower_level`,
    /// and above the upper end with at most `upper_level`; capital for the lower end starts spread like `spread`.
    pub fn new(bound: f64, lower_level: f64, upper_level: f64, spread: Spread) -> Sequence {
        Sequence {
            above: Bets::new(bound, spread),
            below: Bets::new(bound, EVEN),
            lower_level,
            upper_level,
            interval: Interval { lower: -bound, upper: bound },
        }
    }

    /// Takes an observation.
    pub fn observe(&mut self, value: f64) {
        self.above.observe(value);
        self.below.observe(-value);
        self.interval.lower = self.above.refuted(self.lower_level, self.interval.lower);
        self.interval.upper = -self.below.refuted(self.upper_level, -self.interval.upper);
    }

    /// What is left open: the intersection of all intervals so far.
    pub fn interval(&self) -> Interval {
        self.interval
    }

    /// The bets that the mean is above zero.
    pub fn above(&self) -> &Bets {
        &self.above
    }
}

/// Watches for a mean that has risen above zero, at whatever time: an e-detector by cumulative sums (Shin, Ramdas and Rinaldo,
/// "E-detectors", 2023). Good times, however long, give no credit for bad ones.
#[derive(Clone, Debug)]
pub struct Watch {
    bound: f64,
    sums: Spread,
}

impl Watch {
    /// Nothing seen, of observations within `bound`.
    pub fn new(bound: f64) -> Watch {
        Watch { bound, sums: [0.0; SHARES.len()] }
    }

    /// Takes an observation, clipped; what is no number is passed over.
    pub fn observe(&mut self, value: f64) {
        if value.is_nan() {
            return;
        }
        let clipped = value.clamp(-self.bound, self.bound) / self.bound;
        self.sums = std::array::from_fn(|i| self.sums[i].max(1.0) * (1.0 + SHARES[i] * clipped));
    }

    /// Whether the mean has risen. While it has not, this first says so after `1/level` observations on average, or later.
    pub fn alarms(&self, level: f64) -> bool {
        self.sums.iter().sum::<f64>() * level >= SHARES.len() as f64
    }
}
