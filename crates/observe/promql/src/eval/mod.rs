//! Evaluating a query: series in, series out.
//!
//! All samples that a query may need are found first, selector by selector. Then the tree is evaluated on the whole grid of
//! steps at once: an operator gives a column of values for each series.

mod aggregate;
mod annotations;
mod binary;
mod calendar;
mod durations;
mod histograms;
mod info;
mod instant;
mod label_functions;
mod labels;
mod range;
mod select;
mod value;

use std::collections::HashMap;
use std::sync::Arc;

use kandela_model::Histogram;

use crate::ast::{At, Call, Duration, Expr, Kind, Selector, Span};
use crate::parse::parse;
use crate::script::{Answer, Answered, Point as Told};
use crate::source::{SeriesSet, SeriesSource, SourceError};
use annotations::{Annotations, Note};
use durations::Known;
use value::{ABSENT, Grid, Point, Series, Value, is_absent};

/// How a query is evaluated. Times and durations are microseconds.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// How old the newest sample of a series may be.
    pub lookback: i64,
    /// The step of a subquery that names none.
    pub subquery_step: i64,
}

impl Default for Options {
    fn default() -> Self {
        Self { lookback: 300_000_000, subquery_step: 60_000_000 }
    }
}

/// When a query is evaluated, in microseconds since the Unix epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// Once.
    Instant(i64),
    /// From `from` in steps of `step`, which is above zero, up to `through`.
    Range {
        /// The first time.
        from: i64,
        /// None later.
        through: i64,
        /// The distance.
        step: i64,
    },
}

/// Why a query has no answer.
#[derive(Clone, Debug, thiserror::Error)]
pub enum EvalError {
    /// The query is wrong.
    #[error("{0}")]
    Bad(String),
    /// It cannot be evaluated on these data.
    #[error("{0}")]
    Execution(String),
    /// Its series cannot be had.
    #[error(transparent)]
    Source(#[from] SourceError),
}

/// Evaluates a query.
///
/// # Errors
/// When the query is wrong, its series cannot be had, or what it asks makes no sense on them.
pub async fn evaluate(
    source: &dyn SeriesSource,
    query: &str,
    when: When,
    options: Options,
) -> Result<Answered, EvalError> {
    let expr = parse(query).map_err(|e| EvalError::Bad(e.to_string()))?;
    let (grid, step, range) = match when {
        When::Instant(at) => (Grid::at(at), 0, 0),
        When::Range { from, through, step } => {
            let count = usize::try_from((through - from) / step + 1).unwrap_or(0);
            (Grid { start: from, step, count }, step, through - from)
        }
    };
    let known = Known { step: step as f64 / 1e6, range: range as f64 / 1e6 };
    let (start, end) = match when {
        When::Instant(at) => (at, at),
        When::Range { from, through, .. } => (from, through),
    };
    let mut plan = select::Plan { known, start, end, options, wanted: Vec::new() };
    plan.visit(&expr, grid.start, grid.end())?;
    let mut sets = HashMap::new();
    for (at, wanted) in &plan.wanted {
        sets.insert(*at, source.select(wanted).await?);
    }
    let mut evaluator = Evaluator {
        sets,
        known,
        start,
        end,
        options,
        is_instant: matches!(when, When::Instant(_)),
        stats_only: false,
        notes: Annotations::default(),
    };
    let answer = evaluator.answer(&expr, grid)?;
    let (warnings, infos) = evaluator.notes.told(query);
    Ok(Answered { answer, warnings, infos })
}

pub(crate) struct Evaluator {
    /// What each selector found, by its place in the query.
    sets: HashMap<usize, Arc<dyn SeriesSet>>,
    known: Known,
    start: i64,
    end: i64,
    options: Options,
    is_instant: bool,
    /// Whether only counts and sums of histograms are asked for, so that resets are told by hints.
    stats_only: bool,
    notes: Annotations,
}

type Evaluated<T = Value> = Result<T, EvalError>;

fn failed<T>(message: impl Into<String>) -> Evaluated<T> {
    Err(EvalError::Execution(message.into()))
}

impl Evaluator {
    fn answer(&mut self, expr: &Expr, grid: Grid) -> Evaluated<Answer> {
        if self.is_instant && matches!(expr.unwrapped().kind, Kind::Matrix(_) | Kind::Subquery(_)) {
            return self.matrix(expr.unwrapped(), grid);
        }
        let value = self.eval(expr, grid)?;
        let series = match value {
            Value::String(text) => return Ok(Answer::String(String::from_utf8_lossy(&text).into_owned())),
            Value::Scalar(values) if self.is_instant => {
                return Ok(Answer::Scalar(values.first().copied().unwrap_or(f64::NAN)));
            }
            Value::Scalar(values) => {
                let points = grid.times().zip(values).map(|(at, value)| (at, Told::Float(value)));
                return Ok(Answer::Matrix(vec![(kandela_model::Labels::default(), points.collect())]));
            }
            Value::Vector(series) => named(series, grid.count)?,
        };
        if self.is_instant {
            let told = |series: Series| {
                let point = series.point(0)?;
                Some((series.labels, told(point)))
            };
            return Ok(Answer::Vector(series.into_iter().filter_map(told).collect()));
        }
        let mut matrix: Vec<_> = series
            .into_iter()
            .map(|series| {
                let points = (0..grid.count)
                    .filter_map(|n| Some((grid.time(n), told(series.point(n)?))))
                    .collect::<Vec<_>>();
                (series.labels, points)
            })
            .filter(|(_, points)| !points.is_empty())
            .collect();
        matrix.sort_by(|a, b| labels::compare(&a.0, &b.0));
        Ok(Answer::Matrix(matrix))
    }

