//! The histogram: exact merging, stated errors, and the same buckets as OpenTelemetry and Prometheus.

use kandela_algebra::histogram::{
    Bucket, ExponentialBuckets, HistogramError, Layout, LogHistogram, NativeBuckets, OffsetCounts, Span,
    SpanDeltas,
};
use kandela_algebra::laws;
use kandela_algebra::merge::{Merge, Summary, summarise};
use proptest::collection::vec;
use proptest::prelude::*;

/// Any float but NaN, and often a latency.
fn value() -> impl Strategy<Value = f64> {
    let float = any::<f64>().prop_filter("NaN is no measurement", |v| !v.is_nan());
    prop_oneof![
        float,
        (-6.0..4.0).prop_map(|e: f64| 10f64.powf(e)),
        (-1e3..1e3),
        Just(0.0),
        Just(f64::INFINITY)
    ]
}

fn normal() -> impl Strategy<Value = f64> {
    use proptest::num::f64::{NEGATIVE, NORMAL, POSITIVE};
    prop_oneof![NORMAL | POSITIVE | NEGATIVE, (-6.0..4.0).prop_map(|e: f64| 10f64.powf(e))]
}

fn layout() -> impl Strategy<Value = Layout> {
    let threshold = prop_oneof![Just(0.0), Just(1e-3), Just(2f64.powi(-128))];
    (Layout::MIN_SCALE..=Layout::MAX_SCALE, 4usize..200, threshold)
        .prop_map(|(s, n, t)| Layout::new(s, n, t).expect("within the ranges of a layout"))
}

fn of(layout: Layout, values: impl IntoIterator<Item = f64>) -> LogHistogram {
    summarise(&LogHistogram::with_layout(layout), values)
}

