//! Chunks of native histograms, whole and float. All of one chunk share one layout of buckets.

use kandela_model::{BucketSpan, CUSTOM_BOUNDS_SCHEMA, Histogram, ResetHint};

use super::super::message::differences;
use super::bits::BitWriter;
use super::xor::XorWriter;

/// Prometheus' numbers for chunks of histograms whose counts are whole, and of others.
const WHOLE: u8 = 2;
const FLOAT: u8 = 3;
/// The header of a chunk of gauges, and of one before which counts started again.
const GAUGE_HEADER: u8 = 0b1100_0000;
const RESET_HEADER: u8 = 0b1000_0000;

/// Thousandths up to here are stored as such.
const MOST_THOUSANDTHS: f64 = 33_554_430.0;

/// Whether `after` may stand behind `before` in one chunk: readers take its counts to go on there.
pub(super) fn go_together(before: &Histogram, after: &Histogram) -> bool {
    let gauge = |histogram: &Histogram| histogram.reset_hint == ResetHint::Gauge;
    if before.is_stale() || before.is_float != after.is_float {
        return false;
    }
    if after.is_stale() {
        return true;
    }
    let same_layout = before.schema == after.schema
        && before.zero_threshold.to_bits() == after.zero_threshold.to_bits()
        && before.positive_spans == after.positive_spans
        && before.negative_spans == after.negative_spans
        && before.custom_bounds == after.custom_bounds;
    if !same_layout || gauge(before) != gauge(after) {
        return false;
    }
    gauge(before) || (after.reset_hint != ResetHint::Reset && !falls(before, after))
}

/// Whether any count is lower than before.
fn falls(before: &Histogram, after: &Histogram) -> bool {
    let lower =
        |before: &[f64], after: &[f64]| before.iter().zip(after).any(|(before, after)| after < before);
    after.count < before.count
        || after.zero_count < before.zero_count
        || lower(&before.positive_buckets, &after.positive_buckets)
        || lower(&before.negative_buckets, &after.negative_buckets)
}

/// Prometheus' number for the encoding, and a chunk of histograms that [`go_together`], times in milliseconds.
pub(super) fn encode(samples: &[(i64, &Histogram)]) -> (u8, Vec<u8>) {
    let is_float = samples.first().is_some_and(|(_, first)| first.is_float);
    let header = match samples.first().map(|(_, first)| first.reset_hint) {
        Some(ResetHint::Gauge) => GAUGE_HEADER,
        Some(ResetHint::Reset) => RESET_HEADER,
        _ => 0,
    };
    let mut out = BitWriter::default();
    out.bits(samples.len() as u64, 16);
    out.byte(header);
    if is_float {
        write_floats(&mut out, samples);
        (FLOAT, out.into_bytes())
    } else {
        write_whole(&mut out, samples);
        (WHOLE, out.into_bytes())
    }
}

/// A number as a difference of differences.
#[derive(Clone, Copy, Debug, Default)]
struct Whole {
    last: i64,
    delta: i64,
}

impl Whole {
    fn write(&mut self, out: &mut BitWriter, value: i64) {
        let delta = value.wrapping_sub(self.last);
        out.varbit_int(delta.wrapping_sub(self.delta));
        *self = Self { last: value, delta };
    }
}

fn write_whole(out: &mut BitWriter, samples: &[(i64, &Histogram)]) {
    let Some(((at, first), rest)) = samples.split_first() else { return };
    let after = |last| Whole { last, delta: 0 };
    write_layout(out, first);
    out.varbit_int(*at);
    out.varbit_uint(first.count as u64);
    out.varbit_uint(first.zero_count as u64);
    out.float(first.sum);
    let mut buckets: Vec<Whole> = bucket_differences(first).into_iter().map(after).collect();
    for bucket in &buckets {
        out.varbit_int(bucket.last);
    }
    let mut time = after(*at);
    let (mut count, mut zero_count) = (after(first.count as i64), after(first.zero_count as i64));
    let mut sum = XorWriter::after(first.sum);
    for (at, histogram) in rest {
        time.write(out, *at);
        if histogram.is_stale() {
            // The counts of a marker mean nothing; no change is the shortest.
            out.bits(0, 2);
            sum.write(out, histogram.sum);
            continue;
        }
        count.write(out, histogram.count as i64);
        zero_count.write(out, histogram.zero_count as i64);
        sum.write(out, histogram.sum);
        for (bucket, value) in buckets.iter_mut().zip(bucket_differences(histogram)) {
            bucket.write(out, value);
        }
    }
}

