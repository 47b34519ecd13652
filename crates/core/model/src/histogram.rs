//! Native histograms as Prometheus has them.

use std::collections::BTreeMap;
use std::fmt;

use crate::Timestamp;
use crate::sample::is_stale;

/// The schema number of a histogram whose bucket bounds are listed instead of computed.
pub const CUSTOM_BOUNDS_SCHEMA: i8 = -53;

/// A sparse histogram. Bucket `i` of schema `s` holds values in `(2^(2^-s))^(i-1) < v <= (2^(2^-s))^i`; with
/// [`CUSTOM_BOUNDS_SCHEMA`], bucket `i` holds `bounds[i-1] < v <= bounds[i]`. Counts are absolute, and whole numbers unless
/// `is_float`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Histogram {
    /// Resolution: −4 (coarse) to 8 (fine), or [`CUSTOM_BOUNDS_SCHEMA`].
    pub schema: i8,
    /// How many values were observed.
    pub count: f64,
    /// Their sum. The staleness marker here ends the series.
    pub sum: f64,
    /// Values of at most this magnitude count as zero.
    pub zero_threshold: f64,
    /// How many counted as zero.
    pub zero_count: f64,
    /// Where the positive buckets lie.
    pub positive_spans: Vec<BucketSpan>,
    /// Their counts.
    pub positive_buckets: Vec<f64>,
    /// Where the negative buckets lie.
    pub negative_spans: Vec<BucketSpan>,
    /// Their counts.
    pub negative_buckets: Vec<f64>,
    /// Ascending upper bounds under [`CUSTOM_BOUNDS_SCHEMA`]; else empty.
    pub custom_bounds: Vec<f64>,
    /// Whether counts may be fractions.
    pub is_float: bool,
    /// Whether the counts may have started again.
    pub reset_hint: ResetHint,
    /// Since when it counts, where known.
    pub start: Option<Timestamp>,
}

/// A run of neighbouring buckets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BucketSpan {
    /// Buckets skipped since the end of the span before; the first span's first index.
    pub offset: i32,
    /// How many buckets.
    pub length: u32,
}

/// What a source says about counter resets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ResetHint {
    /// Nothing.
    #[default]
    Unknown,
    /// The counts started again here.
    Reset,
    /// They did not.
    NotReset,
    /// It is a gauge, for which resets mean nothing.
    Gauge,
}

impl ResetHint {
    /// The number that Prometheus gives it on the wire and that tables keep.
    pub const fn number(self) -> i8 {
        match self {
            Self::Unknown => 0,
            Self::Reset => 1,
            Self::NotReset => 2,
            Self::Gauge => 3,
        }
    }

    /// The hint of this number; unknown numbers say nothing.
    pub const fn from_number(number: i8) -> Self {
        match number {
            1 => Self::Reset,
            2 => Self::NotReset,
            3 => Self::Gauge,
            _ => Self::Unknown,
        }
    }
}

/// Why a histogram was refused; Prometheus refuses the same.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum HistogramError {
    /// The schema is outside −4..8 and not −53.
    Schema(i32),
    /// Spans and buckets disagree in number.
    SpanLength {
        /// Buckets that the spans speak of.
        spans: u64,
        /// Buckets that came.
        buckets: usize,
    },
    /// A span after the first reaches back.
    NegativeOffset(i32),
    /// A bucket count is negative or not a number.
    BadCount(f64),
    /// The buckets hold more, or other, than `count` says.
    CountMismatch {
        /// In the buckets.
        buckets: f64,
        /// In `count`.
        count: f64,
    },
    /// Custom bounds are not ascending and finite, or too few, or stand beside what they exclude.
    CustomBounds(&'static str),
    /// Two histograms cannot be added.
    Incompatible(&'static str),
}

impl fmt::Display for HistogramError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Schema(schema) => {
                write!(f, "histogram schema {schema} is not known; schemas are -4 to 8 and -53")
            }
            Self::SpanLength { spans, buckets } => {
                write!(f, "histogram spans speak of {spans} buckets but {buckets} came")
            }
            Self::NegativeOffset(offset) => {
                write!(f, "histogram span offset {offset} reaches back; only the first may be negative")
            }
            Self::BadCount(count) => write!(f, "histogram bucket count {count} is negative or not a number"),
            Self::CountMismatch { buckets, count } => {
                write!(f, "histogram buckets hold {buckets} observations but its count is {count}")
            }
            Self::CustomBounds(what) => write!(f, "histogram with custom bounds: {what}"),
            Self::Incompatible(what) => write!(f, "histograms cannot be added: {what}"),
        }
    }
}

