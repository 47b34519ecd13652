//! Aggregations that fold series as they come: what is kept of a group is a value a step, however many series it has.

use std::sync::Arc;

use kandela_algebra::merge::{FloatSum, Merge as _, Moments, Summary as _};
use kandela_model::Histogram;

use super::aggregate::Mean;
use super::annotations::Note;
use super::groups::Groups;
use super::labels;
use super::stream::Stream;
use super::value::{ABSENT, Column, Grid, Point, Series, Value, is_absent};
use super::{Evaluated, Evaluator};
use crate::ast::{Aggregate, AggregateOp, Span};
use crate::histogram::{self, HistogramMean, HistogramSum};

/// The floats of one group so far, a partial aggregate at each step.
enum Floats {
    Count,
    Sum(Vec<FloatSum>),
    Mean(Vec<Mean>),
    Moments(Vec<Moments>),
    /// The smallest or largest so far; NaN only of NaNs alone.
    Extreme(Vec<f64>, fn(f64, f64) -> bool),
}

impl Floats {
    /// Nothing yet; `None` where the aggregation needs all values at once.
    fn new(op: AggregateOp, steps: usize) -> Option<Self> {
        Some(match op {
            AggregateOp::Count | AggregateOp::Group => Self::Count,
            AggregateOp::Sum => Self::Sum(vec![FloatSum::default(); steps]),
            AggregateOp::Avg => Self::Mean(vec![Mean::default(); steps]),
            AggregateOp::Stddev | AggregateOp::Stdvar => Self::Moments(vec![Moments::default(); steps]),
            AggregateOp::Min => Self::Extreme(vec![ABSENT; steps], |new, old| new < old),
            AggregateOp::Max => Self::Extreme(vec![ABSENT; steps], |new, old| new > old),
            _ => return None,
        })
    }

    fn add(&mut self, floats: &[f64]) {
        fn each<T>(at_steps: &mut [T], floats: &[f64], add: impl Fn(&mut T, f64)) {
            let present = at_steps.iter_mut().zip(floats).filter(|(_, value)| !is_absent(**value));
            present.for_each(|(at_step, value)| add(at_step, *value));
        }
        match self {
            Self::Count => {}
            Self::Sum(sums) => each(sums, floats, |sum, value| sum.add(value)),
            Self::Mean(means) => each(means, floats, |mean, value| mean.add(value)),
            Self::Moments(moments) => each(moments, floats, |moments, value| moments.observe(value)),
            Self::Extreme(extremes, better) => each(extremes, floats, |old, new| {
                if is_absent(*old) || better(new, *old) || old.is_nan() && !new.is_nan() {
                    *old = new;
                }
            }),
        }
    }

    fn merge(&mut self, other: Self) {
        fn each<T>(here: &mut [T], there: &[T], merge: impl Fn(&mut T, &T)) {
            here.iter_mut().zip(there).for_each(|(here, there)| merge(here, there));
        }
        match (self, other) {
            (Self::Sum(here), Self::Sum(there)) => each(here, &there, FloatSum::merge_from),
            (Self::Mean(here), Self::Mean(there)) => each(here, &there, Mean::merge_from),
            (Self::Moments(here), Self::Moments(there)) => each(here, &there, Moments::merge_from),
            (here @ Self::Extreme(..), Self::Extreme(there, _)) => here.add(&there),
            _ => {}
        }
    }

    fn value(&self, n: usize, op: AggregateOp) -> Option<f64> {
        match self {
            Self::Count => None,
            Self::Sum(sums) => sums.get(n).map(FloatSum::value),
            Self::Mean(means) => means.get(n).map(|mean| mean.value()),
            Self::Extreme(extremes, _) => extremes.get(n).copied(),
            Self::Moments(moments) => {
                let variance = moments.get(n)?.present()?.variance;
                Some(if op == AggregateOp::Stddev { variance.sqrt() } else { variance })
            }
        }
    }

    fn heap_bytes(&self) -> usize {
        match self {
            Self::Count => 0,
            Self::Sum(sums) => size_of_val(sums.as_slice()),
            Self::Mean(means) => size_of_val(means.as_slice()),
            Self::Moments(moments) => size_of_val(moments.as_slice()),
            Self::Extreme(extremes, _) => size_of_val(extremes.as_slice()),
        }
    }
}

/// A histogram of a group.
struct Addend {
    step: u32,
    /// Which series of the stream has it.
    of: usize,
    histogram: Arc<Histogram>,
}

/// What is kept of one group.
struct Folded {
    drop_name: bool,
    /// How many floats there are at each step.
    counts: Vec<u32>,
    floats: Floats,
    /// Their sum depends on their order, so they are added at the end.
    histograms: Vec<Addend>,
}

impl Folded {
    fn add(&mut self, of: usize, column: &Column, drop_name: bool) {
        self.drop_name |= drop_name;
        for (count, value) in self.counts.iter_mut().zip(&column.floats) {
            *count += u32::from(!is_absent(*value));
        }
        self.floats.add(&column.floats);
        for (n, histogram) in column.histograms.iter().enumerate() {
            let addend =
                |histogram: &Arc<Histogram>| Addend { step: n as u32, of, histogram: histogram.clone() };
            self.histograms.extend(histogram.iter().map(addend));
        }
    }

