//! Which samples a query needs, and the windows in which it looks at them.

use std::sync::Arc;

use kandela_model::{Histogram, Labels, METRIC_NAME, ResetHint, is_stale};

use super::durations::{self, Known};
use super::value::{Grid, Point, Series, Value};
use super::{EvalError, Evaluated, Evaluator, Options, failed};
use crate::ast::{At, Boundary, Duration, Expr, Kind, Selector, Span};
use crate::source::{Samples, Select, SeriesSet};
use kandela_config::matcher::{MatchOp, Matcher};

/// Walks a tree and notes what each selector needs.
pub(crate) struct Plan {
    pub(crate) known: Known,
    pub(crate) start: i64,
    pub(crate) end: i64,
    pub(crate) options: Options,
    pub(crate) wanted: Vec<(usize, Select)>,
}

impl Plan {
    /// Notes what `expr` needs when it is evaluated from `first` to `last`.
    pub(crate) fn visit(&mut self, expr: &Expr, first: i64, last: i64) -> Result<(), EvalError> {
        match &expr.kind {
            Kind::Number(_) | Kind::String(_) => Ok(()),
            Kind::Paren(inner) => self.visit(inner, first, last),
            Kind::Unary(unary) => self.visit(&unary.expr, first, last),
            Kind::Binary(binary) => {
                self.visit(&binary.left, first, last)?;
                self.visit(&binary.right, first, last)
            }
            Kind::Aggregate(aggregate) => {
                if let Some(param) = &aggregate.param {
                    self.visit(param, first, last)?;
                }
                self.visit(&aggregate.expr, first, last)
            }
            Kind::Call(call) if call.function.name == "info" => {
                let [base, rest @ ..] = call.args.as_slice() else { return Ok(()) };
                let before = self.wanted.len();
                self.visit(base, first, last)?;
                let (place, matchers) = info_matchers(rest.first(), expr.span);
                // Info series are looked at as of when the base is.
                let of_base = self.wanted.get(before..).unwrap_or_default().iter().map(|(_, select)| select);
                let from = of_base.clone().map(|select| select.from).min().unwrap_or(first);
                let through = of_base.map(|select| select.through).max().unwrap_or(last);
                let from = from.min(first) - self.options.lookback;
                self.wanted.push((place, Select { matchers, from, through: through.max(last) }));
                Ok(())
            }
            Kind::Call(call) => call.args.iter().try_for_each(|arg| self.visit(arg, first, last)),
            Kind::Vector(selector) => self.want(selector, expr.span, self.options.lookback, first, last),
            Kind::Matrix(matrix) => {
                let range = durations::positive(&matrix.range, self.known)?;
                self.want(&matrix.selector, expr.span, range, first, last)
            }
            Kind::Subquery(subquery) => {
                let range = durations::positive(&subquery.range, self.known)?;
                let (first, last) = self.moved(subquery.at, subquery.offset.as_ref(), first, last)?;
                self.visit(&subquery.expr, first - range, last)
            }
        }
    }

    fn moved(
        &self,
        at: Option<At>,
        offset: Option<&Duration>,
        first: i64,
        last: i64,
    ) -> Result<(i64, i64), EvalError> {
        let (first, last) = match at {
            Some(At::Micros(micros)) => (micros, micros),
            Some(At::Start) => (self.start, self.start),
            Some(At::End) => (self.end, self.end),
            None => (first, last),
        };
        let offset = offset.map_or(Ok(0), |offset| durations::any(offset, self.known))?;
        Ok((first - offset, last - offset))
    }

    fn want(
        &mut self,
        selector: &Selector,
        span: Span,
        back: i64,
        first: i64,
        last: i64,
    ) -> Result<(), EvalError> {
        let (first, last) = self.moved(selector.at, selector.offset.as_ref(), first, last)?;
        let lookback = self.options.lookback;
        let (before, behind) = match selector.boundary {
            Boundary::Plain => (0, 0),
            Boundary::Anchored => (lookback, 0),
            Boundary::Smoothed => (lookback, lookback),
        };
        let (from, through) = (first - back - before, last + behind);
        let wanted = Select { matchers: selector.matchers.clone(), from, through };
        self.wanted.push((span.start, wanted));
        Ok(())
    }
}

