//! The lengths, variances and noise that explain what was seen.

use nalgebra::{Cholesky, DMatrix, DVector, Dyn};

use super::kernel::{Kernel, matern};

/// Logarithms of the lengths of all axes; then the logarithm of the function's variance, the log-odds of its additive share, and the
/// logarithm of the noise's standard deviation. Values are standardised, axes run from 0 to 1.
pub(super) type Theta = Vec<f64>;

/// What is explained.
pub(super) struct Data {
    /// The distances of all pairs `(row, column)`, `column < row`, along each axis: pair after pair.
    pub(super) distances: Vec<f64>,
    /// Standardised values.
    pub(super) values: DVector<f64>,
    /// Variance of the noise of each value that is known, beyond what is estimated.
    pub(super) known: Vec<f64>,
    /// How much more the estimated variance of the noise is at each value.
    pub(super) inflation: Vec<f64>,
    pub(super) axes: usize,
}

/// Normal priors of theta: mean and standard deviation. Lengths grow with the number of axes, since distances do (Hvarfner, Hellsten,
/// Nardi 2024, "Vanilla Bayesian Optimization Performs Great in High Dimensions"), but slower than they, since the additive share has
/// one axis a term; and not much longer than the range, for noise would make every function a plane whose lowest corner is far away.
fn prior(axes: usize, index: usize) -> (f64, f64) {
    match index - index.min(axes) {
        _ if index < axes => (0.25 * libm::log(axes as f64) + libm::log(0.5), 0.8),
        0 => (0.0, 1.0),
        1 => (0.0, 1.5),
        _ => (libm::log(0.15), 1.3),
    }
}

fn bounds(axes: usize, index: usize) -> (f64, f64) {
    match index - index.min(axes) {
        _ if index < axes => (-4.0, 4.0),
        0 | 1 => (-4.0, 4.0),
        _ => (-9.0, 0.7),
    }
}

/// Where a search for theta begins that knows nothing.
pub(super) fn typical(axes: usize) -> Theta {
    (0..axes + 3).map(|index| prior(axes, index).0).collect()
}

impl Kernel {
    pub(super) fn at(theta: &[f64]) -> Kernel {
        let axes = theta.len() - 3;
        Kernel {
            rates: theta[..axes].iter().map(|length| libm::exp(-length)).collect(),
            variance: libm::exp(theta[axes]),
            additive: 1.0 / (1.0 + libm::exp(-theta[axes + 1])),
        }
    }
}

/// The variance of the noise that theta speaks of.
pub(super) fn noise_variance(theta: &[f64]) -> f64 {
    libm::exp(2.0 * theta[theta.len() - 1])
}

/// The factor of the covariance of all values, noise included.
pub(super) fn factor(data: &Data, kernel: &Kernel, noise: f64) -> Option<Cholesky<f64, Dyn>> {
    let covariance = |pair: usize| {
        let distances = &data.distances[pair * data.axes..(pair + 1) * data.axes];
        kernel.of(distances.iter().copied())
    };
    Cholesky::new(symmetric(data, kernel.variance, noise, covariance))
}

fn symmetric(data: &Data, variance: f64, noise: f64, covariance: impl Fn(usize) -> f64) -> DMatrix<f64> {
    let count = data.values.len();
    let mut matrix = DMatrix::zeros(count, count);
    let mut pair = 0;
    for row in 0..count {
        for column in 0..row {
            let value = covariance(pair);
            matrix[(row, column)] = value;
            matrix[(column, row)] = value;
            pair += 1;
        }
        matrix[(row, row)] = variance * (1.0 + 1e-8) + noise * data.inflation[row] + data.known[row];
    }
    matrix
}

