//! What a measured quantity may be where nobody measured: a Gaussian process with a scale of its own for each axis.

use nalgebra::{Cholesky, DMatrix, DVector, Dyn};

/// The kernel is Matérn's with ν = 5/2: once differentiable twice, no smoother.
const ROOT_5: f64 = 2.236_067_977_499_79;

/// Measurements of one quantity.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Readings {
    /// Points of the unit cube.
    pub(crate) points: Vec<Vec<f64>>,
    /// What was read there.
    pub(crate) values: Vec<f64>,
    /// The standard error of each, where whoever measured knows it.
    pub(crate) noise: Vec<Option<f64>>,
}

/// What is believed of a quantity before it is measured, on a scale on which its measurements are about 1. Each is the logarithm
/// of a median, and how far off that may be, as a standard deviation of logarithms.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Belief {
    /// How far along an axis the quantity stays alike, in widths of the unit cube.
    pub(crate) length: (f64, f64),
    /// How much it varies.
    pub(crate) amplitude: (f64, f64),
    /// Its standard error, where nobody told it.
    pub(crate) noise: (f64, f64),
}

/// The logarithms of what is fitted: the length of each axis, amplitude, noise.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Hyper(Vec<f64>);

impl Hyper {
    pub(crate) fn believed(belief: &Belief, axes: usize) -> Hyper {
        let mut logs = vec![belief.length.0; axes];
        logs.extend([belief.amplitude.0, belief.noise.0]);
        Hyper(logs)
    }

    fn axes(&self) -> usize {
        self.0.len() - 2
    }

    pub(crate) fn length(&self, axis: usize) -> f64 {
        self.0[axis].exp()
    }

    pub(crate) fn amplitude(&self) -> f64 {
        self.0[self.axes()].exp()
    }

    pub(crate) fn noise(&self) -> f64 {
        self.0[self.axes() + 1].exp()
    }

    /// The same, with every length multiplied.
    pub(crate) fn with_lengths(&self, factor: f64) -> Hyper {
        let mut logs = self.0.clone();
        let axes = self.axes();
        logs[..axes].iter_mut().for_each(|log| *log += factor.ln());
        Hyper(logs)
    }

    /// The same, with the amplitude multiplied.
    pub(crate) fn with_amplitude(&self, factor: f64) -> Hyper {
        let mut logs = self.0.clone();
        logs[self.axes()] += factor.ln();
        Hyper(logs)
    }
}

/// A quantity, as measurements leave it.
#[derive(Clone, Debug)]
pub(crate) struct Surface {
    points: Vec<Vec<f64>>,
    hyper: Hyper,
    mean: f64,
    lower: DMatrix<f64>,
    weights: DVector<f64>,
    /// One-step-ahead prediction errors in standard deviations, in the order of measuring.
    pub(crate) surprises: Vec<f64>,
}

impl Surface {
    /// The process of these hyper-parameters around `mean`, given the readings. `None` where rounding leaves no such process.
    pub(crate) fn given(readings: &Readings, mean: f64, hyper: Hyper) -> Option<Surface> {
        let (cholesky, y) = factor(readings, mean, &hyper)?;
        let weights = cholesky.solve(&y);
        let lower = cholesky.l();
        let surprises = lower.solve_lower_triangular(&y)?.iter().copied().collect();
        Some(Surface { points: readings.points.clone(), hyper, mean, lower, weights, surprises })
    }

    /// Mean and standard deviation of the quantity itself at `point`, without the noise of a measurement.
    pub(crate) fn at(&self, point: &[f64]) -> (f64, f64) {
        let near = self.points.iter().map(|p| kernel(&self.hyper, p, point).0);
        let mut near = DVector::from_iterator(self.points.len(), near);
        let mean = self.mean + near.dot(&self.weights);
        let prior = self.hyper.amplitude().powi(2);
        let known = if self.lower.solve_lower_triangular_mut(&mut near) { near.norm_squared() } else { 0.0 };
        (mean, (prior - known).max(prior * 1e-9).sqrt())
    }

    pub(crate) fn hyper(&self) -> &Hyper {
        &self.hyper
    }

