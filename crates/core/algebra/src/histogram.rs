//! The one latency type: a log-bucketed histogram whose counts merge exactly.
//!
//! Buckets grow by a constant factor, base = 2^(2^−scale), so a quantile is known to a constant share of
//! itself, whatever the range of the values; see [`LogHistogram::relative_error`]. Buckets of OpenTelemetry
//! exponential histograms and of Prometheus native histograms are the same buckets: what comes in goes out
//! again count for count.
//!
//! The number of buckets is bounded. Values that would need more lower the scale for all: neighbouring
//! buckets become one, and the error that is stated grows accordingly. The scale reached depends only on the
//! smallest and largest magnitudes, never on the order in which they came, which is what makes merging exact.

mod counts;
mod interchange;
mod quantile;
mod scale;

use std::fmt;

use crate::merge::{Approximate, Commutative, FloatSum, Max, Merge, Min, Summary};
use counts::Counts;
pub use interchange::{ExponentialBuckets, NativeBuckets, OffsetCounts, Span, SpanDeltas};
pub use quantile::{Bucket, Distribution};

/// How fine a histogram starts out, and how large it may grow.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Layout {
    scale: i32,
    max_buckets: usize,
    zero_threshold: f64,
}

impl Layout {
    /// The finest scale, 256 buckets for each doubling: a relative error of 0.14 %.
    pub const MAX_SCALE: i32 = scale::MAX_SCALE;
    /// The coarsest scale, at which any value fits into a handful of buckets.
    pub const MIN_SCALE: i32 = scale::MIN_SCALE;
    /// The fewest buckets that a histogram can be held to: what the coarsest scale may need.
    pub const MIN_BUCKETS: usize = 4;

    /// Starts at `scale`, holds at most `max_buckets` for each sign, and counts values within
    /// ±`zero_threshold` as zero.
    pub fn new(scale: i32, max_buckets: usize, zero_threshold: f64) -> Result<Layout, HistogramError> {
        if !(Self::MIN_SCALE..=Self::MAX_SCALE).contains(&scale) {
            return Err(HistogramError::Scale { scale, lowest: Self::MIN_SCALE, highest: Self::MAX_SCALE });
        }
        if max_buckets < Self::MIN_BUCKETS {
            return Err(HistogramError::TooFewBuckets { max_buckets });
        }
        if !(zero_threshold >= 0.0 && zero_threshold.is_finite()) {
            return Err(HistogramError::ZeroThreshold { zero_threshold });
        }
        Ok(Layout { scale, max_buckets, zero_threshold })
    }

    /// The coarsest scale whose relative error is at most `error` (0.01 is 1 %), held for as long as
    /// `max_buckets` suffice.
    pub fn for_relative_error(error: f64, max_buckets: usize) -> Result<Layout, HistogramError> {
        let scale = (Self::MIN_SCALE..=Self::MAX_SCALE).find(|&scale| scale::relative_error(scale) <= error);
        let scale = scale.ok_or(HistogramError::RelativeError { error })?;
        Layout::new(scale, max_buckets, 0.0)
    }
}

impl Default for Layout {
    /// The finest scale, and 160 buckets for each sign, as in OpenTelemetry's SDKs: four decades to within
    /// 4.3 %.
    fn default() -> Self {
        Layout { scale: Self::MAX_SCALE, max_buckets: 160, zero_threshold: 0.0 }
    }
}

/// Counts of values in buckets that grow by a constant factor.
///
/// As a [`Merge`], all but [`sum`](LogHistogram::sum) is exact (see
/// [`same_counts`](LogHistogram::same_counts)); the sum is [`Approximate`]. A merge takes the coarser of both
/// layouts, so `empty` fits what it was asked of. If zero thresholds differ, the zero bucket is widened until
/// both sides agree, as Prometheus does; how far may then depend on the order of merges.
#[derive(Clone, Debug, PartialEq)]
pub struct LogHistogram {
    layout: Layout,
    scale: i32,
    count: u64,
    zero: u64,
    positive: Counts,
    negative: Counts,
    sum: FloatSum,
    min: Min,
    max: Max,
}

impl Default for LogHistogram {
    fn default() -> Self {
        LogHistogram::new()
    }
}

impl LogHistogram {
    /// An empty histogram of the default [`Layout`].
    pub fn new() -> LogHistogram {
        LogHistogram::with_layout(Layout::default())
    }

    /// An empty histogram.
    pub fn with_layout(layout: Layout) -> LogHistogram {
        LogHistogram {
            layout,
            scale: layout.scale,
            count: 0,
            zero: 0,
            positive: Counts::default(),
            negative: Counts::default(),
            sum: FloatSum::default(),
            min: Min::default(),
            max: Max::default(),
        }
    }

    /// Counts one value. NaN is no measurement and is not counted; an infinity counts into the outermost
    /// bucket.
    #[inline]
    pub fn record(&mut self, value: f64) {
        self.record_n(value, 1);
    }