/// What an `info` looks for, and the place by which it is known.
pub(super) fn info_matchers(selector: Option<&Expr>, call: Span) -> (usize, Vec<Matcher>) {
    let (place, mut matchers) = match selector.map(|expr| (expr.span.start, &expr.kind)) {
        Some((start, Kind::Vector(selector))) => (start, selector.matchers.clone()),
        _ => (call.start, Vec::new()),
    };
    let mut of_name = matchers.iter().filter(|matcher| matcher.name == METRIC_NAME).peekable();
    let any = of_name.peek().is_some();
    let positive = of_name.any(|matcher| matches!(matcher.op, MatchOp::Equal | MatchOp::Regex));
    if !any {
        matchers.push(Matcher::equal(METRIC_NAME, "target_info"));
    } else if !positive {
        // What is excluded is excluded from all info metrics.
        matchers.extend(Matcher::new(METRIC_NAME, MatchOp::Regex, ".+_info"));
    }
    (place, matchers)
}

/// Whether an expression has the same value at every step.
pub(crate) fn is_fixed(expr: &Expr) -> bool {
    match &expr.kind {
        Kind::Number(_) | Kind::String(_) => true,
        Kind::Paren(inner) => is_fixed(inner),
        Kind::Unary(unary) => is_fixed(&unary.expr),
        Kind::Binary(binary) => is_fixed(&binary.left) && is_fixed(&binary.right),
        Kind::Aggregate(aggregate) => {
            is_fixed(&aggregate.expr) && aggregate.param.as_ref().is_none_or(is_fixed)
        }
        Kind::Vector(selector) => selector.at.is_some(),
        Kind::Matrix(matrix) => matrix.selector.at.is_some(),
        Kind::Subquery(subquery) => subquery.at.is_some(),
        Kind::Call(call) => {
            let of_time = matches!(
                call.function.name,
                "time"
                    | "timestamp"
                    | "predict_linear"
                    | "info"
                    | "days_in_month"
                    | "day_of_month"
                    | "day_of_week"
                    | "day_of_year"
                    | "hour"
                    | "minute"
                    | "month"
                    | "year"
            );
            !of_time && call.args.iter().all(is_fixed)
        }
    }
}

/// Ranges of samples, series by series.
pub(crate) struct Ranges {
    series: Origin,
    pub(crate) range: i64,
    fixed: Option<i64>,
    offset: i64,
    pub(crate) boundary: crate::ast::Boundary,
    stats_only: bool,
}

enum Origin {
    Set(Arc<dyn SeriesSet>),
    Evaluated(Vec<Series>, Grid),
}

impl Ranges {
    /// The ends of the window at an evaluation's time; the first is not in it.
    pub(crate) fn window(&self, at: i64) -> (i64, i64) {
        let end = self.fixed.unwrap_or(at) - self.offset;
        (end - self.range, end)
    }

    /// Calls `take` with the samples of each series, without staleness markers.
    pub(crate) fn each(
        &self,
        mut take: impl FnMut(&Labels, bool, &Samples) -> Result<(), EvalError>,
    ) -> Result<(), EvalError> {
        let mut samples = Samples::default();
        match &self.series {
            Origin::Set(set) => {
                for index in 0..set.len() {
                    set.read(index, &mut samples)?;
                    without_markers(&mut samples);
                    if self.stats_only {
                        detect_resets(&mut samples);
                    }
                    take(set.labels(index), false, &samples)?;
                }
            }
            Origin::Evaluated(series, grid) => {
                for one in series {
                    samples.clear();
                    for n in 0..grid.count {
                        match one.point(n) {
                            Some(Point::Float(value)) => {
                                samples.times.push(grid.time(n));
                                samples.values.push(value);
                            }
                            Some(Point::Histogram(histogram)) => {
                                samples.histograms.push((grid.time(n), without_hint(histogram)));
                            }
                            None => {}
                        }
                    }
                    take(&one.labels, one.drop_name, &samples)?;
                }
            }
        }
        Ok(())
    }
}

/// Between steps of a subquery samples are left out, and with them what hints say of neighbours.
fn without_hint(histogram: Arc<Histogram>) -> Arc<Histogram> {
    let hints = matches!(histogram.reset_hint, ResetHint::Reset | ResetHint::NotReset);
    if !hints && histogram.start.is_none() {
        return histogram;
    }
    let reset_hint = if hints { ResetHint::Unknown } else { histogram.reset_hint };
    Arc::new(Histogram { reset_hint, start: None, ..Histogram::clone(&histogram) })
}

