//! What is measured before there is anything to model.

use rand::Rng;
use rand::seq::SliceRandom;

use crate::random::Random;
use crate::space::Space;

/// How many of `budget` trials fill the space: enough to tell the noise and the greatest effects, and a quarter at most.
pub(super) fn size(space: &Space, budget: Option<usize>) -> usize {
    let wanted = 4 + space.axes().len() / 2;
    budget.map_or(wanted, |budget| wanted.min(budget / 4).max(budget.min(3)))
}

/// The defaults, where there are any, and a Latin hypercube: `count` points, each axis cut into as many layers with one point in each.
/// Of several such the one is taken whose nearest points lie farthest apart (Morris, Mitchell 1995, "Exploratory designs for
/// computational experiments").
pub(super) fn fill(space: &Space, count: usize, random: &mut Random) -> Vec<Vec<f64>> {
    let start = space.has_start().then(|| space.start());
    let layers = count - usize::from(start.is_some() && count > 0);
    let tries = (0..40).map(|_| {
        let points: Vec<Vec<f64>> = start.iter().cloned().chain(latin(space, layers, random)).collect();
        (nearest(&points), points)
    });
    tries.max_by(|a, b| a.0.total_cmp(&b.0)).map(|(_, points)| points).unwrap_or_default()
}

fn latin(space: &Space, count: usize, random: &mut Random) -> Vec<Vec<f64>> {
    let mut points = vec![vec![0.0; space.axes().len()]; count];
    let mut order: Vec<usize> = (0..count).collect();
    for axis in 0..space.axes().len() {
        order.shuffle(random);
        for (point, layer) in points.iter_mut().zip(&order) {
            point[axis] = (*layer as f64 + random.random::<f64>()) / count as f64;
        }
    }
    points.iter().map(|point| space.snap(point)).collect()
}

fn nearest(points: &[Vec<f64>]) -> f64 {
    let squared = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| (a - b) * (a - b)).sum::<f64>();
    let pairs = (0..points.len()).flat_map(|row| (0..row).map(move |column| (row, column)));
    pairs.map(|(row, column)| squared(&points[row], &points[column])).fold(f64::INFINITY, f64::min)
}