    /// Counts a value `n` times. Counts stop at `u64::MAX`.
    #[inline]
    pub fn record_n(&mut self, value: f64, n: u64) {
        if value.is_nan() || n == 0 {
            return;
        }
        self.count = self.count.saturating_add(n);
        self.sum.add(value * n as f64);
        self.min.add(value);
        self.max.add(value);
        let magnitude = value.abs();
        if magnitude <= self.layout.zero_threshold {
            self.zero = self.zero.saturating_add(n);
            return;
        }
        let finest = scale::index(magnitude);
        let side = if value > 0.0 { &mut self.positive } else { &mut self.negative };
        if !side.add_within(finest >> (scale::MAX_SCALE - self.scale), n) {
            self.record_outside(finest, value > 0.0, n);
        }
    }

    #[cold]
    fn record_outside(&mut self, finest: i32, is_positive: bool, n: u64) {
        let mut outside = Counts::default();
        outside.add(finest, n);
        let nothing = Counts::default();
        let (positive, negative) = if is_positive { (&outside, &nothing) } else { (&nothing, &outside) };
        self.add_counts(positive, negative, scale::MAX_SCALE);
    }

    /// The bucket of a magnitude above zero at `scale`, at most [`Layout::MAX_SCALE`]: its index in [`ExponentialBuckets`]. For
    /// recorders that keep counts of their own and fold them in by [`LogHistogram::from_exponential`].
    #[inline]
    pub fn bucket_index(magnitude: f64, scale: i32) -> i32 {
        scale::index(magnitude) >> (scale::MAX_SCALE - scale)
    }

    /// Adds counts of `scale`, lowering the own scale as far as the bound on buckets and `scale` demand.
    fn add_counts(&mut self, positive: &Counts, negative: &Counts, scale: i32) {
        let mut target = self.scale.min(scale);
        let fits = |target: i32, held: &Counts, more: &Counts| {
            let held = held.ends().map(|ends| shift_right(ends, self.scale - target));
            let more = more.ends().map(|ends| shift_right(ends, scale - target));
            let (first, last) = match (held, more) {
                (Some(a), Some(b)) => (a.0.min(b.0), a.1.max(b.1)),
                (Some(ends), None) | (None, Some(ends)) => ends,
                (None, None) => return true,
            };
            ((last - first) as usize) < self.layout.max_buckets
        };
        while target > Layout::MIN_SCALE
            && !(fits(target, &self.positive, positive) && fits(target, &self.negative, negative))
        {
            target -= 1;
        }
        self.coarsen_to(target);
        let halvings = (scale - target) as u32;
        self.positive.merge_from(positive, halvings);
        self.negative.merge_from(negative, halvings);
    }

    /// Lowers the scale to `scale`, if it is above.
    fn coarsen_to(&mut self, scale: i32) {
        let halvings = (self.scale - scale).max(0) as u32;
        self.positive.coarsen(halvings);
        self.negative.coarsen(halvings);
        self.scale -= halvings as i32;
    }

    /// Widens the zero buckets of both, which have one scale, to the least common threshold that cuts through
    /// no bucket of the one whose own threshold was lower.
    fn agree_on_zero(&mut self, other: &mut LogHistogram) {
        let mut threshold = self.layout.zero_threshold.max(other.layout.zero_threshold);
        while let Some(wider) =
            [&*self, &*other].into_iter().find_map(|side| side.end_of_cut_bucket(threshold))
        {
            threshold = wider;
        }
        self.widen_zero(threshold);
        other.widen_zero(threshold);
    }

    /// The upper bound of the populated bucket that `threshold` cuts, if the own threshold is below it.
    fn end_of_cut_bucket(&self, threshold: f64) -> Option<f64> {
        if self.layout.zero_threshold >= threshold {
            return None;
        }
        let index = scale::index(threshold) >> (scale::MAX_SCALE - self.scale);
        let upper = scale::bound(i64::from(index) + 1, self.scale).min(f64::MAX);
        let is_populated = self.positive.iter().chain(self.negative.iter()).any(|(held, _)| held == index);
        (is_populated && threshold < upper).then_some(upper)
    }

    fn widen_zero(&mut self, threshold: f64) {
        let scale = self.scale;
        let within = |index: i32| scale::bound(i64::from(index) + 1, scale).min(f64::MAX) <= threshold;
        if self.layout.zero_threshold < threshold {
            let taken = self.positive.take_where(within).saturating_add(self.negative.take_where(within));
            self.zero = self.zero.saturating_add(taken);
            self.layout.zero_threshold = threshold;
        }
    }

    /// How many values were counted.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// The sum of all values, to within float rounding.
    pub fn sum(&self) -> f64 {
        self.sum.value()
    }

    /// The smallest value; of buckets that came without one, the bound that no value lies below.
    pub fn min(&self) -> Option<f64> {
        self.min.0
    }

    /// The largest value; of buckets that came without one, the bound that no value lies above.
    pub fn max(&self) -> Option<f64> {
        self.max.0
    }

    /// The current scale: the base of the buckets is 2^(2^−scale).
    pub fn scale(&self) -> i32 {
        self.scale
    }

    /// The magnitude up to which values count as zero.
    pub fn zero_threshold(&self) -> f64 {
        self.layout.zero_threshold
    }

