//! Every encoding against an encoder of its own: what was written comes back to the bit.

use kandela_model::{
    BucketSpan, CUSTOM_BOUNDS_SCHEMA, Histogram, MetricBatch, ResetHint, STALE_NAN, Timestamp, is_stale,
};
use proptest::collection::vec;
use proptest::prelude::*;

use super::{ChunkError, ChunkPoints, append};

#[derive(Default)]
struct BitWriter {
    bytes: Vec<u8>,
    used: u32,
}

impl BitWriter {
    fn bits(&mut self, value: u64, width: u32) {
        for shift in (0..width).rev() {
            if self.used.is_multiple_of(8) {
                self.bytes.push(0);
            }
            let bit = (value >> shift & 1) as u8;
            *self.bytes.last_mut().unwrap() |= bit << (7 - self.used % 8);
            self.used += 1;
        }
    }

    fn uvarint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.bits(value & 0x7f | 0x80, 8);
            value >>= 7;
        }
        self.bits(value, 8);
    }

    fn varint(&mut self, value: i64) {
        self.uvarint((value << 1 ^ value >> 63) as u64);
    }

    fn float(&mut self, value: f64) {
        self.bits(value.to_bits(), 64);
    }

    /// A prefix of `ones` ones and, below `most` of them, a zero.
    fn prefix(&mut self, ones: u32, most: u32) {
        self.bits(u64::MAX, ones);
        if ones < most {
            self.bits(0, 1);
        }
    }

    fn varbit(&mut self, value: u64, fits: impl Fn(u32) -> bool) {
        let widths = [3, 6, 9, 12, 18, 25, 56];
        if value == 0 {
            return self.bits(0, 1);
        }
        match widths.iter().position(|width| fits(*width)) {
            Some(at) => {
                self.prefix(at as u32 + 1, 8);
                self.bits(value, widths[at]);
            }
            None => {
                self.prefix(8, 8);
                self.bits(value, 64);
            }
        }
    }

    fn varbit_int(&mut self, value: i64) {
        self.varbit(value as u64, |width| in_range(value, width));
    }

    fn varbit_uint(&mut self, value: u64) {
        self.varbit(value, |width| value >> width == 0);
    }
}

fn in_range(value: i64, width: u32) -> bool {
    let half = 1i64 << (width - 1);
    (1 - half..=half).contains(&value)
}

#[derive(Clone, Copy)]
struct XorWriter {
    last: u64,
    window: Option<(u32, u32)>,
}

impl XorWriter {
    fn new(value: f64) -> Self {
        Self { last: value.to_bits(), window: None }
    }

    /// Writes after `reuse` or `fresh`, which stand for the two kinds of window.
    fn difference(&mut self, out: &mut BitWriter, value: f64, reuse: (u64, u32), fresh: (u64, u32)) {
        let difference = value.to_bits() ^ self.last;
        self.last = value.to_bits();
        let (leading, trailing) = (difference.leading_zeros().min(31), difference.trailing_zeros());
        if let Some((l, t)) = self.window
            && leading >= l
            && trailing >= t
        {
            out.bits(reuse.0, reuse.1);
            return out.bits(difference >> t, 64 - l - t);
        }
        self.window = Some((leading, trailing));
        let width = 64 - leading - trailing;
        out.bits(fresh.0, fresh.1);
        out.bits(u64::from(leading), 5);
        out.bits(u64::from(width), 6);
        out.bits(difference >> trailing, width);
    }

    fn write(&mut self, out: &mut BitWriter, value: f64) {
        if value.to_bits() == self.last {
            return out.bits(0, 1);
        }
        self.difference(out, value, (0b10, 2), (0b11, 2));
    }

    fn write_xor2(&mut self, out: &mut BitWriter, value: f64) {
        if is_stale(value) {
            out.bits(0b111, 3);
        } else if value.to_bits() == self.last {
            out.bits(0, 1);
        } else {
            self.difference(out, value, (0b10, 2), (0b110, 3));
        }
    }
}

