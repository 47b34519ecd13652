//! Empty buckets, and when two histograms are the same.

use std::collections::BTreeMap;

use kandela_model::Histogram;

/// Drops empty buckets and joins neighbouring spans (`FloatHistogram.Compact(0)` of Prometheus).
pub fn compact(histogram: &mut Histogram) {
    let positive: BTreeMap<i64, f64> = histogram.positive().collect();
    let negative: BTreeMap<i64, f64> = histogram.negative().collect();
    histogram.set_positive(&positive);
    histogram.set_negative(&negative);
}

/// Whether two histograms hold the same data: the operator `==`. Counts and sums compare by their bits, so that NaN is
/// equal to itself. An empty bucket that only one of them names makes them differ; how spans are cut does not, nor do
/// reset hints (`FloatHistogram.Equals` of Prometheus).
pub fn equal(left: &Histogram, right: &Histogram) -> bool {
    left.schema == right.schema
        && left.zero_threshold == right.zero_threshold
        && same_bits(left.count, right.count)
        && same_bits(left.sum, right.sum)
        && same_bits(left.zero_count, right.zero_count)
        && left.custom_bounds.len() == right.custom_bounds.len()
        && left.custom_bounds.iter().zip(&right.custom_bounds).all(|(a, b)| same_bits(*a, *b))
        && same_side(left.positive(), right.positive())
        && same_side(left.negative(), right.negative())
}

fn same_bits(left: f64, right: f64) -> bool {
    left.to_bits() == right.to_bits()
}

fn same_side(left: impl Iterator<Item = (i64, f64)>, right: impl Iterator<Item = (i64, f64)>) -> bool {
    left.map(|(index, count)| (index, count.to_bits()))
        .eq(right.map(|(index, count)| (index, count.to_bits())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::histogram::testing::histogram;
    use kandela_model::{BucketSpan, ResetHint};

    fn with_an_empty_bucket() -> Histogram {
        Histogram {
            positive_spans: vec![BucketSpan { offset: 1, length: 2 }, BucketSpan { offset: 0, length: 1 }],
            positive_buckets: vec![1.0, 0.0, 2.0],
            ..Histogram::default()
        }
    }

    #[test]
    fn compacting_drops_empty_buckets() {
        let mut compacted = with_an_empty_bucket();
        compact(&mut compacted);
        assert_eq!(compacted.positive_buckets, [1.0, 2.0]);
        assert_eq!(
            compacted.positive_spans,
            [BucketSpan { offset: 1, length: 1 }, BucketSpan { offset: 1, length: 1 }]
        );
    }

    #[test]
    fn an_empty_bucket_makes_a_difference() {
        let mut compacted = with_an_empty_bucket();
        compact(&mut compacted);
        assert!(!equal(&compacted, &with_an_empty_bucket()));
    }

    #[test]
    fn the_cut_of_spans_makes_none() {
        let joined =
            Histogram { positive_spans: vec![BucketSpan { offset: 1, length: 3 }], ..with_an_empty_bucket() };
        assert!(equal(&joined, &with_an_empty_bucket()));
    }

    #[test]
    fn a_sum_that_is_not_a_number_equals_itself() {
        let strange = histogram("{{schema:0 count:1 sum:NaN buckets:[1]}}");
        assert!(equal(&strange, &strange.clone()));
    }

    #[test]
    fn hints_do_not_count() {
        let counter = histogram("{{schema:0 count:1 buckets:[1]}}");
        assert!(equal(&counter, &Histogram { reset_hint: ResetHint::Gauge, ..counter.clone() }));
    }
}
