//! Samples as the chunks of Prometheus' TSDB, about 120 in one
//! (<https://github.com/prometheus/prometheus/blob/main/tsdb/docs/format/chunks.md>).

mod bits;
mod histogram;
mod xor;

use std::sync::Arc;

use kandela_lake::{TimedHistogram, TimedValues};
use kandela_model::Histogram;

/// Samples in one chunk.
const MOST: usize = 120;
/// Prometheus' number for chunks of floats.
const XOR: u8 = 1;

/// A chunk and the times of its first and last sample in milliseconds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct EncodedChunk {
    pub(super) first: i64,
    pub(super) last: i64,
    /// Prometheus' number for how its samples are laid out.
    pub(super) encoding: u8,
    pub(super) data: Vec<u8>,
}

/// The chunks of one series, in order of their first samples.
pub(super) struct Chunks<'a> {
    times: &'a [i64],
    values: &'a [f64],
    histograms: &'a [TimedHistogram],
}

impl<'a> Chunks<'a> {
    /// Floats and histograms ascend by time, in microseconds; no time stands in both.
    pub(super) fn new((times, values): TimedValues<'a>, histograms: &'a [TimedHistogram]) -> Self {
        Self { times, values, histograms }
    }

    /// Floats up to the next histogram.
    fn floats(&mut self) -> Option<EncodedChunk> {
        let end = self.histograms.first().map_or(i64::MAX, |(at, _)| *at);
        let count = self.times.iter().take(MOST).take_while(|at| **at < end).count();
        let (times, rest) = self.times.split_at(count);
        let (values, rest_values) = self.values.split_at(count);
        (self.times, self.values) = (rest, rest_values);
        let (first, last) = (millis(*times.first()?), millis(*times.last()?));
        let data = xor::encode(times.iter().map(|at| millis(*at)).zip(values.iter().copied()));
        Some(EncodedChunk { first, last, encoding: XOR, data })
    }

    /// Histograms of one layout, up to the next float.
    fn histograms(&mut self) -> Option<EncodedChunk> {
        let end = self.times.first().copied().unwrap_or(i64::MAX);
        let within = self.histograms.iter().take(MOST).take_while(|(at, _)| *at < end).count();
        let candidates = self.histograms.get(..within).unwrap_or_default();
        let joined = candidates.windows(2).take_while(|pair| match pair {
            [(_, before), (_, after)] => histogram::go_together(before, after),
            _ => false,
        });
        let (taken, rest) = self.histograms.split_at((joined.count() + 1).min(within));
        self.histograms = rest;
        let samples: Vec<(i64, &Histogram)> =
            taken.iter().map(|(at, histogram)| (millis(*at), Arc::as_ref(histogram))).collect();
        let ((first, _), (last, _)) = (samples.first()?, samples.last()?);
        let (encoding, data) = histogram::encode(&samples);
        Some(EncodedChunk { first: *first, last: *last, encoding, data })
    }
}

impl Iterator for Chunks<'_> {
    type Item = EncodedChunk;

    fn next(&mut self) -> Option<EncodedChunk> {
        match (self.times.first(), self.histograms.first()) {
            (Some(float), Some((histogram, _))) if histogram < float => self.histograms(),
            (None, Some(_)) => self.histograms(),
            _ => self.floats(),
        }
    }
}

fn millis(micros: i64) -> i64 {
    micros.div_euclid(1_000)
}

#[cfg(test)]
mod tests {
    use kandela_ingest::tsdb::chunk::append;
    use kandela_model::{BucketSpan, CUSTOM_BOUNDS_SCHEMA, MetricBatch, ResetHint, STALE_NAN, is_stale};
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    /// What a reader makes of the chunks.
    fn read(chunks: &[EncodedChunk]) -> MetricBatch {
        let mut batch = MetricBatch::default();
        let series = batch.add_series([("__name__", "x")]).unwrap();
        for chunk in chunks {
            let points = append(chunk.encoding, &chunk.data, |_| true, series, &mut batch).unwrap();
            assert_eq!((points.refused, points.first_refusal), (0, None));
        }
        batch
    }