    /// The logarithm of the likelihood of what was measured, but for a constant.
    pub(crate) fn log_likelihood(&self) -> f64 {
        let squares: f64 = self.surprises.iter().map(|z| z * z).sum();
        let log_root: f64 = self.lower.diagonal().iter().map(|d| d.ln()).sum();
        -0.5 * squares - log_root
    }

    /// The standard deviation of the quantity's slope along each axis, before any measurement.
    pub(crate) fn slopes(&self) -> Vec<f64> {
        let axes = self.hyper.axes();
        (0..axes).map(|k| self.hyper.amplitude() * (5.0_f64 / 3.0).sqrt() / self.hyper.length(k)).collect()
    }

    /// The steepest straight way between two measured points, each taken so many standard deviations in the other's favour.
    pub(crate) fn steepest_chord(&self, deviations: f64) -> f64 {
        let known: Vec<(f64, f64)> = self.points.iter().map(|point| self.at(point)).collect();
        let pairs = (0..known.len()).flat_map(|i| (0..i).map(move |j| (i, j)));
        let slope = |(i, j): (usize, usize)| {
            let squares = self.points[i].iter().zip(&self.points[j]).map(|(a, b)| (a - b).powi(2));
            let off = deviations * (known[i].1.powi(2) + known[j].1.powi(2)).sqrt();
            let rise = (known[i].0.max(0.0) - known[j].0.max(0.0)).abs() - off;
            if rise > 0.0 { rise / squares.sum::<f64>().sqrt() } else { 0.0 }
        };
        pairs.map(slope).filter(|slope| slope.is_finite()).fold(0.0, f64::max)
    }
}

/// The likeliest hyper-parameters, as far as a search from `from` finds them.
pub(crate) fn fit(readings: &Readings, mean: f64, belief: &Belief, from: Hyper, steps: usize) -> Hyper {
    let mut best = (f64::INFINITY, from.clone());
    let mut now = from;
    let mut stride = vec![0.1_f64; now.0.len()];
    let mut before = vec![0.0_f64; now.0.len()];
    // Steps follow only the sign of each slope (resilient backpropagation, Riedmiller and Braun 1993): no scale to choose.
    for _ in 0..steps {
        let Some((loss, slope)) = loss(readings, mean, belief, &now) else { break };
        if loss < best.0 {
            best = (loss, now.clone());
        }
        for k in 0..slope.len() {
            let turned = before[k] * slope[k];
            if turned > 0.0 {
                stride[k] = (stride[k] * 1.2).min(0.5);
            } else if turned < 0.0 {
                stride[k] = (stride[k] * 0.5).max(1e-3);
            }
            now.0[k] = (now.0[k] - stride[k] * slope[k].signum()).clamp(-9.0, 4.0);
            before[k] = slope[k];
        }
    }
    best.1
}

/// The negative logarithm of the posterior density, but for a constant, and its slope.
fn loss(readings: &Readings, mean: f64, belief: &Belief, hyper: &Hyper) -> Option<(f64, Vec<f64>)> {
    let (count, axes) = (readings.points.len(), hyper.axes());
    let (cholesky, y) = factor(readings, mean, hyper)?;
    let weights = cholesky.solve(&y);
    let inverse = cholesky.inverse();
    let log_root: f64 = cholesky.l_dirty().diagonal().iter().map(|d| d.ln()).sum();
    let mut loss = 0.5 * y.dot(&weights) + log_root;
    let mut slope = vec![0.0; axes + 2];
    for i in 0..count {
        for j in 0..=i {
            let twice = if i == j { 0.5 } else { 1.0 };
            let pull = twice * (inverse[(i, j)] - weights[i] * weights[j]);
            let (value, by_square) = kernel(hyper, &readings.points[i], &readings.points[j]);
            slope[axes] += pull * 2.0 * value;
            if i != j {
                let apart = readings.points[i].iter().zip(&readings.points[j]).map(|(a, b)| a - b);
                for ((k, apart), along) in apart.enumerate().zip(&mut slope) {
                    *along += pull * by_square * (apart / hyper.length(k)).powi(2);
                }
            } else if readings.noise[i].is_none() {
                slope[axes + 1] += pull * 2.0 * hyper.noise().powi(2);
            }
        }
    }
    for (k, log) in hyper.0.iter().enumerate() {
        let (median, spread) = match k {
            k if k < axes => belief.length,
            k if k == axes => belief.amplitude,
            _ => belief.noise,
        };
        let off = (log - median) / spread;
        loss += 0.5 * off * off;
        slope[k] += off / spread;
    }
    loss.is_finite().then_some((loss, slope))
}

