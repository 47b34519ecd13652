//! `histogram_quantile` and `histogram_fraction` of native histograms.

use kandela_model::Histogram;

use super::bucket::{Bucket, buckets, is_custom};

/// What a result suffers from because NaN was observed. Prometheus informs of it, in the words of `Display`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum NanNote {
    /// The quantile falls among the observed NaNs.
    QuantileIsNan,
    /// The quantile is higher than it should be, because NaN counts as the greatest value.
    QuantileIsHigh,
    /// The observed NaNs are in no fraction.
    FractionLeavesOut,
}

impl std::fmt::Display for NanNote {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::QuantileIsNan => "input to histogram_quantile has NaN observations, result is NaN",
            Self::QuantileIsHigh => {
                "input to histogram_quantile has NaN observations, result is skewed higher"
            }
            Self::FractionLeavesOut => {
                "input to histogram_fraction has NaN observations, which are excluded from all fractions"
            }
        })
    }
}

/// The value below which the share `q` of all observations lies (`HistogramQuantile` of Prometheus).
///
/// Within a bucket it is interpolated: linearly between custom bounds and in the zero bucket, exponentially elsewhere.
/// The zero bucket reaches only to zero on a side without buckets. A quantile in the first or last of custom buckets is
/// the finite bound. A `q` below 0 gives -Inf and above 1 gives +Inf; a `q` that is NaN, or a histogram without
/// observations, gives NaN.
///
/// Observed NaNs make the sum NaN and are in `count` but in no bucket; they count as greater than all else.
pub fn quantile(q: f64, histogram: &Histogram) -> (f64, Option<NanNote>) {
    if q < 0.0 {
        return (f64::NEG_INFINITY, None);
    }
    if q > 1.0 {
        return (f64::INFINITY, None);
    }
    if histogram.count == 0.0 || q.is_nan() {
        return (f64::NAN, None);
    }
    let custom = is_custom(histogram);
    let mut all = buckets(histogram);
    // The nearer end is where rounding does least harm. Observed NaNs are missing at the upper end.
    let upwards = histogram.sum.is_nan() || q < 0.5;
    let rank = if upwards { q * histogram.count } else { (1.0 - q) * histogram.count };
    if !upwards {
        all.reverse();
    }
    let Found { mut bucket, mut passed } = find(&all, rank);
    if custom {
        if bucket.lower == f64::NEG_INFINITY {
            if bucket.upper <= 0.0 {
                return (bucket.upper, None);
            }
            bucket.lower = 0.0;
        } else if bucket.upper == f64::INFINITY {
            return (bucket.lower, None);
        }
    } else if bucket.lower < 0.0 && bucket.upper > 0.0 {
        bucket = one_sided(bucket, histogram);
    }
    passed = passed.min(histogram.count);
    if passed < rank {
        return if histogram.sum.is_nan() {
            (f64::NAN, Some(NanNote::QuantileIsNan))
        } else {
            (bucket.upper, None)
        };
    }
    let within = if upwards { rank - (passed - bucket.count) } else { passed - rank };
    let note = observed_nans(histogram, &all).then_some(NanNote::QuantileIsHigh);
    let share = within / bucket.count;
    let linear = custom || bucket.holds_zero();
    (if linear { between(&bucket, share) } else { exponentially_between(&bucket, share) }, note)
}

/// The share of all observations that lies between `lower` and `upper` (`HistogramFraction` of Prometheus): the inverse
/// of [`quantile`], interpolated alike. Observed NaNs are in no share but count as observations.
///
/// NaN where a bound is NaN or nothing was observed; zero where `lower` is not below `upper`.
pub fn fraction(lower: f64, upper: f64, histogram: &Histogram) -> (f64, Option<NanNote>) {
    if histogram.count == 0.0 || lower.is_nan() || upper.is_nan() {
        return (f64::NAN, None);
    }
    if lower >= upper {
        return (0.0, None);
    }
    let all = buckets(histogram);
    let note = observed_nans(histogram, &all).then_some(NanNote::FractionLeavesOut);
    let count = if histogram.sum.is_nan() { held(&all) } else { histogram.count };
    let rank =
        |value| rank_of(value, &all, histogram).map_or(count, |rank| if rank > count { count } else { rank });
    ((rank(upper) - rank(lower)) / histogram.count, note)
}

struct Found {
    bucket: Bucket,
    /// What all buckets up to and with `bucket` hold.
    passed: f64,
}

/// The first bucket with which `rank` is reached, or the last one.
fn find(all: &[Bucket], rank: f64) -> Found {
    let nowhere =
        Bucket { lower: 0.0, upper: 0.0, lower_inclusive: false, upper_inclusive: false, count: 0.0 };
    let mut found = Found { bucket: nowhere, passed: 0.0 };
    for &bucket in all {
        found = Found { bucket, passed: found.passed + bucket.count };
        if bucket.count != 0.0 && found.passed >= rank {
            break;
        }
    }
    found
}

