//! Operations on two expressions.

use std::collections::HashMap;
use std::sync::Arc;

use kandela_model::{Histogram, Labels, METRIC_NAME, ResetHint};

use super::annotations::Note;
use super::labels;
use super::value::{Grid, Point, Series, Value};
use super::{Evaluated, Evaluator, failed};
use crate::ast::{Binary, BinaryOp, Cardinality, Matching, Span};
use crate::histogram::{self, Keep};

impl Evaluator {
    pub(super) fn binary(&mut self, binary: &Binary, span: Span, grid: Grid) -> Evaluated {
        let left = self.eval(&binary.left, grid)?;
        let right = self.eval(&binary.right, grid)?;
        match (left, right) {
            (Value::Scalar(left), Value::Scalar(right)) => {
                let values = left.into_iter().zip(right);
                Ok(Value::Scalar(values.map(|(l, r)| of_scalars(binary.op, l, r)).collect()))
            }
            (Value::Vector(series), Value::Scalar(scalar)) => {
                Ok(Value::Vector(self.with_scalar(binary, series, &scalar, false, span)))
            }
            (Value::Scalar(scalar), Value::Vector(series)) => {
                Ok(Value::Vector(self.with_scalar(binary, series, &scalar, true, span)))
            }
            (Value::Vector(left), Value::Vector(right)) if binary.op.is_set() => {
                Ok(Value::Vector(set(binary.op, &binary.matching, left, right, grid)))
            }
            (Value::Vector(left), Value::Vector(right)) => self.matched(binary, left, right, span, grid),
            _ => failed("a text takes no operator"),
        }
    }

    fn with_scalar(
        &mut self,
        binary: &Binary,
        series: Vec<Series>,
        scalar: &[f64],
        swapped: bool,
        span: Span,
    ) -> Vec<Series> {
        let mut result = Vec::with_capacity(series.len());
        for one in series {
            let drops = binary.returns_bool || !binary.op.is_comparison();
            let drops = drops && !matches!(binary.op, BinaryOp::TrimLower | BinaryOp::TrimUpper);
            let mut out = Series::new(one.labels.clone(), one.drop_name || drops, one.floats.len());
            for (n, scalar) in scalar.iter().enumerate() {
                let Some(point) = one.point(n) else { continue };
                let other = Point::Float(*scalar);
                let (left, right) = if swapped { (&other, &point) } else { (&point, &other) };
                if let Some(value) = self.apply(binary, left, right, &point, span) {
                    out.set(n, value);
                }
            }
            if !out.is_empty() {
                result.push(out);
            }
        }
        result
    }

    /// What becomes of two values; `kept` is what a comparison that chooses gives.
    fn apply(
        &mut self,
        binary: &Binary,
        left: &Point,
        right: &Point,
        kept: &Point,
        span: Span,
    ) -> Option<Point> {
        let op = binary.op;
        if op.is_comparison() {
            let holds = self.compare(op, left, right, span)?;
            return match (binary.returns_bool, holds) {
                (true, holds) => Some(Point::Float(f64::from(u8::from(holds)))),
                (false, true) => Some(kept.clone()),
                (false, false) => None,
            };
        }
        match (left, right) {
            (Point::Float(left), Point::Float(right)) => {
                if matches!(op, BinaryOp::TrimLower | BinaryOp::TrimUpper) {
                    self.incompatible("float", op, "float", span);
                    return None;
                }
                Some(Point::Float(of_scalars(op, *left, *right)))
            }
            (Point::Histogram(histogram), Point::Float(by)) => {
                let mut result = Histogram::clone(histogram);
                match op {
                    BinaryOp::Mul => histogram::mul(&mut result, *by),
                    BinaryOp::Div => histogram::div(&mut result, *by),
                    BinaryOp::TrimUpper => result = histogram::trim(&result, Keep::Below, *by),
                    BinaryOp::TrimLower => result = histogram::trim(&result, Keep::Above, *by),
                    _ => {
                        self.incompatible("histogram", op, "float", span);
                        return None;
                    }
                }
                Some(Point::Histogram(Arc::new(result)))
            }
            (Point::Float(by), Point::Histogram(histogram)) => {
                if op != BinaryOp::Mul {
                    self.incompatible("float", op, "histogram", span);
                    return None;
                }
                let mut result = Histogram::clone(histogram);
                histogram::mul(&mut result, *by);
                Some(Point::Histogram(Arc::new(result)))
            }
            (Point::Histogram(left), Point::Histogram(right)) => self.of_histograms(op, left, right, span),
        }
    }

