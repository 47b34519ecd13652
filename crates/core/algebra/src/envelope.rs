//! What measurements say about where nobody measured, if what is measured changes only so fast.
//!
//! Given is a bound on change, a [`Distance`]: from `x` to `y` the quantity rises by at most `d(x, y)`. Then one measurement bounds
//! the quantity everywhere, and all of them together give an [`Envelope`]: the greatest and the least function that change no faster
//! and pass through every measurement within its noise (E. J. McShane, *Extension of range of functions*, and H. Whitney, both
//! 1934). No narrower bounds hold: both ends are themselves possible. They are worth as much as the bounds on change and noise, so
//! measurements that contradict these are told, with the pair that does.
//!
//! ```
//! use kandela_algebra::envelope::{Envelope, Rate};
//!
//! // A disk fills by at most 3 GB an hour, and is emptied in no time. It was read to within 1 GB.
//! let mut used = Envelope::new(Rate { rise: 3.0, fall: f64::INFINITY });
//! used.measure(0.0, 40.0, 1.0).unwrap();
//! used.measure(10.0, 52.0, 1.0).unwrap();
//! assert_eq!(used.upper(&12.0), 59.0);
//! assert_eq!(used.first_reach(10.0, 80.0), Some(19.0));
//! assert!(used.consistent().is_ok());
//! ```
//!
//! With `n` measurements, [`upper`](Envelope::upper) and [`lower`](Envelope::lower) take `n` distances each,
//! [`consistent`](Envelope::consistent) takes `n²`, [`first_reach`](Envelope::first_reach) sorts `n` intervals.

use std::fmt;

/// How much a quantity may rise on the way from one point to another, in the quantity's own unit: a distance times a rate. It need
/// not be the same in both directions.
///
/// Laws, checked by `laws::distance`: `d(x, x) = 0`; `d(x, z) ≤ d(x, y) + d(y, z)`; never below 0, nor NaN. Infinite means that
/// nothing is known.
pub trait Distance {
    /// Where one measures.
    type Point;

    /// The most by which the quantity is higher at `to` than at `from`.
    fn d(&self, from: &Self::Point, to: &Self::Point) -> f64;
}

impl<D: Distance> Distance for &D {
    type Point = D::Point;

    fn d(&self, from: &D::Point, to: &D::Point) -> f64 {
        (**self).d(from, to)
    }
}

/// A limit on change over time, or along any line: at most `rise` up and `fall` down per unit forward. Both are 0 or more, and
/// infinite where there is no limit.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rate {
    /// The most up per unit.
    pub rise: f64,
    /// The most down per unit.
    pub fall: f64,
}

impl Distance for Rate {
    type Point = f64;

    fn d(&self, from: &f64, to: &f64) -> f64 {
        // 0 · ∞ is no number; no way at all allows no change.
        match to - from {
            0.0 => 0.0,
            forward if forward > 0.0 => self.rise * forward,
            back => self.fall * -back,
        }
    }
}

/// The Euclidean distance after each axis was stretched by its own rate: `√Σ (slopeₖ (toₖ − fromₖ))²`. It bounds a quantity whose
/// gradient lies within the ellipsoid of these half-axes.
#[derive(Clone, Debug, PartialEq)]
pub struct Slopes(pub Vec<f64>);

impl Distance for Slopes {
    type Point = Vec<f64>;

    fn d(&self, from: &Vec<f64>, to: &Vec<f64>) -> f64 {
        // 0 · ∞ is no number; no way at all along an axis allows no change by it.
        let change = |slope: f64, way: f64| if way == 0.0 { 0.0 } else { slope * way };
        let along = self.0.iter().zip(from.iter().zip(to)).map(|(slope, (a, b))| change(*slope, b - a));
        along.map(|change| change * change).sum::<f64>().sqrt()
    }
}

/// A measurement: the quantity at `point` is `value`, give or take `noise`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Measurement<P> {
    /// Where.
    pub point: P,
    /// What was read.
    pub value: f64,
    /// How far off that may be, at most.
    pub noise: f64,
}

/// What cannot be a measurement.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct NoMeasurement {
    /// What was to be the value.
    pub value: f64,
    /// What was to be the bound on its noise.
    pub noise: f64,
}