proptest! {
    #[test]
    fn merging_is_exact_on_counts_in_any_order_and_grouping(
        layout in layout(),
        parts in vec(vec(value(), 0..20), 5..8),
    ) {
        let parts: Vec<_> = parts.into_iter().map(|part| of(layout, part)).collect();
        laws::merge_by(parts.clone(), LogHistogram::same_counts)?;
        laws::commutative(parts.clone(), LogHistogram::same_counts)?;
        laws::sliding(parts, LogHistogram::same_counts)?;
    }

    #[test]
    fn recording_is_merging_one_by_one_however_the_values_are_cut(layout in layout(), values in vec(value(), 2..30)) {
        laws::summary(&LogHistogram::with_layout(layout), &values, LogHistogram::same_counts)?;
    }

    #[test]
    fn layouts_of_different_scale_and_size_merge_to_the_coarser_in_any_order(
        parts in vec((vec(value(), 0..20), -10..=8i32, 4usize..200), 3..8),
    ) {
        let parts = parts.into_iter().map(|(values, scale, n)| of(Layout::new(scale, n, 0.0).unwrap(), values));
        laws::merge_by(parts.clone(), LogHistogram::same_counts)?;
        laws::commutative(parts, LogHistogram::same_counts)?;
    }

    #[test]
    fn sums_of_parts_agree_with_the_sum_of_the_whole(values in vec(-1e6..1e6, 1..100), cut in any::<prop::sample::Index>()) {
        let (left, right) = values.split_at(cut.index(values.len()));
        let mut merged = of(Layout::default(), left.iter().copied());
        merged.merge_from(&of(Layout::default(), right.iter().copied()));
        let whole = of(Layout::default(), values.iter().copied());
        prop_assert!((merged.sum() - whole.sum()).abs() <= 1e-15 * values.iter().map(|v| v.abs()).sum::<f64>());
    }

    #[test]
    fn no_value_is_lost_and_the_bound_on_buckets_is_kept(
        scale in -10..=8i32, max_buckets in 4usize..64, values in vec(value(), 1..100),
    ) {
        let histogram = of(Layout::new(scale, max_buckets, 0.0).unwrap(), values.iter().copied());
        prop_assert_eq!(histogram.count(), values.len() as u64);
        prop_assert_eq!(histogram.buckets().map(|b| b.count).sum::<u64>(), values.len() as u64);
        let otlp = histogram.to_exponential();
        prop_assert!(otlp.positive.counts.len() <= max_buckets && otlp.negative.counts.len() <= max_buckets);
        prop_assert_eq!(histogram.min().unwrap(), values.iter().copied().fold(f64::INFINITY, f64::min));
        prop_assert_eq!(histogram.max().unwrap(), values.iter().copied().fold(f64::NEG_INFINITY, f64::max));
    }

    #[test]
    fn a_quantile_is_off_by_no_more_than_the_stated_error(
        layout in layout(), values in vec(normal(), 1..100), percent in 0u32..=100,
    ) {
        let histogram = of(layout, values.iter().copied());
        let mut sorted = values;
        sorted.sort_by(f64::total_cmp);
        let rank = (sorted.len() * percent as usize).div_ceil(100).max(1);
        let truth = sorted[rank - 1];
        let got = histogram.quantile(f64::from(percent) / 100.0).unwrap();
        let allowed = truth.abs() * (histogram.relative_error() + 1e-12);
        prop_assert!((got - truth).abs() <= allowed.max(histogram.zero_threshold()), "{} for {}", got, truth);
    }

    #[test]
    fn a_fraction_is_off_by_no_more_than_one_bucket(values in vec(-1e3..1e3, 1..100), x in -1e3..1e3) {
        let histogram = of(Layout::default(), values.iter().copied());
        let truth = values.iter().filter(|&&v| v <= x).count() as f64 / values.len() as f64;
        let got = histogram.fraction_below(x).unwrap();
        let in_bucket = histogram.buckets().filter(|b| b.lower <= x && x <= b.upper).map(|b| b.count).sum::<u64>();
        prop_assert!((got - truth).abs() <= in_bucket as f64 / values.len() as f64 + 1e-12);
    }

    #[test]
    fn buckets_come_in_order_and_do_not_overlap(layout in layout(), values in vec(value(), 1..50)) {
        let buckets: Vec<Bucket> = of(layout, values).buckets().collect();
        prop_assert!(buckets.iter().all(|b| b.lower <= b.upper && b.count > 0));
        prop_assert!(buckets.windows(2).all(|pair| pair[0].upper <= pair[1].lower));
    }

    #[test]
    fn opentelemetry_form_goes_out_and_comes_back_count_for_count(layout in layout(), values in vec(value(), 0..50)) {
        let histogram = of(layout, values);
        let otlp = histogram.to_exponential();
        let back = LogHistogram::from_exponential(&otlp, 200).unwrap();
        prop_assert_eq!(back.to_exponential(), ExponentialBuckets { sum: Some(back.sum()), ..otlp });
        prop_assert_eq!(back.count(), histogram.count());
    }

    #[test]
    fn prometheus_form_goes_out_and_comes_back_count_for_count(
        scale in -4..=8i32, values in vec((-6.0..4.0).prop_map(|e: f64| 10f64.powf(e)), 0..50),
    ) {
        let histogram = of(Layout::new(scale, 2000, 1e-5).unwrap(), values.into_iter().map(|v| v - 1.0));
        let native = histogram.to_native().unwrap();
        let back = LogHistogram::from_native(&native, 20_000).unwrap();
        prop_assert_eq!(back.to_native().unwrap(), native);
        prop_assert!(back.buckets().eq(histogram.buckets()));
    }

    #[test]
    fn any_prometheus_form_is_taken_in_or_refused(
        schema in -6..10i32,
        spans in vec((any::<i32>(), 0u32..6), 0..5),
        deltas in vec(any::<i64>(), 0..12),
        max_buckets in 0usize..20,
    ) {
        let spans = spans.into_iter().map(|(offset, length)| Span { offset, length }).collect();
        let positive = SpanDeltas { spans, deltas };
        let native = NativeBuckets { schema, positive, ..NativeBuckets::default() };
        if let Ok(histogram) = LogHistogram::from_native(&native, max_buckets) {
            prop_assert!(histogram.to_exponential().positive.counts.len() <= max_buckets);
        }
    }

    #[test]
    fn any_opentelemetry_form_is_taken_in_or_refused(
        scale in -12..=22i32,
        offset in prop_oneof![any::<i32>(), -3000..3000],
        counts in vec(any::<u64>(), 0..12),
        (min, max, sum) in (any::<Option<f64>>(), any::<Option<f64>>(), any::<Option<f64>>()),
    ) {
        let (positive, negative) = (OffsetCounts { offset, counts: counts.clone() }, OffsetCounts { offset, counts });
        let otlp = ExponentialBuckets { scale, positive, negative, min, max, sum, ..ExponentialBuckets::default() };
        if let Ok(histogram) = LogHistogram::from_exponential(&otlp, 160) {
            prop_assert!(histogram.min() <= histogram.max());
            prop_assert_eq!(histogram.quantile(0.5).is_some(), histogram.count() > 0);
        }
    }

    #[test]
    fn histograms_whose_zero_thresholds_differ_merge_without_losing_a_value(
        left in vec(value(), 0..30), right in vec(value(), 0..30), thresholds in (0.0..5.0, 0.0..5.0),
    ) {
        let mut merged = of(Layout::new(8, 160, thresholds.0).unwrap(), left.iter().copied());
        merged.merge_from(&of(Layout::new(3, 160, thresholds.1).unwrap(), right.iter().copied()));
        prop_assert_eq!(merged.buckets().map(|b| b.count).sum::<u64>(), (left.len() + right.len()) as u64);
        prop_assert!(merged.zero_threshold() >= thresholds.0.max(thresholds.1));
        let within = left.iter().chain(&right).filter(|v| v.abs() <= merged.zero_threshold()).count() as u64;
        let zero = merged.buckets().find(|b| b.lower <= 0.0 && b.upper >= 0.0).map_or(0, |b| b.count);
        prop_assert_eq!(zero, within);
    }
}