    fn of_histograms(
        &mut self,
        op: BinaryOp,
        left: &Histogram,
        right: &Histogram,
        span: Span,
    ) -> Option<Point> {
        let mut result = left.clone();
        let (added, during) = match op {
            BinaryOp::Add => (histogram::add(&mut result, right), "addition"),
            BinaryOp::Sub => (histogram::sub(&mut result, right), "subtraction"),
            _ => {
                self.incompatible("histogram", op, "histogram", span);
                return None;
            }
        };
        let Ok(addition) = added else {
            self.note(Note::IncompatibleSchemas(op.symbol()), span);
            return None;
        };
        if addition.reset_conflict {
            self.note(Note::ResetConflict(during), span);
        }
        if addition.bounds_reconciled {
            self.note(Note::BoundsReconciled(during), span);
        }
        if op == BinaryOp::Sub {
            result.reset_hint = ResetHint::Gauge;
        }
        histogram::compact(&mut result);
        Some(Point::Histogram(Arc::new(result)))
    }

    fn compare(&mut self, op: BinaryOp, left: &Point, right: &Point, span: Span) -> Option<bool> {
        match (left, right) {
            (Point::Float(left), Point::Float(right)) => Some(holds(op, *left, *right)),
            (Point::Histogram(left), Point::Histogram(right)) => match op {
                BinaryOp::Equal => Some(histogram::equal(left, right)),
                BinaryOp::NotEqual => Some(!histogram::equal(left, right)),
                _ => {
                    self.incompatible("histogram", op, "histogram", span);
                    None
                }
            },
            (Point::Float(_), Point::Histogram(_)) => {
                self.incompatible("float", op, "histogram", span);
                None
            }
            (Point::Histogram(_), Point::Float(_)) => {
                self.incompatible("histogram", op, "float", span);
                None
            }
        }
    }

    fn incompatible(&mut self, left: &'static str, op: BinaryOp, right: &'static str, span: Span) {
        self.note(Note::IncompatibleTypes { left, op: op.symbol(), right }, span);
    }

    /// Two vectors, series by series that match.
    fn matched(
        &mut self,
        binary: &Binary,
        left: Vec<Series>,
        right: Vec<Series>,
        span: Span,
        grid: Grid,
    ) -> Evaluated {
        let matching = &binary.matching;
        // The side that may have several series to one of the other is `many`.
        let swapped = matching.card == Cardinality::OneToMany;
        let (many, one) = if swapped { (right, left) } else { (left, right) };
        let one_side = if swapped { "left" } else { "right" };
        let mut ones: HashMap<Labels, Vec<usize>> = HashMap::new();
        for (at, series) in one.iter().enumerate() {
            ones.entry(key(&series.labels, matching)).or_default().push(at);
        }
        // At each step, only one series of the one side may have a value.
        for members in ones.values().filter(|members| members.len() > 1) {
            for n in 0..grid.count {
                let mut present = members.iter().filter_map(|at| one.get(*at)).filter(|series| series.has(n));
                if let (Some(first), Some(second)) = (present.next(), present.next()) {
                    let group = key(&first.labels, matching);
                    return failed(format!(
                        "found duplicate series for the match group {} on the {one_side} hand-side of the operation: [{}, {}];many-to-many matching not allowed: matching labels must be unique on one side",
                        braced(&group),
                        braced(&first.labels),
                        braced(&second.labels),
                    ));
                }
            }
        }
        // Prometheus swaps the sides of `group_right`, and not their fill values.
        let (fill_one, fill_many) = (matching.fill_right, matching.fill_left);
        let mut result: Vec<Series> = Vec::new();
        let mut places: HashMap<Labels, usize> = HashMap::new();
        let mut taken: HashMap<Labels, Vec<bool>> = HashMap::new();
        let none = Vec::new();
        for series in &many {
            let group = key(&series.labels, matching);
            let partners = ones.get(&group).unwrap_or(&none);
            for n in 0..grid.count {
                let Some(point) = series.point(n) else { continue };
                let partner = partners.iter().filter_map(|at| one.get(*at)).find(|partner| partner.has(n));
                let other = match partner.and_then(|partner| partner.point(n)).or(fill_one.map(Point::Float))
                {
                    Some(other) => other,
                    None => continue,
                };
                let used = taken.entry(group.clone()).or_insert_with(|| vec![false; grid.count]);
                let used = used.get_mut(n).map(|used| std::mem::replace(used, true)).unwrap_or_default();
                let (l, r) = if swapped { (&other, &point) } else { (&point, &other) };
                if matching.card == Cardinality::OneToOne && used {
                    return failed(
                        "multiple matches for labels: many-to-one matching must be explicit (group_left/group_right)",
                    );
                }
                let Some(value) = self.apply(binary, l, r, l, span) else { continue };
                let (labels, drop_name) = result_labels(binary, series, partner);
                let place = *places.entry(labels.clone()).or_insert_with(|| {
                    result.push(Series::new(labels, drop_name, grid.count));
                    result.len() - 1
                });
                if let Some(out) = result.get_mut(place) {
                    if out.has(n) {
                        return failed(
                            "multiple matches for labels: grouping labels must ensure unique matches",
                        );
                    }
                    out.drop_name |= drop_name;
                    out.set(n, value);
                }
            }
        }
        if let Some(fill) = fill_many {
            for series in &one {
                let group = key(&series.labels, matching);
                for n in 0..grid.count {
                    let Some(point) = series.point(n) else { continue };
                    if taken.get(&group).and_then(|used| used.get(n)).copied().unwrap_or_default() {
                        continue;
                    }
                    let filled = Point::Float(fill);
                    let (l, r) = if swapped { (&point, &filled) } else { (&filled, &point) };
                    let Some(value) = self.apply(binary, l, r, l, span) else { continue };
                    let stand_in = Series::new(group.clone(), true, 0);
                    let (labels, drop_name) = result_labels(binary, &stand_in, Some(series));
                    let place = *places.entry(labels.clone()).or_insert_with(|| {
                        result.push(Series::new(labels, drop_name, grid.count));
                        result.len() - 1
                    });
                    if let Some(out) = result.get_mut(place) {
                        out.set(n, value);
                    }
                }
            }
        }
        Ok(Value::Vector(result))
    }
}