/// The counts of both sides, each as its difference to the bucket before.
fn bucket_differences(histogram: &Histogram) -> Vec<i64> {
    let mut all = differences(&histogram.positive_buckets);
    all.extend(differences(&histogram.negative_buckets));
    all
}

fn write_floats(out: &mut BitWriter, samples: &[(i64, &Histogram)]) {
    let Some(((at, first), rest)) = samples.split_first() else { return };
    write_layout(out, first);
    out.varbit_int(*at);
    let mut time = Whole { last: *at, delta: 0 };
    let mut numbers: Vec<XorWriter> = float_numbers(first).map(XorWriter::after).collect();
    for number in float_numbers(first) {
        out.float(number);
    }
    for (at, histogram) in rest {
        time.write(out, *at);
        let stale = histogram.is_stale();
        let mut places = numbers.iter_mut();
        if stale {
            out.bits(0, 2);
            if let Some(sum) = places.nth(2) {
                sum.write(out, histogram.sum);
            }
            continue;
        }
        for (place, number) in places.zip(float_numbers(histogram)) {
            place.write(out, number);
        }
    }
}

/// In the order in which they are written: count, zero count, sum, buckets.
fn float_numbers(histogram: &Histogram) -> impl Iterator<Item = f64> {
    let heads = [histogram.count, histogram.zero_count, histogram.sum];
    let buckets = histogram.positive_buckets.iter().chain(&histogram.negative_buckets);
    heads.into_iter().chain(buckets.copied())
}

fn write_layout(out: &mut BitWriter, histogram: &Histogram) {
    write_zero_threshold(out, histogram.zero_threshold);
    out.varbit_int(i64::from(histogram.schema));
    write_spans(out, &histogram.positive_spans);
    write_spans(out, &histogram.negative_spans);
    if histogram.schema == CUSTOM_BOUNDS_SCHEMA {
        out.varbit_uint(histogram.custom_bounds.len() as u64);
        histogram.custom_bounds.iter().for_each(|bound| write_bound(out, *bound));
    }
}

/// One byte for zero and the usual powers of two, else nine.
fn write_zero_threshold(out: &mut BitWriter, threshold: f64) {
    let bits = threshold.to_bits();
    let (exponent, fraction) = ((bits >> 52) as i64 - 1_023, bits & ((1 << 52) - 1));
    if threshold == 0.0 {
        out.byte(0);
    } else if fraction == 0 && (-243..=10).contains(&exponent) {
        out.byte((exponent + 244) as u8);
    } else {
        out.byte(255);
        out.float(threshold);
    }
}

fn write_spans(out: &mut BitWriter, spans: &[BucketSpan]) {
    out.varbit_uint(spans.len() as u64);
    for span in spans {
        out.varbit_uint(u64::from(span.length));
        out.varbit_int(i64::from(span.offset));
    }
}

/// Bounds of three decimals, as people write them, are stored as whole thousandths.
fn write_bound(out: &mut BitWriter, bound: f64) {
    let thousandths = (bound * 1_000.0).round();
    if (0.0..=MOST_THOUSANDTHS).contains(&thousandths) && thousandths / 1_000.0 == bound {
        out.varbit_uint(thousandths as u64 + 1);
    } else {
        out.bits(0, 1);
        out.float(bound);
    }
}
