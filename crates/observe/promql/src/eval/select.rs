//! Which samples a query needs.

use kandela_model::METRIC_NAME;

use super::durations::{self, Known};
use super::{EvalError, Options};
use crate::ast::{At, Boundary, Duration, Expr, Kind, Selector, Span};
use crate::depth::deeper;
use crate::source::Select;
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
        deeper(|| self.visit_level(expr, first, last))
    }

    fn visit_level(&mut self, expr: &Expr, first: i64, last: i64) -> Result<(), EvalError> {
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
                let from = from.min(first).saturating_sub(self.options.lookback);
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
                self.visit(&subquery.expr, first.saturating_sub(range), last)
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
        Ok((first.saturating_sub(offset), last.saturating_sub(offset)))
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
        let from = first.saturating_sub(back).saturating_sub(before);
        let through = last.saturating_add(behind);
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
    deeper(|| is_level_fixed(expr))
}

fn is_level_fixed(expr: &Expr) -> bool {
    match &expr.kind {
        Kind::Number(_) | Kind::String(_) => true,
        Kind::Paren(inner) => is_fixed(inner),
        Kind::Unary(unary) => is_fixed(&unary.expr),
        Kind::Binary(binary) => is_fixed(&binary.right) && is_fixed(&binary.left),
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
