//! Gallagher's Gaussian peaks, f21 and f22: the optimum is the highest of many peaks, none of which points to another.

use super::instance::{self, Matrix};
use super::transform::{oscillating, share, times};

/// The peaks of an instance.
pub(super) struct Peaks {
    rotation: Matrix,
    heights: Vec<f64>,
    /// For each peak, its centre in rotated coordinates.
    centres: Vec<Vec<f64>>,
    /// For each peak, how steep it is along each of them.
    steepness: Vec<Vec<f64>>,
}

impl Peaks {
    /// 101 peaks.
    pub(super) fn many(dimension: usize, seed: i64) -> Peaks {
        peaks(dimension, seed, 101, 1000_f64.sqrt(), (10.0, 5.0))
    }

    /// 21 peaks, the highest of them narrow.
    pub(super) fn few(dimension: usize, seed: i64) -> Peaks {
        peaks(dimension, seed, 21, 1000.0, (9.8, 4.9))
    }

    /// How far the value at `x` is above the lowest, within the domain.
    pub(super) fn gap(&self, x: &[f64]) -> f64 {
        let turned = times(&self.rotation, x);
        let n = turned.len() as f64;
        let height = |peak: usize| {
            let at = turned.iter().zip(&self.centres[peak]).zip(&self.steepness[peak]);
            let distance: f64 = at.map(|((x, centre), steep)| steep * (x - centre).powi(2)).sum();
            self.heights[peak] * (-0.5 / n * distance).exp()
        };
        let highest = (0..self.heights.len()).map(height).fold(0.0, f64::max);
        oscillating(10.0 - highest).powi(2)
    }

    /// The middle of the highest peak.
    #[cfg(test)]
    pub(super) fn highest(&self) -> Vec<f64> {
        let n = self.rotation.len();
        (0..n).map(|i| (0..n).map(|k| self.rotation[k][i] * self.centres[0][k]).sum()).collect()
    }
}

fn peaks(
    dimension: usize,
    seed: i64,
    count: usize,
    first_condition: f64,
    (width, middle): (f64, f64),
) -> Peaks {
    let order = by_rank(&instance::uniform(count - 1, seed));
    let others = (count - 2) as f64;
    let condition = |peak: usize| match peak {
        0 => first_condition,
        _ => 1000_f64.powf(order[peak - 1] as f64 / others),
    };
    let height = |peak: usize| match peak {
        0 => 10.0,
        _ => 1.1 + 8.0 * (peak - 1) as f64 / others,
    };
    let steepness = |peak: usize| {
        let order = by_rank(&instance::uniform(dimension, seed + 1000 * peak as i64));
        order.iter().map(|rank| condition(peak).powf(share(*rank, dimension) - 0.5)).collect()
    };
    let rotation = instance::rotation(dimension, seed);
    let drawn = instance::uniform(dimension * count, seed);
    let centre = |peak: usize| {
        let nearer = if peak == 0 { 0.8 } else { 1.0 };
        let at = &drawn[peak * dimension..(peak + 1) * dimension];
        let placed: Vec<f64> = at.iter().map(|u| nearer * (width * u - middle)).collect();
        times(&rotation, &placed)
    };
    Peaks {
        heights: (0..count).map(height).collect(),
        centres: (0..count).map(centre).collect(),
        steepness: (0..count).map(steepness).collect(),
        rotation,
    }
}

/// The places of the numbers, from the lowest to the highest.
fn by_rank(numbers: &[f64]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..numbers.len()).collect();
    order.sort_by(|a, b| numbers[*a].total_cmp(&numbers[*b]));
    order
}
