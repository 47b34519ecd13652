//! Functions of ranges: a window slides over the samples of each series.

mod bounds;
mod extended;
mod kernels;
mod over_time;
mod rate;
mod stream;
mod trend;

pub(in crate::eval) use extended::interpolated;

use std::sync::Arc;

use kandela_model::Histogram;

use super::annotations::{Annotations, Note};
use super::labels;
use super::ranges::Ranges;
use super::stream::Stream;
use super::value::{Grid, Point, Value};
use super::{Evaluated, Evaluator, failed};
use crate::answer::Point as Told;
use crate::ast::{Boundary, Call, Expr, Kind, Span};
use crate::floats::shortest;
use crate::source::Samples;
use extended::Around;
use stream::{ExtendedWindows, Windows};

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

/// Values of a scalar argument at each step, and where it stands.
type Argument = (Vec<f64>, Span);

fn is_range(expr: &Expr) -> bool {
    matches!(expr.unwrapped().kind, Kind::Matrix(_) | Kind::Subquery(_))
}

/// Whether a call's function slides a window, so that each of its series is computed for itself.
pub(super) fn is_windowed(call: &Call) -> bool {
    call.function.name != "absent_over_time" && call.args.iter().any(is_range)
}

impl Evaluator {
    /// A function of ranges: a stream of its series.
    pub(super) fn windows<'a>(&mut self, call: &'a Call, grid: Grid) -> Evaluated<Box<dyn Stream + 'a>> {
        let name = call.function.name;
        let Some(range) = call.args.iter().find(|arg| is_range(arg)) else {
            return failed("expected a range vector");
        };
        let mut scalars: Vec<Argument> = Vec::new();
        for arg in call.args.iter().filter(|arg| !is_range(arg)) {
            scalars.push((self.scalar(arg, grid)?, arg.span));
        }
        if name == "quantile_over_time" {
            self.check_quantiles(&scalars);
        }
        let ranges = self.ranges(range, grid)?;
        if let Some(reason) = extended::refused(ranges.boundary, name) {
            return failed(reason);
        }
        if ranges.boundary != Boundary::Plain {
            let lookback = self.options.lookback;
            return Ok(Box::new(ExtendedWindows { ranges, name, grid, lookback }));
        }
        if name == "double_exponential_smoothing" {
            check_factors(&scalars)?;
        }
        let Some(function) = function(name) else {
            return failed(format!("the function {name} takes no range"));
        };
        Ok(Box::new(Windows {
            ranges,
            name,
            function,
            kernel: kernels::kernel(name),
            scalars: scalars.into_iter().map(|(values, _)| values).collect(),
            span: call.args.first().unwrap_or(range).span,
            grid,
        }))
    }

    pub(super) fn check_quantiles(&mut self, scalars: &[Argument]) {
        for (values, span) in scalars.iter().take(1) {
            for q in values.iter().filter(|q| q.is_nan() || **q < 0.0 || **q > 1.0) {
                self.note(Note::InvalidQuantile(shortest(*q)), *span);
            }
        }
    }

    pub(super) fn absent_over_time(&mut self, call: &Call, grid: Grid) -> Evaluated {
        let Some(range) = call.args.first() else { return failed("expected a range vector") };
        let ranges = self.ranges(range, grid)?;
        if let Some(reason) = extended::refused(ranges.boundary, call.function.name) {
            return failed(reason);
        }
        let mut present = vec![false; grid.count];
        let windows = Windows {
            ranges,
            name: call.function.name,
            function: |window, _, _| (!window.is_empty()).then_some(Point::Float(1.0)),
            kernel: None,
            scalars: Vec::new(),
            span: range.span,
            grid,
        };
        let pieces = self.fold(
            &windows,
            grid,
            || vec![false; grid.count],
            |present, _, column| {
                present.iter_mut().enumerate().for_each(|(n, present)| *present |= column.has(n));
                Ok(())
            },
        )?;
        for piece in pieces {
            present.iter_mut().zip(piece).for_each(|(present, also)| *present |= also);
        }
        let labels = super::instant::labels_of_absent(range.unwrapped());
        Ok(Value::Vector(super::instant::absent(labels, &present)))
    }

    /// The samples of a range selector or subquery at the one time of an instant query.
    pub(super) fn samples_of(&mut self, expr: &Expr, grid: Grid) -> Evaluated<Vec<TimedSeries>> {
        let ranges = self.ranges(expr, grid)?;
        let lookback = self.options.lookback;
        let (from, through) = ranges.window(grid.start);
        let (mut matrix, mut notes) = (Vec::new(), Annotations::default());
        let mut reader = ranges.reader();
        for index in 0..ranges.len() {
            self.control.check()?;
            let samples = reader.read(index, &mut notes)?;
            let mut points: Vec<(i64, Told)> = Vec::new();
            if ranges.boundary == Boundary::Plain {
                let floats = samples.times.iter().zip(samples.values);
                points.extend(floats.map(|(at, value)| (*at, Told::Float(*value))));
                let histograms = samples.histograms.iter();
                points.extend(histograms.map(|(at, histogram)| (*at, Told::Histogram(histogram.clone()))));
                points.retain(|(at, _)| *at > from && *at <= through);
                points.sort_by_key(|(at, _)| *at);
            } else if let Some(extended) = around(&ranges, samples, grid.start, lookback).extended(false) {
                let floats = extended.times.into_iter().zip(extended.values);
                points.extend(floats.map(|(at, value)| (at, Told::Float(value))));
            }
            if !points.is_empty() {
                self.control.hold(points.len(), points.len() * size_of::<(i64, Told)>())?;
                let labels = ranges.labels(index);
                let drops = ranges.drops_name(index);
                let labels = if drops { labels::without_metadata(labels) } else { labels.clone() };
                matrix.push((labels, points));
            }
        }
        drop(reader);
        self.notes.extend(notes);
        Ok(matrix)
    }
}

/// Labels of a series with its points.
pub(super) type TimedSeries = (kandela_model::Labels, Vec<(i64, Told)>);

fn check_factors(scalars: &[Argument]) -> Evaluated<()> {
    for ((values, _), (what, short)) in scalars.iter().zip([("smoothing", "sf"), ("trend", "tf")]) {
        if let Some(wrong) = values.iter().find(|value| **value <= 0.0 || **value >= 1.0) {
            let wrong = if wrong.is_finite() { format!("{wrong:.6}") } else { shortest(*wrong) };
            return failed(format!("invalid {what} factor. Expected: 0 < {short} < 1, got: {wrong}"));
        }
    }
    Ok(())
}

/// The samples that tell of the window at an evaluation's time.
fn around<'a>(ranges: &Ranges<'_>, samples: Samples<'a>, at: i64, lookback: i64) -> Around<'a> {
    let (from, through) = ranges.window(at);
    let behind = if ranges.boundary == Boundary::Smoothed { lookback } else { 0 };
    let low = samples.times.partition_point(|time| *time <= from.saturating_sub(lookback));
    let high = samples.times.partition_point(|time| *time <= through.saturating_add(behind));
    Around {
        times: samples.times.get(low..high).unwrap_or_default(),
        values: samples.values.get(low..high).unwrap_or_default(),
        from,
        through,
        boundary: ranges.boundary,
    }
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
