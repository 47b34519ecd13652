//! A query from its text to its answer.

use std::collections::HashMap;
use std::sync::Arc;

use kandela_config::matcher::Matcher;
use kandela_model::Labels;

use super::annotations::Annotations;
use super::control::Held;
use super::durations::Known;
use super::names::named;
use super::value::{Grid, Series, Value};
use super::{Control, EvalError, Evaluated, Evaluator, Limits, Options, When, labels, select};
use crate::answer::{Answer, Answered, Point};
use crate::ast::{Aggregate, AggregateOp, Expr, Kind, ValueType};
use crate::parse::parse;
use crate::source::{Select, SeriesSet, SeriesSource};

/// Evaluates a query without limits.
///
/// # Errors
/// When the query is wrong, its series cannot be had, or what it asks makes no sense on them.
pub async fn evaluate(
    source: &dyn SeriesSource,
    query: &str,
    when: When,
    options: Options,
) -> Result<Answered, EvalError> {
    let limits = Limits { samples: usize::MAX, memory: usize::MAX };
    prepare(source, query, when, options, &Arc::new(Control::new(None, limits))).await?.run()
}

/// A query whose series are found. Running it computes, and blocks where samples must be read.
pub struct Prepared {
    text: String,
    expr: Expr,
    grid: Grid,
    known: Known,
    start: i64,
    end: i64,
    is_instant: bool,
    options: Options,
    sets: HashMap<usize, Arc<dyn SeriesSet>>,
    control: Arc<Control>,
}

/// Reads a query and finds its series, which count as held by `control` from then on.
///
/// # Errors
/// When the query is wrong, its series cannot be found, or `control` ends it.
pub async fn prepare(
    source: &dyn SeriesSource,
    query: &str,
    when: When,
    options: Options,
    control: &Arc<Control>,
) -> Result<Prepared, EvalError> {
    let expr = parse(query).map_err(|e| EvalError::Bad(e.to_string()))?;
    let kind = expr.value_type();
    if matches!(when, When::Range { .. }) && matches!(kind, ValueType::String | ValueType::Matrix) {
        return Err(EvalError::Bad(format!(
            "invalid expression type \"{}\" for range query, must be Scalar or instant Vector",
            kind.documented()
        )));
    }
    let (start, end, step) = match when {
        When::Instant(at) => (at, at, 0),
        When::Range { from, through, step } => (from, through, step),
    };
    let grid = match when {
        When::Instant(at) => Grid::at(at),
        When::Range { from, through, step } => {
            let count = usize::try_from(through.saturating_sub(from).div_euclid(step.max(1)) + 1);
            Grid { start: from, step, count: count.unwrap_or(0) }
        }
    };
    let known = Known { step: step as f64 / 1e6, range: end.saturating_sub(start) as f64 / 1e6 };
    let mut plan = select::Plan { known, start, end, options, wanted: Vec::new() };
    plan.visit(&expr, grid.start, grid.end())?;
    let matchers = plan.wanted.iter().flat_map(|(_, select)| &select.matchers);
    control.hold(0, matchers.map(Matcher::heap_bytes).sum())?;
    let mut sets = HashMap::new();
    let mut found: Vec<(&Select, Arc<dyn SeriesSet>)> = Vec::new();
    for (at, wanted) in &plan.wanted {
        let same = found.iter().find(|(select, _)| *select == wanted).map(|(_, set)| set.clone());
        let set = match same {
            Some(set) => set,
            None => {
                let set = source.select(wanted).await?;
                control.hold(0, set.heap_bytes())?;
                set
            }
        };
        sets.insert(*at, set.clone());
        found.push((wanted, set));
    }
    let (text, is_instant, control) = (query.to_owned(), matches!(when, When::Instant(_)), control.clone());
    Ok(Prepared { text, expr, grid, known, start, end, is_instant, options, sets, control })
}

impl Prepared {
    /// Computes the answer. What the answer takes, and nothing else, counts as held by the query's control at the end.
    ///
    /// # Errors
    /// When what the query asks makes no sense on its series, they cannot be read, or its control ends it.
    pub fn run(self) -> Result<Answered, EvalError> {
        let mut warnings: Vec<String> = Vec::new();
        for lacking in self.sets.values().flat_map(|set| set.warnings()) {
            if !warnings.contains(lacking) {
                warnings.push(lacking.clone());
            }
        }
        warnings.sort();
        let mut evaluator = Evaluator {
            sets: self.sets,
            known: self.known,
            start: self.start,
            end: self.end,
            options: self.options,
            is_instant: self.is_instant,
            stats_only: false,
            nested_streams: 0,
            notes: Annotations::default(),
            control: self.control,
        };
        evaluator.control.room_for(self.grid.count)?;
        let answer = evaluator.answer(&self.expr, self.grid)?;
        let (noted, infos) = evaluator.notes.told(&self.text);
        warnings.extend(noted);
        evaluator.control.settle(Held { samples: 0, bytes: answer.heap_bytes() })?;
        Ok(Answered { answer, warnings, infos })
    }
}

impl Evaluator {
    fn answer(&mut self, expr: &Expr, grid: Grid) -> Evaluated<Answer> {
        if self.is_instant && matches!(expr.unwrapped().kind, Kind::Matrix(_) | Kind::Subquery(_)) {
            let mut matrix = self.samples_of(expr.unwrapped(), grid)?;
            matrix.sort_by(|a, b| labels::compare(&a.0, &b.0));
            return Ok(Answer::Matrix(matrix));
        }
        let value = self.eval(expr, grid)?;
        let mut series = match value {
            Value::String(text) => return Ok(Answer::String(String::from_utf8_lossy(&text).into_owned())),
            Value::Scalar(values) if self.is_instant => {
                return Ok(Answer::Scalar(values.first().copied().unwrap_or(f64::NAN)));
            }
            Value::Scalar(values) => {
                let points = grid.times().zip(values).map(|(at, value)| (at, Point::Float(value)));
                return Ok(Answer::Matrix(vec![(Labels::default(), points.collect())]));
            }
            Value::Vector(series) if self.options.delayed_name_removal => named(series, grid.count)?,
            Value::Vector(series) => series,
        };
        if self.is_instant {
            if !is_ordered(expr) {
                series.sort_by(|a, b| labels::compare(&a.labels, &b.labels));
            }
            let told = |series: Series| Some((series.column.point(0)?, series.labels));
            return Ok(Answer::Vector(series.into_iter().filter_map(told).map(|(p, l)| (l, p)).collect()));
        }
        let counts: Vec<usize> = series.iter().map(|series| series.held().samples).collect();
        self.control.hold(0, counts.iter().sum::<usize>() * size_of::<(i64, Point)>())?;
        let mut matrix = Vec::with_capacity(series.len());
        for (series, count) in series.into_iter().zip(counts).filter(|(_, count)| *count > 0) {
            let mut points = Vec::with_capacity(count);
            points.extend((0..grid.count).filter_map(|n| Some((grid.time(n), series.point(n)?))));
            matrix.push((series.labels, points));
        }
        matrix.sort_by(|a, b| labels::compare(&a.0, &b.0));
        Ok(Answer::Matrix(matrix))
    }
}

/// Whether an expression gives its series in an order of its own.
fn is_ordered(expr: &Expr) -> bool {
    match &expr.unwrapped().kind {
        Kind::Call(call) => call.function.name.starts_with("sort"),
        Kind::Aggregate(aggregate) => {
            let Aggregate { op, .. } = **aggregate;
            matches!(op, AggregateOp::Topk | AggregateOp::Bottomk)
        }
        _ => false,
    }
}
