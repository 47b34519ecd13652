//! Families of problems to minimise, generated: a base function, shifted, turned and stretched, in so many dimensions. Some families are
//! for training and others for the test, so that what is tested was not seen.

use std::f64::consts::{E, TAU};

use kandela_tune::Space;
use kandela_tune::random::Random;
use rand::Rng;
use serde_json::{Map, Value, json};

/// A base function with its least value, 0, at the origin.
type Base = fn(&[f64]) -> f64;

/// What a network is trained on.
pub(crate) const TRAINING: [(&str, Base); 5] = [
    ("sphere", |x| squares(x)),
    ("ellipsoid", |x| weighed(x, 3.0, |number| number * number)),
    ("valley", |x| {
        let shifted = |number: f64| number + 1.0;
        let steps = x.windows(2).map(|pair| {
            let (a, b) = (shifted(pair[0]), shifted(pair[1]));
            100.0 * (b - a * a).powi(2) + (1.0 - a).powi(2)
        });
        steps.sum()
    }),
    ("ripples", |x| x.iter().map(|x| x * x + 10.0 * (1.0 - libm::cos(TAU * x))).sum()),
    ("terraces", |x| x.iter().map(|x| (2.0 * x).round().powi(2)).sum::<f64>() + 0.01 * squares(x)),
];

/// What it is tested on.
pub(crate) const TEST: [(&str, Base); 5] = [
    ("ridge", |x| x[0] * x[0] + 10.0 * squares(&x[1..]).sqrt()),
    ("funnel", |x| {
        let count = x.len() as f64;
        let waves = x.iter().map(|x| libm::cos(TAU * x)).sum::<f64>() / count;
        20.0 * (1.0 - libm::exp(-0.2 * (squares(x) / count).sqrt())) + E - libm::exp(waves)
    }),
    ("powers", |x| {
        let last = (x.len() - 1).max(1) as f64;
        x.iter().enumerate().map(|(i, x)| libm::pow(x.abs(), 2.0 + 4.0 * i as f64 / last)).sum::<f64>().sqrt()
    }),
    ("discus", |x| 1e3 * x[0] * x[0] + squares(&x[1..])),
    ("pits", |x| x.iter().map(|x| x.abs().sqrt() + 0.3 * (1.0 - libm::cos(2.0 * TAU * x))).sum()),
];

fn squares(x: &[f64]) -> f64 {
    x.iter().map(|x| x * x).sum()
}

/// Weights from 1 to ten to the power of `decades`.
fn weighed(x: &[f64], decades: f64, of: fn(f64) -> f64) -> f64 {
    let last = (x.len() - 1).max(1) as f64;
    x.iter().enumerate().map(|(i, x)| libm::pow(10.0, decades * i as f64 / last) * of(*x)).sum()
}

/// One problem.
pub(crate) struct Problem {
    pub(crate) family: &'static str,
    pub(crate) space: Space,
    base: Base,
    /// Where the least value is.
    least_at: Vec<f64>,
    /// Rows of a rotation.
    turned: Vec<Vec<f64>>,
    factor: f64,
}

/// Half the width of the box that is searched.
const HALF: f64 = 5.0;

impl Problem {
    /// A problem of one of these families, of 2 to 10 dimensions.
    pub(crate) fn draw(families: &[(&'static str, Base)], random: &mut Random) -> anyhow::Result<Problem> {
        let (family, base) = families[random.random_range(0..families.len())];
        let dimensions = random.random_range(2..=10);
        let mut parameters = Map::new();
        for axis in 0..dimensions {
            parameters.insert(format!("x{axis}"), json!({"type": "float", "min": -HALF, "max": HALF}));
        }
        let space = serde_json::from_value(Value::Object(parameters))?;
        let least_at = (0..dimensions).map(|_| HALF * 0.8 * (2.0 * random.random::<f64>() - 1.0)).collect();
        let is_turned = random.random::<bool>();
        let turned = if is_turned { rotation(dimensions, random) } else { identity(dimensions) };
        let factor = libm::pow(10.0, 4.0 * random.random::<f64>() - 2.0);
        Ok(Problem { family, space, base, least_at, turned, factor })
    }

    /// The value at a point of the unit cube; the least is 0.
    pub(crate) fn value(&self, point: &[f64]) -> f64 {
        let moved: Vec<f64> =
            point.iter().zip(&self.least_at).map(|(u, at)| HALF * (2.0 * u - 1.0) - at).collect();
        let along = |row: &Vec<f64>| row.iter().zip(&moved).map(|(a, b)| a * b).sum::<f64>();
        let turned: Vec<f64> = self.turned.iter().map(along).collect();
        self.factor * (self.base)(&turned)
    }
}

fn identity(dimensions: usize) -> Vec<Vec<f64>> {
    (0..dimensions).map(|i| (0..dimensions).map(|j| f64::from(u8::from(i == j))).collect()).collect()
}

/// A rotation made of turns by random angles in every plane of two axes.
fn rotation(dimensions: usize, random: &mut Random) -> Vec<Vec<f64>> {
    let mut rows = identity(dimensions);
    for first in 0..dimensions {
        for second in first + 1..dimensions {
            let angle = TAU * random.random::<f64>();
            let (sin, cos) = (libm::sin(angle), libm::cos(angle));
            for row in &mut rows {
                (row[first], row[second]) =
                    (cos * row[first] - sin * row[second], sin * row[first] + cos * row[second]);
            }
        }
    }
    rows
}

#[cfg(test)]
mod tests {
    use kandela_tune::random::seeded;

    use super::*;

    #[test]
    fn every_problem_has_its_least_value_where_it_says_and_none_below() {
        let mut random = seeded(1, 0);
        for families in [TRAINING, TEST] {
            for _ in 0..50 {
                let problem = Problem::draw(&families, &mut random).expect("a problem");
                let least: Vec<f64> = problem.least_at.iter().map(|at| (at / HALF + 1.0) / 2.0).collect();
                assert!(problem.value(&least).abs() < 1e-4, "{}: {}", problem.family, problem.value(&least));
                for _ in 0..20 {
                    let point: Vec<f64> = least.iter().map(|_| random.random()).collect();
                    assert!(problem.value(&point) > 0.0, "{} at {point:?}", problem.family);
                }
            }
        }
    }
}