    fn histogram(counts: &[u32], is_float: bool, custom: bool) -> Histogram {
        let scale = if is_float { 1.5 } else { 1.0 };
        let buckets: Vec<f64> = counts.iter().map(|count| f64::from(*count) * scale).collect();
        let spans = vec![BucketSpan { offset: if custom { 0 } else { -2 }, length: counts.len() as u32 }];
        let zero = if custom { 0.0 } else { 3.0 };
        Histogram {
            schema: if custom { CUSTOM_BOUNDS_SCHEMA } else { 3 },
            count: buckets.iter().sum::<f64>() + zero,
            sum: 0.1 * f64::from(counts.iter().sum::<u32>()),
            zero_threshold: if custom { 0.0 } else { 0.001 },
            zero_count: zero,
            positive_spans: spans,
            positive_buckets: buckets,
            custom_bounds: if custom {
                (0..counts.len()).map(|at| at as f64 + 0.25).collect()
            } else {
                Vec::new()
            },
            is_float,
            ..Histogram::default()
        }
    }

    proptest! {
        #[test]
        fn floats_come_back_to_the_bit(steps in vec((1i64..100_000, any::<u64>()), 0..400)) {
            let mut at = 1_700_000_000_000i64;
            let (mut times, mut values) = (Vec::new(), Vec::new());
            for (step, bits) in steps {
                at += step;
                times.push(at * 1_000);
                values.push(if bits % 3 == 0 { (bits % 100) as f64 } else { f64::from_bits(bits) });
            }
            let chunks: Vec<_> = Chunks::new((&times, &values), &[]).collect();
            prop_assert_eq!(chunks.len(), times.len().div_ceil(MOST));
            let batch = read(&chunks);
            let back: Vec<(i64, u64)> =
                batch.samples.iter().map(|sample| (sample.ts.micros(), sample.value.to_bits())).collect();
            let sent: Vec<(i64, u64)> =
                times.iter().copied().zip(values.iter().map(|value| value.to_bits())).collect();
            prop_assert_eq!(back, sent);
        }

        #[test]
        fn histograms_come_back_with_their_resets(
            rows in vec((vec(0u32..50, 3..4), any::<bool>(), 0..12u8), 1..200),
            custom in any::<bool>(),
        ) {
            let mut sent: Vec<TimedHistogram> = Vec::new();
            for (at, (counts, is_float, kind)) in (1i64..).zip(rows) {
                let mut made = histogram(&counts, is_float && kind > 5, custom);
                match kind {
                    0 => made = Histogram { sum: STALE_NAN, ..Histogram::default() },
                    1 => made.reset_hint = ResetHint::Gauge,
                    2 => made.reset_hint = ResetHint::Reset,
                    _ => {}
                }
                sent.push((at * 15_000_000, Arc::new(made)));
            }
            let chunks: Vec<_> = Chunks::new((&[], &[]), &sent).collect();
            let batch = read(&chunks);
            prop_assert_eq!(batch.histograms.len(), sent.len());
            for (back, (at, one)) in batch.histograms.iter().zip(&sent) {
                prop_assert_eq!(back.ts.micros(), *at);
                if one.is_stale() {
                    prop_assert!(is_stale(back.histogram.sum));
                    continue;
                }
                let hint = back.histogram.reset_hint;
                let gauge = one.reset_hint == ResetHint::Gauge;
                prop_assert_eq!(hint == ResetHint::Gauge, gauge);
                let expected = Histogram { reset_hint: hint, ..Histogram::clone(one) };
                prop_assert_eq!(&back.histogram, &expected);
            }
            for (before, after) in batch.histograms.iter().zip(batch.histograms.iter().skip(1)) {
                if after.histogram.reset_hint == ResetHint::NotReset {
                    let falls = before.histogram.positive_buckets.iter().zip(&after.histogram.positive_buckets)
                        .any(|(before, after)| after < before);
                    prop_assert!(!falls, "a fall is told as none");
                }
            }
        }
    }

    #[test]
    fn a_chunk_of_floats_ends_where_a_histogram_comes() {
        let one = Arc::new(histogram(&[1, 2, 3], false, false));
        let histograms = [(2_500_000, one.clone()), (6_000_000, one)];
        let times: Vec<i64> = (1..=5).map(|second| second * 1_000_000).collect();
        let values = vec![1.0; 5];
        let chunks: Vec<_> = Chunks::new((&times, &values), &histograms).collect();
        let spans: Vec<_> = chunks.iter().map(|chunk| (chunk.first, chunk.last, chunk.encoding)).collect();
        assert_eq!(spans, [(1_000, 2_000, 1), (2_500, 2_500, 2), (3_000, 5_000, 1), (6_000, 6_000, 2)]);
    }
}