fn encode_xor(samples: &[(i64, f64)]) -> Vec<u8> {
    let mut out = BitWriter::default();
    out.bits(samples.len() as u64, 16);
    let mut value = XorWriter::new(0.0);
    let (mut last, mut delta) = (0i64, 0i64);
    for (index, (ts, v)) in samples.iter().enumerate() {
        let now = ts.wrapping_sub(last);
        if index == 0 {
            out.varint(*ts);
            out.float(*v);
            value = XorWriter::new(*v);
        } else {
            if index == 1 {
                out.uvarint(now as u64);
            } else {
                let change = now.wrapping_sub(delta);
                let width = [0, 14, 17, 20].into_iter().position(|width| match width {
                    0 => change == 0,
                    width => in_range(change, width),
                });
                let width = width.unwrap_or(4);
                out.prefix(width as u32, 4);
                out.bits(change as u64, [0, 14, 17, 20, 64][width]);
            }
            delta = now;
            value.write(&mut out, *v);
        }
        last = *ts;
    }
    out.bytes
}

/// Writes the start times of `starts`, behind each sample as both newer families do. Gives the header.
struct StartWriter {
    stored_from: Option<usize>,
    last: i64,
    distance: i64,
    header: u8,
}

impl StartWriter {
    fn new() -> Self {
        Self { stored_from: None, last: 0, distance: 0, header: 0 }
    }

    fn write(&mut self, out: &mut BitWriter, index: usize, ts: i64, before: i64, start: i64) {
        if index == 0 {
            if start != 0 {
                self.header |= 0x80;
                out.varint(ts.wrapping_sub(start));
            }
        } else if self.stored_from.is_some() {
            let distance = before.wrapping_sub(start);
            out.varbit_int(distance.wrapping_sub(self.distance));
            self.distance = distance;
        } else if start != self.last || index == 127 {
            self.header |= index as u8;
            self.stored_from = Some(index);
            self.distance = before.wrapping_sub(start);
            out.varbit_int(self.distance);
        }
        self.last = start;
    }
}

fn encode_xor2(samples: &[(i64, f64, i64)]) -> Vec<u8> {
    let mut out = BitWriter::default();
    out.bits((samples.len() as u64) << 8, 24);
    let mut starts = StartWriter::new();
    let mut value = XorWriter::new(0.0);
    let (mut last, mut delta) = (0i64, 0i64);
    for (index, (ts, v, start)) in samples.iter().enumerate() {
        let now = ts.wrapping_sub(last);
        let change = now.wrapping_sub(delta);
        match index {
            0 => {
                out.varint(*ts);
                out.float(*v);
                if !is_stale(*v) {
                    value = XorWriter::new(*v);
                }
            }
            1 => {
                out.uvarint(now as u64);
                value.write_xor2(&mut out, *v);
            }
            _ if change == 0 && is_stale(*v) => out.prefix(5, 5),
            _ if change == 0 && v.to_bits() == value.last => out.prefix(0, 5),
            _ if change == 0 => {
                out.prefix(1, 5);
                value.difference(&mut out, *v, (0, 1), (1, 1));
            }
            _ => {
                let (ones, width) = match change {
                    -4_096..=4_095 => (2, 13),
                    -524_288..=524_287 => (3, 20),
                    _ => (4, 64),
                };
                out.prefix(ones, 5);
                out.bits(change as u64, width);
                value.write_xor2(&mut out, *v);
            }
        }
        if index > 0 {
            delta = now;
        }
        starts.write(&mut out, index, *ts, last, *start);
        last = *ts;
    }
    out.bytes[2] = starts.header;
    out.bytes
}