    /// The samples of a range selector or subquery at one time.
    fn matrix(&mut self, expr: &Expr, grid: Grid) -> Evaluated<Answer> {
        let input = self.ranges(expr, grid)?;
        let lookback = self.options.lookback;
        let mut matrix: Vec<(kandela_model::Labels, Vec<(i64, Told)>)> = Vec::new();
        let (from, through) = input.window(grid.start);
        input.each(|labels, drop_name, samples| {
            if input.boundary != crate::ast::Boundary::Plain {
                if let Some(extended) = range::extended_samples(&input, samples, grid.start, lookback) {
                    let floats = extended.times.into_iter().zip(extended.values);
                    let points = floats.map(|(at, value)| (at, Told::Float(value))).collect();
                    matrix.push((labels.clone(), points));
                }
                return Ok(());
            }
            let floats = samples.times.iter().zip(&samples.values);
            let mut points: Vec<(i64, Told)> = floats.map(|(at, value)| (*at, Told::Float(*value))).collect();
            let histograms = samples.histograms.iter();
            points.extend(histograms.map(|(at, h)| (*at, Told::Histogram(Histogram::clone(h)))));
            points.retain(|(at, _)| *at > from && *at <= through);
            points.sort_by_key(|(at, _)| *at);
            if !points.is_empty() {
                let labels = if drop_name { labels::without_metadata(labels) } else { labels.clone() };
                matrix.push((labels, points));
            }
            Ok(())
        })?;
        matrix.sort_by(|a, b| labels::compare(&a.0, &b.0));
        Ok(Answer::Matrix(matrix))
    }

    pub(crate) fn eval(&mut self, expr: &Expr, grid: Grid) -> Evaluated {
        if grid.count > 1 && select::is_fixed(expr) {
            let once = self.eval(expr, Grid { count: 1, ..grid })?;
            return Ok(repeated(once, grid.count));
        }
        match &expr.kind {
            Kind::Number(number) => Ok(Value::Scalar(vec![number.value; grid.count])),
            Kind::String(text) => Ok(Value::String(text.clone())),
            Kind::Paren(inner) => self.eval(inner, grid),
            Kind::Vector(selector) => self.instant_selector(selector, expr.span, grid).map(Value::Vector),
            Kind::Matrix(_) | Kind::Subquery(_) => failed("a range of samples has no single value"),
            Kind::Unary(unary) => {
                let value = self.eval(&unary.expr, grid)?;
                Ok(if unary.negative { negated(value) } else { value })
            }
            Kind::Binary(binary) => self.binary(binary, expr.span, grid),
            Kind::Aggregate(aggregate) => self.aggregate(aggregate, expr.span, grid),
            Kind::Call(call) => self.call(call, expr.span, grid),
        }
    }

    pub(crate) fn vector(&mut self, expr: &Expr, grid: Grid) -> Evaluated<Vec<Series>> {
        match self.eval(expr, grid)? {
            Value::Vector(series) => Ok(series),
            _ => failed("expected an instant vector"),
        }
    }

    pub(crate) fn scalar(&mut self, expr: &Expr, grid: Grid) -> Evaluated<Vec<f64>> {
        match self.eval(expr, grid)? {
            Value::Scalar(values) => Ok(values),
            _ => failed("expected a scalar"),
        }
    }

