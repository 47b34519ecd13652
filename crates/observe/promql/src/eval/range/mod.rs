//! Functions of ranges: a window slides over the samples of each series.

mod extended;
mod over_time;

mod rate;
mod trend;

pub(in crate::eval) use extended::interpolated;
pub(in crate::eval) use over_time::variance_of;

use std::sync::Arc;

use kandela_model::Histogram;

use super::annotations::Note;
use super::labels;
use super::value::{Grid, Point, Series, Value};
use super::{Evaluated, Evaluator, failed};
use crate::ast::{Boundary, Call, Kind, Span};
use crate::source::Samples;
use extended::Around;

/// The samples of one series in one window, in whose start no sample lies.
pub(super) struct Window<'a> {
    pub(super) times: &'a [i64],
    pub(super) values: &'a [f64],
    pub(super) starts: &'a [i64],
    pub(super) histograms: &'a [(i64, Arc<Histogram>)],
    pub(super) from: i64,
    pub(super) through: i64,
    /// When the function is evaluated.
    pub(super) at: i64,
}

impl Window<'_> {
    pub(super) fn is_empty(&self) -> bool {
        self.times.is_empty() && self.histograms.is_empty()
    }
}

/// What a function notes about a series.
pub(super) struct Notes<'a> {
    pub(super) name: &'a str,
    pub(super) told: Vec<Note>,
}

impl Notes<'_> {
    pub(super) fn mixed(&mut self) {
        self.told.push(Note::MixedFloatsHistograms(self.name.to_owned()));
    }

    pub(super) fn ignored(&mut self, window: &Window<'_>) {
        if !window.histograms.is_empty() {
            self.told.push(Note::HistogramIgnoredInMixed(self.name.to_owned()));
        }
    }
}

/// A function of a window and of what its scalar arguments are at the step.
type Function = fn(&Window<'_>, &[f64], &mut Notes<'_>) -> Option<Point>;

fn function(name: &str) -> Option<Function> {
    Some(match name {
        "rate" => |w, _, n| rate::extrapolated(w, n, rate::Kind::Rate),
        "increase" => |w, _, n| rate::extrapolated(w, n, rate::Kind::Increase),
        "delta" => |w, _, n| rate::extrapolated(w, n, rate::Kind::Delta),
        "irate" => |w, _, n| rate::instant(w, n, true),
        "idelta" => |w, _, n| rate::instant(w, n, false),
        "changes" => |w, _, _| over_time::changes(w),
        "resets" => |w, _, _| over_time::resets(w),
        "avg_over_time" => |w, _, n| over_time::average(w, n),
        "sum_over_time" => |w, _, n| over_time::sum(w, n),
        "count_over_time" => |w, _, _| over_time::count(w),
        "present_over_time" => |w, _, _| (!w.is_empty()).then_some(Point::Float(1.0)),
        "last_over_time" => |w, _, _| over_time::last(w),
        "first_over_time" => |w, _, _| over_time::first(w),
        "min_over_time" => |w, _, n| over_time::extreme(w, n, |new, old| new < old),
        "max_over_time" => |w, _, n| over_time::extreme(w, n, |new, old| new > old),
        "ts_of_min_over_time" => |w, _, n| over_time::time_of_extreme(w, n, |new, old| new <= old),
        "ts_of_max_over_time" => |w, _, n| over_time::time_of_extreme(w, n, |new, old| new >= old),
        "ts_of_first_over_time" => |w, _, _| over_time::time_of_first(w),
        "ts_of_last_over_time" => |w, _, _| over_time::time_of_last(w),
        "stddev_over_time" => |w, _, n| over_time::variance(w, n).map(|v| Point::Float(v.sqrt())),
        "stdvar_over_time" => |w, _, n| over_time::variance(w, n).map(Point::Float),
        "quantile_over_time" => |w, args, n| over_time::quantile(w, args, n),
        "mad_over_time" => |w, _, n| over_time::median_deviation(w, n),
        "deriv" => |w, _, n| trend::derivative(w, n),
        "predict_linear" => |w, args, n| trend::predict(w, args, n),
        "double_exponential_smoothing" => |w, args, n| trend::smooth(w, args, n),
        _ => return None,
    })
}

