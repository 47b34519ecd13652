//! An instant query asked again at other times, with `@` and its own time on every selector.

use super::command::Eval;
use super::query::QueryTime;
use crate::ast::{At, Expr, Kind};
use crate::{deeper, parse};

/// Functions whose value depends on when they are called, even if that of their arguments does not.
const OF_TIME: [&str; 15] = [
    "days_in_month",
    "day_of_month",
    "day_of_week",
    "day_of_year",
    "end",
    "hour",
    "minute",
    "month",
    "predict_linear",
    "range",
    "start",
    "step",
    "time",
    "timestamp",
    "year",
];

impl Eval {
    /// The same instant query with `@` and its time on every selector and subquery, at times before and after: the same must
    /// come (`atModifierTestCases` of Prometheus). None for range queries, and where a function tells the time.
    pub fn at_other_times(&self) -> Vec<Self> {
        let QueryTime::Instant(at) = self.time else { return Vec::new() };
        let Ok(mut expr) = parse(&self.expr) else { return Vec::new() };
        if !fix(&mut expr, at) {
            return Vec::new();
        }
        let times = match at {
            0 => vec![-1_000_000, 0, 1_000_000],
            at => vec![at.saturating_mul(-10), 0, at / 5_000 * 1_000, at, at.saturating_mul(10)],
        };
        let expr = expr.to_string();
        let again = |at| Self { expr: expr.clone(), time: QueryTime::Instant(at), ..self.clone() };
        times.into_iter().map(again).collect()
    }
}

/// Puts `@` on what has none; whether no function tells the time. What a subquery evaluates is as of its own times.
fn fix(expr: &mut Expr, micros: i64) -> bool {
    let set = |at: &mut Option<At>| {
        if !matches!(at, Some(At::Micros(_))) {
            *at = Some(At::Micros(micros));
        }
        true
    };
    let mut inside = |inner: &mut Expr| deeper(|| fix(inner, micros));
    match &mut expr.kind {
        Kind::Number(_) | Kind::String(_) => true,
        Kind::Vector(selector) => set(&mut selector.at),
        Kind::Matrix(matrix) => set(&mut matrix.selector.at),
        Kind::Subquery(subquery) => set(&mut subquery.at),
        Kind::Call(call) => !OF_TIME.contains(&call.function.name) && call.args.iter_mut().all(inside),
        Kind::Aggregate(aggregate) => {
            aggregate.param.as_mut().is_none_or(&mut inside) && inside(&mut aggregate.expr)
        }
        Kind::Binary(binary) => inside(&mut binary.left) && inside(&mut binary.right),
        Kind::Unary(unary) => inside(&mut unary.expr),
        Kind::Paren(inner) => inside(inner),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::script::{Answer, Answered, Command, parse as parse_script, run};

    fn again(eval: &str) -> Vec<(String, i64)> {
        let Command::Eval(eval) = parse_script(eval).unwrap().remove(0) else { panic!("{eval} is no eval") };
        let seconds = |time| match time {
            QueryTime::Instant(at) => at / 1_000_000,
            QueryTime::Range { .. } => panic!("an instant stays one"),
        };
        eval.at_other_times().into_iter().map(|eval| (eval.expr, seconds(eval.time))).collect()
    }

    #[test]
    fn an_instant_is_asked_at_five_other_times() {
        let times: Vec<i64> = again("eval instant at 50s up").into_iter().map(|(_, at)| at).collect();
        assert_eq!(times, [-500, 0, 10, 50, 500]);
        let at_zero: Vec<i64> = again("eval instant at 0 up").into_iter().map(|(_, at)| at).collect();
        assert_eq!(at_zero, [-1, 0, 1]);
    }

    #[test]
    fn each_selector_without_a_time_gets_the_time_of_the_query() {
        for (query, fixed) in [
            ("up + rate(x[1m] offset 5s)", "up @ 50.000 + rate(x[1m] @ 50.000 offset 5s)"),
            ("up @ 3", "up @ 3.000"),
            ("up @ end()", "up @ 50.000"),
            ("sum_over_time((x + time())[1m:])", "sum_over_time((x + time())[1m:] @ 50.000)"),
            ("topk(scalar(k), up)", "topk(scalar(k @ 50.000), up @ 50.000)"),
            ("(-abs(up))", "(-abs(up @ 50.000))"),
        ] {
            let (expr, _) = again(&format!("eval instant at 50s {query}")).remove(0);
            assert_eq!(expr, fixed);
        }
    }

    #[test]
    fn what_tells_the_time_is_not_asked_again() {
        for query in ["time()", "up + hour()", "sum(timestamp(up))", "predict_linear(x[1m], 60)"] {
            assert!(again(&format!("eval instant at 50s {query}")).is_empty(), "{query}");
        }
        assert!(again("eval range from 0 to 1m step 1m up").is_empty());
    }

    #[test]
    fn an_answer_that_is_another_at_another_time_fails() {
        let report = run("eval instant at 50s 1\n  1", |_, query| {
            Ok(Answered::from(match query.time.steps() {
                None if query.time == QueryTime::Instant(0) => Answer::Scalar(2.0),
                None => Answer::Scalar(1.0),
                Some(steps) => Answer::Matrix(vec![(
                    kandela_model::Labels::default(),
                    steps.map(|at| (at, crate::Point::Float(1.0))).collect(),
                )]),
            }))
        });
        assert_eq!((report.passed, report.failed.len()), (0, 1));
    }
}