/// The logarithm of the posterior density of theta, up to a constant of the number of axes, and its gradient.
fn density(data: &Data, theta: &[f64]) -> Option<(f64, Vec<f64>)> {
    let (axes, count) = (data.axes, data.values.len());
    let kernel = Kernel::at(theta);
    let noise = noise_variance(theta);
    let pairs = count * (count - 1) / 2;
    let mut slopes = vec![0.0; pairs * axes];
    let (mut together, mut apart) = (vec![0.0; pairs], vec![0.0; pairs]);
    let share = kernel.additive / axes as f64;
    for pair in 0..pairs {
        let distances = &data.distances[pair * axes..(pair + 1) * axes];
        let slopes = &mut slopes[pair * axes..(pair + 1) * axes];
        let (mut squared, mut sum) = (0.0, 0.0);
        for ((distance, rate), slope) in distances.iter().zip(&kernel.rates).zip(slopes.iter_mut()) {
            let lengths = distance * rate;
            let (value, by_length) = matern(lengths);
            squared += lengths * lengths;
            sum += value;
            *slope = share * by_length;
        }
        let (value, by_length) = matern(squared.sqrt());
        for ((distance, rate), slope) in distances.iter().zip(&kernel.rates).zip(slopes.iter_mut()) {
            let lengths = distance * rate;
            *slope = (*slope + (1.0 - kernel.additive) * by_length) * lengths * lengths * kernel.variance;
        }
        together[pair] = value;
        apart[pair] = sum / axes as f64;
    }
    let mixed = |pair: usize| {
        kernel.variance * ((1.0 - kernel.additive) * together[pair] + kernel.additive * apart[pair])
    };
    let factor = Cholesky::new(symmetric(data, kernel.variance, noise, mixed))?;
    let alpha = factor.solve(&data.values);
    let fit = -0.5 * data.values.dot(&alpha) - 0.5 * count as f64 * libm::log(2.0 * std::f64::consts::PI);
    let mut value = fit - factor.l_dirty().diagonal().iter().map(|d| libm::log(*d)).sum::<f64>();

    let inverse = factor.inverse();
    let mut gradient = vec![0.0; theta.len()];
    let mut pair = 0;
    for row in 0..count {
        for column in 0..row {
            let weight = alpha[row] * alpha[column] - inverse[(row, column)];
            for (sum, slope) in gradient.iter_mut().zip(&slopes[pair * axes..(pair + 1) * axes]) {
                *sum += weight * slope;
            }
            gradient[axes] += weight * mixed(pair);
            let by_share = kernel.variance * (apart[pair] - together[pair]);
            gradient[axes + 1] += weight * by_share * kernel.additive * (1.0 - kernel.additive);
            pair += 1;
        }
        let weight = alpha[row] * alpha[row] - inverse[(row, row)];
        gradient[axes] += 0.5 * weight * kernel.variance;
        gradient[axes + 2] += weight * noise * data.inflation[row];
    }
    for (index, sum) in gradient.iter_mut().enumerate() {
        let (mean, deviation) = prior(axes, index);
        let z = (theta[index] - mean) / deviation;
        value -= 0.5 * z * z;
        *sum -= z / deviation;
    }
    value.is_finite().then_some((value, gradient))
}

/// The most probable theta that `steps` steps find from `start`, and the logarithm of its density. Resilient propagation, which
/// minds the signs of slopes alone (Blum, Riedmiller 2013, "Optimization of Gaussian Process Hyperparameters using Rprop").
pub(super) fn climb(data: &Data, start: &[f64], steps: usize) -> Option<(Theta, f64)> {
    let mut theta = start.to_vec();
    let mut widths = vec![0.15; theta.len()];
    let mut before = vec![0.0; theta.len()];
    let mut best: Option<(Theta, f64)> = None;
    for _ in 0..=steps {
        let Some((value, gradient)) = density(data, &theta) else { break };
        if best.as_ref().is_none_or(|(_, highest)| value > *highest) {
            best = Some((theta.clone(), value));
        }
        for (index, slope) in gradient.iter().enumerate() {
            let turned = slope * before[index];
            if turned > 0.0 {
                widths[index] = f64::min(widths[index] * 1.3, 1.0);
            } else if turned < 0.0 {
                widths[index] *= 0.5;
            }
            before[index] = if turned < 0.0 { 0.0 } else { *slope };
            let (least, most) = bounds(data.axes, index);
            theta[index] = (theta[index]
                + before[index].signum() * f64::from(u8::from(before[index] != 0.0)) * widths[index])
                .clamp(least, most);
        }
    }
    best
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_gradient_is_that_of_the_density() {
        let points = [[0.1, 0.9], [0.4, 0.2], [0.8, 0.5], [0.3, 0.3]];
        let pairs = (0..4).flat_map(|row| (0..row).map(move |column| (row, column)));
        let distances = pairs.flat_map(|(a, b)| (0..2).map(move |i| f64::abs(points[a][i] - points[b][i])));
        let data = Data {
            distances: distances.collect(),
            values: DVector::from_vec(vec![0.5, -1.0, 1.2, -0.7]),
            known: vec![0.0, 0.01, 0.0, 0.0],
            inflation: vec![1.0, 1.0, 2.0, 1.0],
            axes: 2,
        };
        let theta = vec![-0.5, 0.3, 0.2, 0.4, -1.0];
        let (_, gradient) = density(&data, &theta).expect("positive definite");
        for (index, slope) in gradient.iter().enumerate() {
            let at = |step: f64| {
                let mut moved = theta.clone();
                moved[index] += step;
                density(&data, &moved).expect("positive definite").0
            };
            let difference = (at(1e-5) - at(-1e-5)) / 2e-5;
            assert!((slope - difference).abs() < 1e-5, "{index}: {slope} {difference}");
        }
    }
}
