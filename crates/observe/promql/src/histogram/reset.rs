//! When a counter started again.

use kandela_model::{Histogram, ResetHint};

use super::bucket::{exponential_bound, is_custom};
use super::layout::{Layout, Side, common_bounds};

/// Whether the counts started again between `previous` and `current`: a count fell, or a populated bucket is gone. A
/// hint of `current` that says so, or says not, is believed. A finer resolution or a narrower zero bucket means a new
/// start; a coarser or wider one is taken into account, and so are custom bounds that changed. The sum may fall
/// (`FloatHistogram.DetectReset` of Prometheus).
pub fn detect_reset(current: &Histogram, previous: &Histogram) -> bool {
    match current.reset_hint {
        ResetHint::Reset => return true,
        ResetHint::NotReset => return false,
        ResetHint::Unknown | ResetHint::Gauge => {}
    }
    if current.count < previous.count || is_custom(current) != is_custom(previous) {
        return true;
    }
    let (mut now, mut before) = (Layout::<f64>::of(current), Layout::<f64>::of(previous));
    if is_custom(current) {
        if now.custom_bounds != before.custom_bounds {
            let common = common_bounds(&now.custom_bounds, &before.custom_bounds);
            now.rebin(&common);
            before.rebin(&common);
        }
        return any_fell(&now.positive, &before.positive);
    }
    let threshold = current.zero_threshold;
    if current.schema > previous.schema
        || threshold < previous.zero_threshold
        || before.uncut_zero_threshold(threshold) != threshold
    {
        return true;
    }
    let mut widened = before.clone();
    widened.widen_zero(threshold);
    if current.zero_count < widened.zero_count {
        return true;
    }
    // Buckets are joined before those within the zero bucket are left out, as Prometheus does it.
    before.coarsen(current.schema);
    for side in [&mut before.positive, &mut before.negative] {
        side.retain(|&index, _| exponential_bound(current.schema, index) > threshold);
    }
    any_fell(&now.positive, &before.positive) || any_fell(&now.negative, &before.negative)
}

fn any_fell(now: &Side<f64>, before: &Side<f64>) -> bool {
    before.iter().any(|(index, before)| match now.get(index) {
        Some(now) => now < before,
        None => *before != 0.0,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::histogram::add;
    use crate::histogram::testing::{custom, exponential, histogram};
    use proptest::prelude::*;

    #[track_caller]
    fn check(previous: &str, current: &str, reset: bool) {
        assert_eq!(detect_reset(&histogram(current), &histogram(previous)), reset, "{previous} to {current}");
    }

    #[test]
    fn growing_is_no_reset() {
        check(
            "{{schema:0 count:3 sum:9 buckets:[1 2]}}",
            "{{schema:0 count:4 sum:2 buckets:[1 2 1]}}",
            false,
        );
    }

    #[test]
    fn a_bucket_that_fell_is_a_reset() {
        check("{{schema:0 count:3 buckets:[1 2]}}", "{{schema:0 count:5 buckets:[4 1]}}", true);
    }

    #[test]
    fn a_populated_bucket_that_is_gone_is_a_reset() {
        check("{{schema:0 count:3 buckets:[1 2]}}", "{{schema:0 count:5 buckets:[5]}}", true);
    }

    #[test]
    fn hints_are_believed() {
        check("{{count:3 buckets:[3]}}", "{{count:5 buckets:[5] counter_reset_hint:reset}}", true);
        check("{{count:3 buckets:[3]}}", "{{count:1 buckets:[1] counter_reset_hint:not_reset}}", false);
        check("{{count:3 buckets:[3]}}", "{{count:1 buckets:[1] counter_reset_hint:gauge}}", true);
    }

    #[test]
    fn only_a_coarser_resolution_goes_on() {
        let (fine, coarse) =
            ("{{schema:1 count:2 offset:1 buckets:[1 1]}}", "{{schema:0 count:2 offset:1 buckets:[2]}}");
        check(fine, coarse, false);
        check(coarse, fine, true);
    }

    #[test]
    fn only_a_wider_zero_bucket_goes_on() {
        let narrow = "{{schema:0 count:5 z_bucket:1 z_bucket_w:0.25 buckets:[2 2]}}";
        let wide = "{{schema:0 count:5 z_bucket:3 z_bucket_w:1 offset:1 buckets:[2]}}";
        check(narrow, wide, false);
        check(wide, narrow, true);
        check(narrow, "{{schema:0 count:5 z_bucket:2 z_bucket_w:1 offset:1 buckets:[3]}}", true);
    }

    #[test]
    fn a_zero_bucket_that_cuts_a_populated_one_is_a_reset() {
        check(
            "{{schema:0 count:5 z_bucket_w:0.25 buckets:[5]}}",
            "{{schema:0 count:9 z_bucket:9 z_bucket_w:0.75}}",
            true,
        );
    }

    #[test]
    fn changed_custom_bounds_are_compared_where_they_agree() {
        let before = "{{schema:-53 count:15 custom_values:[2 4 6] buckets:[1 2 5 7]}}";
        check(before, "{{schema:-53 count:15 custom_values:[2 3 4 6] buckets:[1 0 2 5 7]}}", false);
        check(before, "{{schema:-53 count:15 custom_values:[2 3 4 6] buckets:[1 0 1 5 8]}}", true);
    }

    #[test]
    fn a_change_of_kind_is_a_reset() {
        let (custom, exponential) =
            ("{{schema:-53 count:1 custom_values:[2] buckets:[1]}}", "{{schema:0 count:1 buckets:[1]}}");
        check(custom, exponential, true);
        check(exponential, custom, true);
    }

    proptest! {
        #[test]
        fn what_only_grew_was_not_reset(a in exponential(), b in exponential()) {
            let mut sum = a.clone();
            let _ = add(&mut sum, &b).unwrap();
            prop_assert!(!detect_reset(&sum, &a));
        }

        #[test]
        fn what_only_grew_with_custom_bounds_was_not_reset(a in custom(), b in custom()) {
            let mut sum = a.clone();
            let _ = add(&mut sum, &b).unwrap();
            prop_assert!(!detect_reset(&sum, &a));
        }
    }
}
