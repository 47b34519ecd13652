//! Which times a query's filters leave: so that whole days of files stay unopened.

use std::ops::RangeInclusive;

use datafusion::common::ScalarValue;
use datafusion::logical_expr::{Between, BinaryExpr, Expr, Operator};
use kandela_model::tables::{DATE, DatedBy, Table};

const DAY_MICROS: i64 = 86_400_000_000;

/// A range of times, both ends inclusive, in the unit of the table's time column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Bounds {
    pub(crate) from: i64,
    pub(crate) through: i64,
    from_day: i32,
    through_day: i32,
}

impl Bounds {
    pub(crate) const ALL: Self =
        Self { from: i64::MIN, through: i64::MAX, from_day: i32::MIN, through_day: i32::MAX };

    /// The days that the range touches.
    pub(crate) fn days(&self, dated_by: DatedBy) -> RangeInclusive<i32> {
        let per_day = match dated_by {
            DatedBy::Micros(_) => DAY_MICROS,
            DatedBy::Nanos(_) => DAY_MICROS * 1_000,
        };
        let day = |at: i64| at.div_euclid(per_day).clamp(i64::from(i32::MIN), i64::from(i32::MAX)) as i32;
        day(self.from).max(self.from_day)..=day(self.through).min(self.through_day)
    }

    /// The ends, unless the range is everything.
    pub(crate) fn between(&self) -> Option<(i64, i64)> {
        (self.from != i64::MIN || self.through != i64::MAX).then_some((self.from, self.through))
    }

    fn at_least(&mut self, n: i64) {
        self.from = self.from.max(n);
    }

    fn at_most(&mut self, n: i64) {
        self.through = self.through.min(n);
    }
}

/// The times that the conjunction of `filters` allows at most. Filters it cannot read narrow nothing.
pub(crate) fn time_bounds(table: &Table, filters: &[Expr]) -> Bounds {
    let (DatedBy::Micros(column) | DatedBy::Nanos(column)) = table.dated_by;
    let mut bounds = Bounds::ALL;
    filters.iter().for_each(|filter| narrow(&mut bounds, column, filter));
    bounds
}

fn narrow(bounds: &mut Bounds, column: &str, filter: &Expr) {
    match filter {
        Expr::BinaryExpr(BinaryExpr { left, op: Operator::And, right }) => {
            narrow(bounds, column, left);
            narrow(bounds, column, right);
        }
        Expr::BinaryExpr(BinaryExpr { left, op, right }) => {
            if let (Some(name), Some(value)) = (column_of(left), literal(right)) {
                compare(bounds, column, name, *op, value);
            } else if let (Some(value), Some(name), Some(op)) = (literal(left), column_of(right), op.swap()) {
                compare(bounds, column, name, op, value);
            }
        }
        Expr::Between(Between { expr, negated: false, low, high }) => {
            if let (Some(name), Some(low), Some(high)) = (column_of(expr), literal(low), literal(high)) {
                compare(bounds, column, name, Operator::GtEq, low);
                compare(bounds, column, name, Operator::LtEq, high);
            }
        }
        _ => {}
    }
}

fn compare(bounds: &mut Bounds, column: &str, name: &str, op: Operator, value: &ScalarValue) {
    if name == column
        && let Some(n) = number(value)
    {
        match op {
            Operator::Eq => {
                bounds.at_least(n);
                bounds.at_most(n);
            }
            Operator::Gt | Operator::GtEq => bounds.at_least(n),
            Operator::Lt | Operator::LtEq => bounds.at_most(n),
            _ => {}
        }
    } else if name == DATE
        && let ScalarValue::Date32(Some(day)) = value
    {
        match op {
            Operator::Eq => {
                bounds.from_day = bounds.from_day.max(*day);
                bounds.through_day = bounds.through_day.min(*day);
            }
            Operator::Gt | Operator::GtEq => bounds.from_day = bounds.from_day.max(*day),
            Operator::Lt | Operator::LtEq => bounds.through_day = bounds.through_day.min(*day),
            _ => {}
        }
    }
}

fn column_of(expr: &Expr) -> Option<&str> {
    match expr {
        Expr::Column(column) => Some(&column.name),
        Expr::Cast(cast) => column_of(&cast.expr),
        _ => None,
    }
}

fn literal(expr: &Expr) -> Option<&ScalarValue> {
    match expr {
        Expr::Literal(value, _) => Some(value),
        _ => None,
    }
}

fn number(value: &ScalarValue) -> Option<i64> {
    match value {
        ScalarValue::TimestampMicrosecond(n, _) | ScalarValue::Int64(n) => *n,
        ScalarValue::TimestampNanosecond(n, _) => n.map(|n| n.div_euclid(1_000)),
        ScalarValue::TimestampMillisecond(n, _) => n.map(|n| n.saturating_mul(1_000)),
        ScalarValue::TimestampSecond(n, _) => n.map(|n| n.saturating_mul(1_000_000)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use datafusion::prelude::{col, lit};
    use kandela_model::tables::{LOGS, SAMPLES};

    fn micros(n: i64) -> Expr {
        lit(ScalarValue::TimestampMicrosecond(Some(n), Some("UTC".into())))
    }

    #[test]
    fn bounds_on_either_side_are_read() {
        let filters = [col("ts").gt_eq(micros(10)), micros(20).gt(col("ts")), col("value").gt(lit(3.0))];
        let bounds = time_bounds(&SAMPLES, &filters);
        assert_eq!((bounds.from, bounds.through), (10, 20));
    }

    #[test]
    fn an_alternative_narrows_nothing() {
        let either = col("ts").lt(micros(5)).or(col("value").gt(lit(1.0)));
        assert_eq!(time_bounds(&SAMPLES, &[either]), Bounds::ALL);
    }

    #[test]
    fn days_follow_the_unit_of_the_table() {
        let filters = [col("time_unix_nano").lt(lit(2 * DAY_MICROS * 1_000))];
        assert_eq!(*time_bounds(&LOGS, &filters).days(LOGS.dated_by).end(), 2);
        let date = [col("date").eq(lit(ScalarValue::Date32(Some(7))))];
        assert_eq!(time_bounds(&SAMPLES, &date).days(SAMPLES.dated_by), 7..=7);
    }
}
