//! Functions of instant vectors and scalars.

use kandela_model::{Histogram, Labels, METRIC_NAME};

use super::value::{Grid, Point, Series, Value, is_absent};
use super::{Evaluated, Evaluator, calendar, failed, labels};
use crate::ast::{Call, Expr, Kind, Span};
use crate::histogram;
use kandela_config::matcher::MatchOp;

/// A float as Go prints it shortest.
pub(crate) fn shown(value: f64) -> String {
    if value.is_nan() {
        return "NaN".to_owned();
    }
    if value.is_infinite() {
        return if value > 0.0 { "+Inf".to_owned() } else { "-Inf".to_owned() };
    }
    format!("{value}")
}

/// Bytes as Go quotes them.
pub(crate) fn quoted(bytes: &[u8]) -> String {
    let mut out = String::from("\"");
    for chunk in bytes.utf8_chunks() {
        let text = format!("{:?}", chunk.valid());
        out.push_str(text.get(1..text.len() - 1).unwrap_or_default());
        chunk.invalid().iter().for_each(|byte| out.push_str(&format!("\\x{byte:02x}")));
    }
    out.push('"');
    out
}

fn simple(name: &str) -> Option<fn(f64) -> f64> {
    Some(match name {
        "abs" => f64::abs,
        "acos" => f64::acos,
        "acosh" => f64::acosh,
        "asin" => f64::asin,
        "asinh" => f64::asinh,
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

impl Evaluator {
    pub(super) fn instant_call(&mut self, call: &Call, span: Span, grid: Grid) -> Evaluated {
        let name = call.function.name;
        if let (Some(function), [arg]) = (simple(name), call.args.as_slice()) {
            let series = self.vector(arg, grid)?;
            return Ok(mapped(series, |_, value| Some(function(value))));
        }
        if let Some(part) = calendar::part(name) {
            return self.calendar(call, part, grid);
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
            ("timestamp", [arg]) => match &arg.unwrapped().kind {
                Kind::Vector(selector) => self.sample_times(selector, arg.unwrapped().span, grid),
                _ => {
                    let series = self.vector(arg, grid)?;
                    Ok(timed(series, grid))
                }
            },
            ("start_timestamp", [arg]) => match &arg.unwrapped().kind {
                Kind::Vector(selector) => self.sample_starts(selector, arg.unwrapped().span, grid),
                _ => Ok(Value::Vector(Vec::new())),
            },
            ("clamp", [arg, low, high]) => {
                let series = self.vector(arg, grid)?;
                let (low, high) = (self.scalar(low, grid)?, self.scalar(high, grid)?);
                Ok(mapped(series, |n, value| {
                    let (low, high) = (at(&low, n), at(&high, n));
                    if high < low { None } else { Some(least(high, most(low, value))) }
                }))
            }
            ("clamp_min", [arg, low]) => {
                let (series, low) = (self.vector(arg, grid)?, self.scalar(low, grid)?);
                Ok(mapped(series, |n, value| Some(most(at(&low, n), value))))
            }
            ("clamp_max", [arg, high]) => {
                let (series, high) = (self.vector(arg, grid)?, self.scalar(high, grid)?);
                Ok(mapped(series, |n, value| Some(least(at(&high, n), value))))
            }
            ("round", [arg, rest @ ..]) => {
                let series = self.vector(arg, grid)?;
                let to = match rest {
                    [to] => self.scalar(to, grid)?,
                    _ => vec![1.0; grid.count],
                };
                Ok(mapped(series, |n, value| {
                    // Dividing by the inverse keeps 0.1 exact.
                    let inverse = 1.0 / at(&to, n);
                    Some((value * inverse + 0.5).floor() / inverse)
                }))
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
                super::label_functions::replace(series, &texts, grid.count).map(Value::Vector)
            }
            ("label_join", [arg, ..]) => {
                let series = self.vector(arg, grid)?;
                let texts =
                    call.args.iter().skip(1).map(|text| self.text(text)).collect::<Evaluated<Vec<_>>>()?;
                super::label_functions::join(series, &texts, grid.count).map(Value::Vector)
            }
            _ if name.starts_with("histogram_") => self.histogram_call(call, span, grid),
            _ => failed(format!("the function {name} is not served yet")),
        }
    }

    fn calendar(&mut self, call: &Call, part: calendar::Part, grid: Grid) -> Evaluated {
        let series = match call.args.first() {
            Some(arg) => self.vector(arg, grid)?,
            None => {
                let mut now = Series::new(Labels::default(), false, grid.count);
                grid.times()
                    .enumerate()
                    .for_each(|(n, at)| now.set(n, Point::Float((at / 1_000_000) as f64)));
                vec![now]
            }
        };
        Ok(mapped(series, |_, value| Some(part(value))))
    }
}

fn at(values: &[f64], n: usize) -> f64 {
    values.get(n).copied().unwrap_or(f64::NAN)
}

/// As Go's `math.Max`: NaN if either is.
fn most(a: f64, b: f64) -> f64 {
    if a.is_nan() || b.is_nan() { f64::NAN } else { a.max(b) }
}

fn least(a: f64, b: f64) -> f64 {
    if a.is_nan() || b.is_nan() { f64::NAN } else { a.min(b) }
}

/// Each float mapped; histograms are left out.
pub(super) fn mapped(series: Vec<Series>, map: impl Fn(usize, f64) -> Option<f64>) -> Value {
    let mut result = Vec::with_capacity(series.len());
    for mut one in series {
        one.drop_name = true;
        one.histograms = Vec::new();
        for (n, value) in one.floats.iter_mut().enumerate() {
            if !is_absent(*value) {
                *value = match map(n, *value) {
                    Some(value) if is_absent(value) => f64::NAN,
                    Some(value) => value,
                    None => super::ABSENT,
                };
            }
        }
        if !one.is_empty() {
            result.push(one);
        }
    }
    Value::Vector(result)
}

fn timed(series: Vec<Series>, grid: Grid) -> Value {
    let timed = series.into_iter().map(|one| {
        let mut out = Series::new(one.labels.clone(), true, grid.count);
        for n in (0..grid.count).filter(|n| one.has(*n)) {
            out.set(n, Point::Float(grid.time(n) as f64 / 1e6));
        }
        out
    });
    Value::Vector(timed.collect())
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
    if !is_instant {
        return series;
    }
    series.retain(|one| one.float(0).is_some());
    series.sort_by(|a, b| {
        let (a, b) = (a.float(0).unwrap_or(f64::NAN), b.float(0).unwrap_or(f64::NAN));
        let order = if descending { b.partial_cmp(&a) } else { a.partial_cmp(&b) };
        a.is_nan().cmp(&b.is_nan()).then(order.unwrap_or(std::cmp::Ordering::Equal))
    });
    series
}

/// A float of each histogram; floats are left out.
pub(super) fn of_histograms(series: Vec<Series>, map: impl Fn(&Histogram) -> f64) -> Value {
    let mut result = Vec::new();
    for one in series {
        let mut out = Series::new(one.labels.clone(), true, one.floats.len());
        for n in 0..one.floats.len() {
            if one.float(n).is_none()
                && let Some(histogram) = one.histogram(n)
            {
                out.set(n, Point::Float(map(histogram)));
            }
        }
        if !out.is_empty() {
            result.push(out);
        }
    }
    Value::Vector(result)
}

/// What `histogram_sum` and its like read.
pub(super) fn reader(name: &str) -> Option<fn(&Histogram) -> f64> {
    Some(match name {
        "histogram_count" => |h| h.count,
        "histogram_sum" => |h| h.sum,
        "histogram_avg" => histogram::average,
        "histogram_stddev" => histogram::deviation,
        "histogram_stdvar" => histogram::variance,
        _ => return None,
    })
}
