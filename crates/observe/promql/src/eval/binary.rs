//! Operations on two expressions.

use std::collections::HashMap;

use kandela_model::{Labels, METRIC_NAME};

use super::annotations::Annotations;
use super::labels;
use super::operators::{Operator, holds, of_scalars};
use super::results::Results;
use super::stream::{Changed, Stream};
use super::value::{Column, Grid, Point, Series, Value, is_absent, present};
use super::{ABSENT, Evaluated, Evaluator, failed, named};
use crate::ast::{Binary, BinaryOp, Cardinality, Matching, Span, ValueType};
use crate::quote::quoted;

impl Evaluator {
    pub(super) fn binary(&mut self, binary: &Binary, span: Span, grid: Grid) -> Evaluated {
        let left = self.eval(&binary.left, grid)?;
        let right = self.eval(&binary.right, grid)?;
        match (left, right) {
            (Value::Scalar(left), Value::Scalar(right)) => {
                let values = left.into_iter().zip(right);
                Ok(Value::Scalar(values.map(|(l, r)| of_scalars(binary.op, l, r)).collect()))
            }
            (Value::Vector(left), Value::Vector(right)) if binary.op.is_set() => {
                let series = set(binary.op, &binary.matching, left, right, grid);
                // A series may come from the left at some steps and from the right at others.
                let may_be_twice = binary.op == BinaryOp::Or && !self.options.delayed_name_removal;
                Ok(Value::Vector(if may_be_twice { named(series, grid.count)? } else { series }))
            }
            (Value::Vector(left), Value::Vector(right)) => self.matched(binary, left, right, span, grid),
            _ => failed("a text takes no operator"),
        }
    }

    /// A vector and a scalar: each series for itself.
    pub(super) fn with_scalar<'a>(
        &mut self,
        binary: &'a Binary,
        span: Span,
        grid: Grid,
    ) -> Evaluated<Box<dyn Stream + 'a>> {
        let swapped = binary.left.value_type() == ValueType::Scalar;
        let (vector, scalar) =
            if swapped { (&binary.right, &binary.left) } else { (&binary.left, &binary.right) };
        let scalar = self.scalar(scalar, grid)?;
        let inner = self.stream(vector, grid)?;
        let drops = binary.returns_bool || !binary.op.is_comparison();
        let drops_name = drops && !matches!(binary.op, BinaryOp::TrimLower | BinaryOp::TrimUpper);
        let change = move |column: &mut Column, notes: &mut Annotations| {
            if column.histograms.is_empty() && !matches!(binary.op, BinaryOp::TrimLower | BinaryOp::TrimUpper)
            {
                return floats_with_scalar(binary, &mut column.floats, &scalar, swapped);
            }
            let mut operator = Operator { binary, span, notes };
            let mut any = false;
            for (n, scalar) in scalar.iter().enumerate() {
                let Some(point) = column.point(n) else { continue };
                let other = Point::Float(*scalar);
                let (left, right) = if swapped { (&other, &point) } else { (&point, &other) };
                let value = operator.apply(left, right, &point);
                column.remove(n);
                if let Some(value) = value {
                    column.set(n, value);
                    any = true;
                }
            }
            any
        };
        Ok(Box::new(Changed { inner, drops_name, change: Box::new(change) }))
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
        let mut groups = MatchGroups::default();
        for (at, series) in one.iter().enumerate() {
            groups.of(&series.labels, matching).ones.push(at);
        }
        let one_side = if swapped { "left" } else { "right" };
        groups.all.iter().try_for_each(|group| alone_at_each_step(group, &one, one_side, matching, grid))?;
        let of_many: Vec<usize> =
            many.iter().map(|series| groups.place_of(&series.labels, matching)).collect();
        for group in &of_many {
            groups.all[*group].many += 1;
        }
        // Prometheus swaps the sides of `group_right`, and not their fill values.
        let (fill_one, fill_many) = (matching.fill_right, matching.fill_left);
        for group in &mut groups.all {
            let contended = matching.card == Cardinality::OneToOne && group.many > 1;
            if contended || fill_many.is_some() && !group.ones.is_empty() {
                group.taken = vec![false; grid.count];
            }
        }
        let mut operator = Operator { binary, span, notes: &mut self.notes };
        let mut results = Results::new(&self.control, grid.count);
        for (series, group) in many.iter().zip(of_many) {
            self.control.check()?;
            let MatchGroup { ones, taken, .. } = &mut groups.all[group];
            for partner in ones.iter().filter_map(|at| one.get(*at)) {
                let mut pair = Pair { many: series, one: Some(partner), swapped, place: None };
                if operator.is_of_floats(series, partner) && taken.is_empty() {
                    results.floats(&operator, &mut pair, &series.floats, &partner.floats)?;
                    continue;
                }
                for n in 0..grid.count {
                    let (Some(point), Some(other)) = (series.point(n), partner.point(n)) else { continue };
                    claim(taken, n, matching.card)?;
                    results.add(&mut operator, &mut pair, n, &point, &other)?;
                }
            }
            let Some(fill) = fill_one else { continue };
            let filled = Point::Float(fill);
            let mut pair = Pair { many: series, one: None, swapped, place: None };
            for n in 0..grid.count {
                let Some(point) = series.point(n) else { continue };
                if ones.iter().filter_map(|at| one.get(*at)).any(|partner| partner.has(n)) {
                    continue;
                }
                claim(taken, n, matching.card)?;
                results.add(&mut operator, &mut pair, n, &point, &filled)?;
            }
        }
        let Some(fill) = fill_many else { return Ok(Value::Vector(results.present())) };
        let filled = Point::Float(fill);
        for group in &groups.all {
            let stand_in = Series::new(group.labels.clone(), true, 0);
            for series in group.ones.iter().filter_map(|at| one.get(*at)) {
                let mut pair = Pair { many: &stand_in, one: Some(series), swapped, place: None };
                for n in (0..grid.count).filter(|n| !group.taken.get(*n).copied().unwrap_or_default()) {
                    let Some(point) = series.point(n) else { continue };
                    results.add(&mut operator, &mut pair, n, &filled, &point)?;
                }
            }
        }
        Ok(Value::Vector(results.present()))
    }
}

