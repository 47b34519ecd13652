//! Bringing two histograms to the same buckets.

use std::collections::BTreeMap;

use kandela_model::{Histogram, ResetHint};

use super::bucket::{exponential_bound, is_custom};
use super::kahan::Compensated;

/// What an addition or a subtraction may have to tell the user.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[must_use = "the user is warned of what it says"]
pub struct Addition {
    /// One side says that its counts started again, the other that they did not. Prometheus warns "conflicting counter
    /// resets during histogram" and names the operation.
    pub reset_conflict: bool,
    /// Custom bounds differed, and only the common ones are left. Prometheus informs "mismatched custom buckets were
    /// reconciled during" and names the operation.
    pub bounds_reconciled: bool,
}

impl Addition {
    /// What two operations have to tell together.
    pub fn and(self, other: Self) -> Self {
        Self {
            reset_conflict: self.reset_conflict || other.reset_conflict,
            bounds_reconciled: self.bounds_reconciled || other.bounds_reconciled,
        }
    }
}

/// One histogram has an exponential schema and the other custom bounds, so nothing can be computed from both. Leave the
/// element out and warn.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("vector contains a mix of histograms with exponential and custom buckets schemas")]
pub struct MixedSchemas;

/// A count that grows.
pub(super) trait Cell: Copy {
    fn of(count: f64) -> Self;
    fn plus(self, count: f64) -> Self;
    fn join(self, other: Self) -> Self;
    fn is_populated(self) -> bool;
}

impl Cell for f64 {
    fn of(count: f64) -> Self {
        count
    }

    fn plus(self, count: f64) -> Self {
        self + count
    }

    fn join(self, other: Self) -> Self {
        self + other
    }

    fn is_populated(self) -> bool {
        self != 0.0
    }
}

impl Cell for Compensated {
    fn of(sum: f64) -> Self {
        Self { sum, lost: 0.0 }
    }

    fn plus(self, count: f64) -> Self {
        Self::plus(self, count)
    }

    fn join(self, other: Self) -> Self {
        Self::plus(Self::plus(self, other.sum), other.lost)
    }

    fn is_populated(self) -> bool {
        self.sum != 0.0
    }
}

/// The counts of one sign by bucket index.
pub(super) type Side<C> = BTreeMap<i64, C>;

/// A histogram taken apart, so that its buckets can move.
#[derive(Clone, Debug)]
pub(super) struct Layout<C> {
    pub(super) schema: i8,
    pub(super) custom_bounds: Vec<f64>,
    pub(super) zero_threshold: f64,
    pub(super) count: C,
    pub(super) sum: C,
    pub(super) zero_count: C,
    pub(super) positive: Side<C>,
    pub(super) negative: Side<C>,
    custom: bool,
}

impl<C: Cell> Layout<C> {
    pub(super) fn of(histogram: &Histogram) -> Self {
        let cells = |(index, count)| (index, C::of(count));
        Self {
            schema: histogram.schema,
            custom_bounds: histogram.custom_bounds.clone(),
            zero_threshold: histogram.zero_threshold,
            count: C::of(histogram.count),
            sum: C::of(histogram.sum),
            zero_count: C::of(histogram.zero_count),
            positive: histogram.positive().map(cells).collect(),
            negative: histogram.negative().map(cells).collect(),
            custom: is_custom(histogram),
        }
    }

    /// Adds `sign` times what `other` holds and says whether custom bounds had to be reconciled.
    pub(super) fn absorb(&mut self, other: &Histogram, sign: f64) -> Result<bool, MixedSchemas> {
        if self.custom != is_custom(other) {
            return Err(MixedSchemas);
        }
        self.count = self.count.plus(sign * other.count);
        self.sum = self.sum.plus(sign * other.sum);
        let signed = |(index, count)| (index, sign * count);
        if self.schema == other.schema
            && self.zero_threshold == other.zero_threshold
            && self.custom_bounds == other.custom_bounds
        {
            self.zero_count = self.zero_count.plus(sign * other.zero_count);
            add_side(&mut self.positive, other.positive().map(signed));
            add_side(&mut self.negative, other.negative().map(signed));
            return Ok(false);
        }
        let mut other = Layout::<f64>::of(other);
        if self.custom {
            let common = common_bounds(&self.custom_bounds, &other.custom_bounds);
            self.rebin(&common);
            other.rebin(&common);
        } else {
            let threshold = common_zero_threshold(self, &other);
            self.widen_zero(threshold);
            other.widen_zero(threshold);
            let schema = self.schema.min(other.schema);
            self.coarsen(schema);
            other.coarsen(schema);
        }
        self.zero_count = self.zero_count.plus(sign * other.zero_count);
        add_side(&mut self.positive, other.positive.into_iter().map(signed));
        add_side(&mut self.negative, other.negative.into_iter().map(signed));
        Ok(self.custom)
    }

    /// Joins neighbours until the resolution is that of `schema`.
    pub(super) fn coarsen(&mut self, schema: i8) {
        if schema >= self.schema {
            return;
        }
        let halvings = u32::from(self.schema.abs_diff(schema));
        let coarser = |index: i64| ((index - 1) >> halvings) + 1;
        self.positive = moved(&self.positive, coarser);
        self.negative = moved(&self.negative, coarser);
        self.schema = schema;
    }

