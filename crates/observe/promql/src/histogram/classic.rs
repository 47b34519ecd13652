//! `histogram_quantile` and `histogram_fraction` of classic histograms.

/// A bucket of a classic histogram: one series with the label `le`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ClassicBucket {
    /// The value of `le`; the last one is +Inf.
    pub upper: f64,
    /// How many observations were at most that.
    pub count: f64,
}

/// A quantile, and what had to be done to find it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ClassicQuantile {
    /// The estimate.
    pub value: f64,
    /// Where counts fell from a bucket to the next one. Prometheus informs "input to histogram_quantile needed to be
    /// fixed for monotonicity".
    pub forced: Option<ForcedMonotonicity>,
}

/// Where counts had to be raised because they were below that of a smaller bucket.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ForcedMonotonicity {
    /// The least upper bound of such a bucket.
    pub lowest: f64,
    /// The greatest.
    pub highest: f64,
    /// By how much a count was raised at most.
    pub greatest_raise: f64,
}

/// Relative differences between neighbouring counts that come from rounding.
const ROUNDING: f64 = 1e-12;

/// The value below which the share `q` of all observations lies, interpolated linearly within its bucket
/// (`BucketQuantile` of Prometheus). The buckets may come in any order and with the same bound twice, whose counts then
/// add up.
///
/// The first bucket begins at zero if it ends above; if it does not, a quantile within is its bound. A quantile in the
/// last bucket is that bucket's lower bound. A `q` below 0 gives -Inf and above 1 gives +Inf. NaN comes of a `q` that
/// is NaN, of a last bound that is not +Inf, of fewer than two buckets, and where nothing was observed.
pub fn classic_quantile(q: f64, buckets: &[ClassicBucket]) -> ClassicQuantile {
    let plain = |value| ClassicQuantile { value, forced: None };
    if q.is_nan() {
        return plain(f64::NAN);
    }
    if q < 0.0 {
        return plain(f64::NEG_INFINITY);
    }
    if q > 1.0 {
        return plain(f64::INFINITY);
    }
    let Some(mut buckets) = in_order(buckets) else { return plain(f64::NAN) };
    let forced = force_monotonicity(&mut buckets);
    ClassicQuantile { value: quantile_of_ordered(q, &buckets), forced }
}

/// The share of all observations that lies between `lower` and `upper`, interpolated linearly (`BucketFraction` of
/// Prometheus): the inverse of [`classic_quantile`], of which it shares the assumptions about the first bucket. Counts
/// are taken as they are.
///
/// NaN where a bound is NaN, the last bucket does not end at +Inf, or nothing was observed; zero where `lower` is not
/// below `upper`.
pub fn classic_fraction(lower: f64, upper: f64, buckets: &[ClassicBucket]) -> f64 {
    let Some(buckets) = in_order(buckets) else { return f64::NAN };
    let count = buckets.last().map_or(0.0, |last| last.count);
    if count == 0.0 || lower.is_nan() || upper.is_nan() {
        return f64::NAN;
    }
    if lower >= upper {
        return 0.0;
    }
    let rank = |value| rank_of(value, &buckets).map_or(count, |rank| if rank > count { count } else { rank });
    (rank(upper) - rank(lower)) / count
}

/// The buckets by ascending bound, equal bounds joined, if the last one is +Inf.
fn in_order(buckets: &[ClassicBucket]) -> Option<Vec<ClassicBucket>> {
    let mut ordered = buckets.to_vec();
    ordered.sort_by(|a, b| a.upper.total_cmp(&b.upper));
    ordered.dedup_by(|next, kept| {
        let same = next.upper == kept.upper;
        if same {
            kept.count += next.count;
        }
        same
    });
    (ordered.last()?.upper == f64::INFINITY).then_some(ordered)
}