impl std::error::Error for HistogramError {}

impl Histogram {
    /// Whether this marks the end of its series.
    pub fn is_stale(&self) -> bool {
        is_stale(self.sum)
    }

    /// Checks what every reader relies on, by Prometheus' own rules.
    ///
    /// # Errors
    /// The first rule that is broken.
    pub fn validate(&self) -> Result<(), HistogramError> {
        if self.is_stale() {
            return Ok(());
        }
        if self.schema == CUSTOM_BOUNDS_SCHEMA {
            self.validate_custom_bounds()?;
        } else if !(-4..=8).contains(&self.schema) {
            return Err(HistogramError::Schema(i32::from(self.schema)));
        } else if !self.custom_bounds.is_empty() {
            return Err(HistogramError::CustomBounds("bounds are listed for a schema that computes them"));
        }
        let positive = validate_buckets(&self.positive_spans, &self.positive_buckets)?;
        let negative = validate_buckets(&self.negative_spans, &self.negative_buckets)?;
        if self.zero_count.is_nan() || self.zero_count < 0.0 {
            return Err(HistogramError::BadCount(self.zero_count));
        }
        if self.count.is_nan() || self.count < 0.0 {
            return Err(HistogramError::BadCount(self.count));
        }
        self.validate_count(positive + negative + self.zero_count)
    }

    /// Whole counts must agree; where `sum` is NaN, NaN was observed, and it is in `count` but in no bucket.
    fn validate_count(&self, buckets: f64) -> Result<(), HistogramError> {
        let agrees =
            self.is_float || if self.sum.is_nan() { buckets <= self.count } else { buckets == self.count };
        if agrees { Ok(()) } else { Err(HistogramError::CountMismatch { buckets, count: self.count }) }
    }

    fn validate_custom_bounds(&self) -> Result<(), HistogramError> {
        let error = |what| Err(HistogramError::CustomBounds(what));
        let ascending = self.custom_bounds.windows(2).all(|pair| matches!(pair, [a, b] if a < b));
        if !ascending || self.custom_bounds.iter().any(|bound| !bound.is_finite()) {
            return error("bounds must be finite and ascending");
        }
        if self.zero_count != 0.0 || self.zero_threshold != 0.0 {
            return error("there is no zero bucket");
        }
        if !self.negative_spans.is_empty() || !self.negative_buckets.is_empty() {
            return error("there are no negative buckets");
        }
        let last =
            indexed(&self.positive_spans, &self.positive_buckets).last().map_or(-1, |(index, _)| index);
        if last > i64::try_from(self.custom_bounds.len()).unwrap_or(i64::MAX) {
            return error("a bucket lies past the last bound");
        }
        if self.positive_spans.first().is_some_and(|span| span.offset < 0) {
            return error("a bucket lies before the first bound");
        }
        Ok(())
    }

    /// Heap bytes in use.
    pub fn heap_bytes(&self) -> usize {
        (self.positive_spans.capacity() + self.negative_spans.capacity()) * size_of::<BucketSpan>()
            + (self.positive_buckets.capacity()
                + self.negative_buckets.capacity()
                + self.custom_bounds.capacity())
                * size_of::<f64>()
    }

    /// The positive buckets with their indexes, ascending.
    pub fn positive(&self) -> impl Iterator<Item = (i64, f64)> {
        indexed(&self.positive_spans, &self.positive_buckets)
    }

    /// The negative buckets with the indexes of their magnitudes, ascending.
    pub fn negative(&self) -> impl Iterator<Item = (i64, f64)> {
        indexed(&self.negative_spans, &self.negative_buckets)
    }

