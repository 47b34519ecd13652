//! The same buckets as OpenTelemetry and Prometheus write them.
//!
//! OpenTelemetry: `ExponentialHistogramDataPoint` of the metrics data model; bucket i holds (baseⁱ, baseⁱ⁺¹].
//! Prometheus: native histograms, exponential schemas −4 to 8; bucket i holds (baseⁱ⁻¹, baseⁱ], so its index
//! is one higher; counts are deltas from the bucket before, over spans that skip empty buckets.

use super::counts::Counts;
use super::{HistogramError, Layout, LogHistogram, scale};
use crate::merge::{Max, Min};

/// Buckets in OpenTelemetry's form.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ExponentialBuckets {
    /// −10 to 20; the base is 2^(2^−scale).
    pub scale: i32,
    /// The magnitude up to which values counted as zero.
    pub zero_threshold: f64,
    /// How many values counted as zero.
    pub zero_count: u64,
    /// Values above zero.
    pub positive: OffsetCounts,
    /// Values below zero, by magnitude.
    pub negative: OffsetCounts,
    /// The sum of all values, where known.
    pub sum: Option<f64>,
    /// The smallest value, where known.
    pub min: Option<f64>,
    /// The largest value, where known.
    pub max: Option<f64>,
}

/// Counts of the buckets from `offset` on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OffsetCounts {
    /// The index of the first count's bucket.
    pub offset: i32,
    /// One count a bucket.
    pub counts: Vec<u64>,
}

/// Buckets in Prometheus' form, with integer counts.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct NativeBuckets {
    /// −4 to 8; the base is 2^(2^−schema).
    pub schema: i32,
    /// The magnitude up to which values counted as zero.
    pub zero_threshold: f64,
    /// How many values counted as zero.
    pub zero_count: u64,
    /// Values above zero.
    pub positive: SpanDeltas,
    /// Values below zero, by magnitude.
    pub negative: SpanDeltas,
    /// The sum of all values.
    pub sum: f64,
}

/// Runs of neighbouring buckets, and for each bucket the difference of its count from the one before.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SpanDeltas {
    /// Where the runs lie.
    pub spans: Vec<Span>,
    /// One difference a bucket, over all spans; the first is a count.
    pub deltas: Vec<i64>,
}

/// A run of neighbouring buckets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// Of the first span, the index of its first bucket; of others, how many buckets are skipped since the
    /// span before.
    pub offset: i32,
    /// How many buckets.
    pub length: u32,
}

/// The scales of OpenTelemetry that are exact in 64-bit arithmetic.
const EXPONENTIAL_SCALES: std::ops::RangeInclusive<i32> = Layout::MIN_SCALE..=20;
/// The exponential schemas of Prometheus.
const NATIVE_SCHEMAS: std::ops::RangeInclusive<i32> = -4..=8;
/// Up to this many empty buckets cost less as zero counts than as a new span.
const MAX_EMPTY_WITHIN_SPAN: i64 = 2;

impl LogHistogram {
    /// Takes in OpenTelemetry's form, into at most `max_buckets` for each sign.
    ///
    /// Counts are kept exactly. A scale above 8, or a range too wide for `max_buckets`, is lowered. Where the
    /// smallest and largest value are not given, the bounds of the outermost buckets stand in; where the sum
    /// is not, an estimate from the buckets.
    pub fn from_exponential(
        from: &ExponentialBuckets,
        max_buckets: usize,
    ) -> Result<LogHistogram, HistogramError> {
        check_scale(from.scale, &EXPONENTIAL_SCALES)?;
        let sparse = |side: &OffsetCounts| -> Vec<(i64, u64)> {
            let indices = i64::from(side.offset)..;
            indices.zip(side.counts.iter().copied()).filter(|&(_, count)| count > 0).collect()
        };
        let (positive, negative) = (sparse(&from.positive), sparse(&from.negative));
        let mut histogram = LogHistogram::from_buckets(
            from.scale,
            max_buckets,
            (from.zero_threshold, from.zero_count),
            &positive,
            &negative,
        )?;
        histogram.set_known(from.sum, from.min, from.max);
        Ok(histogram)
    }

    /// OpenTelemetry's form; nothing is lost.
    pub fn to_exponential(&self) -> ExponentialBuckets {
        let dense = |side: &Counts| {
            let Some((first, last)) = side.ends() else { return OffsetCounts::default() };
            let mut counts = vec![0; (last - first) as usize + 1];
            for (index, count) in side.iter() {
                counts[(index - first) as usize] = count;
            }
            OffsetCounts { offset: first, counts }
        };
        ExponentialBuckets {
            scale: self.scale,
            zero_threshold: self.layout.zero_threshold,
            zero_count: self.zero,
            positive: dense(&self.positive),
            negative: dense(&self.negative),
            sum: Some(self.sum()),
            min: self.min(),
            max: self.max(),
        }
    }

    /// Takes in Prometheus' form, into at most `max_buckets` for each sign; see
    /// [`from_exponential`](LogHistogram::from_exponential).
    pub fn from_native(from: &NativeBuckets, max_buckets: usize) -> Result<LogHistogram, HistogramError> {
        check_scale(from.schema, &NATIVE_SCHEMAS)?;
        let (positive, negative) = (read_spans(&from.positive)?, read_spans(&from.negative)?);
        let mut histogram = LogHistogram::from_buckets(
            from.schema,
            max_buckets,
            (from.zero_threshold, from.zero_count),
            &positive,
            &negative,
        )?;
        histogram.set_known(Some(from.sum), None, None);
        Ok(histogram)
    }

