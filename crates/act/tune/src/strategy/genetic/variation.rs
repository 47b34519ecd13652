//! How children come from parents.

use rand::Rng;
use rand_distr::{Distribution, StandardNormal};

use super::super::another_category;
use crate::random::Random;
use crate::space::{Axis, Space};

/// How far beyond its parents a child may lie, in units of their distance: as far as keeps the variance of a population that nobody
/// selects from.
const BEYOND: f64 = 0.366;

/// A child of `a` and `b`: numbers by blend crossover (Eshelman and Schaffer, Foundations of Genetic Algorithms 2, 1993), categories of
/// either parent; then, for one axis in expectation, a mutation.
pub(super) fn child(space: &Space, (a, b): (&[f64], &[f64]), random: &mut Random) -> Vec<f64> {
    let axes = space.axes();
    let mut child: Vec<f64> = axes
        .iter()
        .zip(a.iter().zip(b))
        .map(|(axis, (a, b))| match axis {
            Axis::Category(_) => *if random.random() { a } else { b },
            Axis::Real | Axis::Whole(_) => {
                let share = random.random_range(-BEYOND..1.0 + BEYOND);
                (a + share * (b - a)).clamp(0.0, 1.0)
            }
        })
        .collect();
    for (index, axis) in axes.iter().enumerate() {
        if random.random_range(0..axes.len()) == 0 {
            child[index] = mutated(space, index, *axis, child[index], random);
        }
    }
    child
}

fn mutated(space: &Space, index: usize, axis: Axis, u: f64, random: &mut Random) -> f64 {
    // Steps of all sizes from the whole axis to a thousandth: nobody knows which one helps.
    let size = 0.5 * 1e-3_f64.powf(random.random());
    let step: f64 = StandardNormal.sample(random);
    match (axis, space.cell(index, u)) {
        (Axis::Category(of), _) => another_category(u, of, random),
        (Axis::Whole(_), Some((low, high))) => {
            // At least one cell away.
            let from = if step < 0.0 { low } else { high };
            let next = from + step * size + step.signum() * 1e-9;
            if (0.0..=1.0).contains(&next) { next } else { (low + high - next).clamp(0.0, 1.0) }
        }
        _ => {
            let next = u + step * size;
            if (0.0..=1.0).contains(&next) { next } else { (2.0 * u - next).clamp(0.0, 1.0) }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::seeded;

    #[test]
    fn without_selection_a_population_keeps_its_spread_and_mutation_reaches_every_category() {
        let space: Space = serde_json::from_str(
            r#"{"x": {"type": "float", "min": 0, "max": 1}, "c": {"type": "enum", "values": ["a", "b", "c"]}}"#,
        )
        .expect("a space");
        let mut random = seeded(2, 0);
        let spread = |points: &[Vec<f64>]| {
            let mean = points.iter().map(|p| p[0]).sum::<f64>() / points.len() as f64;
            (points.iter().map(|p| (p[0] - mean).powi(2)).sum::<f64>() / points.len() as f64).sqrt()
        };
        let parents: Vec<Vec<f64>> = (0..2000).map(|_| vec![random.random_range(0.4..0.6), 0.5]).collect();
        let children: Vec<Vec<f64>> = (0..2000)
            .map(|_| {
                let pair = (random.random_range(0..2000), random.random_range(0..2000));
                child(&space, (&parents[pair.0], &parents[pair.1]), &mut random)
            })
            .collect();
        assert!(spread(&children) >= spread(&parents), "{} {}", spread(&children), spread(&parents));
        for category in [0.0, 1.0, 2.0] {
            assert!(children.iter().any(|c| (c[1] - (category + 0.5) / 3.0).abs() < 1e-9), "{category}");
        }
    }
}