/// Levels differences that come from rounding, and raises counts that fell (`ensureMonotonicAndIgnoreSmallDeltas` of
/// Prometheus). Both are measured against the last count that was left alone.
fn force_monotonicity(buckets: &mut [ClassicBucket]) -> Option<ForcedMonotonicity> {
    let mut forced: Option<ForcedMonotonicity> = None;
    let (first, rest) = buckets.split_first_mut()?;
    let mut reached = first.count;
    for bucket in rest {
        let count = bucket.count;
        if almost_equal(reached, count) {
            bucket.count = reached;
        } else if count < reached {
            bucket.count = reached;
            let raise = reached - count;
            let so_far = forced.get_or_insert(ForcedMonotonicity {
                lowest: bucket.upper,
                highest: bucket.upper,
                greatest_raise: raise,
            });
            so_far.highest = bucket.upper;
            so_far.greatest_raise = so_far.greatest_raise.max(raise);
        } else {
            reached = count;
        }
    }
    forced
}

/// Whether the relative difference is one of rounding; next to zero, where there is no relative one, almost none is.
fn almost_equal(a: f64, b: f64) -> bool {
    if a == b || (a.is_nan() && b.is_nan()) {
        return true;
    }
    let (magnitude, difference) = (a.abs() + b.abs(), (a - b).abs());
    if a == 0.0 || b == 0.0 || magnitude < f64::MIN_POSITIVE {
        return difference < ROUNDING * f64::MIN_POSITIVE;
    }
    difference / magnitude.min(f64::MAX) < ROUNDING
}

fn quantile_of_ordered(q: f64, buckets: &[ClassicBucket]) -> f64 {
    let [finite @ .., last] = buckets else { return f64::NAN };
    let Some(highest) = finite.last() else { return f64::NAN };
    if last.count == 0.0 {
        return f64::NAN;
    }
    let rank = q * last.count;
    let reached = |bucket: &ClassicBucket| bucket.count >= rank;
    let at = finite.partition_point(|bucket| !reached(bucket));
    let Some(bucket) = finite.get(at) else { return highest.upper };
    let before = at.checked_sub(1).and_then(|before| finite.get(before));
    let (lower, passed) = match before {
        Some(before) => (before.upper, before.count),
        None if bucket.upper <= 0.0 => return bucket.upper,
        None => (0.0, 0.0),
    };
    lower + (bucket.upper - lower) * ((rank - passed) / (bucket.count - passed))
}