    /// Prometheus' form. An error if the scale has fallen below −4, which Prometheus has no schema for.
    pub fn to_native(&self) -> Result<NativeBuckets, HistogramError> {
        check_scale(self.scale, &NATIVE_SCHEMAS)?;
        Ok(NativeBuckets {
            schema: self.scale,
            zero_threshold: self.layout.zero_threshold,
            zero_count: self.zero,
            positive: write_spans(&self.positive)?,
            negative: write_spans(&self.negative)?,
            sum: self.sum(),
        })
    }

    fn from_buckets(
        scale: i32,
        max_buckets: usize,
        (zero_threshold, zero_count): (f64, u64),
        positive: &[(i64, u64)],
        negative: &[(i64, u64)],
    ) -> Result<LogHistogram, HistogramError> {
        let layout = Layout::new(scale.min(Layout::MAX_SCALE), max_buckets, zero_threshold)?;
        let mut histogram = LogHistogram::with_layout(layout);
        let range = scale::index_range(scale);
        for &(index, count) in positive.iter().chain(negative) {
            // Prometheus gives infinities a bucket beyond that of the largest float.
            if index < *range.start() || index > *range.end() + 1 {
                return Err(HistogramError::Index { index, scale });
            }
            histogram.count = histogram.count.saturating_add(count);
        }
        histogram.zero = zero_count;
        histogram.count = histogram.count.saturating_add(zero_count);
        let halvings = scale - layout.scale;
        let kept = |index: i64, lowered: i32| (index.min(*range.end()) >> halvings >> lowered) as i32;
        // The scale is settled by the outermost buckets, before memory is taken for what lies between.
        let fits = |side: &[(i64, u64)], lowered: i32| match (side.first(), side.last()) {
            (Some(&(first, _)), Some(&(last, _))) => {
                ((kept(last, lowered) - kept(first, lowered)) as usize) < max_buckets
            }
            _ => true,
        };
        let mut lowered = 0;
        while layout.scale - lowered > Layout::MIN_SCALE
            && !(fits(positive, lowered) && fits(negative, lowered))
        {
            lowered += 1;
        }
        histogram.scale = layout.scale - lowered;
        for (side, counts) in [(positive, &mut histogram.positive), (negative, &mut histogram.negative)] {
            for &(index, count) in side {
                counts.add(kept(index, lowered), count);
            }
        }
        Ok(histogram)
    }

    /// Sets what the buckets don't say, from what is known and fits them, else from their bounds.
    fn set_known(&mut self, sum: Option<f64>, min: Option<f64>, max: Option<f64>) {
        let (Some(lowest), Some(highest)) = (self.buckets().next(), self.buckets().last()) else { return };
        let min = min.filter(|min| (lowest.lower..=lowest.upper).contains(min));
        let max = max.filter(|max| (highest.lower..=highest.upper).contains(max));
        let min = min.unwrap_or(lowest.lower.max(f64::MIN));
        let max = max.filter(|&max| max >= min).unwrap_or(highest.upper.min(f64::MAX));
        self.min = Min(Some(min));
        self.max = Max(Some(max));
        match sum {
            Some(sum) => self.sum.add(sum),
            None => {
                let estimates: Vec<f64> =
                    self.buckets().map(|bucket| self.estimate(&bucket) * bucket.count as f64).collect();
                estimates.into_iter().for_each(|estimate| self.sum.add(estimate));
            }
        }
    }
}

fn check_scale(scale: i32, allowed: &std::ops::RangeInclusive<i32>) -> Result<(), HistogramError> {
    if allowed.contains(&scale) {
        Ok(())
    } else {
        Err(HistogramError::Scale { scale, lowest: *allowed.start(), highest: *allowed.end() })
    }
}

/// The populated buckets, ascending, by OpenTelemetry's index.
fn read_spans(side: &SpanDeltas) -> Result<Vec<(i64, u64)>, HistogramError> {
    let claimed: u64 = side.spans.iter().map(|span| u64::from(span.length)).sum();
    if claimed != side.deltas.len() as u64 {
        return Err(HistogramError::SpansMismatch { claimed, deltas: side.deltas.len() });
    }
    let mut buckets = Vec::with_capacity(side.deltas.len());
    let mut deltas = side.deltas.iter().enumerate();
    let mut index = -1i64;
    let mut count = 0i64;
    for (position, span) in side.spans.iter().enumerate() {
        if position > 0 && span.offset < 0 {
            return Err(HistogramError::SpanOrder { position });
        }
        index += i64::from(span.offset);
        for (position, &delta) in deltas.by_ref().take(span.length as usize) {
            count = count.checked_add(delta).ok_or(HistogramError::Count { position })?;
            let bucket = u64::try_from(count).map_err(|_| HistogramError::Count { position })?;
            if bucket > 0 {
                buckets.push((index, bucket));
            }
            index += 1;
        }
    }
    Ok(buckets)
}

fn write_spans(side: &Counts) -> Result<SpanDeltas, HistogramError> {
    let mut written = SpanDeltas::default();
    let mut next = 0i64;
    let mut before = 0i64;
    for (index, count) in side.iter() {
        let native_index = i64::from(index) + 1;
        let empty = native_index - next;
        match written.spans.last_mut() {
            Some(span) if empty <= MAX_EMPTY_WITHIN_SPAN => {
                for _ in 0..empty {
                    written.deltas.push(-before);
                    before = 0;
                }
                span.length += empty as u32 + 1;
            }
            _ => written.spans.push(Span { offset: empty as i32, length: 1 }),
        }
        let position = written.deltas.len();
        let count = i64::try_from(count).map_err(|_| HistogramError::Count { position })?;
        written.deltas.push(count - before);
        before = count;
        next = native_index + 1;
    }
    Ok(written)
}
