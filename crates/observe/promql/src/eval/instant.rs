//! Functions of instant vectors and scalars.

use kandela_model::{Histogram, Labels, METRIC_NAME};

use super::annotations::Note;
use super::newest::Asked;
use super::stream::{Change, Changed, Stream, There};
use super::value::{Column, Grid, Point, Series, Value, is_absent, present};
use super::{Evaluated, Evaluator, calendar, failed, hyperbolic, labels};
use crate::ast::{Call, Expr, Kind, Span};
use crate::histogram;
use kandela_config::matcher::MatchOp;

fn simple(name: &str) -> Option<fn(f64) -> f64> {
    Some(match name {
        "abs" => f64::abs,
        "acos" => f64::acos,
        "acosh" => hyperbolic::acosh,
        "asin" => f64::asin,
        "asinh" => hyperbolic::asinh,
        "atan" => f64::atan,
        "atanh" => f64::atanh,
        "ceil" => f64::ceil,
        "cos" => f64::cos,
        "cosh" => f64::cosh,
        "deg" => f64::to_degrees,
        "exp" => f64::exp,
        "floor" => f64::floor,
        "ln" => f64::ln,
        "log10" => f64::log10,
        "log2" => f64::log2,
        "rad" => f64::to_radians,
        "sgn" => |value| {
            if value > 0.0 {
                1.0
            } else if value < 0.0 {
                -1.0
            } else {
                value
            }
        },
        "sin" => f64::sin,
        "sinh" => f64::sinh,
        "sqrt" => f64::sqrt,
        "tan" => f64::tan,
        "tanh" => f64::tanh,
        _ => return None,
    })
}

/// Whether a function changes each series for itself.
pub(super) fn is_changed(call: &Call) -> bool {
    let name = call.function.name;
    let of_vector = simple(name).is_some() || calendar::part(name).is_some() || reader(name).is_some();
    match name {
        "clamp" | "clamp_min" | "clamp_max" | "round" | "timestamp" | "start_timestamp" => true,
        _ => of_vector && !call.args.is_empty(),
    }
}