/// How many observations lie below `value`; none when every bucket does.
fn rank_of(value: f64, all: &[Bucket], histogram: &Histogram) -> Option<f64> {
    let mut rank = 0.0;
    for &bucket in all {
        let straddles = bucket.holds_zero();
        let bucket = if straddles { one_sided(bucket, histogram) } else { bucket };
        if bucket.lower >= value {
            return Some(rank);
        }
        if bucket.upper > value {
            return Some(if bucket.lower == f64::NEG_INFINITY && is_custom(histogram) {
                bucket.count
            } else if straddles || is_custom(histogram) {
                rank + bucket.count * (value - bucket.lower) / (bucket.upper - bucket.lower)
            } else {
                rank + bucket.count * exponential_share(&bucket, value)
            });
        }
        rank += bucket.count;
    }
    None
}

/// A bucket over zero ends there where the histogram has no buckets on that side.
fn one_sided(bucket: Bucket, histogram: &Histogram) -> Bucket {
    match (histogram.negative_buckets.is_empty(), histogram.positive_buckets.is_empty()) {
        (true, false) => Bucket { lower: 0.0, ..bucket },
        (false, true) => Bucket { upper: 0.0, ..bucket },
        _ => bucket,
    }
}

fn observed_nans(histogram: &Histogram, all: &[Bucket]) -> bool {
    histogram.sum.is_nan() && held(all) < histogram.count
}

fn held(all: &[Bucket]) -> f64 {
    all.iter().map(|bucket| bucket.count).sum()
}

fn between(bucket: &Bucket, share: f64) -> f64 {
    bucket.lower + (bucket.upper - bucket.lower) * share
}

/// The value at `share` of a bucket, when halving the bucket on the logarithmic scale halves what it holds.
fn exponentially_between(bucket: &Bucket, share: f64) -> f64 {
    let (lower, upper) = (bucket.lower.abs().log2(), bucket.upper.abs().log2());
    if bucket.lower > 0.0 {
        (lower + (upper - lower) * share).exp2()
    } else {
        -(upper + (lower - upper) * (1.0 - share)).exp2()
    }
}