/// Series that match each other.
#[derive(Default)]
struct MatchGroup {
    /// What they agree in.
    labels: Labels,
    /// Numbers of those on the one side.
    ones: Vec<usize>,
    /// How many are on the other.
    many: usize,
    /// At which steps a pair was found, where that matters.
    taken: Vec<bool>,
}

/// Notes that a group has a pair at a step, which only one of each side may be.
fn claim(taken: &mut [bool], n: usize, card: Cardinality) -> Evaluated<()> {
    let Some(taken) = taken.get_mut(n) else { return Ok(()) };
    if std::mem::replace(taken, true) && card == Cardinality::OneToOne {
        return failed(
            "multiple matches for labels: many-to-one matching must be explicit (group_left/group_right)",
        );
    }
    Ok(())
}

#[derive(Default)]
struct MatchGroups {
    all: Vec<MatchGroup>,
    places: HashMap<Labels, usize>,
}

impl MatchGroups {
    fn place_of(&mut self, labels: &Labels, matching: &Matching) -> usize {
        let key = key(labels, matching);
        let next = self.all.len();
        let place = *self.places.entry(key.clone()).or_insert(next);
        if place == next {
            self.all.push(MatchGroup { labels: key, ..MatchGroup::default() });
        }
        place
    }

    fn of(&mut self, labels: &Labels, matching: &Matching) -> &mut MatchGroup {
        let place = self.place_of(labels, matching);
        &mut self.all[place]
    }
}