impl Evaluator {
    pub(super) fn range_call(&mut self, call: &Call, span: Span, grid: Grid) -> Evaluated {
        let name = call.function.name;
        let is_range = |kind: &Kind| matches!(kind, Kind::Matrix(_) | Kind::Subquery(_));
        let Some(range) = call.args.iter().find(|arg| is_range(&arg.unwrapped().kind)) else {
            return failed("expected a range vector");
        };
        let mut scalars = Vec::new();
        for arg in call.args.iter().filter(|arg| !is_range(&arg.unwrapped().kind)) {
            scalars.push((self.scalar(arg, grid)?, arg.span));
        }
        if name == "quantile_over_time" {
            self.check_quantiles(&scalars);
        }
        let input = self.ranges(range, grid)?;
        if let Some(reason) = extended::refused(input.boundary, name) {
            return failed(reason);
        }
        if input.boundary != Boundary::Plain {
            return self.extended_call(name, &input, grid);
        }
        if name == "absent_over_time" {
            return self.absent_over_time(range, &input, grid);
        }
        if name == "double_exponential_smoothing" {
            for (values, what) in scalars.iter().zip(["smoothing factor", "trend factor"]) {
                if let Some(wrong) = values.0.iter().find(|value| **value <= 0.0 || **value >= 1.0) {
                    return failed(format!(
                        "invalid {what}. Expected: 0 < {} < 1, got: {wrong}",
                        &what[..2].trim()
                    ));
                }
            }
        }
        let Some(function) = function(name) else {
            return failed(format!("the function {name} takes no range"));
        };
        let keeps_name = matches!(name, "last_over_time" | "first_over_time");
        let is_counter = matches!(name, "rate" | "increase");
        let mut found = Vec::new();
        let mut told: Vec<Note> = Vec::new();
        input.each(|labels, drop_name, samples| {
            let mut series = Series::new(labels.clone(), drop_name || !keeps_name, grid.count);
            let mut notes = Notes { name: labels::metric_name(labels), told: Vec::new() };
            let (mut low, mut high, mut low_h, mut high_h) = (0, 0, 0, 0);
            let (mut any, mut any_float) = (false, false);
            let mut args = vec![0.0; scalars.len()];
            for n in 0..grid.count {
                let at = grid.time(n);
                let (from, through) = input.window(at);
                while samples.times.get(high).is_some_and(|time| *time <= through) {
                    high += 1;
                }
                while low < high && samples.times.get(low).is_some_and(|time| *time <= from) {
                    low += 1;
                }
                while samples.histograms.get(high_h).is_some_and(|(time, _)| *time <= through) {
                    high_h += 1;
                }
                while low_h < high_h && samples.histograms.get(low_h).is_some_and(|(time, _)| *time <= from) {
                    low_h += 1;
                }
                let window = Window {
                    times: samples.times.get(low..high).unwrap_or_default(),
                    values: samples.values.get(low..high).unwrap_or_default(),
                    starts: samples.starts.get(low..high).unwrap_or_default(),
                    histograms: samples.histograms.get(low_h..high_h).unwrap_or_default(),
                    from,
                    through,
                    at,
                };
                if window.is_empty() {
                    continue;
                }
                for (arg, (values, _)) in args.iter_mut().zip(&scalars) {
                    *arg = values.get(n).copied().unwrap_or(f64::NAN);
                }
                if let Some(point) = function(&window, &args, &mut notes) {
                    any_float |= !window.times.is_empty();
                    series.set(n, point);
                    any = true;
                }
            }
            told.append(&mut notes.told);
            if any {
                if is_counter
                    && any_float
                    && let Some(note) = suspicious(labels)
                {
                    told.push(note);
                }
                found.push(series);
            }
            Ok(())
        })?;
        let _ = span;
        for note in told {
            self.note(note, range.span);
        }
        Ok(Value::Vector(found))
    }

