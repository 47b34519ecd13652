//! `info`: labels of info metrics on the series of the same target.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap};

use kandela_model::{Labels, METRIC_NAME, is_stale};

use super::labels;
use super::select::info_matchers;
use super::value::{Grid, Series, Value};
use super::{Evaluated, Evaluator, failed};
use crate::ast::{At, Call, Duration, Expr, Kind, Span};
use crate::depth::deeper;
use kandela_config::matcher::Matcher;

/// The labels by which a target is known.
const IDENTIFYING: [&str; 2] = ["instance", "job"];

/// An info series: its labels, and when its newest sample is at each step.
struct Info {
    labels: Labels,
    newest: Vec<Option<i64>>,
}

impl Evaluator {
    pub(super) fn info_call(&mut self, call: &Call, span: Span, grid: Grid) -> Evaluated {
        let [base, rest @ ..] = call.args.as_slice() else { return failed("info takes an instant vector") };
        let (place, matchers) = info_matchers(rest.first(), span);
        let series = self.vector(base, grid)?;
        let (fixed, offset) = self.reference(base, None, 0)?;
        let infos = self.infos(place, fixed, offset, grid)?;
        let (names, data): (Vec<&Matcher>, Vec<&Matcher>) =
            matchers.iter().partition(|matcher| matcher.name == METRIC_NAME);
        let needs_info = data.iter().any(|matcher| !matcher.matches(""));
        let wanted: Vec<&str> = data.iter().map(|matcher| matcher.name.as_str()).collect();
        let mut by_target: HashMap<Labels, Vec<usize>> = HashMap::new();
        for (at, info) in infos.iter().enumerate() {
            by_target.entry(target(&info.labels)).or_default().push(at);
        }
        let mut result: Vec<Series> = Vec::new();
        let mut places: HashMap<(Labels, bool), usize> = HashMap::new();
        for one in series {
            if names.iter().all(|matcher| matcher.matches_labels(one.labels.as_ref())) {
                result.push(one);
                continue;
            }
            let of_target: Vec<&Info> = by_target
                .get(&target(&one.labels))
                .map(|found| found.iter().filter_map(|at| infos.get(*at)).collect())
                .unwrap_or_default();
            for n in 0..grid.count {
                let Some(point) = one.point(n) else { continue };
                let chosen = newest(&of_target, n)?;
                if chosen.is_empty() && needs_info {
                    continue;
                }
                let enriched = enriched(&one.labels, &chosen, &wanted)?;
                let place = match places.entry((enriched.clone(), one.drop_name)) {
                    Entry::Occupied(known) => *known.get(),
                    Entry::Vacant(new) => {
                        result.push(self.control.series(enriched, one.drop_name, grid.count)?);
                        *new.insert(result.len() - 1)
                    }
                };
                if let Some(out) = result.get_mut(place) {
                    out.set(n, point);
                }
            }
        }
        Ok(Value::Vector(result))
    }

    /// As of when info series are looked at: as the first selector of the base looks at its own.
    fn reference(&self, expr: &Expr, fixed: Option<i64>, offset: i64) -> Evaluated<(Option<i64>, i64)> {
        deeper(|| self.reference_of_level(expr, fixed, offset))
    }

