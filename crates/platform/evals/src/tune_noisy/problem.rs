//! A noisy problem: a space, what each configuration truly costs, what a measurement of it gives, and how good the best is.

use std::collections::BTreeMap;

use kandela_model::KnobValue;
use kandela_tune::random::{Random, seeded};
use kandela_tune::{Config, Measured, Outcome, Space};
use rand::Rng;
use rand_distr::{Distribution, StandardNormal, StudentT};

/// Streams of an instance's seed.
const SEARCH: u64 = 11;
const NOISE: u64 = 12;

/// What a configuration truly costs: `None` where the target fails there.
pub(super) type Cost = Box<dyn Fn(&Settings<'_>) -> Option<f64> + Send + Sync>;

/// What a family makes.
pub(super) struct Problem {
    pub(super) family: &'static str,
    pub(super) space: Space,
    pub(super) cost: Cost,
    pub(super) noise: NoiseOf,
    pub(super) budget: usize,
}

/// How measurements differ from the truth.
#[derive(Clone, Copy, Debug)]
pub(super) enum NoiseOf {
    /// Normal, of this standard deviation.
    Added(f64),
    /// A factor, log-normal, of this deviation of the logarithm.
    Factor(f64),
    /// A factor whose logarithm is Student's t with 3 degrees of freedom times this.
    HeavyFactor(f64),
    /// A factor, log-normal, and now and then (this share) a stall that multiplies the value by 1.5 to 4.
    Stalls(f64, f64),
}

impl NoiseOf {
    fn measured(self, truth: f64, random: &mut Random) -> f64 {
        let z: f64 = StandardNormal.sample(random);
        match self {
            NoiseOf::Added(deviation) => truth + deviation * z,
            NoiseOf::Factor(deviation) => truth * (deviation * z).exp(),
            NoiseOf::HeavyFactor(scale) => {
                // Three degrees of freedom are more than none, so there is such a distribution.
                let t = StudentT::new(3.0).map_or(z, |t| t.sample(random));
                truth * (scale * t).clamp(-3.0, 3.0).exp()
            }
            NoiseOf::Stalls(deviation, share) => {
                let stall = if random.random::<f64>() < share { random.random_range(1.5..4.0) } else { 1.0 };
                truth * (deviation * z).exp() * stall
            }
        }
    }
}

/// Settings as numbers: a word by its place among its values, a switch as 0 or 1.
pub(super) struct Settings<'a>(&'a BTreeMap<String, f64>);

impl Settings<'_> {
    /// The number of a knob; 0 where it does not apply.
    pub(super) fn get(&self, name: &str) -> f64 {
        self.0.get(name).copied().unwrap_or(0.0)
    }
}

impl Problem {
    pub(super) fn truth(&self, config: &Config) -> Option<f64> {
        let number = |(name, value): (&String, &KnobValue)| {
            let number = match value {
                KnobValue::Int(number) => *number as f64,
                KnobValue::Float(number) => *number,
                KnobValue::Bool(on) => f64::from(u8::from(*on)),
                KnobValue::Choice(word) => {
                    match self.space.parameter(name).map(|parameter| &parameter.spec.kind) {
                        Some(kandela_model::KnobType::Choice(words)) => {
                            words.iter().position(|w| w == word).unwrap_or(0) as f64
                        }
                        _ => 0.0,
                    }
                }
            };
            (name.clone(), number)
        };
        let numbers = config.iter().map(number).collect();
        (self.cost)(&Settings(&numbers)).filter(|cost| cost.is_finite())
    }

    /// A measurement, of noise that a generator of its own gives, so that every optimiser meets the same luck trial by trial.
    pub(super) fn measure(&self, config: &Config, random: &mut Random) -> Outcome {
        match self.truth(config) {
            Some(truth) => Outcome::Measured(Measured::of(self.noise.measured(truth, random))),
            None => Outcome::Failed,
        }
    }
}

/// The truth about an instance: what regret is measured against.
pub(super) struct Yardstick {
    pub(super) lowest: f64,
    /// The lower of what the defaults give, where there are any, and the median of random configurations.
    pub(super) typical: f64,
}

pub(super) fn noise_of(seed: u64) -> Random {
    seeded(seed, NOISE)
}

impl Yardstick {
    /// Finds the optimum by a long noise-free search: random points, then steps from the best ones that get shorter.
    pub(super) fn of(problem: &Problem, seed: u64) -> Yardstick {
        let mut random = seeded(seed, SEARCH);
        let axes = problem.space.axes().len();
        let truth = |point: &[f64]| problem.truth(&problem.space.decode(point)).unwrap_or(f64::INFINITY);
        let mut found: Vec<(f64, Vec<f64>)> = (0..1500)
            .map(|_| {
                let point: Vec<f64> = (0..axes).map(|_| random.random()).collect();
                (truth(&point), point)
            })
            .collect();
        found.sort_by(|a, b| a.0.total_cmp(&b.0));
        let finite = found.iter().filter(|(value, _)| value.is_finite()).count();
        let median = found[finite / 2].0;
        let start =
            problem.space.has_start().then(|| truth(&problem.space.start())).filter(|v| v.is_finite());
        let typical = start.map_or(median, |start| start.min(median));
        found.truncate(6);
        let mut lowest = f64::INFINITY;
        for (mut value, mut point) in found {
            for round in 0..600 {
                let width = 0.3 * 0.985_f64.powi(round);
                let mut next = point.clone();
                let count = if random.random::<f64>() < 0.6 { 1 } else { 1 + random.random_range(0..axes) };
                for _ in 0..count {
                    let index = random.random_range(0..axes);
                    let by: f64 = StandardNormal.sample(&mut random);
                    let anew = matches!(problem.space.axes()[index], kandela_tune::space::Axis::Category(_));
                    next[index] =
                        if anew { random.random() } else { (next[index] + width * by).clamp(0.0, 1.0) };
                }
                let found = truth(&next);
                if found <= value {
                    (value, point) = (found, next);
                }
            }
            lowest = lowest.min(value);
        }
        Yardstick { lowest, typical }
    }

    /// 0 at the optimum, 1 at what is typical, 2 at most.
    pub(super) fn regret(&self, truth: Option<f64>) -> f64 {
        let gap = self.typical - self.lowest;
        let regret = truth.map_or(2.0, |truth| (truth - self.lowest) / gap.max(f64::MIN_POSITIVE));
        regret.clamp(0.0, 2.0)
    }
}
