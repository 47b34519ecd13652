//! Where buckets lie.

use kandela_model::{CUSTOM_BOUNDS_SCHEMA, Histogram};

use super::bound_table::FRACTIONS;

/// One bucket with its bounds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bucket {
    /// The lower bound; -Inf for the first of custom bounds.
    pub lower: f64,
    /// The upper bound; +Inf for the last.
    pub upper: f64,
    /// Whether the lower bound belongs to it.
    pub lower_inclusive: bool,
    /// Whether the upper bound belongs to it.
    pub upper_inclusive: bool,
    /// What it holds.
    pub count: f64,
}

impl Bucket {
    /// How Prometheus' HTTP API numbers the kinds of bounds: 0 is `(]`, 1 is `[)`, 2 is `()`, 3 is `[]`.
    pub const fn boundary_code(&self) -> u8 {
        match (self.lower_inclusive, self.upper_inclusive) {
            (false, true) => 0,
            (true, false) => 1,
            (false, false) => 2,
            (true, true) => 3,
        }
    }

    /// Whether it reaches to zero from below and from above.
    pub(super) fn holds_zero(&self) -> bool {
        self.lower <= 0.0 && self.upper >= 0.0
    }
}

/// All buckets in ascending order: negative ones, the zero bucket where it holds something, positive ones. Where the
/// zero bucket overlaps its neighbours, they end at its threshold. Empty buckets that the spans name are among them.
/// This is the order of `AllBucketIterator` of Prometheus, and what its HTTP API lists (less the empty ones).
pub fn buckets(histogram: &Histogram) -> Vec<Bucket> {
    let threshold = histogram.zero_threshold;
    let mut all: Vec<Bucket> = negative_buckets(histogram);
    all.reverse();
    for bucket in &mut all {
        if bucket.upper < 0.0 && bucket.upper > -threshold {
            bucket.upper = -threshold;
        }
    }
    if histogram.zero_count > 0.0 {
        all.push(zero_bucket(histogram));
    }
    all.extend(positive_buckets(histogram).map(|mut bucket| {
        if bucket.lower > 0.0 && bucket.lower < threshold {
            bucket.lower = threshold;
        }
        bucket
    }));
    all
}

/// Whether its bounds are listed instead of computed.
pub(super) fn is_custom(histogram: &Histogram) -> bool {
    histogram.schema == CUSTOM_BOUNDS_SCHEMA
}

pub(super) fn zero_bucket(histogram: &Histogram) -> Bucket {
    Bucket {
        lower: -histogram.zero_threshold,
        upper: histogram.zero_threshold,
        lower_inclusive: true,
        upper_inclusive: true,
        count: histogram.zero_count,
    }
}

/// The positive buckets, ascending, as their schema bounds them.
pub(super) fn positive_buckets(histogram: &Histogram) -> impl Iterator<Item = Bucket> + '_ {
    histogram.positive().map(|(index, count)| positive_bucket(histogram, index, count))
}

pub(super) fn positive_bucket(histogram: &Histogram, index: i64, count: f64) -> Bucket {
    let custom = is_custom(histogram);
    let bound = |index| {
        if custom {
            custom_bound(&histogram.custom_bounds, index)
        } else {
            exponential_bound(histogram.schema, index)
        }
    };
    Bucket {
        lower: bound(index - 1),
        upper: bound(index),
        lower_inclusive: custom && index == 0,
        upper_inclusive: true,
        count,
    }
}

/// The negative buckets, from zero downwards, as their schema bounds them.
pub(super) fn negative_buckets(histogram: &Histogram) -> Vec<Bucket> {
    histogram.negative().map(|(index, count)| negative_bucket(histogram, index, count)).collect()
}

pub(super) fn negative_bucket(histogram: &Histogram, index: i64, count: f64) -> Bucket {
    Bucket {
        lower: -exponential_bound(histogram.schema, index),
        upper: -exponential_bound(histogram.schema, index - 1),
        lower_inclusive: true,
        upper_inclusive: false,
        count,
    }
}

