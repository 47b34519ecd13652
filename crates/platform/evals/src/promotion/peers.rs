//! What people use: a t-test after a fixed number of blocks, Welch's test looked at after every slice, and before against after.

use kandela_tune::experiment::{Arm, Design};
use kandela_tune::random::seeded;
use rand::Rng;
use statrs::distribution::{ContinuousCDF, StudentsT};

use super::trial::System;

/// Blocks of two slices, which each of them has.
pub(super) const BLOCKS: usize = 100;

/// One of each peer.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Peers<T> {
    pub(super) t_test: T,
    pub(super) welch: T,
    pub(super) before_after: T,
}

impl Peers<bool> {
    pub(super) fn or(self, other: Peers<bool>) -> Peers<bool> {
        Peers {
            t_test: self.t_test || other.t_test,
            welch: self.welch || other.welch,
            before_after: self.before_after || other.before_after,
        }
    }
}

impl Peers<u32> {
    pub(super) fn plus(self, one: Peers<bool>) -> Peers<u32> {
        Peers {
            t_test: self.t_test + u32::from(one.t_test),
            welch: self.welch + u32::from(one.welch),
            before_after: self.before_after + u32::from(one.before_after),
        }
    }
}

/// Whether each would promote the change, one-sided at the level of the quantiles, by a switchback without wash-out: the first two in
/// randomised blocks of two, the last with all slices of the change after all of those without.
pub(super) fn promote(system: &mut impl System, quantiles: &Quantiles, coin: u64, gain: f64) -> Peers<bool> {
    let mut random = seeded(coin, 1);
    let mut better =
        |arm| -system.slice(Design::Switchback { wash_out: 0 }, arm, gain).value.unwrap_or(1.0).ln();
    let (mut blocks, mut arms) = (Moments::default(), [Moments::default(); 2]);
    let mut welch = false;
    for _ in 0..BLOCKS {
        let order =
            if random.random::<bool>() { [Arm::Treated, Arm::Control] } else { [Arm::Control, Arm::Treated] };
        let mut gains = [0.0; 2];
        for arm in order {
            let place = usize::from(arm == Arm::Treated);
            gains[place] = better(arm);
            arms[place].add(gains[place]);
            welch |= welch_rejects(arms, quantiles);
        }
        blocks.add(gains[1] - gains[0]);
    }
    let t = blocks.mean / (blocks.variance() / blocks.count).sqrt();
    let mut sides = [Moments::default(); 2];
    for (side, arm) in sides.iter_mut().zip([Arm::Control, Arm::Treated]) {
        (0..BLOCKS).for_each(|_| side.add(better(arm)));
    }
    let t_test = t > quantiles.of(blocks.count - 1.0);
    Peers { t_test, welch, before_after: welch_rejects(sides, quantiles) }
}

fn welch_rejects([control, treated]: [Moments; 2], quantiles: &Quantiles) -> bool {
    // Fewer would be no test that anybody looks at.
    if control.count.min(treated.count) < 5.0 {
        return false;
    }
    let (a, b) = (treated.variance() / treated.count, control.variance() / control.count);
    let freedom = (a + b).powi(2) / (a * a / (treated.count - 1.0) + b * b / (control.count - 1.0));
    (treated.mean - control.mean) / (a + b).sqrt() > quantiles.of(freedom)
}

/// Upper quantiles of Student's t at one level, by whole degrees of freedom.
pub(super) struct Quantiles(Vec<f64>);

impl Quantiles {
    pub(super) fn at(level: f64) -> Quantiles {
        let quantile = |freedom: usize| {
            StudentsT::new(0.0, 1.0, freedom as f64).map_or(f64::INFINITY, |t| t.inverse_cdf(1.0 - level))
        };
        Quantiles((1..=2 * BLOCKS).map(quantile).collect())
    }

    fn of(&self, freedom: f64) -> f64 {
        self.0[(freedom.max(1.0) as usize).min(self.0.len()) - 1]
    }
}

/// Mean and variance, by Welford.
#[derive(Clone, Copy, Debug, Default)]
struct Moments {
    count: f64,
    mean: f64,
    squares: f64,
}

impl Moments {
    fn add(&mut self, value: f64) {
        self.count += 1.0;
        let off = value - self.mean;
        self.mean += off / self.count;
        self.squares += off * (value - self.mean);
    }

    fn variance(self) -> f64 {
        self.squares / (self.count - 1.0)
    }
}
