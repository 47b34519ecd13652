//! Mean and spread.

use kandela_model::Histogram;

use super::bucket::{Bucket, buckets, is_custom};
use super::kahan::Compensated;

/// The mean of what was observed: sum by count (`histogram_avg`). NaN where nothing was.
pub fn average(histogram: &Histogram) -> f64 {
    histogram.sum / histogram.count
}

/// The estimated variance of what was observed (`histogram_stdvar`): every observation is taken to lie in the middle of
/// its bucket. That is the arithmetic middle between custom bounds, zero in the zero bucket, and the geometric middle
/// elsewhere.
pub fn variance(histogram: &Histogram) -> f64 {
    let mean = average(histogram);
    let custom = is_custom(histogram);
    let squares = buckets(histogram)
        .iter()
        .filter(|bucket| bucket.count != 0.0)
        .map(|bucket| {
            let distance = middle(bucket, custom) - mean;
            bucket.count * distance * distance
        })
        .fold(Compensated::default(), Compensated::plus);
    squares.total() / histogram.count
}

/// The square root of [`variance`] (`histogram_stddev`).
pub fn deviation(histogram: &Histogram) -> f64 {
    variance(histogram).sqrt()
}

fn middle(bucket: &Bucket, custom: bool) -> f64 {
    if custom {
        return (bucket.upper + bucket.lower) / 2.0;
    }
    if bucket.holds_zero() {
        return 0.0;
    }
    (bucket.upper * bucket.lower).sqrt().copysign(bucket.upper)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::histogram::testing::{close, exponential, histogram};
    use proptest::prelude::*;

    #[test]
    fn nothing_observed_has_no_mean() {
        assert!(average(&Histogram::default()).is_nan());
        assert!(variance(&Histogram::default()).is_nan());
    }

    #[test]
    fn observations_lie_in_the_geometric_middle() {
        let one = histogram("{{schema:0 count:2 sum:2.8284271247461903 offset:1 buckets:[2]}}");
        assert!(variance(&one).abs() < 1e-12);
    }

    #[test]
    fn custom_buckets_have_their_arithmetic_middle() {
        let custom = histogram("{{schema:-53 count:4 sum:4 custom_values:[0 2 4] offset:1 buckets:[2 2]}}");
        assert!(close(variance(&custom), 2.0));
        assert!(close(deviation(&custom), 2.0f64.sqrt()));
    }

    #[test]
    fn sides_mirror_each_other() {
        let both =
            histogram("{{schema:0 count:3 sum:0 z_bucket:1 z_bucket_w:0.001 buckets:[1] n_buckets:[1]}}");
        assert!(close(variance(&both), 1.0 / 3.0));
    }

    proptest! {
        #[test]
        fn spread_is_not_negative(a in exponential()) {
            prop_assume!(a.count > 0.0);
            prop_assert!(variance(&a) >= 0.0);
        }
    }
}
