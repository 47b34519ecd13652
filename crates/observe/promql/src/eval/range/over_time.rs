//! Aggregations over time.

use std::sync::Arc;

use kandela_algebra::merge::FloatSum;
use kandela_model::Histogram;

use super::rate::{Counted, began_again, histogram_at};
use super::{Notes, Window};
use crate::eval::aggregate::{Mean, quantile_of};
use crate::eval::annotations::Note;
use crate::eval::value::Point;
use crate::histogram::{self, HistogramMean, HistogramSum};

/// The samples of a window in the order of their times.
fn in_time<'a>(window: &'a Window<'_>) -> Vec<(i64, Result<f64, &'a Arc<Histogram>>)> {
    let floats = window.times.iter().zip(window.values).map(|(at, value)| (*at, Ok(*value)));
    let mut all: Vec<_> = floats.chain(window.histograms.iter().map(|(at, h)| (*at, Err(h)))).collect();
    all.sort_by_key(|(at, _)| *at);
    all
}

pub(super) fn changes(window: &Window<'_>) -> Option<Point> {
    let all = in_time(window);
    let count = all.windows(2).filter(|pair| match pair {
        [(_, Ok(a)), (_, Ok(b))] => a != b && !(a.is_nan() && b.is_nan()),
        [(_, Err(a)), (_, Err(b))] => !histogram::equal(a, b),
        _ => true,
    });
    Some(Point::Float(count.count() as f64))
}

pub(super) fn resets(window: &Window<'_>) -> Option<Point> {
    let since = |at: i64| window.times.binary_search(&at).ok().and_then(|n| window.starts.get(n)).copied();
    let counted = |sample: &(i64, Result<f64, &Arc<Histogram>>)| match sample.1 {
        Ok(_) => Counted { at: sample.0, since: since(sample.0).unwrap_or_default() },
        Err(histogram) => histogram_at(&(sample.0, histogram.clone())),
    };
    let all = in_time(window);
    let count = all.windows(2).filter(|pair| {
        let [before, after] = pair else { return false };
        began_again(counted(before), counted(after))
            || match (&before.1, &after.1) {
                (Ok(before), Ok(after)) => after < before,
                (Err(before), Err(after)) => histogram::detect_reset(after, before),
                _ => true,
            }
    });
    Some(Point::Float(count.count() as f64))
}

pub(super) fn count(window: &Window<'_>) -> Option<Point> {
    Some(Point::Float((window.times.len() + window.histograms.len()) as f64))
}

pub(super) fn last(window: &Window<'_>) -> Option<Point> {
    point(in_time(window).last()?)
}

pub(super) fn first(window: &Window<'_>) -> Option<Point> {
    point(in_time(window).first()?)
}

fn point(sample: &(i64, Result<f64, &Arc<Histogram>>)) -> Option<Point> {
    Some(match sample.1 {
        Ok(value) => Point::Float(value),
        Err(histogram) => Point::Histogram(histogram.clone()),
    })
}

fn seconds(at: i64) -> Point {
    Point::Float(at as f64 / 1e6)
}

pub(super) fn time_of_first(window: &Window<'_>) -> Option<Point> {
    in_time(window).first().map(|(at, _)| seconds(*at))
}

pub(super) fn time_of_last(window: &Window<'_>) -> Option<Point> {
    in_time(window).last().map(|(at, _)| seconds(*at))
}

/// The values; nothing where there are only histograms.
fn floats<'a>(window: &'a Window<'_>, notes: &mut Notes<'_>) -> Option<&'a [f64]> {
    if window.times.is_empty() {
        return None;
    }
    notes.ignored(window);
    Some(window.values)
}

/// Whether `new` takes the place of `old`; any number takes that of NaN.
fn beats(better: fn(f64, f64) -> bool, new: f64, old: f64) -> bool {
    better(new, old) || (old.is_nan() && !new.is_nan())
}

pub(super) fn extreme(
    window: &Window<'_>,
    notes: &mut Notes<'_>,
    better: fn(f64, f64) -> bool,
) -> Option<Point> {
    let values = floats(window, notes)?;
    let best = values.iter().copied().reduce(|old, new| if beats(better, new, old) { new } else { old });
    best.map(Point::Float)
}