    /// Sets the positive buckets from indexed counts; empty ones vanish.
    pub fn set_positive(&mut self, buckets: &BTreeMap<i64, f64>) {
        (self.positive_spans, self.positive_buckets) = spans_of(buckets);
    }

    /// Sets the negative buckets from indexed counts; empty ones vanish.
    pub fn set_negative(&mut self, buckets: &BTreeMap<i64, f64>) {
        (self.negative_spans, self.negative_buckets) = spans_of(buckets);
    }

    /// Adds what `other` observed, at the coarser of the two resolutions and the wider of the two zero buckets. Counts add
    /// exactly while they are whole numbers below 2^53. `start` and `reset_hint` stay this one's.
    ///
    /// # Errors
    /// When only one of them has custom bounds, or the bounds differ.
    pub fn add(&mut self, other: &Self) -> Result<(), HistogramError> {
        let custom = self.schema == CUSTOM_BOUNDS_SCHEMA;
        if custom != (other.schema == CUSTOM_BOUNDS_SCHEMA) {
            return Err(HistogramError::Incompatible("one has custom bounds and the other has not"));
        }
        if custom && self.custom_bounds != other.custom_bounds {
            return Err(HistogramError::Incompatible("their custom bounds differ"));
        }
        let schema = self.schema.min(other.schema);
        let zero_threshold = self.zero_threshold.max(other.zero_threshold);
        let mut zero_count = self.zero_count + other.zero_count;
        let mut sides = [BTreeMap::new(), BTreeMap::new()];
        let parts = [
            (0, self.schema, collect(self.positive())),
            (0, other.schema, collect(other.positive())),
            (1, self.schema, collect(self.negative())),
            (1, other.schema, collect(other.negative())),
        ];
        for (side, from, buckets) in parts {
            for (index, count) in buckets {
                let index = if custom { index } else { coarser(index, from, schema) };
                if !custom && lower_bound(schema, index) < zero_threshold {
                    zero_count += count;
                } else if let Some(side) = sides.get_mut(side) {
                    *side.entry(index).or_insert(0.0) += count;
                }
            }
        }
        let [positive, negative] = sides;
        self.schema = schema;
        self.zero_threshold = zero_threshold;
        self.zero_count = zero_count;
        self.count += other.count;
        self.sum += other.sum;
        self.is_float |= other.is_float;
        self.set_positive(&positive);
        self.set_negative(&negative);
        Ok(())
    }
}

fn collect(buckets: impl Iterator<Item = (i64, f64)>) -> Vec<(i64, f64)> {
    buckets.collect()
}

/// The index at resolution `to` of the bucket that holds bucket `index` of the finer resolution `from`.
fn coarser(index: i64, from: i8, to: i8) -> i64 {
    let halvings = u32::from(from.abs_diff(to));
    ((index - 1) >> halvings) + 1
}

fn lower_bound(schema: i8, index: i64) -> f64 {
    ((index - 1) as f64 * (-f64::from(schema)).exp2()).exp2()
}

fn validate_buckets(spans: &[BucketSpan], buckets: &[f64]) -> Result<f64, HistogramError> {
    if let Some(span) = spans.iter().skip(1).find(|span| span.offset < 0) {
        return Err(HistogramError::NegativeOffset(span.offset));
    }
    let spoken_of: u64 = spans.iter().map(|span| u64::from(span.length)).sum();
    if usize::try_from(spoken_of) != Ok(buckets.len()) {
        return Err(HistogramError::SpanLength { spans: spoken_of, buckets: buckets.len() });
    }
    match buckets.iter().find(|count| count.is_nan() || **count < 0.0) {
        Some(count) => Err(HistogramError::BadCount(*count)),
        None => Ok(buckets.iter().sum()),
    }
}

fn indexed<'a>(spans: &'a [BucketSpan], buckets: &'a [f64]) -> impl Iterator<Item = (i64, f64)> + 'a {
    let mut next = 0i64;
    let indexes = spans.iter().flat_map(move |span| {
        let first = next + i64::from(span.offset);
        next = first + i64::from(span.length);
        first..next
    });
    indexes.zip(buckets.iter().copied())
}

