//! Generated problems with constraints: what is minimised, what must be kept, and a start that keeps it.
//!
//! Five families, each drawn anew for every seed in 1 to 6 dimensions; all functions are continuous on the unit cube.

use std::f64::consts::{PI, SQRT_2};

use anyhow::Context;
use kandela_tune::random::{Random, seeded};
use kandela_tune::{Bound, Space};
use rand::Rng;
use rand_distr::{Distribution, StandardNormal, StudentT};
use serde_json::{Map, Value, json};

/// What a family is made of.
pub(crate) const FAMILIES: [&str; 5] = ["smooth", "rough", "queue", "edges", "additive"];

type Field = Box<dyn Fn(&[f64]) -> f64 + Send + Sync>;

/// One problem.
pub(crate) struct Problem {
    pub(crate) family: &'static str,
    pub(crate) space: Space,
    pub(crate) start: Vec<f64>,
    /// For each axis, how many whole numbers it has.
    whole: Vec<Option<u32>>,
    objective: Field,
    limits: Vec<Limit>,
    /// The standard deviation of the objective's noise.
    pub(crate) noise: f64,
}

/// A constraint of a problem.
pub(crate) struct Limit {
    quantity: Field,
    pub(crate) bound: Bound,
    /// The standard deviation of its noise; a measurement is never off by more than three.
    pub(crate) noise: f64,
}

impl Limit {
    pub(crate) fn margin(&self, point: &[f64]) -> f64 {
        self.bound.margin((self.quantity)(point))
    }
}

impl Problem {
    /// The problem of that number.
    pub(crate) fn generate(number: u64) -> anyhow::Result<Problem> {
        let mut random = seeded(number, 77);
        // Drawn again where there is nothing to gain, or hardly a start.
        for _ in 0..200 {
            if let Some(problem) = draw(number, &mut random)? {
                return Ok(problem);
            }
        }
        anyhow::bail!("no problem of number {number} has a start and something to gain")
    }

    pub(crate) fn objective(&self, point: &[f64]) -> f64 {
        (self.objective)(point)
    }

    pub(crate) fn limits(&self) -> &[Limit] {
        &self.limits
    }

    /// The middle of the cells that `point` lies in.
    pub(crate) fn snapped(&self, point: &[f64]) -> Vec<f64> {
        let snap = |(whole, u): (&Option<u32>, &f64)| match whole {
            None => *u,
            Some(count) => {
                ((u * f64::from(*count)).floor().min(f64::from(count - 1)) + 0.5) / f64::from(*count)
            }
        };
        self.whole.iter().zip(point).map(snap).collect()
    }

    pub(crate) fn kept(&self, point: &[f64]) -> bool {
        self.limits.iter().all(|limit| limit.margin(point) >= 0.0)
    }
}