    /// A function of ranges whose ends have values of their own.
    fn extended_call(&mut self, name: &str, input: &super::select::Ranges, grid: Grid) -> Evaluated {
        let lookback = self.options.lookback;
        let mut found = Vec::new();
        input.each(|labels, _, samples| {
            let mut series = Series::new(labels.clone(), true, grid.count);
            for n in 0..grid.count {
                let around = around(input, samples, grid.time(n), lookback);
                let value = match name {
                    "rate" => around.change(rate::Kind::Rate).map(Point::Float),
                    "increase" => around.change(rate::Kind::Increase).map(Point::Float),
                    "delta" => around.change(rate::Kind::Delta).map(Point::Float),
                    _ => around.extended(false).and_then(|extended| {
                        let window = extended.window(&around, grid.time(n));
                        if name == "resets" {
                            over_time::resets(&window)
                        } else {
                            over_time::changes(&window)
                        }
                    }),
                };
                if let Some(point) = value {
                    series.set(n, point);
                }
            }
            if !series.is_empty() {
                found.push(series);
            }
            Ok(())
        })?;
        Ok(Value::Vector(found))
    }

    pub(super) fn check_quantiles(&mut self, scalars: &[(Vec<f64>, Span)]) {
        for (values, span) in scalars.iter().take(1) {
            for q in values.iter().filter(|q| q.is_nan() || **q < 0.0 || **q > 1.0) {
                self.note(Note::InvalidQuantile(super::instant::shown(*q)), *span);
            }
        }
    }

    fn absent_over_time(
        &mut self,
        range: &crate::ast::Expr,
        input: &super::select::Ranges,
        grid: Grid,
    ) -> Evaluated {
        let mut present = vec![false; grid.count];
        input.each(|_, _, samples| {
            for (n, present) in present.iter_mut().enumerate() {
                let (from, through) = input.window(grid.time(n));
                let any = |time: i64| time > from && time <= through;
                let float = samples.times.partition_point(|time| *time <= through).checked_sub(1);
                let histogram =
                    samples.histograms.partition_point(|(time, _)| *time <= through).checked_sub(1);
                *present |= float.and_then(|at| samples.times.get(at)).is_some_and(|time| any(*time));
                *present |=
                    histogram.and_then(|at| samples.histograms.get(at)).is_some_and(|(time, _)| any(*time));
            }
            Ok(())
        })?;
        let labels = super::instant::labels_of_absent(range.unwrapped());
        Ok(Value::Vector(super::instant::absent(labels, &present)))
    }
}

/// The samples that tell of the window at an evaluation's time.
fn around<'a>(input: &super::select::Ranges, samples: &'a Samples, at: i64, lookback: i64) -> Around<'a> {
    let (from, through) = input.window(at);
    let behind = if input.boundary == Boundary::Smoothed { lookback } else { 0 };
    let low = samples.times.partition_point(|time| *time <= from - lookback);
    let high = samples.times.partition_point(|time| *time <= through + behind);
    Around {
        times: samples.times.get(low..high).unwrap_or_default(),
        values: samples.values.get(low..high).unwrap_or_default(),
        from,
        through,
        boundary: input.boundary,
    }
}

/// The samples of an anchored or smoothed range, as a query for it gives them.
pub(super) fn extended_samples(
    input: &super::select::Ranges,
    samples: &Samples,
    at: i64,
    lookback: i64,
) -> Option<extended::Extended> {
    around(input, samples, at, lookback).extended(false)
}

/// What speaks against a metric being a counter.
fn suspicious(labels: &kandela_model::Labels) -> Option<Note> {
    let name = labels::metric_name(labels);
    if let Some(kind) = labels.get("__type__") {
        let counts = matches!(kind, "counter" | "histogram");
        return (!counts)
            .then(|| Note::PossibleNonCounterLabel { name: name.to_owned(), kind: kind.to_owned() });
    }
    let counts = ["_total", "_sum", "_count", "_bucket"].iter().any(|end| name.ends_with(end));
    (!name.is_empty() && !counts).then(|| Note::PossibleNonCounter(name.to_owned()))
}