#[test]
fn buckets_are_those_of_the_opentelemetry_data_model() {
    // Scale 1 has base √2: (1, √2] is bucket 0, (√2, 2] bucket 1, (1/√2, 1] bucket −1.
    let histogram = of(Layout::new(1, 160, 0.0).unwrap(), [0.9, 1.0, 1.1, 1.5, 2.0, 2.1]);
    let otlp = histogram.to_exponential();
    assert_eq!((otlp.scale, otlp.positive), (1, OffsetCounts { offset: -1, counts: vec![2, 1, 2, 1] }));
}

#[test]
fn spans_and_deltas_are_those_of_prometheus() {
    // Schema 0: bucket 0 is (0.5, 1], 1 is (1, 2], 3 is (4, 8], 8 is (128, 256].
    let histogram = of(Layout::new(0, 160, 0.001).unwrap(), [0.0, 1.0, 2.0, 2.0, 5.0, 200.0]);
    let native = histogram.to_native().unwrap();
    let spans = vec![Span { offset: 0, length: 4 }, Span { offset: 4, length: 1 }];
    assert_eq!(native.positive, SpanDeltas { spans, deltas: vec![1, 1, -2, 1, 0] });
    assert_eq!((native.schema, native.zero_count, native.sum), (0, 1, 210.0));
}

#[test]
fn a_range_that_needs_too_many_buckets_lowers_the_scale_and_says_so() {
    let mut histogram = LogHistogram::with_layout(Layout::for_relative_error(0.01, 160).unwrap());
    histogram.record(1.0);
    assert!(histogram.relative_error() <= 0.01);
    histogram.record(1000.0);
    assert_eq!(histogram.scale(), 3);
    assert!(histogram.relative_error() > 0.04 && histogram.relative_error() < 0.05);
}

#[test]
fn the_whole_range_of_floats_fits_into_four_buckets() {
    let extremes = [f64::from_bits(1), f64::MIN_POSITIVE, 1.0, f64::MAX, f64::INFINITY];
    let histogram = of(Layout::new(8, Layout::MIN_BUCKETS, 0.0).unwrap(), extremes);
    assert_eq!((histogram.count(), histogram.buckets().map(|b| b.count).sum::<u64>()), (5, 5));
}

#[test]
fn nan_is_no_measurement() {
    let mut histogram = LogHistogram::new();
    histogram.record(f64::NAN);
    assert_eq!((histogram.count(), histogram.present()), (0, None));
}

#[test]
fn the_empty_of_a_histogram_has_its_precision() {
    let coarse = of(Layout::new(2, 20, 0.5).unwrap(), [3.0]);
    let empty = coarse.empty();
    assert_eq!((empty.scale(), empty.zero_threshold(), empty.count()), (2, 0.5, 0));
}

#[test]
fn a_fraction_is_exact_at_a_bucket_bound() {
    let histogram = of(Layout::default(), [0.5, 0.7, 1.0, 1.0, 1.001, 3.0, 8.0, 9.0]);
    assert_eq!(histogram.fraction_below(1.0), Some(0.5));
    assert_eq!(histogram.fraction_below(8.0), Some(0.875));
    assert_eq!((histogram.fraction_below(0.4), histogram.fraction_below(9.0)), (Some(0.0), Some(1.0)));
}