    fn reference_of_level(
        &self,
        expr: &Expr,
        fixed: Option<i64>,
        offset: i64,
    ) -> Evaluated<(Option<i64>, i64)> {
        let moved = |at: Option<At>, by: Option<&Duration>| {
            let (inner, by) = self.moved(at, by)?;
            Ok(if inner.is_some() { (inner, by) } else { (fixed, offset.saturating_add(by)) })
        };
        match &expr.kind {
            Kind::Vector(selector) => moved(selector.at, selector.offset.as_ref()),
            Kind::Matrix(matrix) => moved(matrix.selector.at, matrix.selector.offset.as_ref()),
            Kind::Subquery(subquery) => {
                let (fixed, offset) = moved(subquery.at, subquery.offset.as_ref())?;
                self.reference(&subquery.expr, fixed, offset)
            }
            Kind::Paren(inner) => self.reference(inner, fixed, offset),
            Kind::Unary(unary) => self.reference(&unary.expr, fixed, offset),
            Kind::Aggregate(aggregate) => self.reference(&aggregate.expr, fixed, offset),
            Kind::Binary(binary) => self.reference(&binary.left, fixed, offset),
            Kind::Call(call) => {
                let series = call.args.iter().find(|arg| {
                    !matches!(arg.value_type(), crate::ast::ValueType::Scalar | crate::ast::ValueType::String)
                });
                series.map_or(Ok((fixed, offset)), |arg| self.reference(arg, fixed, offset))
            }
            Kind::Number(_) | Kind::String(_) => Ok((fixed, offset)),
        }
    }

    fn infos(&self, place: usize, fixed: Option<i64>, offset: i64, grid: Grid) -> Evaluated<Vec<Info>> {
        let set = self.set(Span { start: place, end: place })?;
        let mut infos = Vec::new();
        let mut reader = set.reader();
        for index in 0..set.len() {
            let samples = reader.read(index)?;
            let mut newest = Vec::with_capacity(grid.count);
            for at in grid.times() {
                let end = fixed.unwrap_or(at).saturating_sub(offset);
                let in_time = |time: &i64| *time > end.saturating_sub(self.options.lookback);
                let histogram = samples.histograms.partition_point(|(time, _)| *time <= end).checked_sub(1);
                let histogram = histogram.and_then(|at| samples.histograms.get(at));
                if histogram.is_some_and(|(time, histogram)| in_time(time) && !histogram.is_stale()) {
                    return failed("info sample should be float");
                }
                let float = samples.times.partition_point(|time| *time <= end).checked_sub(1);
                let time = float.and_then(|at| {
                    let stale = is_stale(*samples.values.get(at)?);
                    samples.times.get(at).filter(|_| !stale).copied()
                });
                newest.push(time.filter(in_time));
            }
            infos.push(Info { labels: set.labels(index).clone(), newest });
        }
        Ok(infos)
    }
}

fn target(labels: &Labels) -> Labels {
    labels::from_pairs(labels.iter().filter(|(name, _)| IDENTIFYING.contains(name)))
}

/// Of each info metric the series with the newest sample.
fn newest<'a>(infos: &[&'a Info], n: usize) -> Evaluated<Vec<&'a Info>> {
    let mut by_name: BTreeMap<&str, (i64, &Info)> = BTreeMap::new();
    for info in infos {
        let Some(Some(time)) = info.newest.get(n).copied() else { continue };
        let name = labels::metric_name(&info.labels);
        match by_name.get(name) {
            Some((known, other)) if *known == time => {
                return failed(format!(
                    "found duplicate series for info metric: existing {} @ {}, new {} @ {}",
                    other.labels,
                    known / 1_000,
                    info.labels,
                    time / 1_000
                ));
            }
            Some((known, _)) if *known > time => {}
            _ => {
                by_name.insert(name, (time, info));
            }
        }
    }
    Ok(by_name.into_values().map(|(_, info)| info).collect())
}

/// The labels with those of info series that the base has not.
fn enriched(base: &Labels, infos: &[&Info], wanted: &[&str]) -> Evaluated<Labels> {
    let mut more: BTreeMap<&str, &str> = BTreeMap::new();
    for info in infos {
        for (name, value) in info.labels.iter() {
            let is_data = name != METRIC_NAME && !IDENTIFYING.contains(&name) && base.get(name).is_none();
            if !is_data || !wanted.is_empty() && !wanted.contains(&name) {
                continue;
            }
            match more.insert(name, value) {
                Some(other) if other != value => {
                    return failed(format!("conflicting label: {name}"));
                }
                _ => {}
            }
        }
    }
    Ok(labels::from_pairs(base.iter().chain(more)))
}