impl fmt::Display for NoMeasurement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let NoMeasurement { value, noise } = self;
        write!(f, "{value} ± {noise} is no measurement: give a finite value and a noise bound of 0 or more")
    }
}

impl std::error::Error for NoMeasurement {}

/// Two measurements that cannot both be true under the bounds on change and noise.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Inconsistent {
    /// The lower one, by its place in the order of measuring.
    pub low: usize,
    /// The higher one.
    pub high: usize,
    /// By how much the second lies higher than the bounds allow.
    pub excess: f64,
}

impl fmt::Display for Inconsistent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Inconsistent { low, high, excess } = self;
        write!(
            f,
            "measurement {high} lies higher above measurement {low} than the bounds allow, by {excess}: your rate limit or your \
             noise bound is wrong; raise it"
        )
    }
}

impl std::error::Error for Inconsistent {}

/// The bounds that measurements give. See the [module](self).
#[derive(Clone, Debug, PartialEq)]
pub struct Envelope<D: Distance> {
    distance: D,
    measured: Vec<Measurement<D::Point>>,
}

impl<D: Distance> Envelope<D> {
    /// Of no measurement yet: nothing is known anywhere.
    pub const fn new(distance: D) -> Envelope<D> {
        Envelope { distance, measured: Vec::new() }
    }

    /// Takes in that the quantity at `point` is `value`, give or take `noise`.
    ///
    /// # Errors
    /// [`NoMeasurement`], where `value` is not finite or `noise` is below 0 or NaN; the envelope then stays as it was.
    pub fn measure(&mut self, point: D::Point, value: f64, noise: f64) -> Result<(), NoMeasurement> {
        if !value.is_finite() || noise.is_nan() || noise < 0.0 {
            return Err(NoMeasurement { value, noise });
        }
        self.measured.push(Measurement { point, value, noise });
        Ok(())
    }

    /// What was measured, in that order.
    pub fn measured(&self) -> &[Measurement<D::Point>] {
        &self.measured
    }

    /// The bound on change.
    pub const fn distance(&self) -> &D {
        &self.distance
    }

    /// The highest that the quantity can be at `point`; infinite where nothing is known.
    pub fn upper(&self, point: &D::Point) -> f64 {
        let reach = |m: &Measurement<D::Point>| m.value + m.noise + self.distance.d(&m.point, point);
        self.measured.iter().map(reach).fold(f64::INFINITY, f64::min)
    }

    /// The lowest that the quantity can be at `point`; infinitely low where nothing is known.
    pub fn lower(&self, point: &D::Point) -> f64 {
        let reach = |m: &Measurement<D::Point>| m.value - m.noise - self.distance.d(point, &m.point);
        self.measured.iter().map(reach).fold(f64::NEG_INFINITY, f64::max)
    }

    /// Whether any quantity can be what was measured. If so, `lower ≤ upper` everywhere; if not, `upper < lower` somewhere, and the
    /// bounds mean nothing.
    ///
    /// # Errors
    /// The pair that contradicts the bounds by most. What rounding may have done counts as no contradiction.
    pub fn consistent(&self) -> Result<(), Inconsistent> {
        let pairs = self.measured.iter().enumerate().flat_map(|(low, below)| {
            self.measured.iter().enumerate().map(move |(high, above)| (low, below, high, above))
        });
        let excesses = pairs.filter_map(|(low, below, high, above)| {
            let allowed = self.distance.d(&below.point, &above.point) + below.noise + above.noise;
            let excess = above.value - below.value - allowed;
            let rounding = 4.0 * f64::EPSILON * (above.value.abs() + below.value.abs() + allowed);
            (excess > rounding).then_some(Inconsistent { low, high, excess })
        });
        excesses.max_by(|a, b| a.excess.total_cmp(&b.excess)).map_or(Ok(()), Err)
    }
}

