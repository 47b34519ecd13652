//! Latency of a system of two units, slice after slice, in noise of several kinds.

use kandela_tune::experiment::{Arm, Design, Slice};
use kandela_tune::random::{Random, seeded};
use rand::Rng;
use rand_distr::{Distribution, StandardNormal, StudentT};

use super::trial::System;

/// Kinds of noise. Each has a standard deviation of 10 % that both units share, and 5 % of each unit's own, before tails and bursts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Weather {
    /// Independent from slice to slice.
    White,
    /// Autoregressive, 0.5 from slice to slice.
    Mild,
    /// Autoregressive, 0.95 from slice to slice.
    Correlated,
    /// The same at 0.9, and a daily cycle of 288 slices in load, and by 35 % up and down in latency.
    Diurnal,
    /// Student's t with 1.5 degrees of freedom, so without a variance, over noise autocorrelated by 0.5.
    Tails,
    /// One slice in a hundred begins a burst of ten slices on average, of twice the latency and three times the load.
    Bursts,
    /// Correlation drawn for each run up to 0.95, the daily cycle, tails and bursts.
    Everything,
}

impl Weather {
    pub(super) const ALL: [Weather; 7] = [
        Weather::White,
        Weather::Mild,
        Weather::Correlated,
        Weather::Diurnal,
        Weather::Tails,
        Weather::Bursts,
        Weather::Everything,
    ];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Weather::White => "white",
            Weather::Mild => "ar 0.5",
            Weather::Correlated => "ar 0.95",
            Weather::Diurnal => "diurnal",
            Weather::Tails => "tails",
            Weather::Bursts => "bursts",
            Weather::Everything => "everything",
        }
    }
}

/// A system in its weather.
pub(super) struct World {
    random: Random,
    correlation: f64,
    daily: bool,
    tails: Option<StudentT<f64>>,
    bursts: bool,
    slice: u64,
    phase: f64,
    burst: bool,
    /// Of the system, the changed unit and the control.
    noise: [f64; 3],
    /// By how much the changed unit is always slower.
    handicap: f64,
}

impl World {
    pub(super) fn new(weather: Weather, seed: u64) -> World {
        let mut random = seeded(seed, 1);
        let everything = weather == Weather::Everything;
        let correlation = match weather {
            Weather::White => 0.0,
            Weather::Mild | Weather::Tails => 0.5,
            Weather::Correlated => 0.95,
            Weather::Diurnal | Weather::Bursts => 0.9,
            Weather::Everything => random.random_range(0.0..0.95),
        };
        let tails = (everything || weather == Weather::Tails).then(|| StudentT::new(1.5).expect("above 0"));
        World {
            correlation,
            daily: everything || weather == Weather::Diurnal,
            tails,
            bursts: everything || weather == Weather::Bursts,
            slice: 0,
            phase: random.random_range(0.0..std::f64::consts::TAU),
            burst: false,
            noise: std::array::from_fn(|_| random.sample(StandardNormal)),
            handicap: random.random_range(-0.2..0.2),
            random,
        }
    }

    fn next(&mut self) -> ([f64; 3], f64) {
        let (keep, fresh) = (self.correlation, (1.0 - self.correlation * self.correlation).sqrt());
        let day = if self.daily {
            (self.phase + self.slice as f64 / 288.0 * std::f64::consts::TAU).sin()
        } else {
            0.0
        };
        self.slice += 1;
        let turns = self.random.random::<f64>();
        self.burst = self.bursts && turns < if self.burst { 0.9 } else { 0.01 };
        let burst = f64::from(u8::from(self.burst));
        for noise in &mut self.noise {
            *noise = keep * *noise + fresh * self.random.sample::<f64, _>(StandardNormal);
        }
        let tail = |random: &mut Random| self.tails.map_or(0.0, |tails| 0.03 * tails.sample(random));
        let tails = [tail(&mut self.random), tail(&mut self.random), tail(&mut self.random)];
        let shared = 0.1 * self.noise[0] + tails[0] + 0.35 * day + burst * 2f64.ln();
        let offered = 1_000.0 * (0.5 * day + burst * 3f64.ln()).exp() * self.random.random_range(0.95..1.05);
        ([shared, 0.05 * self.noise[1] + tails[1] + self.handicap, 0.05 * self.noise[2] + tails[2]], offered)
    }
}

impl System for World {
    fn slice(&mut self, design: Design, arm: Arm, gain: f64) -> Slice {
        let ([shared, changed, control], offered) = self.next();
        let effect = if arm == Arm::Treated { -gain } else { 0.0 };
        let (value, control) = match design {
            Design::Canary => (shared + changed + effect, Some((shared + control).exp())),
            Design::Switchback { .. } => (shared + f64::midpoint(changed, control) + effect, None),
        };
        Slice { value: Some(value.exp()), control, offered: Some(offered), disturbed: false }
    }
}