fn encode_layout(out: &mut BitWriter, histogram: &Histogram) {
    let threshold = histogram.zero_threshold;
    let exponent = threshold.log2();
    if threshold == 0.0 {
        out.bits(0, 8);
    } else if exponent.fract() == 0.0 && (-243.0..=10.0).contains(&exponent) {
        out.bits((exponent + 244.0) as u64, 8);
    } else {
        out.bits(255, 8);
        out.float(threshold);
    }
    out.varbit_int(i64::from(histogram.schema));
    for spans in [&histogram.positive_spans, &histogram.negative_spans] {
        out.varbit_uint(spans.len() as u64);
        for span in spans {
            out.varbit_uint(u64::from(span.length));
            out.varbit_int(i64::from(span.offset));
        }
    }
    if histogram.schema == CUSTOM_BOUNDS_SCHEMA {
        out.varbit_uint(histogram.custom_bounds.len() as u64);
        for bound in &histogram.custom_bounds {
            let thousandths = bound * 1_000.0;
            if (0.0..=33_554_430.0).contains(&thousandths) && thousandths.round() / 1_000.0 == *bound {
                out.varbit_uint(thousandths.round() as u64 + 1);
            } else {
                out.bits(0, 1);
                out.float(*bound);
            }
        }
    }
}

fn header(float_or_whole_with_starts: bool, samples: usize, gauge: bool) -> BitWriter {
    let mut out = BitWriter::default();
    let flags = if gauge { 0b11u64 } else { 0b10 };
    if float_or_whole_with_starts {
        out.bits(flags << 14 | samples as u64, 16);
        out.bits(0, 8);
    } else {
        out.bits(samples as u64, 16);
        out.bits(flags << 6, 8);
    }
    out
}

/// Whole counts: differences between neighbours, then differences of differences in time.
fn encode_whole(samples: &[(i64, Histogram)], with_starts: bool, gauge: bool) -> Vec<u8> {
    let mut out = header(with_starts, samples.len(), gauge);
    let mut starts = StartWriter::new();
    let mut sum = XorWriter::new(0.0);
    let mut last: Vec<i64> = Vec::new();
    let mut deltas: Vec<i64> = Vec::new();
    for (index, (ts, histogram)) in samples.iter().enumerate() {
        let before = last.first().copied().unwrap_or(0);
        let stale = is_stale(histogram.sum);
        let mut numbers = vec![*ts, histogram.count as i64, histogram.zero_count as i64];
        for side in [&histogram.positive_buckets, &histogram.negative_buckets] {
            let mut previous = 0i64;
            for count in side {
                numbers.push(*count as i64 - previous);
                previous = *count as i64;
            }
        }
        if index == 0 {
            encode_layout(&mut out, histogram);
            out.varbit_int(*ts);
            out.varbit_uint(numbers[1] as u64);
            out.varbit_uint(numbers[2] as u64);
            out.float(histogram.sum);
            sum = XorWriter::new(histogram.sum);
            numbers[3..].iter().for_each(|bucket| out.varbit_int(*bucket));
            deltas = vec![0; numbers.len()];
        } else {
            for at in 0..if stale { 3 } else { numbers.len() } {
                if at == 3 {
                    sum.write(&mut out, histogram.sum);
                }
                let delta = numbers[at].wrapping_sub(last[at]);
                out.varbit_int(if stale && at > 0 { 0 } else { delta.wrapping_sub(deltas[at]) });
                deltas[at] = delta;
            }
            if stale || numbers.len() == 3 {
                sum.write(&mut out, histogram.sum);
            }
        }
        if with_starts {
            let start = histogram.start.map_or(0, Timestamp::millis);
            starts.write(&mut out, index, *ts, before, start);
        }
        last = numbers;
    }
    if with_starts {
        out.bytes[2] = starts.header;
    }
    out.bytes
}

/// Float counts: each number by exclusive or to the one before.
fn encode_float(samples: &[(i64, Histogram)], with_starts: bool, gauge: bool) -> Vec<u8> {
    let mut out = header(with_starts, samples.len(), gauge);
    let mut starts = StartWriter::new();
    let mut writers: Vec<XorWriter> = Vec::new();
    let (mut last, mut delta) = (0i64, 0i64);
    for (index, (ts, histogram)) in samples.iter().enumerate() {
        let numbers: Vec<f64> = [histogram.count, histogram.zero_count, histogram.sum]
            .into_iter()
            .chain(histogram.positive_buckets.iter().chain(&histogram.negative_buckets).copied())
            .collect();
        if index == 0 {
            encode_layout(&mut out, histogram);
            out.varbit_int(*ts);
            numbers.iter().for_each(|number| out.float(*number));
            writers = numbers.iter().map(|number| XorWriter::new(*number)).collect();
        } else {
            let now = ts.wrapping_sub(last);
            out.varbit_int(now.wrapping_sub(delta));
            delta = now;
            for (writer, number) in writers.iter_mut().zip(&numbers) {
                writer.write(&mut out, *number);
            }
        }
        if with_starts {
            let start = histogram.start.map_or(0, Timestamp::millis);
            starts.write(&mut out, index, *ts, last, start);
        }
        last = *ts;
    }
    if with_starts {
        out.bytes[2] = starts.header;
    }
    out.bytes
}