fn spans_of(buckets: &BTreeMap<i64, f64>) -> (Vec<BucketSpan>, Vec<f64>) {
    let mut spans: Vec<BucketSpan> = Vec::new();
    let mut counts = Vec::with_capacity(buckets.len());
    let mut next = 0i64;
    for (&index, &count) in buckets.iter().filter(|(_, count)| **count != 0.0) {
        match spans.last_mut() {
            Some(span) if index == next => span.length += 1,
            _ => {
                spans.push(BucketSpan { offset: i32::try_from(index - next).unwrap_or(i32::MAX), length: 1 });
            }
        }
        counts.push(count);
        next = index + 1;
    }
    (spans, counts)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn histogram(schema: i8, positive: &[(i64, f64)]) -> Histogram {
        let mut histogram = Histogram { schema, ..Histogram::default() };
        histogram.set_positive(&positive.iter().copied().collect());
        histogram.count = positive.iter().map(|(_, count)| count).sum();
        histogram
    }

    #[test]
    fn spans_that_disagree_with_buckets_are_refused() {
        let mut broken = histogram(0, &[(1, 2.0), (5, 1.0)]);
        broken.positive_buckets.pop();
        assert_eq!(broken.validate(), Err(HistogramError::SpanLength { spans: 2, buckets: 1 }));
    }

    #[test]
    fn a_count_that_is_not_in_the_buckets_is_refused() {
        let mut broken = histogram(0, &[(1, 2.0)]);
        broken.count = 5.0;
        assert!(matches!(broken.validate(), Err(HistogramError::CountMismatch { .. })));
        broken.sum = f64::NAN;
        assert_eq!(broken.validate(), Ok(()), "observed NaNs are in no bucket");
    }

    #[test]
    fn adding_at_a_coarser_resolution_joins_neighbours() {
        let mut fine = histogram(1, &[(1, 1.0), (2, 1.0), (3, 1.0)]);
        fine.add(&histogram(0, &[(1, 10.0)])).unwrap();
        assert_eq!(fine.schema, 0);
        assert_eq!(fine.positive().collect::<Vec<_>>(), [(1, 12.0), (2, 1.0)]);
        assert_eq!(fine.count, 13.0);
    }

    #[test]
    fn a_wider_zero_bucket_swallows_what_lies_in_it() {
        let mut small = histogram(0, &[(-3, 2.0), (3, 1.0)]);
        let wide = Histogram { zero_threshold: 0.5, zero_count: 4.0, count: 4.0, ..histogram(0, &[]) };
        small.add(&wide).unwrap();
        assert_eq!(small.zero_count, 6.0);
        assert_eq!(small.positive().collect::<Vec<_>>(), [(3, 1.0)]);
    }

    #[test]
    fn differing_custom_bounds_do_not_add() {
        let custom = |bounds: &[f64]| Histogram {
            schema: CUSTOM_BOUNDS_SCHEMA,
            custom_bounds: bounds.to_vec(),
            ..Histogram::default()
        };
        assert!(custom(&[1.0]).add(&custom(&[2.0])).is_err());
        assert!(custom(&[1.0]).add(&histogram(0, &[])).is_err());
    }

    proptest! {
        #[test]
        fn adding_keeps_every_observation(
            a in proptest::collection::btree_map(-50i64..50, 1u32..100, 0..20),
            b in proptest::collection::btree_map(-50i64..50, 1u32..100, 0..20),
            schemas in (-4i8..=8, -4i8..=8),
        ) {
            let build = |schema, buckets: &BTreeMap<i64, u32>| {
                histogram(schema, &buckets.iter().map(|(i, c)| (*i, f64::from(*c))).collect::<Vec<_>>())
            };
            let (mut left, right) = (build(schemas.0, &a), build(schemas.1, &b));
            left.add(&right).unwrap();
            prop_assert_eq!(left.validate(), Ok(()));
            let total: u32 = a.values().chain(b.values()).sum();
            prop_assert_eq!(left.count, f64::from(total));
        }
    }
}