/// The share of a bucket below `value`, which lies within: the inverse of [`exponentially_between`].
pub(super) fn exponential_share(bucket: &Bucket, value: f64) -> f64 {
    let (lower, upper) = (bucket.lower.abs().log2(), bucket.upper.abs().log2());
    let value_log = value.abs().log2();
    if value > 0.0 {
        (value_log - lower) / (upper - lower)
    } else {
        1.0 - (value_log - upper) / (lower - upper)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::histogram::testing::{close, custom, exponential, histogram};
    use proptest::prelude::*;

    #[track_caller]
    fn check_quantile(text: &str, q: f64, value: f64) {
        let (got, _) = quantile(q, &histogram(text));
        assert!(close(got, value), "quantile {q} of {text} is {got}, not {value}");
    }

    #[track_caller]
    fn check_fraction(text: &str, lower: f64, upper: f64, share: f64) {
        let (got, _) = fraction(lower, upper, &histogram(text));
        assert!(close(got, share), "{lower} to {upper} of {text} is {got}, not {share}");
    }

    const POSITIVE: &str = "{{schema:0 count:12 sum:100 z_bucket:2 z_bucket_w:0.5 offset:1 buckets:[4 0 6]}}";
    const CUSTOM: &str = "{{schema:-53 count:20 sum:100 custom_values:[5 10 20] buckets:[5 5 5 5]}}";

    #[test]
    fn ranks_out_of_range_are_infinite() {
        check_quantile(POSITIVE, -0.1, f64::NEG_INFINITY);
        check_quantile(POSITIVE, 1.1, f64::INFINITY);
        check_quantile(POSITIVE, f64::NAN, f64::NAN);
        check_quantile("{{schema:0}}", 0.5, f64::NAN);
    }

    #[test]
    fn a_regular_bucket_is_halved_at_its_geometric_middle() {
        check_quantile(POSITIVE, 4.0 / 12.0, 2.0f64.sqrt());
        check_quantile(POSITIVE, 1.0, 8.0);
        check_quantile(
            "{{schema:0 count:4 sum:-9 offset:0 n_offset:1 n_buckets:[4]}}",
            0.25,
            -(1.75f64 - 1.0).exp2(),
        );
    }

    #[test]
    fn the_zero_bucket_is_interpolated_linearly_on_the_side_of_the_buckets() {
        check_quantile(POSITIVE, 1.0 / 12.0, 0.25);
        check_quantile(
            "{{schema:0 count:4 sum:-9 z_bucket:2 z_bucket_w:1 n_offset:1 n_buckets:[2]}}",
            0.75,
            -0.5,
        );
        check_quantile("{{schema:0 count:2 sum:0 z_bucket:2 z_bucket_w:1}}", 0.25, -0.5);
    }

    #[test]
    fn custom_buckets_are_interpolated_linearly() {
        check_quantile(CUSTOM, 0.125, 2.5);
        check_quantile(CUSTOM, 0.625, 15.0);
        check_quantile(CUSTOM, 0.9, 20.0);
        check_quantile("{{schema:-53 count:4 sum:-9 custom_values:[-5 5] buckets:[2 2]}}", 0.25, -5.0);
    }

    #[test]
    fn observed_nans_skew_the_quantile() {
        let strange = histogram("{{schema:0 count:10 sum:NaN offset:1 buckets:[4]}}");
        assert_eq!(quantile(0.2, &strange), (2.0f64.sqrt(), Some(NanNote::QuantileIsHigh)));
        let (value, note) = quantile(0.8, &strange);
        assert!(value.is_nan());
        assert_eq!(note, Some(NanNote::QuantileIsNan));
    }

    #[test]
    fn infinities_that_cancel_are_no_nans() {
        let infinite = histogram("{{schema:0 count:4 sum:NaN offset:1 buckets:[4]}}");
        assert_eq!(quantile(0.5, &infinite).1, None);
        assert_eq!(fraction(0.0, 1.0, &infinite).1, None);
    }

    #[test]
    fn fractions_interpolate_as_quantiles_do() {
        check_fraction(POSITIVE, 0.0, 0.25, 1.0 / 12.0);
        check_fraction(POSITIVE, 1.0, 2.0f64.sqrt(), 2.0 / 12.0);
        check_fraction(POSITIVE, f64::NEG_INFINITY, f64::INFINITY, 1.0);
        check_fraction(CUSTOM, 5.0, 15.0, 7.5 / 20.0);
        check_fraction(CUSTOM, 0.0, 2.5, 2.5 / 20.0);
    }

    #[test]
    fn what_lies_past_the_last_custom_bound_counts_only_up_to_infinity() {
        check_fraction(CUSTOM, 20.0, 1e9, 0.0);
        check_fraction(CUSTOM, 20.0, f64::INFINITY, 0.25);
    }

    #[test]
    fn bounds_in_the_wrong_order_hold_nothing() {
        check_fraction(POSITIVE, 2.0, 2.0, 0.0);
        check_fraction(POSITIVE, 3.0, 2.0, 0.0);
        check_fraction(POSITIVE, f64::NAN, 2.0, f64::NAN);
        check_fraction("{{schema:0}}", 3.0, 2.0, f64::NAN);
    }

    #[test]
    fn observed_nans_are_in_no_fraction() {
        let strange = histogram("{{schema:0 count:10 sum:NaN offset:1 buckets:[4]}}");
        assert_eq!(
            fraction(f64::NEG_INFINITY, f64::INFINITY, &strange),
            (0.4, Some(NanNote::FractionLeavesOut))
        );
    }

    fn any() -> impl Strategy<Value = Histogram> {
        prop_oneof![exponential(), custom()].prop_filter("observed something", |made| made.count > 0.0)
    }

    proptest! {
        #[test]
        fn quantiles_ascend_within_the_buckets(made in any(), a in 0.0f64..=1.0, b in 0.0f64..=1.0) {
            let (low, high) = (quantile(a.min(b), &made).0, quantile(a.max(b), &made).0);
            prop_assert!(low <= high + 1e-9 * high.abs(), "{low} {high}");
            let all = buckets(&made);
            prop_assert!(all.iter().any(|bucket| low >= bucket.lower.min(0.0) && low <= bucket.upper));
        }

        #[test]
        fn fractions_ascend(made in any(), a in -20.0f64..20.0, b in -20.0f64..20.0) {
            let below = |value| fraction(f64::NEG_INFINITY, value, &made).0;
            prop_assert!(below(a.min(b)) <= below(a.max(b)) + 1e-12);
            prop_assert!((0.0..=1.0).contains(&below(a)));
        }

        #[test]
        fn the_fraction_below_a_quantile_is_its_rank(made in exponential(), q in 0.01f64..0.99) {
            prop_assume!(made.count > 0.0);
            let value = quantile(q, &made).0;
            let below = fraction(f64::NEG_INFINITY, value, &made).0;
            prop_assert!((below - q).abs() < 1e-6, "{value} has {below} below, not {q}");
        }
    }
}