fn decode(encoding: u8, data: &[u8]) -> Result<(ChunkPoints, MetricBatch), ChunkError> {
    let mut batch = MetricBatch::default();
    let series = batch.add_series([("__name__", "m")]).unwrap();
    append(encoding, data, |_| true, series, &mut batch).map(|points| (points, batch))
}

fn floats(encoding: u8, data: &[u8]) -> Vec<(i64, u64)> {
    let (points, batch) = decode(encoding, data).unwrap();
    assert_eq!(points.taken, batch.samples.len());
    batch.samples.iter().map(|sample| (sample.ts.millis(), sample.value.to_bits())).collect()
}

/// What comes back, with hints as a chunk gives them.
fn assert_histograms(encoding: u8, data: &[u8], written: &[(i64, Histogram)], gauge: bool) {
    let (points, batch) = decode(encoding, data).unwrap();
    assert_eq!(points, ChunkPoints { taken: written.len(), ..ChunkPoints::default() });
    for (index, ((ts, wanted), found)) in written.iter().zip(&batch.histograms).enumerate() {
        let mut wanted = wanted.clone();
        if !is_stale(wanted.sum) {
            wanted.reset_hint = match index {
                _ if gauge => ResetHint::Gauge,
                0 => ResetHint::Unknown,
                _ => ResetHint::NotReset,
            };
        }
        assert_eq!(found.ts.millis(), *ts);
        // Not by value, by which no NaN equals itself.
        assert_eq!(format!("{:?}", found.histogram), format!("{wanted:?}"));
        assert_eq!(found.histogram.sum.to_bits(), wanted.sum.to_bits());
    }
}

fn any_value() -> impl Strategy<Value = f64> {
    prop_oneof![
        3 => (0u32..1_000).prop_map(f64::from),
        1 => Just(STALE_NAN),
        1 => any::<u64>().prop_map(f64::from_bits),
    ]
}

/// Times as they come: mostly even, at times a little or very uneven.
fn any_times(samples: std::ops::Range<usize>) -> impl Strategy<Value = Vec<i64>> {
    let step = prop_oneof![
        6 => Just(15_000i64),
        2 => 14_990i64..15_010,
        1 => 1i64..600_000,
        1 => 1i64..1 << 42,
    ];
    (1_600_000_000_000i64..1_800_000_000_000, vec(step, samples)).prop_map(|(first, steps)| {
        let add = |at: &mut i64, step: i64| {
            let now = *at;
            *at += step;
            Some(now)
        };
        steps.into_iter().scan(first, add).collect()
    })
}

fn any_spans() -> impl Strategy<Value = Vec<BucketSpan>> {
    vec((0i32..40, 1u32..5), 0..4)
        .prop_map(|spans| spans.into_iter().map(|(offset, length)| BucketSpan { offset, length }).collect())
}

fn buckets(spans: &[BucketSpan]) -> usize {
    spans.iter().map(|span| span.length as usize).sum()
}