fn draw(number: u64, random: &mut Random) -> anyhow::Result<Option<Problem>> {
    let family = FAMILIES[(number % 5) as usize];
    let axes = 1 + (number / 5 % 6) as usize;
    let (objective, quantities): (Field, Vec<Field>) = match family {
        "smooth" => {
            let length = |random: &mut Random| random.random_range(0.4..0.9) * (axes as f64).sqrt();
            let (a, b) = (length(random), length(random));
            (field(random, axes, a, false), vec![field(random, axes, b, false)])
        }
        "rough" => {
            let length = |random: &mut Random| random.random_range(0.25..0.5) * (axes as f64).sqrt();
            let (a, b) = (length(random), length(random));
            (field(random, axes, a, false), vec![field(random, axes, b, true)])
        }
        "queue" => queue(random, axes),
        "edges" => edges(random, axes),
        _ => additive(random, axes),
    };
    let whole: Vec<Option<u32>> = (0..axes)
        .map(|_| (family == "additive" && random.random_bool(0.4)).then(|| random.random_range(4..40)))
        .collect();
    let sample: Vec<Vec<f64>> = (0..600).map(|_| (0..axes).map(|_| random.random()).collect()).collect();
    let mut limits = Vec::new();
    for quantity in quantities {
        let mut values: Vec<f64> = sample.iter().map(|p| quantity(p)).collect();
        values.sort_by(f64::total_cmp);
        // Units are arbitrary, and so is the side.
        let (unit, upside) = (10_f64.powf(random.random_range(-2.0..2.0)), random.random_bool(0.5));
        let share = random.random_range(0.35..0.85);
        let cut = values[(share * 600.0) as usize];
        let spread = (values[570] - values[30]) / 3.3;
        let noise = spread * random.random_range(0.01..0.05) * unit;
        limits.push(if upside {
            Limit { quantity: Box::new(move |p| unit * quantity(p)), bound: Bound::Max(unit * cut), noise }
        } else {
            Limit { quantity: Box::new(move |p| -unit * quantity(p)), bound: Bound::Min(-unit * cut), noise }
        });
    }
    let mut kept: Vec<(f64, Vec<f64>)> = (sample.iter())
        .filter(|point| limits.iter().all(|limit| limit.margin(point) > 0.0))
        .map(|point| (objective(point), point.clone()))
        .collect();
    if kept.len() < 30 {
        return Ok(None);
    }
    kept.sort_by(|a, b| a.0.total_cmp(&b.0));
    let values: Vec<f64> = sample.iter().map(|point| objective(point)).collect();
    let mean = values.iter().sum::<f64>() / 600.0;
    let spread = (values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / 600.0).sqrt();
    // Somewhere among the worse half, and not at the very edge of what is kept.
    let space_of = |point: &[f64]| space(&whole, point);
    for _ in 0..50 {
        let (_, point) = &kept[random.random_range(kept.len() / 2..kept.len())];
        let space = space_of(point)?;
        let start = space.start();
        let clear = limits.iter().all(|limit| {
            let mut margins: Vec<f64> = kept.iter().map(|(_, p)| limit.margin(p)).collect();
            margins.sort_by(f64::total_cmp);
            limit.margin(&start) > margins[margins.len() / 4]
        });
        if clear && objective(&start) - kept[0].0 > spread {
            let noise = spread * random.random_range(0.01..0.06);
            return Ok(Some(Problem { family, space, start, whole, objective, limits, noise }));
        }
    }
    Ok(None)
}

fn space(whole: &[Option<u32>], start: &[f64]) -> anyhow::Result<Space> {
    let mut parameters = Map::new();
    for (k, (count, u)) in whole.iter().zip(start).enumerate() {
        let parameter = match count {
            None => json!({"type": "float", "min": 0.0, "max": 1.0, "default": u}),
            Some(count) => {
                let at = ((u * f64::from(*count)) as u32).min(count - 1);
                json!({"type": "int", "min": 0, "max": count - 1, "default": at})
            }
        };
        parameters.insert(format!("x{k}"), parameter);
    }
    serde_json::from_value(Value::Object(parameters)).context("a generated space")
}

/// A draw of a Gaussian process, by random features (Rahimi and Recht 2007): of a smooth kernel, or of Matérn's.
fn field(random: &mut Random, axes: usize, length: f64, matern: bool) -> Field {
    const FEATURES: usize = 256;
    let lengths: Vec<f64> = (0..axes).map(|_| length * 2_f64.powf(random.random_range(-1.0..1.0))).collect();
    let heavy = StudentT::new(5.0).expect("degrees of freedom above 0");
    let features: Vec<(Vec<f64>, f64, f64)> = (0..FEATURES)
        .map(|_| {
            // One heavy tail a feature, not an axis: a multivariate t.
            let widen = if matern {
                let t: f64 = heavy.sample(random);
                let z: f64 = StandardNormal.sample(random);
                (t / z).abs().clamp(0.3, 4.0)
            } else {
                1.0
            };
            let wave = lengths.iter().map(|l| widen * normal(random) / l).collect();
            (wave, random.random_range(0.0..2.0 * PI), normal(random))
        })
        .collect();
    Box::new(move |p| {
        let sum = features.iter().map(|(wave, phase, weight)| {
            weight * (wave.iter().zip(p).map(|(w, x)| w * x).sum::<f64>() + phase).cos()
        });
        sum.sum::<f64>() * SQRT_2 / (FEATURES as f64).sqrt()
    })
}

