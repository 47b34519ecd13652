//! How fast counters and gauges move.

use std::sync::Arc;

use kandela_model::{CUSTOM_BOUNDS_SCHEMA, Histogram, ResetHint};

use super::{Notes, Window};
use crate::eval::annotations::Note;
use crate::eval::value::Point;
use crate::histogram::{self, Addition};

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Rate,
    Increase,
    Delta,
}

/// When a sample was taken and since when it counts; 0 where that is not known.
#[derive(Clone, Copy)]
pub(super) struct Counted {
    pub(super) at: i64,
    pub(super) since: i64,
}

/// Whether start times say that a counter began again between two samples. A start at the time of the sample before is that of
/// a delta, unless the one before counts since nobody knows when.
pub(super) fn began_again(before: Counted, after: Counted) -> bool {
    let since_then = after.since > before.at && after.since < after.at;
    let delta = after.since == before.at && before.since != 0 && before.since < before.at;
    after.since != 0 && (since_then || delta)
}

/// What is known of a window's samples but their values.
pub(super) struct Shape {
    pub(super) first: Counted,
    pub(super) last: i64,
    pub(super) count: usize,
    /// How much earlier the counter was zero, in parts of the sampled time.
    pub(super) to_zero: Option<f64>,
}

/// The start of the first sample where it lies in the window: there the counter was zero.
fn zero_at(window: &Window<'_>, first: Counted, kind: Kind) -> Option<i64> {
    let inside = first.since != 0 && first.since > window.from && first.since < first.at;
    (inside && kind != Kind::Delta).then_some(first.since)
}

fn float_at(window: &Window<'_>, n: usize) -> Counted {
    let at = window.times.get(n).copied().unwrap_or_default();
    Counted { at, since: window.starts.get(n).copied().unwrap_or_default() }
}

pub(super) fn histogram_at(sample: &(i64, Arc<Histogram>)) -> Counted {
    Counted { at: sample.0, since: sample.1.start.map_or(0, kandela_model::Timestamp::micros) }
}

fn note_overlaps(samples: impl Iterator<Item = Counted>, notes: &mut Notes<'_>) {
    let mut before: Option<Counted> = None;
    for sample in samples {
        if let Some(before) = before
            && sample.since != 0
            && sample.since < before.at
            && sample.since != before.since
        {
            notes.told.push(Note::OverlappingStart(notes.name.to_owned()));
            return;
        }
        before = Some(sample);
    }
}

/// Prometheus' extrapolation: what was seen between the first and the last sample, stretched to the window's ends unless the gap
/// there is more than 1.1 times the usual one, and never to before a counter was zero.
pub(super) fn extrapolated(window: &Window<'_>, notes: &mut Notes<'_>, kind: Kind) -> Option<Point> {
    let Window { times, values, histograms, .. } = window;
    if !times.is_empty() && !histograms.is_empty() {
        notes.mixed();
        return None;
    }
    let is_counter = kind != Kind::Delta;
    if let Some(sample) = histograms.first() {
        let first = histogram_at(sample);
        let zero = zero_at(window, first, kind);
        if histograms.len() < 2 && zero.is_none() {
            return None;
        }
        if is_counter {
            note_overlaps(histograms.iter().map(histogram_at), notes);
        }
        let mut result = histogram_change(histograms, is_counter, zero.is_some(), notes)?;
        let to_zero = (is_counter && result.count > 0.0 && sample.1.count >= 0.0)
            .then(|| sample.1.count / result.count);
        let shape = Shape { first, last: histograms.last()?.0, count: histograms.len(), to_zero };
        histogram::mul(&mut result, factor((window.from, window.through), &shape, zero, kind));
        return Some(Point::Histogram(Arc::new(result)));
    }
    let at = float_at(window, 0);
    let zero = if times.is_empty() { None } else { zero_at(window, at, kind) };
    if times.len() < 2 && zero.is_none() {
        return None;
    }
    let (first, last) = (*values.first()?, *values.last()?);
    let mut result = if zero.is_some() { last } else { last - first };
    if is_counter {
        let has_starts = window.starts.iter().any(|start| *start != 0);
        for (n, pair) in values.windows(2).enumerate() {
            let [before, after] = pair else { continue };
            if after < before || has_starts && began_again(float_at(window, n), float_at(window, n + 1)) {
                result += before;
            }
        }
        if has_starts {
            note_overlaps((0..times.len()).map(|n| float_at(window, n)), notes);
        }
    }
    let to_zero = (is_counter && result > 0.0 && first >= 0.0).then(|| first / result);
    let shape = Shape { first: at, last: *times.last()?, count: times.len(), to_zero };
    Some(Point::Float(result * factor((window.from, window.through), &shape, zero, kind)))
}

/// By how much a change is stretched; `zero` is when the counter is known to have been zero.
pub(super) fn factor((from, through): (i64, i64), shape: &Shape, zero: Option<i64>, kind: Kind) -> f64 {
    let seconds = |micros: i64| micros as f64 / 1e6;
    let Shape { first, last, count, to_zero } = shape;
    let between = seconds(last - first.at);
    let average = if *count > 1 { between / (count - 1) as f64 } else { 0.0 };
    let threshold = average * 1.1;
    let sampled = seconds(last - zero.unwrap_or(first.at));
    let mut to_start = seconds(first.at - from);
    if to_start >= threshold {
        to_start = average / 2.0;
    }
    if let Some(parts) = to_zero {
        to_start = to_start.min(between * parts);
    }
    if zero.is_some() {
        to_start = 0.0;
    }
    let mut to_end = seconds(through - last);
    if to_end >= threshold {
        to_end = average / 2.0;
    }
    let factor = (sampled + to_start + to_end) / sampled;
    if kind == Kind::Rate { factor / seconds(through - from) } else { factor }
}