/// A layout, and for every sample its counts, sum and start.
fn any_histograms(float: bool) -> impl Strategy<Value = Vec<(i64, Histogram)>> {
    let threshold =
        prop_oneof![Just(0.0), (-243i32..=10).prop_map(|e| 2f64.powi(e)), Just(0.001), Just(3.5e-9)];
    let layout = (-4i8..=8, threshold, any_spans(), any_spans()).prop_map(
        |(schema, zero_threshold, positive_spans, negative_spans)| Histogram {
            schema,
            zero_threshold,
            positive_spans,
            negative_spans,
            ..Histogram::default()
        },
    );
    let custom = vec(prop_oneof![(1u32..50_000_000).prop_map(|b| f64::from(b) / 1_000.0), 1e5f64..1e9], 1..6)
        .prop_map(|mut bounds| {
            bounds.sort_by(f64::total_cmp);
            bounds.dedup();
            let span = BucketSpan { offset: 0, length: bounds.len() as u32 + 1 };
            Histogram {
                schema: CUSTOM_BOUNDS_SCHEMA,
                positive_spans: vec![span],
                custom_bounds: bounds,
                ..Histogram::default()
            }
        });
    (prop_oneof![3 => layout, 1 => custom], any_times(1..20)).prop_flat_map(move |(layout, times)| {
        let (positive, negative) = (buckets(&layout.positive_spans), buckets(&layout.negative_spans));
        let count = if float { (0.0f64..1e9).boxed() } else { (0u32..1_000_000).prop_map(f64::from).boxed() };
        let start = prop_oneof![3 => Just(None), 1 => (1i64..1_600_000_000_000).prop_map(Some)];
        let sample = (vec(count.clone(), positive), vec(count.clone(), negative), count, -1e9f64..1e9, start);
        let samples = vec(sample, times.len());
        samples.prop_map(move |samples| {
            let build = |(ts, (positive, negative, zero, sum, start)): (&i64, _)| {
                let (positive, negative): (Vec<f64>, Vec<f64>) = (positive, negative);
                let zero_count = if layout.custom_bounds.is_empty() { zero } else { 0.0 };
                let start: Option<i64> = start;
                let histogram = Histogram {
                    count: positive.iter().chain(&negative).sum::<f64>() + zero_count,
                    sum,
                    zero_count,
                    positive_buckets: positive,
                    negative_buckets: negative,
                    is_float: float,
                    start: start.map(Timestamp::from_millis),
                    ..layout.clone()
                };
                (*ts, histogram)
            };
            times.iter().zip(samples).map(build).collect()
        })
    })
}

/// Only the encodings with start timestamps keep them; there, one that is not known again stays what it was.
fn without_starts(mut samples: Vec<(i64, Histogram)>) -> Vec<(i64, Histogram)> {
    samples.iter_mut().for_each(|(_, histogram)| histogram.start = None);
    samples
}

fn bits_of(samples: &[(i64, f64)]) -> Vec<(i64, u64)> {
    samples.iter().map(|(ts, value)| (*ts, value.to_bits())).collect()
}

proptest! {
    #[test]
    fn xor_chunks_come_back_to_the_bit(times in any_times(0..200), values in vec(any_value(), 200)) {
        let samples: Vec<_> = times.into_iter().zip(values).collect();
        prop_assert_eq!(floats(1, &encode_xor(&samples)), bits_of(&samples));
    }

    #[test]
    fn xor2_chunks_come_back_to_the_bit_with_and_without_starts(
        times in any_times(0..200),
        values in vec(any_value(), 200),
        starts in vec(prop_oneof![Just(0i64), Just(1_500_000_000_000), any::<i32>().prop_map(i64::from)], 200),
        known in any::<bool>(),
    ) {
        let samples: Vec<_> = times.iter().zip(&values).map(|(ts, value)| (*ts, *value)).collect();
        let with: Vec<_> =
            samples.iter().zip(starts).map(|((ts, value), start)| (*ts, *value, if known { start } else { 0 })).collect();
        prop_assert_eq!(floats(4, &encode_xor2(&with)), bits_of(&samples));
    }

    #[test]
    fn whole_histograms_come_back(samples in any_histograms(false), gauge in any::<bool>()) {
        assert_histograms(5, &encode_whole(&samples, true, gauge), &samples, gauge);
        let samples = without_starts(samples);
        assert_histograms(2, &encode_whole(&samples, false, gauge), &samples, gauge);
    }

    #[test]
    fn float_histograms_come_back(samples in any_histograms(true), gauge in any::<bool>()) {
        assert_histograms(6, &encode_float(&samples, true, gauge), &samples, gauge);
        let samples = without_starts(samples);
        assert_histograms(3, &encode_float(&samples, false, gauge), &samples, gauge);
    }

    #[test]
    fn arbitrary_bytes_never_panic_and_never_half_fill_the_batch(
        encoding in 0u8..8,
        data in vec(any::<u8>(), 0..300),
    ) {
        let mut batch = MetricBatch::default();
        let series = batch.add_series([("__name__", "m")]).unwrap();
        match append(encoding, &data, |_| true, series, &mut batch) {
            Ok(points) => prop_assert_eq!(points.taken, batch.points()),
            Err(_) => prop_assert_eq!(batch.points(), 0),
        }
    }

    #[test]
    fn a_flipped_bit_never_panics(samples in any_histograms(false), at in any::<prop::sample::Index>(), bit in 0u8..8) {
        let mut data = encode_whole(&samples, false, false);
        let at = at.index(data.len());
        data[at] ^= 1 << bit;
        let _ = decode(2, &data);
        let _ = decode(3, &data);
    }
}