/// At each step, only one series of a group's one side may have a value.
fn alone_at_each_step(
    group: &MatchGroup,
    one: &[Series],
    side: &str,
    matching: &Matching,
    grid: Grid,
) -> Evaluated<()> {
    if group.ones.len() < 2 {
        return Ok(());
    }
    for n in 0..grid.count {
        let mut present = group.ones.iter().filter_map(|at| one.get(*at)).filter(|series| series.has(n));
        if let (Some(first), Some(second)) = (present.next(), present.next()) {
            let group = braced(&key(&first.labels, matching));
            let mut duplicates = [braced(&first.labels), braced(&second.labels)];
            duplicates.sort_unstable();
            return failed(format!(
                "found duplicate series for the match group {group} on the {side} hand-side of the operation: [{}];many-to-many matching not allowed: matching labels must be unique on one side",
                duplicates.join(", ")
            ));
        }
    }
    Ok(())
}

/// Two series that match; one without a partner has a fill value in its place.
struct Pair<'a> {
    many: &'a Series,
    one: Option<&'a Series>,
    /// Whether `many` is the right operand.
    swapped: bool,
    /// Where their results go, once there is one.
    place: Option<usize>,
}

/// The results of pairs.
impl Results {
    /// The series that the results of a pair go to.
    fn of(&mut self, binary: &Binary, pair: &mut Pair<'_>) -> Evaluated<&mut Series> {
        if let Some(place) = pair.place {
            return Ok(self.at(place));
        }
        let (labels, drop_name) = result_labels(binary, pair.many, pair.one);
        let place = *pair.place.insert(self.place(labels, drop_name)?);
        let series = self.at(place);
        series.drop_name |= drop_name;
        Ok(series)
    }

    fn add(
        &mut self,
        operator: &mut Operator<'_>,
        pair: &mut Pair<'_>,
        n: usize,
        of_many: &Point,
        of_one: &Point,
    ) -> Evaluated<()> {
        let (left, right) = if pair.swapped { (of_one, of_many) } else { (of_many, of_one) };
        let Some(value) = operator.apply(left, right, left) else { return Ok(()) };
        let out = self.of(operator.binary, pair)?;
        if out.has(n) {
            return failed(MANY_RESULTS);
        }
        out.set(n, value);
        Ok(())
    }

    /// All steps of two series of floats.
    fn floats(
        &mut self,
        operator: &Operator<'_>,
        pair: &mut Pair<'_>,
        of_many: &[f64],
        of_one: &[f64],
    ) -> Evaluated<()> {
        let binary = operator.binary;
        for (n, (of_many, of_one)) in of_many.iter().zip(of_one).enumerate() {
            if is_absent(*of_many) || is_absent(*of_one) {
                continue;
            }
            let (left, right) = if pair.swapped { (*of_one, *of_many) } else { (*of_many, *of_one) };
            let value = of_floats(binary, left, right, left);
            if is_absent(value) {
                continue;
            }
            let out = self.of(binary, pair)?;
            if out.has(n) {
                return failed(MANY_RESULTS);
            }
            out.set_float(n, value);
        }
        Ok(())
    }
}

const MANY_RESULTS: &str = "multiple matches for labels: grouping labels must ensure unique matches";

/// What becomes of two floats; `kept` is what a comparison that chooses gives.
fn of_floats(binary: &Binary, left: f64, right: f64, kept: f64) -> f64 {
    let op = binary.op;
    if !op.is_comparison() {
        return present(of_scalars(op, left, right));
    }
    match (binary.returns_bool, holds(op, left, right)) {
        (true, holds) => f64::from(u8::from(holds)),
        (false, true) => kept,
        (false, false) => ABSENT,
    }
}

/// Whether any value is left.
fn floats_with_scalar(binary: &Binary, floats: &mut [f64], scalar: &[f64], swapped: bool) -> bool {
    let mut any = false;
    for (value, scalar) in floats.iter_mut().zip(scalar) {
        if !is_absent(*value) {
            let (left, right) = if swapped { (*scalar, *value) } else { (*value, *scalar) };
            *value = of_floats(binary, left, right, *value);
            any |= !is_absent(*value);
        }
    }
    any
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
    let pairs: Vec<String> = labels.iter().map(|(name, value)| format!("{name}={}", quoted(value))).collect();
    format!("{{{}}}", pairs.join(", "))
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