/// Cost against latency: less capacity costs less and brings the queue nearer to its cliff.
fn queue(random: &mut Random, axes: usize) -> (Field, Vec<Field>) {
    let capacity: Vec<f64> = (0..axes).map(|_| random.random_range(0.2..1.0)).collect();
    let total: f64 = capacity.iter().sum();
    let price: Vec<f64> = capacity.iter().map(|c| c / total * random.random_range(0.6..1.6)).collect();
    let (idle, busy) = (random.random_range(0.2..0.4), random.random_range(0.85..1.1));
    let steepest = random.random_range(0.9..0.97);
    let curved: Vec<f64> = (0..axes).map(|_| random.random_range(0.6..1.6)).collect();
    let (away, bumps) =
        (random.random_range(0.05..0.3), field(random, axes, 0.8 * (axes as f64).sqrt(), false));
    let exponents = curved.clone();
    let cost = move |p: &[f64]| {
        let spent = (0..p.len()).map(|k| price[k] * p[k].powf(exponents[k])).sum::<f64>();
        spent + away * 0.3 * bumps(p)
    };
    let latency = move |p: &[f64]| {
        let have = (0..p.len()).map(|k| capacity[k] / total * p[k]).sum::<f64>();
        let load = busy + (idle - busy) * have;
        // Past the cliff a queue that is cut off keeps growing at the rate that it had there.
        if load < steepest {
            1.0 / (1.0 - load)
        } else {
            1.0 / (1.0 - steepest) + (load - steepest) / (1.0 - steepest).powi(2)
        }
    };
    (Box::new(cost), vec![Box::new(latency)])
}

/// Flat, then steep at once: the greatest of a few planes. The objective's optimum lies anywhere.
fn edges(random: &mut Random, axes: usize) -> (Field, Vec<Field>) {
    let plane = |random: &mut Random, slope: f64| {
        let direction: Vec<f64> = (0..axes).map(|_| normal(random)).collect();
        let norm = direction.iter().map(|d| d * d).sum::<f64>().sqrt();
        let through: Vec<f64> = (0..axes).map(|_| random.random_range(0.1..0.9)).collect();
        (direction.into_iter().map(|d| slope * d / norm).collect::<Vec<f64>>(), through)
    };
    let gentle = random.random_range(0.2..1.0);
    let mut planes = vec![plane(random, gentle)];
    for _ in 0..random.random_range(1..4) {
        let steep = gentle * random.random_range(2.0..6.0);
        planes.push(plane(random, steep));
    }
    let quantity = move |p: &[f64]| {
        let height = |(slope, through): &(Vec<f64>, Vec<f64>)| {
            slope.iter().zip(p.iter().zip(through)).map(|(s, (x, t))| s * (x - t)).sum::<f64>()
        };
        planes.iter().map(height).fold(f64::NEG_INFINITY, f64::max)
    };
    (bowl(random, axes), vec![Box::new(quantity)])
}

/// Two constraints, each a sum over the axes: what is used up, and what is left to do.
fn additive(random: &mut Random, axes: usize) -> (Field, Vec<Field>) {
    let sum = |random: &mut Random| -> Field {
        let terms: Vec<(f64, f64, bool)> = (0..axes)
            .map(|_| (random.random_range(0.0..1.0), random.random_range(0.5..3.0), random.random_bool(0.7)))
            .collect();
        Box::new(move |p| {
            let term = |((weight, power, up), x): (&(f64, f64, bool), &f64)| {
                weight * (if *up { 0.02 + x } else { 1.02 - x }).powf(*power)
            };
            terms.iter().zip(p).map(term).sum()
        })
    };
    (bowl(random, axes), vec![sum(random), sum(random)])
}

/// A turned and stretched bowl whose bottom lies anywhere, sharpened or flattened.
fn bowl(random: &mut Random, axes: usize) -> Field {
    let bottom: Vec<f64> = (0..axes).map(|_| random.random()).collect();
    let rows: Vec<Vec<f64>> = (0..axes)
        .map(|_| {
            let stretch = 3_f64.powf(random.random_range(-1.0..1.0));
            (0..axes).map(|_| stretch * normal(random)).collect()
        })
        .collect();
    let power = random.random_range(0.35..1.0);
    Box::new(move |p| {
        let along = |row: &Vec<f64>| {
            row.iter().zip(p.iter().zip(&bottom)).map(|(r, (x, b))| r * (x - b)).sum::<f64>()
        };
        rows.iter().map(|row| along(row).powi(2)).sum::<f64>().powf(power)
    })
}

fn normal(random: &mut Random) -> f64 {
    StandardNormal.sample(random)
}
