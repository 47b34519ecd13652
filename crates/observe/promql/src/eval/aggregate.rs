//! Aggregations over series.

use std::collections::HashMap;
use std::sync::Arc;

use kandela_model::{Histogram, Labels};

use super::annotations::Note;
use super::instant::shown;
use super::labels;
use super::range::variance_of;
use super::value::{Grid, Point, Series, Value};
use super::{Evaluated, Evaluator, failed};
use crate::ast::{Aggregate, AggregateOp, Grouping, Span};
use crate::histogram::{self, HistogramMean, HistogramSum};

/// A sum that keeps what rounding loses (Neumaier).
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Compensated {
    sum: f64,
    lost: f64,
}

impl Compensated {
    pub(super) fn add(&mut self, value: f64) {
        let sum = self.sum + value;
        if sum.is_infinite() {
            self.lost = 0.0;
        } else if self.sum.abs() >= value.abs() {
            self.lost += (self.sum - sum) + value;
        } else {
            self.lost += (value - sum) + self.sum;
        }
        self.sum = sum;
    }

    pub(super) fn value(self) -> f64 {
        if self.sum.is_infinite() { self.sum } else { self.sum + self.lost }
    }
}

/// A mean: of the sum, or a running one once the sum would be infinite.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Mean {
    sum: Compensated,
    count: f64,
    running: Option<Compensated>,
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
            let before = self.count - 1.0;
            self.running = Some(Compensated { sum: self.sum.sum / before, lost: self.sum.lost / before });
        }
        if let Some(mean) = &mut self.running {
            let part = (self.count - 1.0) / self.count;
            mean.sum *= part;
            mean.lost *= part;
            mean.add(value / self.count);
        }
    }

    pub(super) fn value(self) -> f64 {
        match self.running {
            Some(mean) => mean.value(),
            None => self.sum.sum / self.count + self.sum.lost / self.count,
        }
    }
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
        if *op == AggregateOp::CountValues {
            return self.count_values(aggregate, grid);
        }
        let params = param.as_ref().map(|param| self.scalar(param, grid)).transpose()?;
        let param_span = param.as_ref().map_or(span, |param| param.span);
        let series = self.vector(expr, grid)?;
        let mut groups: Vec<(Labels, Vec<usize>)> = Vec::new();
        let mut places: HashMap<Labels, usize> = HashMap::new();
        for (at, one) in series.iter().enumerate() {
            let labels = group_labels(&one.labels, grouping);
            let place = *places.entry(labels.clone()).or_insert_with(|| {
                groups.push((labels, Vec::new()));
                groups.len() - 1
            });
            if let Some((_, members)) = groups.get_mut(place) {
                members.push(at);
            }
        }
        let ranked = matches!(
            op,
            AggregateOp::Topk | AggregateOp::Bottomk | AggregateOp::Limitk | AggregateOp::LimitRatio
        );
        if ranked {
            let params = params.unwrap_or_default();
            return self.choose(*op, &series, &groups, &params, param_span, expr.span, grid);
        }
        if *op == AggregateOp::Quantile {
            self.check_quantiles(&[(params.clone().unwrap_or_default(), param_span)]);
        }
        let mut result = Vec::with_capacity(groups.len());
        for (labels, members) in groups {
            let members: Vec<&Series> = members.iter().filter_map(|at| series.get(*at)).collect();
            let drop_name = members.iter().any(|one| one.drop_name);
            let mut out = Series::new(labels, drop_name, grid.count);
            for n in 0..grid.count {
                let param = params.as_ref().and_then(|values| values.get(n)).copied().unwrap_or(f64::NAN);
                if let Some(point) = self.fold(*op, param, &members, n, expr.span) {
                    out.set(n, point);
                }
            }
            if !out.is_empty() {
                result.push(out);
            }
        }
        Ok(Value::Vector(result))
    }

    /// One group at one step.
    fn fold(
        &mut self,
        op: AggregateOp,
        param: f64,
        members: &[&Series],
        n: usize,
        span: Span,
    ) -> Option<Point> {
        let mut floats: Vec<f64> = Vec::with_capacity(members.len());
        let mut histograms: Vec<&Arc<Histogram>> = Vec::new();
        for member in members {
            match member.float(n) {
                Some(value) => floats.push(value),
                None => histograms.extend(member.histogram(n)),
            }
        }
        if floats.is_empty() && histograms.is_empty() {
            return None;
        }
        match op {
            AggregateOp::Count => Some(Point::Float((floats.len() + histograms.len()) as f64)),
            AggregateOp::Group => Some(Point::Float(1.0)),
            AggregateOp::Sum | AggregateOp::Avg if !histograms.is_empty() => {
                if !floats.is_empty() {
                    self.note(Note::MixedFloatsHistograms(String::new()), span);
                    return None;
                }
                self.fold_histograms(op, &histograms, span)
            }
            AggregateOp::Sum => {
                let mut sum = Compensated::default();
                floats.iter().for_each(|value| sum.add(*value));
                Some(Point::Float(sum.value()))
            }
            AggregateOp::Avg => {
                let mut mean = Mean::default();
                floats.iter().for_each(|value| mean.add(*value));
                Some(Point::Float(mean.value()))
            }
            _ => {
                if !histograms.is_empty() {
                    self.note(Note::HistogramIgnoredInAggregation(op.name()), span);
                }
                if floats.is_empty() {
                    return None;
                }
                let extreme = |better: fn(f64, f64) -> bool| {
                    floats.iter().copied().reduce(|old, new| {
                        if better(new, old) || (old.is_nan() && !new.is_nan()) { new } else { old }
                    })
                };
                match op {
                    AggregateOp::Min => extreme(|new, old| new < old),
                    AggregateOp::Max => extreme(|new, old| new > old),
                    AggregateOp::Stdvar => Some(variance_of(&floats)),
                    AggregateOp::Stddev => Some(variance_of(&floats).sqrt()),
                    _ => Some(quantile_of(param, &mut floats)),
                }
                .map(Point::Float)
            }
        }
    }

    fn fold_histograms(
        &mut self,
        op: AggregateOp,
        histograms: &[&Arc<Histogram>],
        span: Span,
    ) -> Option<Point> {
        let (first, rest) = histograms.split_first()?;
        let mut all = histogram::Addition::default();
        let result = if op == AggregateOp::Sum {
            let mut sum = HistogramSum::new(first);
            rest.iter()
                .try_for_each(|h| sum.add(h).map(|addition| all = all.and(addition)))
                .map(|()| sum.finish())
        } else {
            let mut mean = HistogramMean::new(first);
            rest.iter()
                .try_for_each(|h| mean.add(h).map(|addition| all = all.and(addition)))
                .map(|()| mean.finish())
        };
        if all.reset_conflict {
            self.note(Note::ResetConflict("aggregation"), span);
        }
        if all.bounds_reconciled {
            self.note(Note::BoundsReconciled("aggregation"), span);
        }
        match result {
            Ok(mut histogram) => {
                histogram::compact(&mut histogram);
                Some(Point::Histogram(Arc::new(histogram)))
            }
            Err(_) => {
                self.note(Note::MixedSchemasInAggregation, span);
                None
            }
        }
    }

    /// Aggregations that give some of the series as they are.
    #[allow(clippy::too_many_arguments, reason = "all of an aggregation's parts")]
    fn choose(
        &mut self,
        op: AggregateOp,
        series: &[Series],
        groups: &[(Labels, Vec<usize>)],
        params: &[f64],
        param_span: Span,
        span: Span,
        grid: Grid,
    ) -> Evaluated {
        let mut kept: Vec<Series> =
            series.iter().map(|one| Series::new(one.labels.clone(), one.drop_name, grid.count)).collect();
        let mut order: Vec<usize> = Vec::new();
        for n in 0..grid.count {
            let param = params.get(n).copied().unwrap_or(f64::NAN);
            if op == AggregateOp::LimitRatio {
                if param.is_nan() {
                    return failed("Ratio value is NaN");
                }
                if !(-1.0..=1.0).contains(&param) {
                    let capped = shown(param.clamp(-1.0, 1.0));
                    self.note(Note::InvalidRatio(shown(param), capped), param_span);
                }
            } else if param.is_nan() {
                return failed("Parameter value is NaN");
            } else if param.abs() > i64::MAX as f64 {
                return failed(format!("Scalar value {} overflows int64", shown(param)));
            }
            let k = if param < 1.0 { 0 } else { param as usize };
            for (_, members) in groups {
                let present =
                    members.iter().copied().filter(|at| series.get(*at).is_some_and(|one| one.has(n)));
                let chosen: Vec<usize> = match op {
                    AggregateOp::Limitk => present.take(k).collect(),
                    AggregateOp::LimitRatio => {
                        let ratio = param.clamp(-1.0, 1.0);
                        present
                            .filter(|at| series.get(*at).is_some_and(|one| in_ratio(&one.labels, ratio)))
                            .collect()
                    }
                    _ => {
                        let mut ranked: Vec<(usize, f64)> = Vec::new();
                        for at in present {
                            match series.get(at).and_then(|one| one.float(n)) {
                                Some(value) => ranked.push((at, value)),
                                None => self.note(Note::HistogramIgnoredInAggregation(op.name()), span),
                            }
                        }
                        let top = op == AggregateOp::Topk;
                        ranked.sort_by(|(_, a), (_, b)| {
                            let order = if top { b.partial_cmp(a) } else { a.partial_cmp(b) };
                            a.is_nan().cmp(&b.is_nan()).then(order.unwrap_or(std::cmp::Ordering::Equal))
                        });
                        ranked.into_iter().take(k).map(|(at, _)| at).collect()
                    }
                };
                for at in chosen {
                    if let (Some(from), Some(to)) = (series.get(at), kept.get_mut(at))
                        && let Some(point) = from.point(n)
                    {
                        to.set(n, point);
                        if !order.contains(&at) {
                            order.push(at);
                        }
                    }
                }
            }
        }
        let mut kept: Vec<Option<Series>> = kept.into_iter().map(Some).collect();
        Ok(Value::Vector(order.into_iter().filter_map(|at| kept.get_mut(at)?.take()).collect()))
    }

    fn count_values(&mut self, aggregate: &Aggregate, grid: Grid) -> Evaluated {
        let Some(param) = &aggregate.param else { return failed("count_values needs a label") };
        let label = match &param.unwrapped().kind {
            crate::ast::Kind::String(bytes) => match std::str::from_utf8(bytes) {
                Ok(text) if !text.is_empty() => text.to_owned(),
                _ => return failed(format!("invalid label name {}", crate::eval::instant::quoted(bytes))),
            },
            _ => return failed("expected a string"),
        };
        let series = self.vector(&aggregate.expr, grid)?;
        let mut result: Vec<Series> = Vec::new();
        let mut places: HashMap<Labels, usize> = HashMap::new();
        for n in 0..grid.count {
            for one in &series {
                let value = match one.point(n) {
                    Some(Point::Float(value)) => shown(value),
                    Some(Point::Histogram(histogram)) => histogram::text(&histogram),
                    None => continue,
                };
                let labels = labels::with(&group_labels(&one.labels, &aggregate.grouping), &label, &value);
                let place = *places.entry(labels.clone()).or_insert_with(|| {
                    result.push(Series::new(labels, false, grid.count));
                    result.len() - 1
                });
                if let Some(out) = result.get_mut(place) {
                    let count = out.float(n).unwrap_or(0.0);
                    out.set(n, Point::Float(count + 1.0));
                }
            }
        }
        Ok(Value::Vector(result))
    }
}

/// Whether a series is in the part of all that a ratio takes: by its hash, so the same ones each time.
fn in_ratio(labels: &Labels, ratio: f64) -> bool {
    let offset = hash(labels) as f64 / u64::MAX as f64;
    if ratio >= 0.0 { offset < ratio } else { offset >= 1.0 + ratio }
}

/// Prometheus' hash of labels: xxHash of names and values, each followed by the byte 255.
fn hash(labels: &Labels) -> u64 {
    let mut bytes = Vec::new();
    for (name, value) in labels.iter() {
        for text in [name, value] {
            bytes.extend_from_slice(text.as_bytes());
            bytes.push(0xff);
        }
    }
    xxhash_rust::xxh64::xxh64(&bytes, 0)
}
