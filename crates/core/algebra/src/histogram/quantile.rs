//! What is read off a histogram.

use super::{LogHistogram, scale};

/// A bucket with a count above zero.
///
/// Above zero the upper bound belongs to the bucket, below zero the lower bound does, and both do in the
/// bucket around zero.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bucket {
    /// The lower bound.
    pub lower: f64,
    /// The upper bound; infinity for the bucket of the largest floats.
    pub upper: f64,
    /// How many values.
    pub count: u64,
}

/// Where a count is kept.
#[derive(Clone, Copy)]
enum Cell {
    Negative(i32),
    Zero,
    Positive(i32),
}

/// What a [`LogHistogram`] says about at least one value, in the unit of the values.
///
/// Percentiles are known to [`LogHistogram::relative_error`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Distribution {
    /// How many values.
    pub count: u64,
    /// The smallest.
    pub min: f64,
    /// The mean.
    pub mean: f64,
    /// The median.
    pub p50: f64,
    /// The 90th percentile.
    pub p90: f64,
    /// The 95th percentile.
    pub p95: f64,
    /// The 99th percentile.
    pub p99: f64,
    /// The largest.
    pub max: f64,
}

impl LogHistogram {
    /// The populated buckets, from the most negative to the most positive.
    pub fn buckets(&self) -> impl Iterator<Item = Bucket> + Clone + '_ {
        self.cells().map(|(cell, count)| self.bucket(cell, count))
    }

    fn cells(&self) -> impl Iterator<Item = (Cell, u64)> + Clone + '_ {
        let negative = self.negative.iter().rev().map(|(index, count)| (Cell::Negative(index), count));
        let positive = self.positive.iter().map(|(index, count)| (Cell::Positive(index), count));
        negative.chain((self.zero > 0).then_some((Cell::Zero, self.zero))).chain(positive)
    }

    fn bucket(&self, cell: Cell, count: u64) -> Bucket {
        let threshold = self.layout.zero_threshold;
        let bounds = |index: i32| {
            let near = scale::bound(i64::from(index), self.scale);
            let far = scale::bound(i64::from(index) + 1, self.scale);
            // What lies within the threshold was counted as zero.
            (threshold.clamp(near, far), far)
        };
        match cell {
            Cell::Negative(index) => {
                let (near, far) = bounds(index);
                Bucket { lower: -far, upper: -near, count }
            }
            Cell::Zero => Bucket { lower: 0.0 - threshold, upper: threshold, count },
            Cell::Positive(index) => {
                let (lower, upper) = bounds(index);
                Bucket { lower, upper, count }
            }
        }
    }

    /// An estimate of the value below which the share `q` of values lies: of n sorted values, that of rank
    /// ⌈q·n⌉.
    ///
    /// It is off by at most [`relative_error`](LogHistogram::relative_error); exact for q = 0 and q = 1 of
    /// recorded values. `None` if nothing was counted, or q is not within 0 to 1.
    pub fn quantile(&self, q: f64) -> Option<f64> {
        let (min, max) = (self.min.0?, self.max.0?);
        if !(0.0..=1.0).contains(&q) {
            return None;
        }
        let rank = rank(q, self.count);
        if rank == 0 {
            return Some(min);
        }
        if rank >= self.count {
            return Some(max);
        }
        let mut seen = 0u128;
        let (reached, count) = self.cells().find(|&(_, count)| {
            seen += u128::from(count);
            seen >= u128::from(rank)
        })?;
        Some(self.estimate(&self.bucket(reached, count)).clamp(min, max))
    }

    /// The point of a bucket that is nearest, relatively, to all that may lie in it.
    pub(super) fn estimate(&self, bucket: &Bucket) -> f64 {
        if bucket.lower < 0.0 && bucket.upper > 0.0 {
            return 0.0;
        }
        let (near, far) =
            (bucket.lower.abs().min(bucket.upper.abs()), bucket.lower.abs().max(bucket.upper.abs()));
        let error = self.relative_error();
        // The two are equal but where a bound falls out of the range of floats.
        let magnitude = if near > 0.0 { near * (1.0 + error) } else { far * (1.0 - error) };
        if bucket.upper > 0.0 { magnitude } else { -magnitude }
    }

    /// An estimate of the share of values at or below `x`. `None` if nothing was counted or `x` is NaN.
    ///
    /// Exact where `x` is a bound of a bucket above zero; within a bucket, values are taken to be spread
    /// evenly by their logarithm, so the estimate is off by at most the share of values in that one bucket.
    pub fn fraction_below(&self, x: f64) -> Option<f64> {
        let (min, max) = (self.min.0?, self.max.0?);
        if x.is_nan() {
            return None;
        }
        if x < min {
            return Some(0.0);
        }
        if x >= max {
            return Some(1.0);
        }
        let below: f64 = self.buckets().map(|bucket| bucket.count as f64 * share_below(&bucket, x)).sum();
        Some((below / self.count as f64).min(1.0))
    }

    pub(super) fn distribution(&self) -> Option<Distribution> {
        Some(Distribution {
            count: self.count,
            min: self.min.0?,
            mean: self.sum() / self.count as f64,
            p50: self.quantile(0.5)?,
            p90: self.quantile(0.9)?,
            p95: self.quantile(0.95)?,
            p99: self.quantile(0.99)?,
            max: self.max.0?,
        })
    }
}

/// ⌈q·n⌉, where a product that is whole but for rounding counts as whole: the 0.07 quantile of 100 values has
/// rank 7.
fn rank(q: f64, count: u64) -> u64 {
    let product = q * count as f64;
    let nearest = product.round();
    if (product - nearest).abs() <= 2.0 * f64::EPSILON * nearest {
        nearest as u64
    } else {
        product.ceil() as u64
    }
}

fn share_below(bucket: &Bucket, x: f64) -> f64 {
    let Bucket { lower, upper, .. } = *bucket;
    if x >= upper {
        return 1.0;
    }
    if x <= lower {
        return 0.0;
    }
    let share = if lower > 0.0 {
        (x / lower).log2() / (upper.min(f64::MAX) / lower).log2()
    } else if upper < 0.0 {
        1.0 - (x / upper).log2() / (lower.max(f64::MIN) / upper).log2()
    } else {
        (x - lower) / (upper - lower)
    };
    share.clamp(0.0, 1.0)
}