/// Tells resets by hints, as Prometheus does where it reads counts and sums alone.
fn detect_resets(samples: &mut Samples) {
    let mut before: Option<Arc<Histogram>> = None;
    for (_, histogram) in &mut samples.histograms {
        let original = histogram.clone();
        if let Some(before) = &before
            && histogram.reset_hint != ResetHint::Gauge
        {
            let is_reset = crate::histogram::detect_reset(histogram, before);
            let reset_hint = if is_reset { ResetHint::Reset } else { ResetHint::NotReset };
            *histogram = Arc::new(Histogram { reset_hint, ..Histogram::clone(histogram) });
        }
        before = Some(original);
    }
}

fn without_markers(samples: &mut Samples) {
    if samples.values.iter().any(|value| is_stale(*value)) {
        let keep: Vec<bool> = samples.values.iter().map(|value| !is_stale(*value)).collect();
        let mut kept = keep.iter();
        samples.times.retain(|_| kept.next().copied().unwrap_or(true));
        let mut kept = keep.iter();
        samples.values.retain(|_| kept.next().copied().unwrap_or(true));
        if !samples.starts.is_empty() {
            let mut kept = keep.iter();
            samples.starts.retain(|_| kept.next().copied().unwrap_or(true));
        }
    }
    samples.histograms.retain(|(_, histogram)| !histogram.is_stale());
}

impl Evaluator {
    /// The ranges of a range selector or subquery.
    pub(crate) fn ranges(&mut self, expr: &Expr, grid: Grid) -> Evaluated<Ranges> {
        match &expr.unwrapped().kind {
            Kind::Matrix(matrix) => {
                let (fixed, offset) = self.moved(matrix.selector.at, matrix.selector.offset.as_ref())?;
                Ok(Ranges {
                    series: Origin::Set(self.set(expr.unwrapped().span)?),
                    range: durations::positive(&matrix.range, self.known)?,
                    fixed,
                    offset,
                    boundary: matrix.selector.boundary,
                    stats_only: self.stats_only,
                })
            }
            Kind::Subquery(subquery) => {
                let range = durations::positive(&subquery.range, self.known)?;
                let step = match &subquery.step {
                    Some(step) => durations::positive(step, self.known)?,
                    None => self.options.subquery_step,
                };
                let (fixed, offset) = self.moved(subquery.at, subquery.offset.as_ref())?;
                let first = fixed.unwrap_or(grid.start) - offset - range;
                let last = fixed.unwrap_or(grid.end()) - offset;
                // Steps are multiples of the step since the epoch, and a window has no start.
                let mut start = step * first.div_euclid(step);
                if start <= first {
                    start += step;
                }
                let count = if last < start { 0 } else { ((last - start) / step + 1) as usize };
                let inner = Grid { start, step, count };
                let series = match count {
                    0 => Vec::new(),
                    _ => self.vector(&subquery.expr, inner)?,
                };
                let boundary = crate::ast::Boundary::Plain;
                Ok(Ranges {
                    series: Origin::Evaluated(series, inner),
                    range,
                    fixed,
                    offset,
                    boundary,
                    stats_only: false,
                })
            }
            _ => failed("expected a range vector"),
        }
    }

