//! Aggregations over series.

use kandela_algebra::merge::{FloatSum, Merge as _};
use kandela_model::Labels;

use super::annotations::Note;
use super::groups::Groups;
use super::labels;
use super::results::Results;
use super::value::{Grid, Point, Series, Value};
use super::{Evaluated, Evaluator, failed, ranked, sampling};
use crate::ast::{Aggregate, AggregateOp, Grouping, Span};
use crate::floats::{plain, shortest};
use crate::histogram;
use crate::quote::quoted;

/// A mean: of the sum, or a running one once the sum would be infinite.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Mean {
    sum: FloatSum,
    count: f64,
    running: Option<FloatSum>,
}

impl Mean {
    pub(super) fn add(&mut self, value: f64) {
        self.count += 1.0;
        if self.running.is_none() {
            let mut next = self.sum;
            next.add(value);
            if self.count <= 1.0 || next.value().is_finite() || !self.sum.value().is_finite() {
                self.sum = next;
                return;
            }
            self.running = Some(scaled(self.sum, 1.0 / (self.count - 1.0)));
        }
        if let Some(mean) = &mut self.running {
            mean.scale((self.count - 1.0) / self.count);
            mean.add(value / self.count);
        }
    }

    /// Takes in the values of another, after its own.
    pub(super) fn merge_from(&mut self, other: &Self) {
        if other.count == 0.0 {
            return;
        }
        let mut sum = self.sum;
        sum.merge_from(&other.sum);
        let count = self.count + other.count;
        let runs = self.running.is_some() || other.running.is_some();
        let was_finite = self.sum.value().is_finite() && other.sum.value().is_finite();
        if self.count > 0.0 && (runs || was_finite && !sum.value().is_finite()) {
            let mut mean = scaled(self.mean(), self.count / count);
            mean.merge_from(&scaled(other.mean(), other.count / count));
            self.running = Some(mean);
        } else {
            self.running = other.running;
        }
        (self.sum, self.count) = (sum, count);
    }

    fn mean(&self) -> FloatSum {
        self.running.unwrap_or_else(|| scaled(self.sum, 1.0 / self.count))
    }

    pub(super) fn value(self) -> f64 {
        match self.running {
            Some(mean) => mean.value(),
            None => self.sum.value() / self.count,
        }
    }
}

fn scaled(mut sum: FloatSum, factor: f64) -> FloatSum {
    sum.scale(factor);
    sum
}

/// The least and the greatest value, where they lie outside of `low` to `high`, with that bound; `None` where there is a NaN.
fn outside(values: &[f64], low: f64, high: f64) -> Option<Vec<(f64, f64)>> {
    if values.iter().any(|value| value.is_nan()) {
        return None;
    }
    let above = values.iter().copied().reduce(f64::max).filter(|greatest| *greatest > high);
    let below = values.iter().copied().reduce(f64::min).filter(|least| *least < low);
    Some(above.map(|value| (value, high)).into_iter().chain(below.map(|value| (value, low))).collect())
}

/// The quantile of values, interpolated; NaN of none.
pub(super) fn quantile_of(q: f64, values: &mut [f64]) -> f64 {
    if values.is_empty() || q.is_nan() {
        return f64::NAN;
    }
    if q < 0.0 {
        return f64::NEG_INFINITY;
    }
    if q > 1.0 {
        return f64::INFINITY;
    }
    // NaN is less than every number.
    values.sort_by(|a, b| {
        b.is_nan().cmp(&a.is_nan()).then(a.partial_cmp(b).unwrap_or(std::cmp::Ordering::Equal))
    });
    let rank = q * (values.len() - 1) as f64;
    let lower = (rank.floor() as usize).min(values.len() - 1);
    let upper = (lower + 1).min(values.len() - 1);
    let weight = rank - rank.floor();
    let at = |n: usize| values.get(n).copied().unwrap_or(f64::NAN);
    at(lower) * (1.0 - weight) + at(upper) * weight
}

fn group_labels(labels: &Labels, grouping: &Grouping) -> Labels {
    if grouping.without {
        labels::without(labels, &grouping.labels)
    } else {
        labels::keep(labels, &grouping.labels)
    }
}

