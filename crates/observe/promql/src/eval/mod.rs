//! Evaluating a query: series in, series out.
//!
//! All series that a query may need are found first, selector by selector. Then the tree is evaluated on the whole grid of
//! steps at once: an operator gives a column of values for each series. What is computed series by series is a stream, which
//! aggregations fold as it comes; what needs several series at a time holds them.

mod aggregate;
mod annotations;
mod asked;
mod binary;
mod calendar;
mod control;
mod durations;
mod fold;
mod groups;
mod histograms;
mod hyperbolic;
mod info;
mod instant;
mod label_functions;
mod labels;
mod names;
mod newest;
mod operators;
mod prepare;
mod range;
mod ranges;
mod ranked;
mod results;
mod sampling;
mod select;
mod stream;
mod value;

use std::collections::HashMap;
use std::sync::Arc;

use kandela_model::Histogram;

use crate::ast::{At, Duration, Expr, Kind, Span, ValueType};
use crate::depth::deeper;
use crate::quote::quoted;
use crate::source::SeriesSet;
use annotations::{Annotations, Note};
use durations::Known;
use names::named;
use newest::Asked;
use stream::{Changed, Run, Stream, There};
use value::{ABSENT, Column, Grid, Series, Value, is_absent};

pub use asked::{EvalError, Options, When};
pub use control::{Control, Limits, SharedMemory};
pub use prepare::{Prepared, evaluate, prepare};

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
    /// How many streams are being made, one in the other.
    nested_streams: usize,
    notes: Annotations,
    control: Arc<Control>,
}

/// How many streams may be one in the other: a column goes through all of them on one stack. Beyond, all series of one are
/// computed first.
const MAX_NESTED_STREAMS: usize = 64;

type Evaluated<T = Value> = Result<T, EvalError>;

fn failed<T>(message: impl Into<String>) -> Evaluated<T> {
    Err(EvalError::Execution(message.into()))
}

impl Evaluator {
    /// The value of an expression. While it is computed, what its parts hold counts too.
    pub(crate) fn eval(&mut self, expr: &Expr, grid: Grid) -> Evaluated {
        self.control.check()?;
        let before = self.control.held();
        let nested = std::mem::take(&mut self.nested_streams);
        let value = if grid.count > 1 && select::is_fixed(expr) {
            self.eval(expr, Grid { count: 1, ..grid }).map(|value| repeated(value, grid.count))
        } else {
            deeper(|| self.eval_kind(expr, grid))
        };
        self.nested_streams = nested;
        let value = match value? {
            Value::Vector(series) => Value::Vector(self.without_names(series, grid.count)?),
            value => value,
        };
        self.control.settle(before + value.held())?;
        Ok(value)
    }

    fn eval_kind(&mut self, expr: &Expr, grid: Grid) -> Evaluated {
        if is_streamed(expr) {
            let stream = self.stream(expr, grid)?;
            let run = Run { control: &self.control, grid, threads: self.options.threads };
            return run.collect(&*stream, &mut self.notes).map(Value::Vector);
        }
        match &expr.kind {
            Kind::Number(number) => Ok(Value::Scalar(vec![number.value; grid.count])),
            Kind::String(text) => Ok(Value::String(text.clone())),
            Kind::Paren(inner) => self.eval(inner, grid),
            Kind::Vector(_) | Kind::Matrix(_) | Kind::Subquery(_) => {
                failed("a range of samples has no single value")
            }
            Kind::Unary(unary) => {
                let value = self.eval(&unary.expr, grid)?;
                Ok(match value {
                    Value::Scalar(values) if unary.negative => {
                        Value::Scalar(values.into_iter().map(|value| -value).collect())
                    }
                    value => value,
                })
            }
            Kind::Binary(binary) => self.binary(binary, expr.span, grid),
            Kind::Aggregate(aggregate) => self.aggregate(aggregate, expr.span, grid),
            Kind::Call(call) if call.function.name == "absent_over_time" => self.absent_over_time(call, grid),
            Kind::Call(call) if call.function.name == "info" => self.info_call(call, expr.span, grid),
            Kind::Call(call) => self.instant_call(call, expr.span, grid),
        }
    }

    /// The series of an expression one by one; where it is not computed series by series, all are computed first.
    fn stream<'a>(&mut self, expr: &'a Expr, grid: Grid) -> Evaluated<Box<dyn Stream + 'a>> {
        let is_held = self.nested_streams >= MAX_NESTED_STREAMS
            || !is_streamed(expr)
            || grid.count > 1 && select::is_fixed(expr);
        if is_held {
            return Ok(Box::new(There(self.vector(expr, grid)?)));
        }
        self.nested_streams += 1;
        let stream = deeper(|| self.stream_kind(expr, grid));
        self.nested_streams -= 1;
        let stream = stream?;
        if self.options.delayed_name_removal || !names::may_become_one(&*stream) {
            return Ok(stream);
        }
        let run = Run { control: &self.control, grid, threads: self.options.threads };
        let series = run.collect(&*stream, &mut self.notes)?;
        Ok(Box::new(There(named(series, grid.count)?)))
    }

    fn stream_kind<'a>(&mut self, expr: &'a Expr, grid: Grid) -> Evaluated<Box<dyn Stream + 'a>> {
        match &expr.kind {
            Kind::Paren(inner) => self.stream(inner, grid),
            Kind::Vector(selector) => Ok(Box::new(self.newest(selector, expr.span, grid, Asked::Value)?)),
            Kind::Unary(unary) if !unary.negative => self.stream(&unary.expr, grid),
            Kind::Unary(unary) => {
                let inner = self.stream(&unary.expr, grid)?;
                Ok(Box::new(Changed { inner, drops_name: true, change: Box::new(negate) }))
            }
            Kind::Binary(binary) => self.with_scalar(binary, expr.span, grid),
            Kind::Call(call) if range::is_windowed(call) => self.windows(call, grid),
            Kind::Call(call) => self.changed(call, grid),
            _ => failed("expected an instant vector"),
        }
    }

    /// Folds the columns of a stream, see [`Run::fold`].
    fn fold<T: Send>(
        &mut self,
        stream: &dyn Stream,
        grid: Grid,
        make: impl Fn() -> T + Sync,
        take: impl Fn(&mut T, usize, &mut Column) -> Evaluated<()> + Sync,
    ) -> Evaluated<Vec<T>> {
        let run = Run { control: &self.control, grid, threads: self.options.threads };
        run.fold(stream, &mut self.notes, make, take)
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
                Err(_) => failed(format!("invalid label name or text {}", quoted(text))),
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
}

/// Whether each series of an expression is computed for itself.
fn is_streamed(expr: &Expr) -> bool {
    let is_vector = |expr: &Expr| expr.value_type() == ValueType::Vector;
    match &expr.unwrapped().kind {
        Kind::Vector(_) => true,
        Kind::Unary(unary) => is_vector(&unary.expr),
        Kind::Binary(binary) => is_vector(&binary.left) != is_vector(&binary.right),
        Kind::Call(call) => range::is_windowed(call) || instant::is_changed(call),
        _ => false,
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
                    Series { column: Column { floats, histograms }, ..one }
                })
                .collect(),
        ),
    }
}

fn negate(column: &mut Column, _: &mut Annotations) -> bool {
    column.floats.iter_mut().filter(|value| !is_absent(**value)).for_each(|value| *value = -*value);
    for histogram in column.histograms.iter_mut().flatten() {
        let mut negative = Histogram::clone(histogram);
        crate::histogram::mul(&mut negative, -1.0);
        *histogram = Arc::new(negative);
    }
    true
}