    /// How far [`quantile`](LogHistogram::quantile) may lie from the true value, as a share of that value, at
    /// the current scale.
    ///
    /// (base − 1)/(base + 1): 0.0014 at scale 8, 0.022 at scale 4, 0.33 at scale 0. It holds for magnitudes
    /// that are normal floats, up to rounding; values within the zero threshold are off by at most that
    /// threshold.
    pub fn relative_error(&self) -> f64 {
        scale::relative_error(self.scale)
    }

    /// Whether everything but the sum is equal: what merging keeps exactly.
    pub fn same_counts(&self, other: &LogHistogram) -> bool {
        LogHistogram { sum: other.sum, ..self.clone() } == *other
    }
}

fn shift_right((first, last): (i32, i32), halvings: i32) -> (i32, i32) {
    (first >> halvings, last >> halvings)
}

impl Merge for LogHistogram {
    fn empty(&self) -> Self {
        LogHistogram::with_layout(self.layout)
    }

    fn merge_from(&mut self, other: &Self) {
        self.layout.scale = self.layout.scale.min(other.layout.scale);
        self.layout.max_buckets = self.layout.max_buckets.min(other.layout.max_buckets);
        self.coarsen_to(other.scale);
        if self.layout.zero_threshold == other.layout.zero_threshold {
            self.merge_buckets(other);
        } else {
            let mut other = other.clone();
            other.coarsen_to(self.scale);
            self.agree_on_zero(&mut other);
            self.merge_buckets(&other);
        }
        self.count = self.count.saturating_add(other.count);
        self.sum.merge_from(&other.sum);
        self.min.merge_from(&other.min);
        self.max.merge_from(&other.max);
    }
}

impl LogHistogram {
    fn merge_buckets(&mut self, other: &LogHistogram) {
        self.zero = self.zero.saturating_add(other.zero);
        self.add_counts(&other.positive, &other.negative, other.scale);
    }
}

impl Commutative for LogHistogram {}
impl Approximate for LogHistogram {}

impl Summary for LogHistogram {
    type Item = f64;
    type Out = Option<Distribution>;
    fn lift(&self, item: f64) -> Self {
        let mut lifted = self.empty();
        lifted.record(item);
        lifted
    }
    fn present(&self) -> Option<Distribution> {
        self.distribution()
    }
    fn observe(&mut self, item: f64) {
        self.record(item);
    }
}

/// Why buckets or a layout were refused.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum HistogramError {
    /// The scale (Prometheus: schema) is one that this format has not.
    Scale {
        /// The scale given.
        scale: i32,
        /// The lowest allowed.
        lowest: i32,
        /// The highest allowed.
        highest: i32,
    },
    /// Too few buckets for the coarsest scale.
    TooFewBuckets {
        /// The bound given.
        max_buckets: usize,
    },
    /// The zero threshold is negative, infinite or NaN.
    ZeroThreshold {
        /// The threshold given.
        zero_threshold: f64,
    },
    /// No scale has an error this small.
    RelativeError {
        /// The error asked for.
        error: f64,
    },
    /// The spans claim another number of buckets than there are deltas.
    SpansMismatch {
        /// Buckets that the spans claim.
        claimed: u64,
        /// Deltas given.
        deltas: usize,
    },
    /// The deltas add up to a count below zero, or beyond 64 bits.
    Count {
        /// The position of the delta, from zero.
        position: usize,
    },
    /// A populated bucket lies outside the range of 64-bit floats.
    Index {
        /// The bucket's index in its format.
        index: i64,
        /// The scale at which it has this index.
        scale: i32,
    },
    /// A span starts before the end of the one in front.
    SpanOrder {
        /// The position of the span, from zero.
        position: usize,
    },
}

impl fmt::Display for HistogramError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            HistogramError::Scale { scale, lowest, highest } => {
                write!(f, "histogram scale {scale} is out of range; use {lowest} to {highest}")
            }
            HistogramError::TooFewBuckets { max_buckets } => write!(
                f,
                "{max_buckets} buckets cannot hold every value; allow at least {}",
                Layout::MIN_BUCKETS
            ),
            HistogramError::ZeroThreshold { zero_threshold } => {
                write!(f, "zero threshold {zero_threshold} is not usable; give a finite number from 0 up")
            }
            HistogramError::RelativeError { error } => write!(
                f,
                "no histogram has a relative error of {error}; the finest has {:.5}",
                scale::relative_error(Layout::MAX_SCALE)
            ),
            HistogramError::SpansMismatch { claimed, deltas } => write!(
                f,
                "histogram spans claim {claimed} buckets but {deltas} deltas follow; the sender must give one a bucket"
            ),
            HistogramError::Count { position } => {
                write!(f, "histogram delta {position} leads to a count below zero or beyond 64 bits")
            }
            HistogramError::Index { index, scale } => {
                write!(f, "histogram bucket {index} at scale {scale} lies outside the range of 64-bit floats")
            }
            HistogramError::SpanOrder { position } => {
                write!(
                    f,
                    "histogram span {position} starts before the span in front of it ends; give an offset from 0 up"
                )
            }
        }
    }
}

impl std::error::Error for HistogramError {}