    fn merge(&mut self, other: Self) {
        self.drop_name |= other.drop_name;
        self.counts.iter_mut().zip(other.counts).for_each(|(here, there)| *here += there);
        self.floats.merge(other.floats);
        self.histograms.extend(other.histograms);
    }
}

/// Whether an aggregation folds.
pub(super) fn folds(op: AggregateOp) -> bool {
    Floats::new(op, 0).is_some()
}

impl Evaluator {
    /// An aggregation that folds.
    pub(super) fn folded(&mut self, aggregate: &Aggregate, grid: Grid) -> Evaluated {
        let Aggregate { op, expr, grouping, .. } = aggregate;
        let stream = self.stream(expr, grid)?;
        let control = self.control.clone();
        let delayed = self.options.delayed_name_removal;
        let pieces = self.fold(
            &*stream,
            grid,
            || Groups::new(grouping),
            |groups: &mut Groups<'_, Folded>, index, column| {
                let before = groups.found.len();
                let folded =
                    groups.of(stream.labels(index), delayed || !stream.drops_name(index), || Folded {
                        drop_name: false,
                        counts: vec![0; grid.count],
                        floats: Floats::new(*op, grid.count).unwrap_or(Floats::Count),
                        histograms: Vec::new(),
                    });
                let Some(folded) = folded else { return Ok(()) };
                let (histograms, bytes) = (folded.histograms.len(), folded.floats.heap_bytes());
                folded.add(index, column, stream.drops_name(index));
                let (more, is_new) = (folded.histograms.len() - histograms, groups.found.len() > before);
                if is_new || more > 0 {
                    let of_group =
                        if is_new { (grid.count, bytes + grid.count * size_of::<u32>()) } else { (0, 0) };
                    control.hold(of_group.0 + more, of_group.1 + more * size_of::<Histogram>())?;
                }
                Ok(())
            },
        )?;
        let mut groups = Groups::new(grouping);
        for piece in pieces {
            groups.merge(piece, Folded::merge);
        }
        let mut result = Vec::with_capacity(groups.found.len());
        for (labels, folded) in groups.found {
            let mut series = control.series(labels, folded.drop_name, grid.count)?;
            self.finish(*op, folded, &*stream, &mut series, expr.span);
            if !series.is_empty() {
                result.push(series);
            }
        }
        Ok(Value::Vector(result))
    }

    fn finish(
        &mut self,
        op: AggregateOp,
        mut folded: Folded,
        stream: &dyn Stream,
        series: &mut Series,
        span: Span,
    ) {
        folded.histograms.sort_by_key(|addend| addend.step);
        let counts = matches!(op, AggregateOp::Count | AggregateOp::Group);
        let adds = matches!(op, AggregateOp::Sum | AggregateOp::Avg);
        for (n, count) in folded.counts.iter().enumerate() {
            let (step, all) = (n as u32, &folded.histograms);
            let of_step = all.partition_point(|addend| addend.step < step)
                ..all.partition_point(|addend| addend.step <= step);
            let histograms = all.get(of_step).unwrap_or_default();
            let count = *count as usize;
            if counts {
                let all = count + histograms.len();
                if all > 0 {
                    series.set_float(n, if op == AggregateOp::Count { all as f64 } else { 1.0 });
                }
                continue;
            }
            if adds && count > 0 && !histograms.is_empty() {
                self.note(Note::MixedFloatsHistogramsInAggregation, span);
                continue;
            }
            if adds && !histograms.is_empty() {
                if let Some(sum) = self.fold_histograms(op, histograms, stream, span) {
                    series.set(n, sum);
                }
                continue;
            }
            if !histograms.is_empty() {
                self.note(Note::HistogramIgnoredInAggregation(op.name()), span);
            }
            if count > 0
                && let Some(value) = folded.floats.value(n, op)
            {
                series.set_float(n, value);
            }
        }
    }

    fn fold_histograms(
        &mut self,
        op: AggregateOp,
        histograms: &[Addend],
        stream: &dyn Stream,
        span: Span,
    ) -> Option<Point> {
        let (first, rest) = histograms.split_first()?;
        let (mut all, mut is_mixed) = (histogram::Addition::default(), false);
        let mut tell = |of: usize, added: Result<histogram::Addition, histogram::MixedSchemas>| match added {
            Ok(addition) => all = all.and(addition),
            Err(_) => {
                is_mixed = true;
                let name = labels::metric_name(stream.labels(of)).to_owned();
                self.note(Note::MixedSchemas(name), span);
            }
        };
        let mut result = if op == AggregateOp::Sum {
            let mut sum = HistogramSum::new(&first.histogram);
            rest.iter().for_each(|addend| tell(addend.of, sum.add(&addend.histogram)));
            sum.finish()
        } else {
            let mut mean = HistogramMean::new(&first.histogram);
            rest.iter().for_each(|addend| tell(addend.of, mean.add(&addend.histogram)));
            mean.finish()
        };
        if all.reset_conflict {
            self.note(Note::ResetConflict("aggregation"), span);
        }
        if all.bounds_reconciled {
            self.note(Note::BoundsReconciled("aggregation"), span);
        }
        if is_mixed {
            return None;
        }
        histogram::compact(&mut result);
        Some(Point::Histogram(Arc::new(result)))
    }
}
