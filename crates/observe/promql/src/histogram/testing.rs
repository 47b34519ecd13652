//! Histograms for tests, in the notation of Prometheus' own tests.

use std::collections::BTreeMap;

use kandela_model::{Histogram, ResetHint};
use proptest::prelude::*;

/// Reads `{{schema:0 count:3 sum:5 buckets:[1 2]}}`.
pub(super) fn histogram(text: &str) -> Histogram {
    let inner = text.trim().strip_prefix("{{").unwrap().strip_suffix("}}").unwrap();
    let mut read = Histogram { is_float: true, ..Histogram::default() };
    let (mut offset, mut negative_offset) = (0, 0);
    let (mut positive, mut negative) = (Vec::new(), Vec::new());
    for (key, value) in fields(inner) {
        let number = || value.parse::<f64>().unwrap();
        match key {
            "schema" => read.schema = value.parse().unwrap(),
            "count" => read.count = number(),
            "sum" => read.sum = number(),
            "z_bucket" => read.zero_count = number(),
            "z_bucket_w" => read.zero_threshold = number(),
            "custom_values" => read.custom_bounds = list(value),
            "buckets" => positive = list(value),
            "n_buckets" => negative = list(value),
            "offset" => offset = value.parse().unwrap(),
            "n_offset" => negative_offset = value.parse().unwrap(),
            "counter_reset_hint" => {
                read.reset_hint = match value {
                    "gauge" => ResetHint::Gauge,
                    "reset" => ResetHint::Reset,
                    "not_reset" => ResetHint::NotReset,
                    _ => ResetHint::Unknown,
                }
            }
            _ => panic!("unknown field {key}"),
        }
    }
    read.set_positive(&indexed(offset, &positive));
    read.set_negative(&indexed(negative_offset, &negative));
    read
}

fn fields(inner: &str) -> Vec<(&str, &str)> {
    let mut found = Vec::new();
    let mut rest = inner.trim();
    while let Some((key, after)) = rest.split_once(':') {
        let end = if after.starts_with('[') {
            after.find(']').unwrap() + 1
        } else {
            after.find(' ').unwrap_or(after.len())
        };
        let (value, more) = after.split_at(end);
        found.push((key, value));
        rest = more.trim();
    }
    found
}

fn list(value: &str) -> Vec<f64> {
    value.trim_matches(['[', ']']).split_whitespace().map(|number| number.parse().unwrap()).collect()
}

fn indexed(offset: i64, counts: &[f64]) -> BTreeMap<i64, f64> {
    (offset..).zip(counts.iter().copied()).collect()
}

/// Whether two numbers are the same to a relative difference of a millionth, as Prometheus' tests compare.
pub(super) fn close(a: f64, b: f64) -> bool {
    a == b || (a.is_nan() && b.is_nan()) || (a - b).abs() <= 1e-6 * (a.abs() + b.abs()).max(1e-9)
}

/// Asserts that two histograms have the same buckets, up to rounding.
#[track_caller]
pub(super) fn assert_close(got: &Histogram, want: &Histogram) {
    let same = |a: Vec<(i64, f64)>, b: Vec<(i64, f64)>| {
        a.len() == b.len() && a.iter().zip(&b).all(|((i, a), (j, b))| i == j && close(*a, *b))
    };
    let agree = got.schema == want.schema
        && got.custom_bounds == want.custom_bounds
        && got.zero_threshold == want.zero_threshold
        && close(got.zero_count, want.zero_count)
        && close(got.count, want.count)
        && close(got.sum, want.sum)
        && same(got.positive().collect(), want.positive().collect())
        && same(got.negative().collect(), want.negative().collect());
    assert!(agree, "got {got:#?}\nwanted {want:#?}");
}

/// Any histogram with an exponential schema whose buckets lie outside its zero bucket.
pub(super) fn exponential() -> impl Strategy<Value = Histogram> {
    let side = || prop::collection::btree_map(-12i64..12, 1u32..1000, 0..8);
    (-2i8..=4, side(), side(), 0u32..50, prop::sample::select(vec![0.0, 1e-20, 1e-17])).prop_map(
        |(schema, positive, negative, zeros, threshold)| {
            let float = |side: BTreeMap<i64, u32>| side.into_iter().map(|(i, c)| (i, f64::from(c))).collect();
            let (positive, negative): (BTreeMap<_, _>, BTreeMap<_, _>) = (float(positive), float(negative));
            let zeros = if threshold > 0.0 { f64::from(zeros) } else { 0.0 };
            let count = positive.values().chain(negative.values()).sum::<f64>() + zeros;
            let mut made = Histogram {
                schema,
                count,
                sum: count * 1.5,
                zero_threshold: threshold,
                zero_count: zeros,
                is_float: true,
                ..Histogram::default()
            };
            made.set_positive(&positive);
            made.set_negative(&negative);
            made
        },
    )
}

/// Any histogram with custom bounds among the whole numbers from 0 to 9.
pub(super) fn custom() -> impl Strategy<Value = Histogram> {
    let bounds = prop::collection::btree_set(0u8..10, 1..6);
    (bounds, prop::collection::vec(0u32..1000, 7)).prop_map(|(bounds, counts)| {
        let custom_bounds: Vec<f64> = bounds.into_iter().map(f64::from).collect();
        let counts: BTreeMap<i64, f64> =
            (0..).zip(counts.into_iter().map(f64::from)).take(custom_bounds.len() + 1).collect();
        let count = counts.values().sum::<f64>();
        let mut made = Histogram {
            schema: -53,
            count,
            sum: count * 2.0,
            custom_bounds,
            is_float: true,
            ..Histogram::default()
        };
        made.set_positive(&counts);
        made
    })
}
