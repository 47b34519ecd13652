//! Equality of numbers and histograms that were computed in another order.

use kandela_model::Histogram;

/// How far two numbers may differ, as a part of their sum.
const TOLERANCE: f64 = 1e-6;

/// Whether two numbers are equal but for rounding. NaN equals NaN, staleness markers included.
pub(super) fn same_float(left: f64, right: f64) -> bool {
    if left == right || (left.is_nan() && right.is_nan()) {
        return true;
    }
    let sum = left.abs() + right.abs();
    let distance = (left - right).abs();
    if left == 0.0 || right == 0.0 || sum < f64::MIN_POSITIVE {
        return distance < TOLERANCE * f64::MIN_POSITIVE;
    }
    distance / sum.min(f64::MAX) < TOLERANCE
}

/// Whether two histograms are equal but for rounding. Empty buckets do not count; reset hints count where
/// `compare_hints`.
pub(super) fn same_histogram(expected: &Histogram, got: &Histogram, compare_hints: bool) -> bool {
    expected.schema == got.schema
        && same_float(expected.count, got.count)
        && same_float(expected.sum, got.sum)
        && expected.custom_bounds == got.custom_bounds
        && expected.zero_threshold == got.zero_threshold
        && same_float(expected.zero_count, got.zero_count)
        && same_buckets(expected.positive(), got.positive())
        && same_buckets(expected.negative(), got.negative())
        && (!compare_hints || expected.reset_hint == got.reset_hint)
}

fn same_buckets(left: impl Iterator<Item = (i64, f64)>, right: impl Iterator<Item = (i64, f64)>) -> bool {
    let mut left = left.filter(|(_, count)| *count != 0.0);
    let mut right = right.filter(|(_, count)| *count != 0.0);
    loop {
        match (left.next(), right.next()) {
            (None, None) => return true,
            (Some((at, count)), Some((other_at, other))) if at == other_at && same_float(count, other) => {}
            _ => return false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounding_is_forgiven_and_more_is_not() {
        assert!(same_float(1.0, 1.000_001));
        assert!(!same_float(1.0, 1.000_003));
        assert!(same_float(f64::MAX, f64::MAX / (1.0 + 1e-9)));
    }

    #[test]
    fn next_to_nothing_is_not_nothing() {
        assert!(!same_float(0.0, 1e-300));
        assert!(same_float(0.0, -0.0));
    }

    #[test]
    fn nan_equals_nan_and_infinities_their_own_sign() {
        assert!(same_float(f64::NAN, kandela_model::STALE_NAN));
        assert!(!same_float(f64::NAN, 1.0));
        assert!(same_float(f64::INFINITY, f64::INFINITY));
        assert!(!same_float(f64::INFINITY, f64::NEG_INFINITY));
        assert!(!same_float(f64::INFINITY, 1.0));
    }
}
