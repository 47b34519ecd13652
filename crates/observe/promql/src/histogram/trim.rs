//! The operators `</` and `>/`.

use kandela_model::Histogram;

use super::bucket::{Bucket, is_custom, negative_bucket, positive_bucket, zero_bucket};
use super::compact;
use super::quantile::exponential_share;

/// Which observations stay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keep {
    /// Those below: the operator `</`.
    Below,
    /// Those above: the operator `>/`.
    Above,
}

/// What is left of `histogram` when only the observations below or above `at` stay (`FloatHistogram.TrimBuckets` of
/// Prometheus).
///
/// A bucket that `at` cuts is shared out as a quantile would be found in it. Where a custom bucket reaches to infinity,
/// nobody knows how its observations lie: the first one counts as beginning at zero if it ends above, and else holds
/// all its observations below any cut; of the last one all lie above any cut that is kept above, and none below one
/// that is kept below.
///
/// Where anything went, count and sum are estimated anew from the buckets, every observation in the middle of what is
/// left of its bucket, and empty buckets vanish. Where nothing did, the histogram stays as it is. Reset hints stay.
pub fn trim(histogram: &Histogram, keep: Keep, at: f64) -> Histogram {
    let cut = Cut { keep, at, linear: is_custom(histogram) };
    let mut trimmed = histogram.clone();
    let mut rest = Rest::default();

    let positive = histogram.positive().map(|(index, count)| positive_bucket(histogram, index, count));
    let has_positive = rest.take(&mut trimmed.positive_buckets, positive, |bucket| cut.regular(bucket, 1.0));
    let negative = histogram.negative().map(|(index, count)| negative_bucket(histogram, index, count));
    let has_negative = rest.take(&mut trimmed.negative_buckets, negative, |bucket| cut.regular(bucket, -1.0));
    if histogram.zero_count > 0.0 {
        let mut zero = zero_bucket(histogram);
        if has_positive && !has_negative {
            zero.lower = 0.0;
        }
        if has_negative && !has_positive {
            zero.upper = 0.0;
        }
        let part = cut.zero(&zero);
        rest.keep(&mut trimmed.zero_count, part);
    }
    if rest.changed {
        trimmed.count = rest.count;
        trimmed.sum = rest.sum;
        trimmed.is_float = true;
        compact(&mut trimmed);
    }
    trimmed
}

/// What stays of a bucket, and the value that stands for it.
#[derive(Clone, Copy)]
struct Part {
    count: f64,
    middle: f64,
}

const NOTHING: Part = Part { count: 0.0, middle: 0.0 };

/// What has been kept so far.
#[derive(Default)]
struct Rest {
    count: f64,
    sum: f64,
    changed: bool,
}

impl Rest {
    /// Trims the buckets of one side and says whether any held something.
    fn take(
        &mut self,
        counts: &mut [f64],
        buckets: impl Iterator<Item = Bucket>,
        kept: impl Fn(&Bucket) -> Part,
    ) -> bool {
        let mut populated = false;
        for (count, bucket) in counts.iter_mut().zip(buckets) {
            if bucket.count != 0.0 {
                populated = true;
                self.keep(count, kept(&bucket));
            }
        }
        populated
    }

    fn keep(&mut self, count: &mut f64, part: Part) {
        self.changed |= *count != part.count;
        *count = part.count;
        self.count += part.count;
        self.sum += part.middle * part.count;
    }
}

struct Cut {
    keep: Keep,
    at: f64,
    /// Whether buckets are divided linearly, not exponentially.
    linear: bool,
}

impl Cut {
    /// What stays of a bucket of the side `sign`.
    fn regular(&self, bucket: &Bucket, sign: f64) -> Part {
        let (whole, cuts) = match self.keep {
            Keep::Below => (bucket.upper <= self.at, bucket.lower < self.at),
            Keep::Above => (bucket.lower >= self.at, bucket.upper > self.at),
        };
        if whole {
            let middle = self.middle(bucket.lower, bucket.upper, sign);
            return Part { count: bucket.count, middle };
        }
        if !cuts {
            return NOTHING;
        }
        if bucket.lower == f64::NEG_INFINITY {
            return self.first_custom(bucket);
        }
        if bucket.upper == f64::INFINITY {
            return self.last(bucket);
        }
        let share_below = if self.linear {
            (self.at - bucket.lower) / (bucket.upper - bucket.lower)
        } else {
            exponential_share(bucket, self.at)
        };
        let below = bucket.count * share_below;
        match self.keep {
            Keep::Below => Part { count: below, middle: self.middle(bucket.lower, self.at, sign) },
            Keep::Above => {
                Part { count: bucket.count - below, middle: self.middle(self.at, bucket.upper, sign) }
            }
        }
    }