    /// The newest sample of each series at each step; `value` may give something else for a float's time and value.
    pub(crate) fn newest(
        &mut self,
        selector: &Selector,
        span: Span,
        grid: Grid,
        value: impl Fn(i64, f64) -> f64,
    ) -> Evaluated<Vec<Series>> {
        let set = self.set(span)?;
        let (fixed, offset) = self.moved(selector.at, selector.offset.as_ref())?;
        let lookback = self.options.lookback;
        let mut found = Vec::new();
        let mut samples = Samples::default();
        for index in 0..set.len() {
            set.read(index, &mut samples)?;
            if self.stats_only {
                detect_resets(&mut samples);
            }
            let mut series = Series::new(set.labels(index).clone(), false, grid.count);
            let (mut floats, mut histograms) = (0, 0);
            let mut any = false;
            for n in 0..grid.count {
                let end = fixed.unwrap_or_else(|| grid.time(n)) - offset;
                while samples.times.get(floats).is_some_and(|at| *at <= end) {
                    floats += 1;
                }
                while samples.histograms.get(histograms).is_some_and(|(at, _)| *at <= end) {
                    histograms += 1;
                }
                let float = floats
                    .checked_sub(1)
                    .and_then(|at| Some((*samples.times.get(at)?, *samples.values.get(at)?)));
                let histogram = histograms.checked_sub(1).and_then(|at| samples.histograms.get(at));
                let newest_float = float.map_or(i64::MIN, |(at, _)| at);
                let newest_histogram = histogram.map_or(i64::MIN, |(at, _)| *at);
                if newest_float.max(newest_histogram) <= end - lookback {
                    continue;
                }
                if newest_float >= newest_histogram {
                    if let Some((at, float)) = float.filter(|(_, float)| !is_stale(*float)) {
                        let next = samples.times.get(floats).zip(samples.values.get(floats));
                        let next =
                            next.filter(|(next, value)| **next <= end + lookback && !is_stale(**value));
                        let float = match next {
                            Some((next, after)) if selector.boundary == Boundary::Smoothed && at < end => {
                                super::range::interpolated((at, float), (*next, *after), end)
                            }
                            _ => float,
                        };
                        series.set(n, Point::Float(value(at, float)));
                        any = true;
                    }
                } else if let Some((_, histogram)) = histogram.filter(|(_, h)| !h.is_stale()) {
                    series.set(n, Point::Histogram(histogram.clone()));
                    any = true;
                }
            }
            if any {
                found.push(series);
            }
        }
        Ok(found)
    }

    /// `start_timestamp(selector)`: since when the samples count, in seconds; 0 where that is not known.
    pub(crate) fn sample_starts(&mut self, selector: &Selector, span: Span, grid: Grid) -> Evaluated {
        let set = self.set(span)?;
        let (fixed, offset) = self.moved(selector.at, selector.offset.as_ref())?;
        let mut found = Vec::new();
        let mut samples = Samples::default();
        for index in 0..set.len() {
            set.read(index, &mut samples)?;
            let mut series = Series::new(set.labels(index).clone(), true, grid.count);
            for n in 0..grid.count {
                let end = fixed.unwrap_or_else(|| grid.time(n)) - offset;
                let float = samples.times.partition_point(|at| *at <= end).checked_sub(1).and_then(|at| {
                    let start = samples.starts.get(at).copied().unwrap_or_default();
                    Some((*samples.times.get(at)?, start, is_stale(*samples.values.get(at)?)))
                });
                let histogram = samples.histograms.partition_point(|(at, _)| *at <= end).checked_sub(1);
                let histogram = histogram
                    .and_then(|at| samples.histograms.get(at))
                    .map(|(at, h)| (*at, h.start.map_or(0, kandela_model::Timestamp::micros), h.is_stale()));
                if let Some((at, start, false)) =
                    float.into_iter().chain(histogram).max_by_key(|(at, ..)| *at)
                    && at > end - self.options.lookback
                {
                    series.set(n, Point::Float(start as f64 / 1e6));
                }
            }
            if !series.is_empty() {
                found.push(series);
            }
        }
        Ok(Value::Vector(found))
    }

    /// `timestamp(selector)`: the times of the samples, in seconds.
    pub(crate) fn sample_times(&mut self, selector: &Selector, span: Span, grid: Grid) -> Evaluated {
        let set = self.set(span)?;
        let (fixed, offset) = self.moved(selector.at, selector.offset.as_ref())?;
        let lookback = self.options.lookback;
        let mut found = Vec::new();
        let mut samples = Samples::default();
        for index in 0..set.len() {
            set.read(index, &mut samples)?;
            let mut series = Series::new(set.labels(index).clone(), true, grid.count);
            for n in 0..grid.count {
                let end = fixed.unwrap_or_else(|| grid.time(n)) - offset;
                let float = samples.times.partition_point(|at| *at <= end).checked_sub(1);
                let float =
                    float.and_then(|at| Some((*samples.times.get(at)?, is_stale(*samples.values.get(at)?))));
                let histogram = samples.histograms.partition_point(|(at, _)| *at <= end).checked_sub(1);
                let histogram =
                    histogram.and_then(|at| samples.histograms.get(at)).map(|(at, h)| (*at, h.is_stale()));
                let newest = float.into_iter().chain(histogram).max_by_key(|(at, _)| *at);
                if let Some((at, false)) = newest
                    && at > end - lookback
                {
                    series.set(n, Point::Float(at as f64 / 1e6));
                }
            }
            if !series.is_empty() {
                found.push(series);
            }
        }
        Ok(Value::Vector(found))
    }
}