impl Evaluator {
    /// A function that changes each series for itself.
    pub(super) fn changed<'a>(&mut self, call: &'a Call, grid: Grid) -> Evaluated<Box<dyn Stream + 'a>> {
        let name = call.function.name;
        let Some((arg, rest)) = call.args.split_first() else { return failed("expected an instant vector") };
        if let ("timestamp" | "start_timestamp", Kind::Vector(selector)) = (name, &arg.unwrapped().kind) {
            let asked = if name == "timestamp" { Asked::Time } else { Asked::Start };
            return Ok(Box::new(self.newest(selector, arg.unwrapped().span, grid, asked)?));
        }
        if name == "start_timestamp" {
            return Ok(Box::new(There(Vec::new())));
        }
        let scalars = rest.iter().map(|arg| self.scalar(arg, grid)).collect::<Evaluated<Vec<_>>>()?;
        let outer = self.stats_only;
        self.stats_only |= matches!(name, "histogram_count" | "histogram_sum" | "histogram_avg");
        let inner = self.stream(arg, grid);
        self.stats_only = outer;
        Ok(Box::new(Changed { inner: inner?, drops_name: true, change: change_of(name, scalars, grid) }))
    }

    pub(super) fn instant_call(&mut self, call: &Call, span: Span, grid: Grid) -> Evaluated {
        let name = call.function.name;
        if name.starts_with("sort") && grid.count > 1 {
            self.note(Note::SortInRange, span);
        }
        if let (Some(part), []) = (calendar::part(name), call.args.as_slice()) {
            let mut now = Series::new(Labels::default(), false, grid.count);
            let times = grid.times().enumerate();
            times.for_each(|(n, at)| now.set_float(n, part((at / 1_000_000) as f64)));
            return Ok(Value::Vector(vec![now]));
        }
        let seconds = |micros: i64| micros as f64 / 1e6;
        let constant = |value: f64| Ok(Value::Scalar(vec![value; grid.count]));
        match (name, call.args.as_slice()) {
            ("time", _) => Ok(Value::Scalar(grid.times().map(seconds).collect())),
            ("pi", _) => constant(std::f64::consts::PI),
            ("start", _) => constant(seconds(self.start)),
            ("end", _) => constant(seconds(self.end)),
            ("step", _) => constant(self.known.step),
            ("range", _) => constant(self.known.range),
            ("vector", [arg]) => {
                let values = self.scalar(arg, grid)?;
                let mut series = Series::new(Labels::default(), false, grid.count);
                values.into_iter().enumerate().for_each(|(n, value)| series.set(n, Point::Float(value)));
                Ok(Value::Vector(vec![series]))
            }
            ("scalar", [arg]) => {
                let series = self.vector(arg, grid)?;
                let at = |n: usize| {
                    let mut present = series.iter().filter_map(|one| one.float(n));
                    match (present.next(), present.next()) {
                        (Some(only), None) => only,
                        _ => f64::NAN,
                    }
                };
                Ok(Value::Scalar((0..grid.count).map(at).collect()))
            }
            ("min_of" | "max_of", [left, right]) => {
                let (left, right) = (self.scalar(left, grid)?, self.scalar(right, grid)?);
                let either = |(a, b): (f64, f64)| match (a.is_nan() || b.is_nan(), name == "min_of") {
                    (true, _) => f64::NAN,
                    (false, true) => a.min(b),
                    (false, false) => a.max(b),
                };
                Ok(Value::Scalar(left.into_iter().zip(right).map(either).collect()))
            }
            ("absent", [arg]) => {
                let series = self.vector(arg, grid)?;
                let present: Vec<bool> =
                    (0..grid.count).map(|n| series.iter().any(|one| one.has(n))).collect();
                Ok(Value::Vector(absent(labels_of_absent(arg.unwrapped()), &present)))
            }
            ("sort" | "sort_desc", [arg]) => {
                let series = self.vector(arg, grid)?;
                Ok(Value::Vector(sorted(series, name == "sort_desc", self.is_instant)))
            }
            ("sort_by_label" | "sort_by_label_desc", [arg, by @ ..]) => {
                let series = self.vector(arg, grid)?;
                let by = by.iter().map(|by| self.text(by)).collect::<Evaluated<Vec<_>>>()?;
                Ok(Value::Vector(super::label_functions::sorted(series, &by, name.ends_with("desc"))))
            }
            ("label_replace", [arg, ..]) => {
                let series = self.vector(arg, grid)?;
                let texts =
                    call.args.iter().skip(1).map(|text| self.text(text)).collect::<Evaluated<Vec<_>>>()?;
                super::label_functions::replace(series, &texts, grid.count, &self.control).map(Value::Vector)
            }
            ("label_join", [arg, ..]) => {
                let series = self.vector(arg, grid)?;
                let texts =
                    call.args.iter().skip(1).map(|text| self.text(text)).collect::<Evaluated<Vec<_>>>()?;
                super::label_functions::join(series, &texts, grid.count, &self.control).map(Value::Vector)
            }
            _ if name.starts_with("histogram_") => self.histogram_call(call, grid),
            _ => failed(format!("the function {name} is not served yet")),
        }
    }
}

fn at(values: &[f64], n: usize) -> f64 {
    values.get(n).copied().unwrap_or(f64::NAN)
}

/// As Go's `math.Max`: NaN if either is, unless the other is infinite.
fn most(a: f64, b: f64) -> f64 {
    if a == f64::INFINITY || b == f64::INFINITY {
        f64::INFINITY
    } else if a.is_nan() || b.is_nan() {
        f64::NAN
    } else {
        a.max(b)
    }
}

fn least(a: f64, b: f64) -> f64 {
    -most(-a, -b)
}