    /// What stays of the bucket below the first custom bound.
    fn first_custom(&self, bucket: &Bucket) -> Part {
        if bucket.upper == f64::INFINITY {
            return NOTHING;
        }
        match self.keep {
            Keep::Below if bucket.upper <= 0.0 => Part { count: bucket.count, middle: self.at },
            Keep::Below if self.at > 0.0 => {
                Part { count: bucket.count * self.at / bucket.upper, middle: self.at / 2.0 }
            }
            Keep::Above if self.at >= 0.0 => Part {
                count: bucket.count * (1.0 - self.at / bucket.upper),
                middle: (self.at + bucket.upper) / 2.0,
            },
            Keep::Below | Keep::Above => NOTHING,
        }
    }

    /// What stays of the bucket above the last bound.
    fn last(&self, bucket: &Bucket) -> Part {
        match self.keep {
            Keep::Below => NOTHING,
            Keep::Above => Part { count: bucket.count, middle: self.at },
        }
    }

    /// What stays of the zero bucket, which is always divided linearly.
    fn zero(&self, bucket: &Bucket) -> Part {
        let Bucket { lower, upper, count, .. } = *bucket;
        let whole = Part { count, middle: (lower + upper) / 2.0 };
        match self.keep {
            Keep::Below if self.at <= lower => NOTHING,
            Keep::Below if self.at >= upper => whole,
            Keep::Below => {
                Part { count: count * ((self.at - lower) / (upper - lower)), middle: (lower + self.at) / 2.0 }
            }
            Keep::Above if self.at <= lower => whole,
            Keep::Above if self.at >= upper => NOTHING,
            Keep::Above => {
                Part { count: count * ((upper - self.at) / (upper - lower)), middle: (self.at + upper) / 2.0 }
            }
        }
    }