#[test]
fn a_quantile_outside_of_0_to_1_has_no_answer() {
    let histogram = of(Layout::default(), [1.0]);
    assert_eq!([-0.1, 1.1, f64::NAN].map(|q| histogram.quantile(q)), [None; 3]);
}

#[test]
fn a_count_beyond_64_bits_stops_at_the_largest() {
    let mut histogram = LogHistogram::new();
    histogram.record_n(1.0, u64::MAX);
    histogram.record_n(2.0, 7);
    assert_eq!((histogram.count(), histogram.quantile(0.5)), (u64::MAX, Some(1.0)));
}

#[test]
fn zero_buckets_widen_to_the_end_of_a_bucket_that_the_wider_one_cuts() {
    let mut fine = of(Layout::new(0, 160, 0.0).unwrap(), [0.1, 1.2, 3.0]);
    fine.merge_from(&of(Layout::new(0, 160, 1.5).unwrap(), [1.8, 5.0]));
    assert_eq!(fine.zero_threshold(), 2.0);
    let counts: Vec<_> = fine.buckets().map(|b| (b.upper, b.count)).collect();
    assert_eq!(counts, [(2.0, 3), (4.0, 1), (8.0, 1)]);
}

#[test]
fn prometheus_bucket_of_infinities_is_taken_in() {
    let spans = vec![Span { offset: 1025, length: 1 }];
    let positive = SpanDeltas { spans, deltas: vec![3] };
    let native = NativeBuckets { schema: 0, positive, sum: f64::INFINITY, ..NativeBuckets::default() };
    assert_eq!(LogHistogram::from_native(&native, 160).unwrap().count(), 3);
}

#[test]
fn what_prometheus_cannot_hold_is_refused() {
    let wide = of(Layout::new(8, 4, 0.0).unwrap(), [1e-300, 1e300]);
    let refused = wide.to_native().unwrap_err();
    assert_eq!(refused.to_string(), "histogram scale -9 is out of range; use -4 to 8");
}

#[test]
fn malformed_buckets_are_refused_with_what_is_wrong() {
    let native = |spans: &[(i32, u32)], deltas: &[i64]| {
        let spans = spans.iter().map(|&(offset, length)| Span { offset, length }).collect();
        let positive = SpanDeltas { spans, deltas: deltas.to_vec() };
        LogHistogram::from_native(&NativeBuckets { positive, ..NativeBuckets::default() }, 160).unwrap_err()
    };
    assert_eq!(
        native(&[(0, u32::MAX)], &[1]),
        HistogramError::SpansMismatch { claimed: u32::MAX.into(), deltas: 1 }
    );
    assert_eq!(native(&[(0, 2)], &[1, -2]), HistogramError::Count { position: 1 });
    assert_eq!(native(&[(0, 1), (-5, 1)], &[1, 1]), HistogramError::SpanOrder { position: 1 });
    assert_eq!(native(&[(5000, 1)], &[1]), HistogramError::Index { index: 4999, scale: 0 });
    assert!(matches!(Layout::new(9, 160, 0.0), Err(HistogramError::Scale { .. })));
    assert!(matches!(Layout::new(8, 3, 0.0), Err(HistogramError::TooFewBuckets { .. })));
    assert!(matches!(Layout::new(8, 160, f64::NAN), Err(HistogramError::ZeroThreshold { .. })));
    assert!(matches!(Layout::for_relative_error(1e-4, 160), Err(HistogramError::RelativeError { .. })));
}

#[test]
fn counts_kept_by_bucket_index_are_the_counts_that_recording_gives() {
    let values = [1e-9, 2.5e-7, 0.001, 0.0010001, 1.0, 3.5, 1e4];
    let layout = Layout::new(4, 1024, 0.0).unwrap();
    let mut recorded = LogHistogram::with_layout(layout);
    let offset = LogHistogram::bucket_index(1e-9, 4);
    let mut counts = vec![0; (LogHistogram::bucket_index(1e4, 4) - offset) as usize + 1];
    for value in values {
        recorded.record(value);
        counts[(LogHistogram::bucket_index(value, 4) - offset) as usize] += 1;
    }
    let buckets = ExponentialBuckets {
        scale: 4,
        positive: OffsetCounts { offset, counts },
        sum: Some(recorded.sum()),
        min: Some(1e-9),
        max: Some(1e4),
        ..ExponentialBuckets::default()
    };
    assert!(LogHistogram::from_exponential(&buckets, 1024).unwrap().same_counts(&recorded));
}
