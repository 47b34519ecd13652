//! `+`, `-`, `*` and `/`.

use kandela_model::{Histogram, ResetHint};

use super::layout::{Addition, Layout, MixedSchemas, joint_hint};

/// Adds `other` to `histogram`: at the coarser resolution, with a zero bucket that covers both and cuts no populated
/// bucket, and, where custom bounds differ, between the bounds that both have. Empty buckets vanish. The hint is that
/// of both where they agree, gauge where one is a gauge, else unknown (`FloatHistogram.Add` of Prometheus).
///
/// # Errors
/// When only one of them has custom bounds; `histogram` is left as it was.
pub fn add(histogram: &mut Histogram, other: &Histogram) -> Result<Addition, MixedSchemas> {
    combine(histogram, other, 1.0)
}

/// Subtracts `other` from `histogram` by the same rules (`FloatHistogram.Sub` of Prometheus). The operator `-` marks
/// its result as a gauge; that is left to the caller, because a mean needs it not.
///
/// # Errors
/// When only one of them has custom bounds; `histogram` is left as it was.
pub fn sub(histogram: &mut Histogram, other: &Histogram) -> Result<Addition, MixedSchemas> {
    combine(histogram, other, -1.0)
}

fn combine(histogram: &mut Histogram, other: &Histogram, sign: f64) -> Result<Addition, MixedSchemas> {
    let (reset_hint, reset_conflict) = joint_hint(histogram.reset_hint, other.reset_hint);
    if same_buckets(histogram, other) {
        add_counts(histogram, other, sign);
        histogram.reset_hint = reset_hint;
        return Ok(Addition { reset_conflict, bounds_reconciled: false });
    }
    let mut layout = Layout::<f64>::of(histogram);
    let bounds_reconciled = layout.absorb(other, sign)?;
    let start = histogram.start;
    *histogram = Histogram { start, ..layout.put_together(reset_hint, |count| count) };
    Ok(Addition { reset_conflict, bounds_reconciled })
}

/// Most additions are of samples of one series, whose buckets are the same.
fn same_buckets(left: &Histogram, right: &Histogram) -> bool {
    left.schema == right.schema
        && left.zero_threshold == right.zero_threshold
        && left.positive_spans == right.positive_spans
        && left.negative_spans == right.negative_spans
        && left.custom_bounds == right.custom_bounds
}

fn add_counts(histogram: &mut Histogram, other: &Histogram, sign: f64) {
    histogram.zero_count += sign * other.zero_count;
    histogram.count += sign * other.count;
    histogram.sum += sign * other.sum;
    histogram.is_float = true;
    let sides = [
        (&mut histogram.positive_buckets, &other.positive_buckets),
        (&mut histogram.negative_buckets, &other.negative_buckets),
    ];
    let mut emptied = false;
    for (counts, more) in sides {
        for (count, more) in counts.iter_mut().zip(more) {
            *count += sign * more;
            emptied |= *count == 0.0;
        }
    }
    if emptied {
        super::compact(histogram);
    }
}

/// Multiplies every count and the sum by `factor`. A negative factor makes it a gauge (`FloatHistogram.Mul` of
/// Prometheus); unary minus is `mul(histogram, -1.0)`.
pub fn mul(histogram: &mut Histogram, factor: f64) {
    scale(histogram, |value| value * factor);
    if factor < 0.0 {
        histogram.reset_hint = ResetHint::Gauge;
    }
}

/// Divides every count and the sum by `divisor`. A negative divisor makes it a gauge. Dividing by zero removes the
/// buckets, and makes what is left infinite or NaN (`FloatHistogram.Div` of Prometheus).
pub fn div(histogram: &mut Histogram, divisor: f64) {
    if divisor == 0.0 {
        histogram.positive_spans.clear();
        histogram.positive_buckets.clear();
        histogram.negative_spans.clear();
        histogram.negative_buckets.clear();
    }
    scale(histogram, |value| value / divisor);
    if divisor < 0.0 {
        histogram.reset_hint = ResetHint::Gauge;
    }
}

