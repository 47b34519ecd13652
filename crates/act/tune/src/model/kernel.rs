//! How alike two points are.

use crate::space::{Axis, Space};

/// The Matérn 5/2 kernel over a mixed space, with a length for each axis.
///
/// Numbers differ by their distance on the axis' own scale, words by being different at all, which is a distance between corners of a
/// simplex. The kernel is a mixture, `variance · ((1 − additive) · m(all axes) + additive · mean of m(each axis))`: few points in many
/// dimensions tell what each knob does long before they tell how knobs interact (Duvenaud, Nickisch, Rasmussen 2011, "Additive
/// Gaussian Processes"). A knob whose condition does not hold stands at its default, so it adds no distance among points where it is off.
#[derive(Clone, Debug)]
pub(super) struct Kernel {
    /// One over the length of each axis.
    pub(super) rates: Vec<f64>,
    /// The variance of the function.
    pub(super) variance: f64,
    /// The share of it that is a sum over axes, 0 to 1.
    pub(super) additive: f64,
}

const SQRT_5: f64 = 2.236_067_977_499_79;

/// The Matérn 5/2 correlation at distance `r` lengths, and `(5/3)(1 + √5 r) exp(−√5 r)`: its derivative by the logarithm of the
/// length of an axis, over the squared distance along it.
pub(super) fn matern(r: f64) -> (f64, f64) {
    let decay = libm::exp(-SQRT_5 * r);
    let linear = 1.0 + SQRT_5 * r;
    ((linear + 5.0 / 3.0 * r * r) * decay, 5.0 / 3.0 * linear * decay)
}

/// Which axes are words.
pub(super) fn words(space: &Space) -> Vec<bool> {
    space.axes().iter().map(|axis| matches!(axis, Axis::Category(_))).collect()
}

/// The distance of two points along one axis, before it is measured in lengths.
pub(super) fn apart(word: bool, a: f64, b: f64) -> f64 {
    let distance = (a - b).abs();
    if word { f64::from(u8::from(distance > 1e-9)) } else { distance }
}

impl Kernel {
    /// The covariance of two points, by their distances along each axis.
    pub(super) fn of(&self, distances: impl Iterator<Item = f64>) -> f64 {
        let (mut squared, mut sum) = (0.0, 0.0);
        for (distance, rate) in distances.zip(&self.rates) {
            let lengths = distance * rate;
            squared += lengths * lengths;
            sum += matern(lengths).0;
        }
        let together = matern(squared.sqrt()).0;
        let additive = self.additive * sum / self.rates.len() as f64;
        self.variance * ((1.0 - self.additive) * together + additive)
    }
}