/// What two series must agree in.
fn key(labels: &Labels, matching: &Matching) -> Labels {
    if matching.on {
        labels::keep(labels, &matching.labels)
    } else {
        labels::from_pairs(labels.iter().filter(|(name, _)| {
            *name != METRIC_NAME && !matching.labels.iter().any(|ignored| ignored == name)
        }))
    }
}

/// The labels of a result, and whether its name is to go.
fn result_labels(binary: &Binary, many: &Series, one: Option<&Series>) -> (Labels, bool) {
    let Binary { op, matching, returns_bool, .. } = binary;
    let keeps =
        op.is_comparison() && !returns_bool || matches!(op, BinaryOp::TrimLower | BinaryOp::TrimUpper);
    let mut labels = if keeps { many.labels.clone() } else { labels::without_metadata(&many.labels) };
    if matching.card == Cardinality::OneToOne {
        if matching.on {
            labels = labels::keep(&labels, &matching.labels);
        } else {
            labels = labels::from_pairs(
                labels.iter().filter(|(name, _)| !matching.labels.iter().any(|ignored| ignored == name)),
            );
        }
    }
    for name in &matching.include {
        let value = one.and_then(|one| one.labels.get(name)).unwrap_or_default();
        labels = labels::with(&labels, name, value);
    }
    (labels, many.drop_name && keeps)
}

fn braced(labels: &Labels) -> String {
    let pairs: Vec<String> = labels.iter().map(|(name, value)| format!("{name}={value:?}")).collect();
    format!("{{{}}}", pairs.join(", "))
}

fn holds(op: BinaryOp, left: f64, right: f64) -> bool {
    match op {
        BinaryOp::Equal => left == right,
        BinaryOp::NotEqual => left != right,
        BinaryOp::Less => left < right,
        BinaryOp::LessOrEqual => left <= right,
        BinaryOp::Greater => left > right,
        _ => left >= right,
    }
}

fn of_scalars(op: BinaryOp, left: f64, right: f64) -> f64 {
    match op {
        BinaryOp::Add => left + right,
        BinaryOp::Sub => left - right,
        BinaryOp::Mul => left * right,
        BinaryOp::Div => left / right,
        BinaryOp::Mod => left % right,
        BinaryOp::Pow => left.powf(right),
        BinaryOp::Atan2 => left.atan2(right),
        op if op.is_comparison() => f64::from(u8::from(holds(op, left, right))),
        _ => f64::NAN,
    }
}

/// `and`, `or`, `unless`: by presence alone.
fn set(op: BinaryOp, matching: &Matching, left: Vec<Series>, right: Vec<Series>, grid: Grid) -> Vec<Series> {
    let mut present: HashMap<Labels, Vec<bool>> = HashMap::new();
    let from = if op == BinaryOp::Or { &left } else { &right };
    for series in from {
        let there = present.entry(key(&series.labels, matching)).or_insert_with(|| vec![false; grid.count]);
        for (n, there) in there.iter_mut().enumerate() {
            *there |= series.has(n);
        }
    }
    let filtered = |mut series: Series, keep_present: bool| {
        let there = present.get(&key(&series.labels, matching));
        for n in 0..grid.count {
            let there = there.and_then(|there| there.get(n)).copied().unwrap_or_default();
            if there != keep_present {
                series.remove(n);
            }
        }
        (!series.is_empty()).then_some(series)
    };
    match op {
        BinaryOp::And => left.into_iter().filter_map(|series| filtered(series, true)).collect(),
        BinaryOp::Unless => left.into_iter().filter_map(|series| filtered(series, false)).collect(),
        _ => {
            let others: Vec<Series> =
                right.into_iter().filter_map(|series| filtered(series, false)).collect();
            left.into_iter().chain(others).collect()
        }
    }
}