/// What a function does to a column.
fn change_of(name: &str, scalars: Vec<Vec<f64>>, grid: Grid) -> Change<'static> {
    let function = simple(name).or_else(|| calendar::part(name));
    if let Some(function) = function {
        return Box::new(move |column, _| mapped(column, |_, value| Some(function(value))));
    }
    if let Some(read) = reader(name) {
        return Box::new(move |column, _| of_histograms(column, read));
    }
    let scalar = move |which: usize, n: usize| scalars.get(which).map(|values| at(values, n));
    match name {
        "clamp" => Box::new(move |column, _| {
            mapped(column, |n, value| {
                let (low, high) = (scalar(0, n)?, scalar(1, n)?);
                if high < low { None } else { Some(most(low, least(high, value))) }
            })
        }),
        "clamp_min" => Box::new(move |column, _| mapped(column, |n, value| Some(most(scalar(0, n)?, value)))),
        "clamp_max" => {
            Box::new(move |column, _| mapped(column, |n, value| Some(least(scalar(0, n)?, value))))
        }
        "round" => Box::new(move |column, _| {
            mapped(column, |n, value| {
                // Dividing by the inverse keeps 0.1 exact.
                let inverse = 1.0 / scalar(0, n).unwrap_or(1.0);
                Some((value * inverse + 0.5).floor() / inverse)
            })
        }),
        _ => Box::new(move |column, _| {
            for (n, at) in grid.times().enumerate().filter(|(n, _)| column.has(*n)).collect::<Vec<_>>() {
                column.set_float(n, at as f64 / 1e6);
            }
            column.histograms.clear();
            true
        }),
    }
}

/// Each float mapped; histograms are left out.
fn mapped(column: &mut Column, map: impl Fn(usize, f64) -> Option<f64>) -> bool {
    column.histograms.clear();
    let mut any = false;
    for (n, value) in column.floats.iter_mut().enumerate().filter(|(_, value)| !is_absent(**value)) {
        *value = map(n, *value).map_or(super::ABSENT, present);
        any |= !is_absent(*value);
    }
    any
}

/// One series of ones where nothing is present.
pub(super) fn absent(labels: Labels, present: &[bool]) -> Vec<Series> {
    let mut series = Series::new(labels, false, present.len());
    for (n, _) in present.iter().enumerate().filter(|(_, present)| !**present) {
        series.set(n, Point::Float(1.0));
    }
    if series.is_empty() { Vec::new() } else { vec![series] }
}

/// The labels that an absent series would have: those that a selector names by one equality.
pub(super) fn labels_of_absent(expr: &Expr) -> Labels {
    let matchers = match &expr.kind {
        Kind::Vector(selector) => &selector.matchers,
        Kind::Matrix(matrix) => &matrix.selector.matchers,
        _ => return Labels::default(),
    };
    let named = |name: &str| matchers.iter().filter(|matcher| matcher.name == name).count();
    let equal = matchers.iter().filter(|matcher| {
        matcher.op == MatchOp::Equal && matcher.name != METRIC_NAME && named(&matcher.name) == 1
    });
    labels::from_pairs(equal.map(|matcher| (matcher.name.as_str(), matcher.value.as_str())))
}

/// By value, for an instant query; histograms are left out.
fn sorted(mut series: Vec<Series>, descending: bool, is_instant: bool) -> Vec<Series> {
    series.iter_mut().for_each(|one| one.column.histograms.clear());
    series.retain(|one| !one.is_empty());
    if !is_instant {
        return series;
    }
    series.sort_by(|a, b| {
        let (a, b) = (a.float(0).unwrap_or(f64::NAN), b.float(0).unwrap_or(f64::NAN));
        let order = if descending { b.partial_cmp(&a) } else { a.partial_cmp(&b) };
        a.is_nan().cmp(&b.is_nan()).then(order.unwrap_or(std::cmp::Ordering::Equal))
    });
    series
}

/// A float of each histogram; floats are left out.
fn of_histograms(column: &mut Column, read: fn(&Histogram) -> f64) -> bool {
    column.floats.fill(super::ABSENT);
    let mut any = false;
    for (n, histogram) in std::mem::take(&mut column.histograms).into_iter().enumerate() {
        if let Some(histogram) = histogram {
            column.set_float(n, read(&histogram));
            any = true;
        }
    }
    any
}

/// What `histogram_sum` and its like read.
fn reader(name: &str) -> Option<fn(&Histogram) -> f64> {
    Some(match name {
        "histogram_count" => |h| h.count,
        "histogram_sum" => |h| h.sum,
        "histogram_avg" => histogram::average,
        "histogram_stddev" => histogram::deviation,
        "histogram_stdvar" => histogram::variance,
        _ => return None,
    })
}