/// How many observations lie below `value`; none when every bucket does.
fn rank_of(value: f64, buckets: &[ClassicBucket]) -> Option<f64> {
    let begins_at_zero = buckets.first().is_some_and(|first| first.upper > 0.0);
    let mut lower = if begins_at_zero { 0.0 } else { f64::NEG_INFINITY };
    let mut rank = 0.0;
    for bucket in buckets {
        if lower >= value {
            return Some(rank);
        }
        if bucket.upper > value {
            if lower == f64::NEG_INFINITY {
                return Some(bucket.count);
            }
            return Some(rank + (bucket.count - rank) * (value - lower) / (bucket.upper - lower));
        }
        (lower, rank) = (bucket.upper, bucket.count);
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::histogram::testing::close;
    use proptest::prelude::*;

    fn classic(pairs: &[(f64, f64)]) -> Vec<ClassicBucket> {
        pairs.iter().map(|&(upper, count)| ClassicBucket { upper, count }).collect()
    }

    const INFINITY: f64 = f64::INFINITY;

    #[track_caller]
    fn check(q: f64, pairs: &[(f64, f64)], value: f64) {
        let got = classic_quantile(q, &classic(pairs)).value;
        assert!(close(got, value), "{got} is not {value}");
    }

    #[test]
    fn a_quantile_is_interpolated_linearly() {
        let buckets = [(1.0, 10.0), (3.0, 30.0), (INFINITY, 40.0)];
        check(0.125, &buckets, 0.5);
        check(0.5, &buckets, 2.0);
        check(0.9, &buckets, 3.0);
    }

    #[test]
    fn a_first_bucket_below_zero_is_its_bound() {
        check(0.1, &[(-1.0, 10.0), (1.0, 20.0), (INFINITY, 20.0)], -1.0);
    }

    #[test]
    fn what_can_not_be_known_is_nan() {
        check(0.5, &[], f64::NAN);
        check(0.5, &[(INFINITY, 3.0)], f64::NAN);
        check(0.5, &[(1.0, 3.0), (2.0, 3.0)], f64::NAN);
        check(0.5, &[(1.0, 0.0), (INFINITY, 0.0)], f64::NAN);
        check(f64::NAN, &[(1.0, 1.0), (INFINITY, 1.0)], f64::NAN);
    }

    #[test]
    fn ranks_out_of_range_are_infinite() {
        check(-1.0, &[], f64::NEG_INFINITY);
        check(2.0, &[], INFINITY);
    }

    #[test]
    fn equal_bounds_add_up_in_any_order() {
        check(0.5, &[(INFINITY, 40.0), (3.0, 20.0), (1.0, 10.0), (3.0, 10.0)], 2.0);
    }

    #[test]
    fn falling_counts_are_raised_and_told() {
        let buckets = classic(&[(1.0, 10.0), (2.0, 8.0), (3.0, 9.5), (4.0, 12.0), (INFINITY, 12.0)]);
        let found = classic_quantile(0.9, &buckets);
        let told = ForcedMonotonicity { lowest: 2.0, highest: 3.0, greatest_raise: 2.0 };
        assert_eq!(found.forced, Some(told));
        assert!(close(found.value, 3.4));
    }

    #[test]
    fn differences_of_rounding_are_levelled_and_not_told() {
        let buckets = classic(&[(1.0, 1.0), (2.0, 1.0 - 1e-14), (3.0, 1.0 + 1e-14), (INFINITY, 1.0)]);
        let found = classic_quantile(1.0, &buckets);
        assert_eq!(found, ClassicQuantile { value: 1.0, forced: None });
    }

    #[test]
    fn fractions_are_interpolated_linearly() {
        let buckets = classic(&[(1.0, 10.0), (3.0, 30.0), (INFINITY, 40.0)]);
        assert!(close(classic_fraction(0.0, 0.5, &buckets), 0.125));
        assert!(close(classic_fraction(0.5, 2.0, &buckets), 0.375));
        assert!(close(classic_fraction(3.0, INFINITY, &buckets), 0.25));
        assert!(close(classic_fraction(3.0, 1e9, &buckets), 0.0));
        assert_eq!(classic_fraction(2.0, 1.0, &buckets), 0.0);
    }

    #[test]
    fn a_fraction_of_nothing_is_nan() {
        assert!(classic_fraction(0.0, 1.0, &[]).is_nan());
        assert!(classic_fraction(0.0, 1.0, &classic(&[(1.0, 0.0), (INFINITY, 0.0)])).is_nan());
        assert!(classic_fraction(0.0, f64::NAN, &classic(&[(1.0, 1.0), (INFINITY, 1.0)])).is_nan());
    }

    fn any() -> impl Strategy<Value = Vec<ClassicBucket>> {
        let bounds = prop::collection::btree_set(-20i32..20, 1..8);
        (bounds, prop::collection::vec(0u32..100, 9)).prop_map(|(bounds, more)| {
            let uppers = bounds.into_iter().map(f64::from).chain([INFINITY]);
            let mut sum = 0.0;
            let counted = uppers.zip(more).map(|(upper, more)| {
                sum += f64::from(more);
                ClassicBucket { upper, count: sum }
            });
            counted.collect()
        })
    }

    proptest! {
        #[test]
        fn quantiles_ascend_within_the_bounds(buckets in any(), a in 0.0f64..=1.0, b in 0.0f64..=1.0) {
            prop_assume!(buckets.last().unwrap().count > 0.0);
            let at = |q| classic_quantile(q, &buckets);
            let (low, high) = (at(a.min(b)), at(a.max(b)));
            prop_assume!(!low.value.is_nan());
            prop_assert!(low.value <= high.value + 1e-9);
            prop_assert!((-20.0..=20.0).contains(&low.value));
            prop_assert_eq!(low.forced, None);
        }

        #[test]
        fn fractions_ascend(buckets in any(), a in -25.0f64..25.0, b in -25.0f64..25.0) {
            prop_assume!(buckets.last().unwrap().count > 0.0);
            let below = |value| classic_fraction(f64::NEG_INFINITY, value, &buckets);
            prop_assert!(below(a.min(b)) <= below(a.max(b)) + 1e-12);
            prop_assert!((0.0..=1.0).contains(&below(a)));
        }
    }
}