/// The upper bound of bucket `index`: `2^(index / 2^schema)`. The last bucket of finite values ends at the greatest
/// finite number, and the one after it, for observed infinities, at +Inf.
pub(super) fn exponential_bound(schema: i8, index: i64) -> f64 {
    let (power, fraction) = if schema < 0 {
        (index << schema.unsigned_abs().min(8), 0.5)
    } else {
        let schema = schema.unsigned_abs().min(8);
        let within = (index & ((1 << schema) - 1)) << (8 - schema);
        let fraction = usize::try_from(within).ok().and_then(|at| FRACTIONS.get(at)).copied();
        (index >> schema, fraction.unwrap_or(0.5))
    };
    if power == 1024 && fraction == 0.5 {
        return f64::MAX;
    }
    2.0 * fraction * (power as f64).exp2()
}

/// The upper bound of bucket `index` of listed bounds; infinite outside them.
fn custom_bound(bounds: &[f64], index: i64) -> f64 {
    match usize::try_from(index) {
        Ok(index) => bounds.get(index).copied().unwrap_or(f64::INFINITY),
        Err(_) => f64::NEG_INFINITY,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::histogram::testing::histogram;

    #[test]
    fn bounds_are_powers_of_the_base() {
        assert_eq!(exponential_bound(0, 3), 8.0);
        assert_eq!(exponential_bound(0, -1), 0.5);
        assert_eq!(exponential_bound(-2, 1), 16.0);
        assert_eq!(exponential_bound(1, 2), 2.0);
        // Prometheus has the number before the one nearest to the root.
        assert_eq!(exponential_bound(1, 1), std::f64::consts::SQRT_2.next_down());
        assert!((exponential_bound(8, 1) - (1.0f64 / 256.0).exp2()).abs() < 1e-15);
    }

    #[test]
    fn the_last_finite_bound_is_the_greatest_number() {
        assert_eq!(exponential_bound(0, 1024), f64::MAX);
        assert_eq!(exponential_bound(0, 1025), f64::INFINITY);
        assert_eq!(exponential_bound(2, 4096), f64::MAX);
        assert_eq!(exponential_bound(-4, 64), f64::MAX);
        assert_eq!(exponential_bound(0, -1074), 5e-324);
    }

    #[test]
    fn buckets_ascend_over_zero() {
        let both = histogram("{{schema:0 count:10 z_bucket:1 z_bucket_w:0.001 buckets:[2 3] n_buckets:[4]}}");
        let seen: Vec<_> =
            buckets(&both).iter().map(|b| (b.lower, b.upper, b.boundary_code(), b.count)).collect();
        assert_eq!(
            seen,
            [(-1.0, -0.5, 1, 4.0), (-0.001, 0.001, 3, 1.0), (0.5, 1.0, 0, 2.0), (1.0, 2.0, 0, 3.0)]
        );
    }

    #[test]
    fn neighbours_of_a_wide_zero_bucket_end_at_its_threshold() {
        let wide = histogram("{{schema:0 z_bucket:1 z_bucket_w:0.75 buckets:[2] n_buckets:[4]}}");
        let seen: Vec<_> = buckets(&wide).iter().map(|b| (b.lower, b.upper)).collect();
        assert_eq!(seen, [(-1.0, -0.75), (-0.75, 0.75), (0.75, 1.0)]);
    }

    #[test]
    fn custom_bounds_reach_to_both_infinities() {
        let custom = histogram("{{schema:-53 custom_values:[5 10] buckets:[1 2 3]}}");
        let seen: Vec<_> = buckets(&custom).iter().map(|b| (b.lower, b.upper, b.boundary_code())).collect();
        let infinity = f64::INFINITY;
        assert_eq!(seen, [(-infinity, 5.0, 3), (5.0, 10.0, 0), (10.0, infinity, 0)]);
    }
}