impl Evaluator {
    pub(super) fn aggregate(&mut self, aggregate: &Aggregate, span: Span, grid: Grid) -> Evaluated {
        let Aggregate { op, param, expr, grouping } = aggregate;
        if super::fold::folds(*op) {
            return self.folded(aggregate, grid);
        }
        if *op == AggregateOp::CountValues {
            return self.count_values(aggregate, grid);
        }
        let params = match param {
            Some(param) => self.scalar(param, grid)?,
            None => Vec::new(),
        };
        let param_span = param.as_ref().map_or(span, |param| param.span);
        match op {
            AggregateOp::Topk | AggregateOp::Bottomk => return self.ranked(aggregate, &params, span, grid),
            AggregateOp::Limitk | AggregateOp::LimitRatio => {
                return self.limited(aggregate, &params, param_span, grid);
            }
            _ => {}
        }
        let series = self.vector(expr, grid)?;
        let mut groups: Groups<'_, Vec<usize>> = Groups::new(grouping);
        for (at, one) in series.iter().enumerate() {
            if let Some(members) = groups.of(&one.labels, true, Vec::new) {
                members.push(at);
            }
        }
        for (q, _) in outside(&params, 0.0, 1.0).unwrap_or_else(|| vec![(f64::NAN, f64::NAN)]) {
            self.note(Note::InvalidQuantile(shortest(q)), param_span);
        }
        let mut result = Vec::with_capacity(groups.found.len());
        for (labels, members) in groups.found {
            let members: Vec<&Series> = members.iter().filter_map(|at| series.get(*at)).collect();
            let drop_name = members.iter().any(|one| one.drop_name);
            let mut out = self.control.series(labels, drop_name, grid.count)?;
            let mut floats: Vec<f64> = Vec::with_capacity(members.len());
            for n in 0..grid.count {
                floats.clear();
                floats.extend(members.iter().filter_map(|member| member.float(n)));
                if members.iter().any(|member| member.float(n).is_none() && member.histogram(n).is_some()) {
                    self.note(Note::HistogramIgnoredInAggregation(op.name()), expr.span);
                }
                if !floats.is_empty() {
                    let q = params.get(n).copied().unwrap_or(f64::NAN);
                    out.set_float(n, quantile_of(q, &mut floats));
                }
            }
            if !out.is_empty() {
                result.push(out);
            }
        }
        Ok(Value::Vector(result))
    }

    /// `limitk` and `limit_ratio`: some of the series as they are, the same ones each time.
    fn limited(&mut self, aggregate: &Aggregate, params: &[f64], param_span: Span, grid: Grid) -> Evaluated {
        let Aggregate { op, expr, grouping, .. } = aggregate;
        let is_ratio = *op == AggregateOp::LimitRatio;
        let wanted = if is_ratio { Vec::new() } else { ranked::counts(params)? };
        if is_ratio {
            let Some(outside) = outside(params, -1.0, 1.0) else { return failed("Ratio value is NaN") };
            for (ratio, capped) in outside {
                self.note(Note::InvalidRatio(shortest(ratio), shortest(capped)), param_span);
            }
        }
        let mut series = self.vector(expr, grid)?;
        series.sort_by(|a, b| labels::compare(&a.labels, &b.labels));
        let mut given: Groups<'_, Vec<usize>> = Groups::new(grouping);
        for one in &mut series {
            let Some(given) = given.of(&one.labels, true, || vec![0; grid.count]) else { continue };
            for n in 0..grid.count {
                let stays = if is_ratio {
                    sampling::is_in_ratio(one, params.get(n).copied().unwrap_or(f64::NAN).clamp(-1.0, 1.0))
                } else {
                    given.get(n) < wanted.get(n)
                };
                if !stays {
                    one.remove(n);
                } else if one.has(n)
                    && let Some(given) = given.get_mut(n)
                {
                    *given += 1;
                }
            }
        }
        series.retain(|one| !one.is_empty());
        Ok(Value::Vector(series))
    }

    fn count_values(&mut self, aggregate: &Aggregate, grid: Grid) -> Evaluated {
        let Some(param) = &aggregate.param else { return failed("count_values needs a label") };
        let label = match &param.unwrapped().kind {
            crate::ast::Kind::String(bytes) => match std::str::from_utf8(bytes) {
                Ok(text) if !text.is_empty() => text.to_owned(),
                _ => return failed(format!("invalid label name {}", quoted(bytes))),
            },
            _ => return failed("expected a string"),
        };
        let series = self.vector(&aggregate.expr, grid)?;
        let mut results = Results::new(&self.control, grid.count);
        for n in 0..grid.count {
            self.control.check()?;
            for one in &series {
                let value = match one.point(n) {
                    Some(Point::Float(value)) => plain(value),
                    Some(Point::Histogram(histogram)) => histogram::text(&histogram),
                    None => continue,
                };
                let labels = labels::with(&group_labels(&one.labels, &aggregate.grouping), &label, &value);
                let place = results.place(labels, false)?;
                let out = results.at(place);
                let before = out.float(n).unwrap_or(0.0);
                out.set_float(n, before + 1.0);
            }
        }
        Ok(Value::Vector(results.present()))
    }
}