fn factor(readings: &Readings, mean: f64, hyper: &Hyper) -> Option<(Cholesky<f64, Dyn>, DVector<f64>)> {
    let count = readings.points.len();
    let mut covariance = DMatrix::zeros(count, count);
    for i in 0..count {
        for j in 0..=i {
            covariance[(i, j)] = kernel(hyper, &readings.points[i], &readings.points[j]).0;
        }
        let noise = readings.noise[i].unwrap_or(hyper.noise());
        covariance[(i, i)] += noise.powi(2) + 1e-8 * hyper.amplitude().powi(2);
    }
    covariance.fill_upper_triangle_with_lower_triangle();
    let y = DVector::from_iterator(count, readings.values.iter().map(|value| value - mean));
    Some((Cholesky::new(covariance)?, y))
}

/// The covariance of two points, and its slope by the logarithm of a length for each unit of squared scaled distance along that axis.
fn kernel(hyper: &Hyper, a: &[f64], b: &[f64]) -> (f64, f64) {
    let square: f64 = (0..a.len()).map(|k| ((a[k] - b[k]) / hyper.length(k)).powi(2)).sum();
    let r = ROOT_5 * square.sqrt();
    let decayed = hyper.amplitude().powi(2) * (-r).exp();
    (decayed * (1.0 + r + r * r / 3.0), decayed * (1.0 + r) * 5.0 / 3.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn readings() -> Readings {
        let points: Vec<Vec<f64>> =
            (0..12).map(|i| vec![f64::from(i * 7 % 12) / 12.0, f64::from(i * 5 % 12) / 12.0]).collect();
        let values = points.iter().map(|p| (3.0 * p[0]).sin() + p[1]).collect();
        let noise = vec![None; 12];
        Readings { points, values, noise }
    }

    const BELIEF: Belief = Belief { length: (-0.5, 0.7), amplitude: (0.0, 0.7), noise: (-3.0, 1.0) };

    #[test]
    fn the_slope_of_the_loss_is_its_difference_quotient() {
        let at = Hyper(vec![-0.4, 0.3, 0.2, -2.0]);
        let (_, slope) = loss(&readings(), 0.1, &BELIEF, &at).expect("a loss");
        for (k, along) in slope.iter().enumerate() {
            let moved = |by: f64| {
                let mut logs = at.0.clone();
                logs[k] += by;
                loss(&readings(), 0.1, &BELIEF, &Hyper(logs)).expect("a loss").0
            };
            let quotient = (moved(1e-5) - moved(-1e-5)) / 2e-5;
            assert!((along - quotient).abs() < 1e-5 * (1.0 + along.abs()), "{k}: {along} {quotient}");
        }
    }

    #[test]
    fn a_surface_passes_near_what_was_measured_and_knows_little_far_away() {
        let fitted = fit(&readings(), 0.0, &BELIEF, Hyper::believed(&BELIEF, 2), 60);
        let surface = Surface::given(&readings(), 0.0, fitted).expect("a surface");
        for (point, value) in readings().points.iter().zip(readings().values) {
            let (mean, deviation) = surface.at(point);
            assert!((mean - value).abs() < 0.1 && deviation < 0.1, "{mean} ± {deviation} at {value}");
        }
        let (_, far) = surface.at(&[9.0, 9.0]);
        assert!((far / surface.hyper().amplitude() - 1.0).abs() < 0.01);
    }

    #[test]
    fn fitting_never_ends_worse_than_it_began() {
        let from = Hyper::believed(&BELIEF, 2);
        let before = loss(&readings(), 0.0, &BELIEF, &from).expect("a loss").0;
        let after =
            loss(&readings(), 0.0, &BELIEF, &fit(&readings(), 0.0, &BELIEF, from, 30)).expect("a loss").0;
        assert!(after < before);
    }
}