    /// Joins custom buckets until only the bounds in `common` are left, all of which it has.
    pub(super) fn rebin(&mut self, common: &[f64]) {
        let old = std::mem::replace(&mut self.custom_bounds, common.to_vec());
        self.positive = moved(&self.positive, |index| {
            let upper = usize::try_from(index).ok().and_then(|index| old.get(index));
            let target = upper.map_or(common.len(), |upper| common.partition_point(|bound| bound < upper));
            i64::try_from(target).unwrap_or(i64::MAX)
        });
    }

    /// The threshold of at least `wanted` that cuts no populated bucket in two.
    pub(super) fn uncut_zero_threshold(&self, wanted: f64) -> f64 {
        if wanted == self.zero_threshold {
            return wanted;
        }
        let mut threshold = wanted;
        // Growing to the end of a bucket on one side may cut a bucket on the other.
        while let Some(upper) = self.cut_at(threshold) {
            threshold = upper;
        }
        threshold
    }

    /// The upper bound of a populated bucket that `threshold` lies within.
    fn cut_at(&self, threshold: f64) -> Option<f64> {
        self.positive.iter().chain(&self.negative).filter(|(_, cell)| cell.is_populated()).find_map(
            |(&index, _)| {
                let upper = exponential_bound(self.schema, index);
                let lower = exponential_bound(self.schema, index - 1);
                (lower < threshold && threshold < upper).then_some(upper)
            },
        )
    }

    /// Moves the buckets within `threshold` into the zero bucket.
    pub(super) fn widen_zero(&mut self, threshold: f64) {
        if threshold == self.zero_threshold {
            return;
        }
        for side in [&mut self.positive, &mut self.negative] {
            side.retain(|&index, cell| {
                let outside = exponential_bound(self.schema, index - 1) >= threshold;
                if !outside {
                    self.zero_count = self.zero_count.join(*cell);
                }
                outside
            });
        }
        self.zero_threshold = threshold;
    }

    /// Puts the histogram together again, `value` being what a cell holds. Empty buckets vanish.
    pub(super) fn put_together(&self, reset_hint: ResetHint, value: impl Fn(C) -> f64) -> Histogram {
        let values = |side: &Side<C>| side.iter().map(|(&index, &cell)| (index, value(cell))).collect();
        let mut whole = Histogram {
            schema: self.schema,
            count: value(self.count),
            sum: value(self.sum),
            zero_threshold: self.zero_threshold,
            zero_count: value(self.zero_count),
            custom_bounds: self.custom_bounds.clone(),
            is_float: true,
            reset_hint,
            ..Histogram::default()
        };
        whole.set_positive(&values(&self.positive));
        whole.set_negative(&values(&self.negative));
        whole
    }
}

/// Adds counts that come by ascending index.
fn add_side<C: Cell>(side: &mut Side<C>, more: impl Iterator<Item = (i64, f64)>) {
    let mut missing = Vec::new();
    let mut cells = side.iter_mut().peekable();
    for (index, count) in more {
        while cells.next_if(|(at, _)| **at < index).is_some() {}
        match cells.next_if(|(at, _)| **at == index) {
            Some((_, cell)) => *cell = cell.plus(count),
            None => missing.push((index, C::of(count))),
        }
    }
    side.extend(missing);
}

/// The bounds that both have; both ascend.
pub(super) fn common_bounds(left: &[f64], right: &[f64]) -> Vec<f64> {
    let mut rest = right.iter().peekable();
    left.iter()
        .filter(|bound| {
            while rest.next_if(|other| other < bound).is_some() {}
            rest.next_if(|other| other == bound).is_some()
        })
        .copied()
        .collect()
}

/// The smallest threshold that covers both zero buckets and cuts no populated bucket of either; where they agree
/// already, that one (`reconcileZeroBuckets` of Prometheus).
fn common_zero_threshold<C: Cell>(left: &Layout<C>, right: &Layout<f64>) -> f64 {
    let mut threshold = left.zero_threshold.max(right.zero_threshold);
    if left.zero_threshold == right.zero_threshold {
        return threshold;
    }
    loop {
        let wider = right.uncut_zero_threshold(left.uncut_zero_threshold(threshold));
        if wider > threshold {
            threshold = wider;
        } else {
            return threshold;
        }
    }
}

fn moved<C: Cell>(side: &Side<C>, to: impl Fn(i64) -> i64) -> Side<C> {
    let mut joined = Side::new();
    for (&index, &cell) in side {
        joined.entry(to(index)).and_modify(|there: &mut C| *there = there.join(cell)).or_insert(cell);
    }
    joined
}

/// The hint of a sum (or difference), and whether its parts contradict each other (`adjustCounterReset` of Prometheus).
pub(super) fn joint_hint(left: ResetHint, right: ResetHint) -> (ResetHint, bool) {
    use ResetHint::{Gauge, NotReset, Reset, Unknown};
    match (left, right) {
        (Gauge, _) | (_, Gauge) => (Gauge, false),
        (Reset, NotReset) | (NotReset, Reset) => (Unknown, true),
        (left, right) if left == right => (left, false),
        _ => (Unknown, false),
    }
}
