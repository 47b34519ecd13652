//! Which series a query stands on, and how far back it looks.

use std::collections::BTreeMap;
use std::time::Duration;

use kandela_promql::ast::{self, DurationExpr, Expr, Kind, Selector};
use kandela_promql::deeper;

/// How old the newest sample of a series may be, by Prometheus' default.
const LOOKBACK: f64 = 300.0;

/// A selector of a query.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Need {
    /// The selector without range, offset and `@`.
    pub(super) selector: String,
    /// How far before the query's time samples are needed.
    pub(super) back: Duration,
    /// How far behind it, by a negative offset.
    pub(super) ahead: Duration,
}

/// The selectors of a query, each once; `None` where the query cannot be read or names times of its own.
pub(super) fn needs(query: &str) -> Option<Vec<Need>> {
    let expr = kandela_promql::parse(query).ok()?;
    let mut found = BTreeMap::new();
    visit(&expr, LOOKBACK, 0.0, &mut found)?;
    let length = |seconds: f64| Duration::try_from_secs_f64(seconds.max(0.0)).unwrap_or(Duration::MAX);
    let need = |(selector, (back, ahead))| Need { selector, back: length(back), ahead: length(ahead) };
    Some(found.into_iter().map(need).collect())
}

type Found = BTreeMap<String, (f64, f64)>;

/// `back` and `ahead` are what surrounds the expression, in seconds.
fn visit(expr: &Expr, back: f64, ahead: f64, found: &mut Found) -> Option<()> {
    deeper(|| visit_parts(expr, back, ahead, found))
}

fn visit_parts(expr: &Expr, back: f64, ahead: f64, found: &mut Found) -> Option<()> {
    match &expr.kind {
        Kind::Number(_) | Kind::String(_) => Some(()),
        Kind::Vector(selector) => add(selector, 0.0, back, ahead, found),
        Kind::Matrix(matrix) => add(&matrix.selector, seconds(&matrix.range)?, back, ahead, found),
        Kind::Subquery(subquery) => {
            let offset = subquery.offset.as_ref().map_or(Some(0.0), seconds)?;
            let back = back + seconds(&subquery.range)? + offset;
            subquery.at.is_none().then(|| visit(&subquery.expr, back, ahead - offset, found)).flatten()
        }
        Kind::Call(call) => call.args.iter().try_for_each(|arg| visit(arg, back, ahead, found)),
        Kind::Aggregate(aggregate) => {
            aggregate.param.iter().try_for_each(|param| visit(param, back, ahead, found))?;
            visit(&aggregate.expr, back, ahead, found)
        }
        Kind::Binary(binary) => {
            visit(&binary.left, back, ahead, found)?;
            visit(&binary.right, back, ahead, found)
        }
        Kind::Unary(unary) => visit(&unary.expr, back, ahead, found),
        Kind::Paren(inner) => visit(inner, back, ahead, found),
    }
}

fn add(selector: &Selector, range: f64, back: f64, ahead: f64, found: &mut Found) -> Option<()> {
    if selector.at.is_some() {
        return None;
    }
    let offset = selector.offset.as_ref().map_or(Some(0.0), seconds)?;
    let bare = Selector { offset: None, at: None, boundary: ast::Boundary::Plain, ..selector.clone() };
    let text = Expr { kind: Kind::Vector(bare), span: ast::Span::default() }.to_string();
    let reach = found.entry(text).or_insert((0.0, 0.0));
    *reach = (reach.0.max(back + range + offset), reach.1.max(ahead - offset));
    Some(())
}

/// A duration that depends on nothing.
fn seconds(duration: &ast::Duration) -> Option<f64> {
    match &duration.expr {
        DurationExpr::Literal(number) => Some(number.value),
        DurationExpr::Signed(negative, inner) => {
            seconds(inner).map(|value| if *negative { -value } else { value })
        }
        DurationExpr::Paren(inner) => seconds(inner),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(query: &str) -> Vec<(String, u64, u64)> {
        let needs = needs(query).unwrap();
        needs.into_iter().map(|need| (need.selector, need.back.as_secs(), need.ahead.as_secs())).collect()
    }

    #[test]
    fn a_selector_looks_back_by_its_range_its_offset_and_what_surrounds_it() {
        assert_eq!(told("up"), [("up".to_owned(), 300, 0)]);
        assert_eq!(told("rate(x{a=\"b\"}[5m] offset 1h)"), [("x{a=\"b\"}".to_owned(), 4_200, 0)]);
        assert_eq!(told("max_over_time(rate(x[5m])[1h:1m])"), [("x".to_owned(), 4_200, 0)]);
        assert_eq!(told("x offset -10m"), [("x".to_owned(), 0, 600)]);
    }

    #[test]
    fn a_selector_that_stands_twice_is_told_once_with_its_longest_reach() {
        assert_eq!(
            told("x / sum_over_time(x[10m]) + y"),
            [("x".to_owned(), 900, 0), ("y".to_owned(), 300, 0)]
        );
    }

    #[test]
    fn a_query_with_times_of_its_own_is_left_out() {
        assert_eq!(needs("x @ 5"), None);
        assert_eq!(needs("x offset step()"), None);
        assert_eq!(needs("x{"), None);
    }
}