fn scale(histogram: &mut Histogram, scaled: impl Fn(f64) -> f64) {
    histogram.is_float = true;
    let totals = [&mut histogram.count, &mut histogram.sum, &mut histogram.zero_count];
    let counts = histogram.positive_buckets.iter_mut().chain(&mut histogram.negative_buckets);
    for value in totals.into_iter().chain(counts) {
        *value = scaled(*value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::histogram::equal;
    use crate::histogram::testing::{assert_close, close, custom, exponential, histogram};
    use proptest::prelude::*;

    #[track_caller]
    fn sum_of(left: &str, right: &str) -> (Histogram, Addition) {
        let mut sum = histogram(left);
        let told = add(&mut sum, &histogram(right)).unwrap();
        (sum, told)
    }

    #[test]
    fn the_coarser_resolution_wins() {
        let (sum, told) = sum_of(
            "{{schema:1 count:4 sum:3 offset:1 buckets:[1 1 2]}}",
            "{{schema:0 count:10 sum:7 offset:1 buckets:[10]}}",
        );
        assert_close(&sum, &histogram("{{schema:0 count:14 sum:10 offset:1 buckets:[12 2]}}"));
        assert_eq!(told, Addition::default());
    }

    #[test]
    fn a_wider_zero_bucket_takes_in_what_it_covers() {
        let (sum, _) = sum_of(
            "{{schema:0 count:6 z_bucket:1 z_bucket_w:0.25 buckets:[2 3]}}",
            "{{schema:0 count:4 z_bucket:4 z_bucket_w:1}}",
        );
        assert_close(&sum, &histogram("{{schema:0 count:10 z_bucket:7 z_bucket_w:1 offset:1 buckets:[3]}}"));
    }

    #[test]
    fn a_zero_bucket_grows_to_the_end_of_the_bucket_it_would_cut() {
        let (sum, _) = sum_of(
            "{{schema:0 count:5 z_bucket:0 z_bucket_w:0.001 buckets:[2 3]}}",
            "{{schema:0 count:4 z_bucket:4 z_bucket_w:0.75}}",
        );
        assert_close(&sum, &histogram("{{schema:0 count:9 z_bucket:6 z_bucket_w:1 offset:1 buckets:[3]}}"));
    }

    #[test]
    fn growing_on_one_side_may_have_to_grow_on_the_other() {
        let mut coarse = histogram("{{schema:-2 count:5 z_bucket_w:0.001 offset:1 buckets:[5]}}");
        let other = histogram("{{schema:0 count:11 z_bucket:4 z_bucket_w:2 n_offset:3 n_buckets:[7]}}");
        let told = add(&mut coarse, &other).unwrap();
        assert_eq!(told, Addition::default());
        assert_close(&coarse, &histogram("{{schema:-2 count:16 z_bucket:16 z_bucket_w:16}}"));
    }

    #[test]
    fn an_empty_bucket_does_not_make_the_zero_bucket_grow() {
        let (sum, _) = sum_of(
            "{{schema:0 count:3 z_bucket_w:0.001 buckets:[0 3]}}",
            "{{schema:0 count:4 z_bucket:4 z_bucket_w:0.75}}",
        );
        assert_eq!((sum.zero_threshold, sum.zero_count), (0.75, 4.0));
    }

    #[test]
    fn custom_bounds_are_reconciled_to_those_in_common() {
        let (sum, told) = sum_of(
            "{{schema:-53 sum:55 count:15 custom_values:[2 4 6] buckets:[1 2 5 7]}}",
            "{{schema:-53 sum:56 count:15 custom_values:[2 3 4 8] buckets:[1 0 1 5 8]}}",
        );
        assert_close(
            &sum,
            &histogram("{{schema:-53 sum:111 count:30 custom_values:[2 4] buckets:[2 3 25]}}"),
        );
        assert!(told.bounds_reconciled);
    }

    #[test]
    fn without_a_common_bound_one_bucket_is_left() {
        let (sum, _) = sum_of(
            "{{schema:-53 count:3 custom_values:[2] buckets:[1 2]}}",
            "{{schema:-53 count:7 custom_values:[3] buckets:[3 4]}}",
        );
        assert_eq!(sum.custom_bounds, Vec::<f64>::new());
        assert_eq!(sum.positive().collect::<Vec<_>>(), [(0, 10.0)]);
    }

    #[test]
    fn exponential_and_custom_do_not_add() {
        let mut sum = histogram("{{schema:0 count:1 buckets:[1]}}");
        let before = sum.clone();
        let refused = add(&mut sum, &histogram("{{schema:-53 count:1 custom_values:[2] buckets:[1]}}"));
        assert_eq!(refused, Err(MixedSchemas));
        assert_eq!(sum, before);
    }

    #[test]
    fn hints_join_as_prometheus_joins_them() {
        use ResetHint::{Gauge, NotReset, Reset, Unknown};
        for (left, right, joint, conflict) in [
            (Reset, Reset, Reset, false),
            (Reset, Unknown, Unknown, false),
            (Unknown, NotReset, Unknown, false),
            (NotReset, Gauge, Gauge, false),
            (Gauge, Reset, Gauge, false),
            (Reset, NotReset, Unknown, true),
        ] {
            let mut sum = Histogram { reset_hint: left, ..Histogram::default() };
            let told = add(&mut sum, &Histogram { reset_hint: right, ..Histogram::default() }).unwrap();
            assert_eq!((sum.reset_hint, told.reset_conflict), (joint, conflict), "{left:?} and {right:?}");
        }
    }

    #[test]
    fn dividing_by_zero_leaves_no_bucket() {
        let mut divided = histogram("{{schema:0 count:3 sum:-5 buckets:[1 2]}}");
        div(&mut divided, 0.0);
        assert_eq!((divided.count, divided.sum), (f64::INFINITY, f64::NEG_INFINITY));
        assert!(divided.zero_count.is_nan());
        assert_eq!(divided.positive().count(), 0);
        assert_eq!(divided.reset_hint, ResetHint::Unknown);
    }

    #[test]
    fn a_negative_factor_makes_a_gauge() {
        let mut negated =
            histogram("{{schema:0 count:3 sum:5 z_bucket:1 buckets:[2] counter_reset_hint:reset}}");
        mul(&mut negated, -1.0);
        assert_close(&negated, &histogram("{{schema:0 count:-3 sum:-5 z_bucket:-1 buckets:[-2]}}"));
        assert_eq!(negated.reset_hint, ResetHint::Gauge);
    }

    fn added(left: &Histogram, right: &Histogram) -> Histogram {
        let mut sum = left.clone();
        let _ = add(&mut sum, right).unwrap();
        sum
    }

    proptest! {
        #[test]
        fn adding_commutes(a in exponential(), b in exponential()) {
            prop_assert!(equal(&added(&a, &b), &added(&b, &a)));
        }

        #[test]
        fn adding_custom_ones_commutes(a in custom(), b in custom()) {
            prop_assert!(equal(&added(&a, &b), &added(&b, &a)));
        }

        #[test]
        fn adding_associates(a in exponential(), b in exponential(), c in exponential()) {
            let (left, right) = (added(&added(&a, &b), &c), added(&a, &added(&b, &c)));
            prop_assert!(equal(&left, &right));
        }

        #[test]
        fn adding_keeps_every_observation(a in exponential(), b in exponential()) {
            let sum = added(&a, &b);
            let held = sum.zero_count + sum.positive().chain(sum.negative()).map(|(_, c)| c).sum::<f64>();
            prop_assert_eq!(held, a.count + b.count);
            prop_assert_eq!(sum.count, a.count + b.count);
        }

        #[test]
        fn a_wide_zero_bucket_loses_nothing(a in exponential(), threshold in 1e-9f64..20.0, zeros in 0u32..9) {
            let zeros = f64::from(zeros);
            let wide =
                Histogram { zero_threshold: threshold, zero_count: zeros, count: zeros, ..Histogram::default() };
            let sum = added(&a, &wide);
            let held = sum.zero_count + sum.positive().chain(sum.negative()).map(|(_, c)| c).sum::<f64>();
            prop_assert_eq!(held, a.count + zeros);
            prop_assert!(sum.zero_threshold >= threshold);
            prop_assert!(equal(&sum, &added(&wide, &a)));
        }

        #[test]
        fn subtracting_undoes_adding(a in exponential(), b in exponential()) {
            let b = Histogram { schema: a.schema, zero_threshold: a.zero_threshold, ..b };
            let mut back = added(&a, &b);
            let _ = sub(&mut back, &b).unwrap();
            prop_assert!(equal(&back, &a));
        }

        #[test]
        fn multiplying_distributes(a in exponential(), b in exponential(), factor in -8i32..8) {
            let factor = f64::from(factor);
            let mut product = added(&a, &b);
            mul(&mut product, factor);
            let (mut left, mut right) = (a, b);
            mul(&mut left, factor);
            mul(&mut right, factor);
            if factor != 0.0 {
                assert_close(&product, &added(&left, &right));
            }
        }

        #[test]
        fn dividing_undoes_multiplying(a in exponential(), factor in 0.1f64..10.0) {
            let mut back = a.clone();
            mul(&mut back, factor);
            div(&mut back, factor);
            prop_assert!(close(back.sum, a.sum));
            assert_close(&back, &a);
        }
    }
}
