//! Functions of histograms, native and classic.

use std::collections::HashMap;

use kandela_model::Labels;

use super::annotations::Note;
use super::labels;
use super::results::Results;
use super::value::{Grid, Series, Value};
use super::{Evaluated, Evaluator, failed};
use crate::ast::{Call, Expr};
use crate::floats::shortest;
use crate::histogram::{self, ClassicBucket};

/// A float as OpenMetrics writes it: whole numbers without an exponent have a fraction.
fn open_metrics(value: f64) -> String {
    let text = shortest(value);
    if value.is_finite() && !text.contains(['e', '.']) { format!("{text}.0") } else { text }
}

/// The series of a classic histogram with their upper bounds.
type Buckets<'a> = Vec<(f64, &'a Series)>;

impl Evaluator {
    pub(super) fn histogram_call(&mut self, call: &Call, grid: Grid) -> Evaluated {
        let name = call.function.name;
        match (name, call.args.as_slice()) {
            ("histogram_quantile", [q, arg]) => {
                let quantiles = self.scalar(q, grid)?;
                self.check_quantiles(&[(quantiles.clone(), q.span)]);
                let series = self.vector(arg, grid)?;
                self.quantiles(&quantiles, None, &series, arg, grid).map(Value::Vector)
            }
            ("histogram_quantiles", [arg, label, qs @ ..]) => {
                let label = self.text(label)?;
                let series = self.vector(arg, grid)?;
                if series.iter().any(|one| one.labels.get(&label).is_some()) {
                    return failed(format!("the histograms have a label {label:?} already"));
                }
                let mut all = Vec::new();
                for q in qs {
                    let quantiles = self.scalar(q, grid)?;
                    self.check_quantiles(&[(quantiles.clone(), q.span)]);
                    let value = open_metrics(quantiles.first().copied().unwrap_or(f64::NAN));
                    all.extend(self.quantiles(&quantiles, Some((&label, &value)), &series, arg, grid)?);
                }
                Ok(Value::Vector(all))
            }
            ("histogram_fraction", [low, high, arg]) => {
                let (low, high) = (self.scalar(low, grid)?, self.scalar(high, grid)?);
                let series = self.vector(arg, grid)?;
                self.fractions(&low, &high, &series, arg, grid).map(Value::Vector)
            }
            _ => failed(format!("the function {name} is not served yet")),
        }
    }

    /// Calls `native` and `classic` for each histogram at each step.
    fn each_histogram(
        &mut self,
        series: &[Series],
        arg: &Expr,
        grid: Grid,
        label: Option<(&str, &str)>,
        native: impl Fn(&mut Self, usize, &kandela_model::Histogram, &str) -> f64,
        classic: impl Fn(&mut Self, usize, &[ClassicBucket], &str) -> f64,
    ) -> Evaluated<Vec<Series>> {
        let mut results = Results::new(&self.control, grid.count);
        let named = |labels: &Labels| match label {
            Some((name, value)) => labels::with(labels, name, value),
            None => labels.clone(),
        };
        let mut groups: Vec<(Labels, Buckets<'_>)> = Vec::new();
        let mut by_labels: HashMap<Labels, usize> = HashMap::new();
        for one in series {
            let name = labels::metric_name(&one.labels).to_owned();
            for n in 0..grid.count {
                if let (None, Some(h)) = (one.float(n), one.histogram(n)) {
                    let value = native(self, n, h, &name);
                    let labels = named(&one.labels);
                    let place = results.place(labels, true)?;
                    results.at(place).set_float(n, value);
                }
            }
            if one.floats.iter().all(|value| super::is_absent(*value)) {
                continue;
            }
            let le = one.labels.get("le").unwrap_or_default();
            let bound = match le {
                "+Inf" | "Inf" | "inf" | "+inf" => Some(f64::INFINITY),
                "-Inf" | "-inf" => Some(f64::NEG_INFINITY),
                text => text.parse::<f64>().ok(),
            };
            let Some(bound) = bound else {
                let note = Note::BadBucketLabel { value: le.to_owned(), name };
                self.note(note, arg.span);
                continue;
            };
            let labels = labels::with(&one.labels, "le", "");
            let place = *by_labels.entry(labels.clone()).or_insert_with(|| {
                groups.push((labels, Vec::new()));
                groups.len() - 1
            });
            if let Some((_, members)) = groups.get_mut(place) {
                members.push((bound, one));
            }
        }
        for (labels, members) in groups {
            let name = labels::metric_name(&labels).to_owned();
            let out_labels = named(&labels);
            let place = results.place(out_labels, true)?;
            for n in 0..grid.count {
                let found: Vec<ClassicBucket> = members
                    .iter()
                    .filter_map(|(upper, one)| Some(ClassicBucket { upper: *upper, count: one.float(n)? }))
                    .collect();
                if found.is_empty() {
                    continue;
                }
                if results.at(place).has(n) {
                    self.note(Note::MixedClassicNative(name.clone()), arg.span);
                    results.at(place).remove(n);
                    continue;
                }
                let value = classic(self, n, &found, &name);
                results.at(place).set_float(n, value);
            }
        }
        Ok(results.present())
    }

    fn quantiles(
        &mut self,
        quantiles: &[f64],
        label: Option<(&str, &str)>,
        series: &[Series],
        arg: &Expr,
        grid: Grid,
    ) -> Evaluated<Vec<Series>> {
        let at = |n: usize| quantiles.get(n).copied().unwrap_or(f64::NAN);
        let span = arg.span;
        self.each_histogram(
            series,
            arg,
            grid,
            label,
            |evaluator, n, h, name| {
                let (value, note) = histogram::quantile(at(n), h);
                if let Some(note) = note {
                    evaluator.note(Note::NanObservations(note, name.to_owned()), span);
                }
                value
            },
            |evaluator, n, buckets, name| {
                let quantile = histogram::classic_quantile(at(n), buckets);
                if let Some(forced) = quantile.forced {
                    evaluator.notes.add_forced(name, forced, grid.time(n), span);
                }
                quantile.value
            },
        )
    }

    fn fractions(
        &mut self,
        low: &[f64],
        high: &[f64],
        series: &[Series],
        arg: &Expr,
        grid: Grid,
    ) -> Evaluated<Vec<Series>> {
        let at = |values: &[f64], n: usize| values.get(n).copied().unwrap_or(f64::NAN);
        let span = arg.span;
        self.each_histogram(
            series,
            arg,
            grid,
            None,
            |evaluator, n, h, name| {
                let (value, note) = histogram::fraction(at(low, n), at(high, n), h);
                if let Some(note) = note {
                    evaluator.note(Note::NanObservations(note, name.to_owned()), span);
                }
                value
            },
            |_, n, buckets, _| histogram::classic_fraction(at(low, n), at(high, n), buckets),
        )
    }
}