#[test]
fn a_staleness_marker_ends_a_histogram_without_its_buckets() {
    let span = BucketSpan { offset: 0, length: 2 };
    let first = Histogram {
        count: 3.0,
        sum: 4.5,
        positive_spans: vec![span],
        positive_buckets: vec![1.0, 2.0],
        ..Histogram::default()
    };
    let stale = Histogram { sum: STALE_NAN, ..Histogram::default() };
    let samples = [(1_000, first), (2_000, stale)];
    assert_histograms(2, &encode_whole(&samples, false, false), &samples, false);
}

#[test]
fn points_that_are_not_wanted_are_counted() {
    let data = encode_xor(&[(1_000, 1.0), (2_000, 2.0), (3_000, 3.0)]);
    let mut batch = MetricBatch::default();
    let series = batch.add_series([("__name__", "m")]).unwrap();
    let wanted = Timestamp::from_millis(2_000);
    let points = append(1, &data, |ts| ts != wanted, series, &mut batch).unwrap();
    assert_eq!((points.taken, points.left_out), (2, 1));
}

#[test]
fn a_histogram_that_breaks_a_rule_is_refused_alone() {
    let good = Histogram {
        count: 2.0,
        positive_spans: vec![BucketSpan { offset: 0, length: 1 }],
        positive_buckets: vec![2.0],
        ..Histogram::default()
    };
    let bad = Histogram { count: 9.0, ..good.clone() };
    let data = encode_whole(&[(1_000, good.clone()), (2_000, bad), (3_000, good)], false, false);
    let (points, batch) = decode(2, &data).unwrap();
    assert_eq!((points.taken, points.refused, batch.histograms.len()), (2, 1, 2));
    assert!(points.first_refusal.unwrap().to_string().contains("its count is 9"));
}

#[test]
fn finer_histograms_than_ours_are_reduced() {
    let span = BucketSpan { offset: 1, length: 4 };
    let mut fine = Histogram {
        count: 4.0,
        positive_spans: vec![span],
        positive_buckets: vec![1.0; 4],
        ..Histogram::default()
    };
    fine.schema = 10;
    let (_, batch) = decode(2, &encode_whole(&[(1_000, fine)], false, false)).unwrap();
    let found = &batch.histograms[0].histogram;
    assert_eq!((found.schema, found.positive().collect::<Vec<_>>()), (8, vec![(1, 4.0)]));
}

#[test]
fn a_layout_of_more_buckets_than_bytes_is_refused_before_memory_is_taken() {
    let mut out = header(false, 1, false);
    out.bits(0, 8);
    out.varbit_int(0);
    out.varbit_uint(1);
    out.varbit_uint(u64::from(u32::MAX));
    out.varbit_int(0);
    out.varbit_uint(0);
    let error = decode(2, &out.bytes).unwrap_err();
    assert!(matches!(error, ChunkError::Malformed(_)), "{error}");
}

#[test]
fn an_encoding_of_the_future_is_named() {
    assert_eq!(decode(9, &[0; 10]).unwrap_err(), ChunkError::Encoding(9));
}