/// What a change in a window is multiplied by, as far as the window's times tell.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Stretch {
    /// Where no counter was zero in the window.
    pub(super) factor: f64,
    /// From the window's start to its first sample, in parts of the sampled time.
    gap: f64,
}

impl Stretch {
    /// Of a window whose samples count since nobody knows when.
    pub(super) fn of((from, through): (i64, i64), shape: &Shape, kind: Kind) -> Self {
        let gap = (shape.first.at - from) as f64 / (shape.last - shape.first.at) as f64;
        Self { factor: factor((from, through), shape, None, kind), gap }
    }

    /// Whether a counter that grew by `change` from `first` may have been zero between the window's start and its first sample.
    pub(super) fn may_pass_zero(&self, first: f64, change: f64) -> bool {
        let cannot = first > self.gap * change;
        !cannot
    }
}

fn histogram_change(
    points: &[(i64, Arc<Histogram>)],
    is_counter: bool,
    from_zero: bool,
    notes: &mut Notes<'_>,
) -> Option<Histogram> {
    let (first, last) = (&points.first()?.1, &points.last()?.1);
    let custom = |h: &Histogram| h.schema == CUSTOM_BOUNDS_SCHEMA;
    // A first sample of the other kind is a counter before its reset.
    let changed = custom(first) != custom(last);
    let points = if changed && is_counter { points.get(1..)? } else { points };
    if points.iter().any(|(_, h)| custom(h) != custom(last)) {
        notes.told.push(Note::MixedSchemas(notes.name.to_owned()));
        return None;
    }
    let is_gauge = |h: &Histogram| h.reset_hint == ResetHint::Gauge;
    if is_counter && points.iter().any(|(_, h)| is_gauge(h)) {
        notes.told.push(Note::NotCounter(notes.name.to_owned()));
    }
    if !is_counter && points.iter().any(|(_, h)| !is_gauge(h)) {
        notes.told.push(Note::NotGauge(notes.name.to_owned()));
    }
    let mut result = Histogram::clone(last);
    let mut reconciled = false;
    let mut note = |addition: Addition| reconciled |= addition.bounds_reconciled;
    if !changed && !from_zero {
        note(histogram::sub(&mut result, first).ok()?);
    }
    if is_counter {
        for pair in points.windows(2) {
            if let [before, after] = pair
                && (began_again(histogram_at(before), histogram_at(after))
                    || histogram::detect_reset(&after.1, &before.1))
            {
                note(histogram::add(&mut result, &before.1).ok()?);
            }
        }
    }
    if reconciled {
        notes.told.push(Note::BoundsReconciled("subtraction"));
    }
    result.reset_hint = ResetHint::Gauge;
    histogram::compact(&mut result);
    Some(result)
}

/// From the last two samples alone.
pub(super) fn instant(window: &Window<'_>, notes: &mut Notes<'_>, is_rate: bool) -> Option<Point> {
    let mut newest: Vec<(Counted, Result<f64, &Arc<Histogram>>)> = Vec::with_capacity(4);
    let floats = (0..window.times.len()).rev().take(2);
    newest.extend(floats.filter_map(|n| Some((float_at(window, n), Ok(*window.values.get(n)?)))));
    newest
        .extend(window.histograms.iter().rev().take(2).map(|sample| (histogram_at(sample), Err(&sample.1))));
    newest.sort_by_key(|(counted, _)| std::cmp::Reverse(counted.at));
    let [(last_at, last), (before_at, before), ..] = newest.as_slice() else { return None };
    let restarted = is_rate && began_again(*before_at, *last_at);
    let seconds = (last_at.at - before_at.at) as f64 / 1e6;
    match (last, before) {
        (Ok(last), Ok(before)) => {
            let change = if restarted || is_rate && last < before { *last } else { last - before };
            Some(Point::Float(if is_rate { change / seconds } else { change }))
        }
        (Err(last), Err(before)) => {
            let custom = |h: &Histogram| h.schema == CUSTOM_BOUNDS_SCHEMA;
            let is_gauge = |h: &Histogram| h.reset_hint == ResetHint::Gauge;
            if is_rate && (is_gauge(last) || is_gauge(before)) {
                notes.told.push(Note::NotCounter(notes.name.to_owned()));
            }
            if !is_rate && (!is_gauge(last) || !is_gauge(before)) {
                notes.told.push(Note::NotGauge(notes.name.to_owned()));
            }
            let changed = custom(last) != custom(before);
            if changed && !is_rate {
                notes.told.push(Note::MixedSchemas(notes.name.to_owned()));
                return None;
            }
            let mut result = Histogram::clone(last);
            if !is_rate || !restarted && !changed && !histogram::detect_reset(last, before) {
                let addition = histogram::sub(&mut result, before).ok()?;
                if addition.bounds_reconciled {
                    notes.told.push(Note::BoundsReconciled("subtraction"));
                }
            }
            if is_rate {
                histogram::div(&mut result, seconds);
            }
            result.reset_hint = ResetHint::Gauge;
            histogram::compact(&mut result);
            Some(Point::Histogram(Arc::new(result)))
        }
        _ => {
            notes.mixed();
            None
        }
    }
}