    /// The value that stands for what lies between two bounds.
    fn middle(&self, lower: f64, upper: f64, sign: f64) -> f64 {
        match (lower.is_infinite(), upper.is_infinite()) {
            (true, true) => 0.0,
            (true, false) if upper > 0.0 => upper / 2.0,
            (true, false) => upper,
            (false, true) => lower,
            (false, false) if self.linear => (lower + upper) / 2.0,
            (false, false) => sign * (lower * upper).abs().sqrt(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::histogram::testing::{assert_close, close, custom, exponential, histogram};
    use crate::histogram::{equal, fraction};
    use proptest::prelude::*;

    #[track_caller]
    fn check(from: &str, keep: Keep, at: f64, left: &str) {
        assert_close(&trim(&histogram(from), keep, at), &histogram(left));
    }

    use Keep::{Above, Below};

    const BOTH: &str =
        "{{schema:0 sum:123.75 count:34 z_bucket:1 z_bucket_w:0.001 buckets:[2 4 8 16] n_buckets:[1 2]}}";

    #[test]
    fn an_infinite_cut_keeps_all_or_nothing() {
        let infinity = f64::INFINITY;
        check(BOTH, Above, -infinity, BOTH);
        check(BOTH, Below, infinity, BOTH);
        check(BOTH, Above, infinity, "{{schema:0 z_bucket_w:0.001}}");
        check(BOTH, Below, -infinity, "{{schema:0 z_bucket_w:0.001}}");
    }

    #[test]
    fn a_cut_at_zero_halves_the_zero_bucket_between_two_sides() {
        check(
            BOTH,
            Above,
            0.0,
            "{{schema:0 sum:120.20840280171308 count:30.5 z_bucket:0.5 z_bucket_w:0.001 buckets:[2 4 8 16]}}",
        );
        check(
            BOTH,
            Below,
            0.0,
            "{{schema:0 sum:-3.53578390593273768 count:3.5 z_bucket:0.5 z_bucket_w:0.001 n_buckets:[1 2]}}",
        );
    }

    #[test]
    fn a_cut_at_the_geometric_middle_halves_a_bucket() {
        check(
            BOTH,
            Below,
            2.0f64.sqrt(),
            "{{count:8 sum:0.2570938865989847 z_bucket:1 z_bucket_w:0.001 buckets:[2 2] n_buckets:[1 2]}}",
        );
        check(
            BOTH,
            Above,
            2.0f64.sqrt(),
            "{{count:26 sum:116.50067065070982 z_bucket_w:0.001 buckets:[0 2 8 16]}}",
        );
    }

    #[test]
    fn fine_buckets_are_cut_on_both_sides() {
        let fine = "{{schema:2 sum:12.8286080906 count:28 z_bucket:1 z_bucket_w:0.001 buckets:[1 2 4 7 3] \
                    n_buckets:[1 5 3 1]}}";
        check(
            fine,
            Below,
            1.13,
            "{{schema:2 count:13.410582181123704 sum:-9.385798726068233 z_bucket:1 z_bucket_w:0.001 \
             buckets:[1 1.410582181123704] n_buckets:[1 5 3 1]}}",
        );
        check(
            fine,
            Above,
            -1.3,
            "{{schema:2 count:25.54213947904476 sum:16.29588491217537 z_bucket:1 z_bucket_w:0.001 \
             buckets:[1 2 4 7 3] n_buckets:[1 5 1.54213947904476]}}",
        );
        check(
            fine,
            Below,
            -1.3,
            "{{schema:2 count:2.45786052095524 sum:-3.5189307983595066 z_bucket_w:0.001 n_offset:2 \
             n_buckets:[1.45786052095524 1]}}",
        );
    }

    #[test]
    fn a_cut_at_a_bound_cuts_no_bucket() {
        check(
            BOTH,
            Below,
            2.0,
            "{{count:10 sum:3.5355339059327373 z_bucket:1 z_bucket_w:0.001 buckets:[2 4] n_buckets:[1 2]}}",
        );
        check(
            BOTH,
            Above,
            2.0,
            "{{count:24 sum:113.13708498984761 z_bucket_w:0.001 offset:2 buckets:[8 16]}}",
        );
        check(
            BOTH,
            Below,
            -1.0,
            "{{count:2 sum:-2.8284271247461903 z_bucket_w:0.001 n_offset:1 n_buckets:[2]}}",
        );
    }

    #[test]
    fn the_zero_bucket_lies_on_the_side_of_the_buckets() {
        let positive = "{{schema:0 sum:8.0210678118654755 count:12 z_bucket:2 z_bucket_w:0.5 buckets:[10]}}";
        let nothing = "{{schema:0 z_bucket_w:0.5}}";
        check(
            positive,
            Above,
            0.1,
            "{{schema:0 count:11.6 sum:7.551067811865476 z_bucket:1.6 z_bucket_w:0.5 buckets:[10]}}",
        );
        check(positive, Above, 0.0, positive);
        check(positive, Below, 0.1, "{{schema:0 count:0.4 sum:0.02 z_bucket:0.4 z_bucket_w:0.5}}");
        check(positive, Below, 0.0, nothing);
        let negative =
            "{{schema:0 sum:-8.0210678118654755 count:12 z_bucket:2 z_bucket_w:0.5 n_buckets:[10]}}";
        check(negative, Below, 0.0, negative);
        check(
            negative,
            Below,
            -0.1,
            "{{schema:0 count:11.6 sum:-7.551067811865476 z_bucket:1.6 z_bucket_w:0.5 n_buckets:[10]}}",
        );
        check(negative, Above, -0.1, "{{schema:0 count:0.4 sum:-0.02 z_bucket:0.4 z_bucket_w:0.5}}");
        check(negative, Above, 0.0, nothing);
    }

    #[test]
    fn a_zero_bucket_alone_lies_on_both_sides() {
        let alone = "{{schema:0 count:5 sum:0 z_bucket:5 z_bucket_w:0.1}}";
        check(alone, Above, 0.1, "{{schema:0 z_bucket_w:0.1}}");
        check(alone, Below, 0.1, alone);
        check(alone, Above, 0.05, "{{schema:0 count:1.25 sum:0.09375 z_bucket:1.25 z_bucket_w:0.1}}");
        check(alone, Below, -0.05, "{{schema:0 count:1.25 sum:-0.09375 z_bucket:1.25 z_bucket_w:0.1}}");
    }

    const CUSTOM: &str = "{{schema:-53 sum:172.5 count:15 custom_values:[5 10 15 20] buckets:[1 6 4 3 1]}}";

    #[test]
    fn custom_buckets_are_cut_linearly() {
        check(
            CUSTOM,
            Below,
            15.0,
            "{{schema:-53 count:11 sum:97.5 custom_values:[5 10 15 20] buckets:[1 6 4]}}",
        );
        check(
            CUSTOM,
            Below,
            13.0,
            "{{schema:-53 count:9.4 sum:75.1 custom_values:[5 10 15 20] buckets:[1 6 2.4]}}",
        );
        check(
            CUSTOM,
            Above,
            13.0,
            "{{schema:-53 count:5.6 sum:94.9 custom_values:[5 10 15 20] offset:2 buckets:[1.6 3 1]}}",
        );
    }

    #[test]
    fn a_bucket_that_ends_nowhere_goes_whole() {
        check(
            CUSTOM,
            Below,
            50.0,
            "{{schema:-53 count:14 sum:150 custom_values:[5 10 15 20] buckets:[1 6 4 3]}}",
        );
        check(CUSTOM, Below, 0.0, "{{schema:-53 custom_values:[5 10 15 20]}}");
        check(CUSTOM, Above, 0.0, CUSTOM);
    }

    #[test]
    fn negative_custom_bounds_are_cut_linearly() {
        let negative =
            "{{schema:-53 sum:172.5 count:15 custom_values:[-10 5 10 15 20] buckets:[2 1 6 4 3 1]}}";
        check(
            negative,
            Below,
            2.0,
            "{{schema:-53 count:2.8 sum:-23.2 custom_values:[-10 5 10 15 20] buckets:[2 0.8]}}",
        );
        check(
            negative,
            Below,
            -15.0,
            "{{schema:-53 count:2 sum:-30 custom_values:[-10 5 10 15 20] buckets:[2]}}",
        );
    }

    #[test]
    fn one_bucket_over_everything_is_all_or_nothing() {
        let one = "{{schema:-53 sum:100 count:100 buckets:[100]}}";
        let nothing = "{{schema:-53}}";
        check(one, Below, 10.0, nothing);
        check(one, Above, 10.0, nothing);
        check(one, Below, f64::INFINITY, one);
        check(one, Above, f64::INFINITY, nothing);
        check(one, Above, f64::NEG_INFINITY, one);
        check(one, Below, f64::NEG_INFINITY, nothing);
    }

    #[test]
    fn two_buckets_that_meet_at_zero_stay_where_the_cut_can_not_be_in_them() {
        let two = "{{schema:-53 sum:33 count:100 custom_values:[0] buckets:[1 100]}}";
        check(two, Below, 10.0, "{{schema:-53 count:1 custom_values:[0] buckets:[1 0]}}");
        check(two, Below, -10.0, "{{schema:-53 sum:-10 count:1 custom_values:[0] buckets:[1 0]}}");
        check(two, Above, -10.0, "{{schema:-53 count:100 custom_values:[0] buckets:[0 100]}}");
        check(two, Above, 10.0, "{{schema:-53 sum:1000 count:100 custom_values:[0] buckets:[0 100]}}");
    }

    proptest! {
        #[test]
        fn what_lies_below_and_above_is_all(made in exponential(), at in -20.0f64..20.0) {
            let (below, above) = (trim(&made, Below, at), trim(&made, Above, at));
            prop_assert!(close(below.count + above.count, made.count));
        }

        #[test]
        fn trimming_twice_is_trimming_once_at_a_bound(made in exponential(), power in -1i32..=1) {
            let at = 16.0f64.powi(power);
            let once = trim(&made, Below, at);
            prop_assert!(equal(&trim(&once, Below, at), &once));
        }

        #[test]
        fn the_count_below_is_the_fraction_below(made in exponential(), at in -20.0f64..20.0) {
            prop_assume!(made.count > 0.0);
            let below = fraction(f64::NEG_INFINITY, at, &made).0;
            prop_assert!(close(trim(&made, Below, at).count, below * made.count));
        }

        #[test]
        fn cutting_higher_keeps_no_less_below(
            made in prop_oneof![exponential(), custom()],
            a in -20.0f64..20.0,
            b in -20.0f64..20.0,
        ) {
            let (low, high) = (trim(&made, Below, a.min(b)), trim(&made, Below, a.max(b)));
            prop_assert!(low.count <= high.count + 1e-9);
        }
    }
}