    pub(crate) fn text(&mut self, expr: &Expr) -> Evaluated<String> {
        match &expr.unwrapped().kind {
            Kind::String(text) => match std::str::from_utf8(text) {
                Ok(text) => Ok(text.to_owned()),
                Err(_) => failed(format!("invalid label name or text {}", instant::quoted(text))),
            },
            _ => failed("expected a string"),
        }
    }

    /// When a selector looks instead of `at`: `@`, then `offset`.
    fn moved(&self, at: Option<At>, offset: Option<&Duration>) -> Evaluated<(Option<i64>, i64)> {
        let fixed = at.map(|at| match at {
            At::Micros(micros) => micros,
            At::Start => self.start,
            At::End => self.end,
        });
        let offset = offset.map_or(Ok(0), |offset| durations::any(offset, self.known))?;
        Ok((fixed, offset))
    }

    fn set(&self, span: Span) -> Evaluated<Arc<dyn SeriesSet>> {
        match self.sets.get(&span.start) {
            Some(set) => Ok(set.clone()),
            None => failed("a selector was not planned"),
        }
    }

    pub(crate) fn note(&mut self, note: Note, span: Span) {
        self.notes.add(note, span);
    }

    fn call(&mut self, call: &Call, span: Span, grid: Grid) -> Evaluated {
        if call.args.iter().any(|arg| matches!(arg.unwrapped().kind, Kind::Matrix(_) | Kind::Subquery(_))) {
            return self.range_call(call, span, grid);
        }
        if call.function.name == "info" {
            return self.info_call(call, span, grid);
        }
        self.instant_call(call, span, grid)
    }

    /// The newest samples of a selector's series.
    fn instant_selector(&mut self, selector: &Selector, span: Span, grid: Grid) -> Evaluated<Vec<Series>> {
        self.newest(selector, span, grid, |_, value| value)
    }
}

fn told(point: Point) -> Told {
    match point {
        Point::Float(value) => Told::Float(value),
        Point::Histogram(histogram) => Told::Histogram(Histogram::clone(&histogram)),
    }
}

fn repeated(value: Value, count: usize) -> Value {
    match value {
        Value::Scalar(values) => Value::Scalar(vec![values.first().copied().unwrap_or(f64::NAN); count]),
        Value::String(text) => Value::String(text),
        Value::Vector(series) => Value::Vector(
            series
                .into_iter()
                .map(|one| {
                    let floats = vec![one.floats.first().copied().unwrap_or(ABSENT); count];
                    let histograms = match one.histograms.first() {
                        Some(histogram) => vec![histogram.clone(); count],
                        None => Vec::new(),
                    };
                    Series { floats, histograms, ..one }
                })
                .collect(),
        ),
    }
}

fn negated(value: Value) -> Value {
    match value {
        Value::Scalar(values) => Value::Scalar(values.into_iter().map(|value| -value).collect()),
        Value::String(text) => Value::String(text),
        Value::Vector(mut series) => {
            for one in &mut series {
                one.drop_name = true;
                one.floats.iter_mut().filter(|value| !is_absent(**value)).for_each(|value| *value = -*value);
                for histogram in one.histograms.iter_mut().flatten() {
                    let mut negative = Histogram::clone(histogram);
                    crate::histogram::mul(&mut negative, -1.0);
                    *histogram = Arc::new(negative);
                }
            }
            Value::Vector(series)
        }
    }
}

/// The series without the names that are to go; series that are then one must not have values at one time.
fn named(series: Vec<Series>, count: usize) -> Evaluated<Vec<Series>> {
    let mut named: Vec<Series> = Vec::with_capacity(series.len());
    let mut places: HashMap<kandela_model::Labels, usize> = HashMap::new();
    for mut one in series {
        if one.is_empty() {
            continue;
        }
        if one.drop_name {
            one.labels = labels::without_metadata(&one.labels);
            one.drop_name = false;
        }
        match places.get(&one.labels).and_then(|at| named.get_mut(*at)) {
            None => {
                places.insert(one.labels.clone(), named.len());
                named.push(one);
            }
            Some(same) => {
                for n in 0..count {
                    let Some(point) = one.point(n) else { continue };
                    if same.has(n) {
                        return failed("vector cannot contain metrics with the same labelset");
                    }
                    same.set(n, point);
                }
            }
        }
    }
    Ok(named)
}