impl Envelope<Rate> {
    /// The earliest time from `from` on at which the quantity can be at `level` or above; `None` where it never can. Where nothing
    /// was measured, that is `from`. A `level` that is no number is never reached.
    ///
    /// The rate limit decides, not a trend: before that time it is impossible, at that time it need not happen.
    pub fn first_reach(&self, from: f64, level: f64) -> Option<f64> {
        let Rate { rise, fall } = self.distance;
        if level.is_nan() {
            return None;
        }
        // Each measurement rules out an open interval around itself, in which the level is farther than one can have gone.
        let mut ruled_out: Vec<(f64, f64)> = (self.measured.iter())
            .map(|m| (m.point, level - (m.value + m.noise)))
            .filter(|(_, missing)| *missing > 0.0)
            .map(|(at, missing)| (at - missing / fall, at + missing / rise))
            .collect();
        ruled_out.sort_by(|a, b| a.0.total_cmp(&b.0));
        let mut earliest = from;
        for (begin, end) in ruled_out {
            // Open at both ends, except where no fall is too fast: a measurement still rules out its own moment.
            let holds = begin < earliest || (begin == earliest && fall.is_infinite());
            if holds && earliest < end {
                earliest = end;
            }
        }
        earliest.is_finite().then_some(earliest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn disk(rise: f64, fall: f64, read: &[(f64, f64)]) -> Envelope<Rate> {
        let mut envelope = Envelope::new(Rate { rise, fall });
        for (time, value) in read {
            envelope.measure(*time, *value, 0.5).expect("numbers");
        }
        envelope
    }

    #[test]
    fn a_contradiction_is_told_with_its_pair() {
        let envelope = disk(1.0, 1.0, &[(0.0, 5.0), (1.0, 5.5), (2.0, 9.0)]);
        let told = envelope.consistent().expect_err("from 5.5 to 9 in one hour");
        assert_eq!((told.low, told.high, told.excess), (1, 2, 1.5));
        assert!(told.to_string().contains("your rate limit or your noise bound is wrong"));
    }

    #[test]
    fn what_is_no_number_is_no_measurement() {
        let mut envelope = Envelope::new(Slopes(vec![1.0]));
        for (value, noise) in [(f64::NAN, 0.0), (f64::INFINITY, 0.0), (1.0, -1.0), (1.0, f64::NAN)] {
            let refused = envelope.measure(vec![0.0], value, noise).expect_err("no measurement");
            assert!(refused.to_string().contains("is no measurement"));
        }
        assert_eq!((envelope.measured().len(), envelope.upper(&vec![0.0])), (0, f64::INFINITY));
    }

    #[test]
    fn a_rise_and_a_fall_have_limits_of_their_own() {
        let envelope = disk(3.0, 1.0, &[(10.0, 20.0)]);
        assert_eq!((envelope.upper(&12.0), envelope.lower(&12.0)), (26.5, 17.5));
        assert_eq!((envelope.upper(&8.0), envelope.lower(&8.0)), (22.5, 13.5));
    }

    #[test]
    fn what_never_rises_reaches_nothing_higher() {
        assert_eq!(disk(0.0, 1.0, &[(0.0, 1.0)]).first_reach(0.0, 2.0), None);
        assert_eq!(disk(1.0, 1.0, &[(0.0, 1.0)]).first_reach(0.0, f64::NAN), None);
    }

    #[test]
    fn a_later_measurement_rules_out_an_earlier_reach() {
        // From 0 alone, level 10 could be reached at 5.5; at 6 it was 4, with a fall of at most 1 an hour from 10.
        let envelope = disk(1.0, 1.0, &[(0.0, 4.0), (6.0, 4.0)]);
        assert_eq!(envelope.first_reach(0.0, 10.0), Some(11.5));
    }

    #[test]
    fn slopes_stretch_each_axis() {
        assert_eq!(Slopes(vec![3.0, 4.0, 0.0]).d(&vec![0.0, 0.0, 0.0], &vec![1.0, 1.0, 9.0]), 5.0);
        let unknown = Slopes(vec![3.0, f64::INFINITY]);
        assert_eq!(unknown.d(&vec![0.0, 7.0], &vec![1.0, 7.0]), 3.0);
        assert_eq!(unknown.d(&vec![0.0, 7.0], &vec![1.0, 6.0]), f64::INFINITY);
    }
}