/// When the best value came; where several are as good, or there are only NaNs, the last of them.
pub(super) fn time_of_extreme(
    window: &Window<'_>,
    notes: &mut Notes<'_>,
    better: fn(f64, f64) -> bool,
) -> Option<Point> {
    let values = floats(window, notes)?;
    let samples = values.iter().copied().zip(window.times.iter().copied());
    let best = samples.reduce(|old, new| if better(new.0, old.0) || old.0.is_nan() { new } else { old });
    best.map(|(_, at)| seconds(at))
}

fn only_histograms<'a>(window: &'a Window<'_>, notes: &mut Notes<'_>) -> Option<&'a [(i64, Arc<Histogram>)]> {
    if !window.times.is_empty() {
        notes.mixed();
        return None;
    }
    Some(window.histograms)
}

pub(super) fn sum(window: &Window<'_>, notes: &mut Notes<'_>) -> Option<Point> {
    if window.histograms.is_empty() {
        let mut sum = FloatSum::default();
        window.values.iter().for_each(|value| sum.add(*value));
        return Some(Point::Float(sum.value()));
    }
    let histograms = only_histograms(window, notes)?;
    let (first, rest) = histograms.split_first()?;
    let mut sum = HistogramSum::new(&first.1);
    for (_, histogram) in rest {
        match sum.add(histogram) {
            Ok(addition) => note(addition, notes),
            Err(_) => {
                notes.told.push(Note::MixedSchemas(notes.name.to_owned()));
                return None;
            }
        }
    }
    Some(Point::Histogram(Arc::new(sum.finish())))
}

fn note(addition: histogram::Addition, notes: &mut Notes<'_>) {
    if addition.reset_conflict {
        notes.told.push(Note::ResetConflict("aggregation"));
    }
    if addition.bounds_reconciled {
        notes.told.push(Note::BoundsReconciled("aggregation"));
    }
}

pub(super) fn average(window: &Window<'_>, notes: &mut Notes<'_>) -> Option<Point> {
    if window.histograms.is_empty() {
        let mut mean = Mean::default();
        window.values.iter().for_each(|value| mean.add(*value));
        return Some(Point::Float(mean.value()));
    }
    let histograms = only_histograms(window, notes)?;
    let (first, rest) = histograms.split_first()?;
    let mut mean = HistogramMean::new(&first.1);
    for (_, histogram) in rest {
        match mean.add(histogram) {
            Ok(addition) => note(addition, notes),
            Err(_) => {
                notes.told.push(Note::MixedSchemas(notes.name.to_owned()));
                return None;
            }
        }
    }
    Some(Point::Histogram(Arc::new(mean.finish())))
}

/// Welford's method, compensated as Prometheus does it.
pub(super) fn variance(window: &Window<'_>, notes: &mut Notes<'_>) -> Option<f64> {
    Some(variance_of(floats(window, notes)?))
}

fn variance_of(values: &[f64]) -> f64 {
    let (mut count, mut mean, mut squares) = (0.0, FloatSum::default(), FloatSum::default());
    for value in values {
        count += 1.0;
        let delta = value - mean.value();
        mean.add(delta / count);
        squares.add(delta * (value - mean.value()));
    }
    squares.value() / count
}

pub(super) fn quantile(window: &Window<'_>, args: &[f64], notes: &mut Notes<'_>) -> Option<Point> {
    let mut values = floats(window, notes)?.to_vec();
    Some(Point::Float(quantile_of(args.first().copied().unwrap_or(f64::NAN), &mut values)))
}

pub(super) fn median_deviation(window: &Window<'_>, notes: &mut Notes<'_>) -> Option<Point> {
    let mut values = floats(window, notes)?.to_vec();
    if values.iter().any(|value| value.is_nan()) {
        return Some(Point::Float(f64::NAN));
    }
    let median = quantile_of(0.5, &mut values);
    values.iter_mut().for_each(|value| *value = (*value - median).abs());
    Some(Point::Float(quantile_of(0.5, &mut values)))
}
