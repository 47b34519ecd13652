//! Whether two answers to one query say the same, strictly.

use std::collections::{BTreeMap, BTreeSet};

use super::difference::{Difference, Failed, Side};
use crate::prometheus::{
    Answer, Bucket, Document, Histogram, Instant, LabelSet, Millis, Number, Series, number_text, series_text,
};

/// How far two values may be apart, relative to the larger one.
const TOLERANCE: f64 = 1e-9;

/// What a server said to a query.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Told {
    pub(super) said: Result<Answer, Failed>,
    /// Warnings and infos without their places.
    pub(super) notes: BTreeSet<String>,
}

/// What the order of an instant vector says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    /// Nothing.
    Free,
    /// Values are in order; which of equal ones comes first says nothing.
    Values,
    /// Every series has its place.
    Series,
}

impl Told {
    pub(super) fn new(status: u16, document: Document) -> Self {
        let notes = document.warnings.iter().chain(&document.infos);
        let notes = notes.map(|note| without_place(note).to_owned()).collect();
        let said = match (document.failure, document.data) {
            (None, Some(answer)) => Ok(answer),
            (Some(failure), _) => Err(Failed { status, kind: failure.kind, message: failure.message }),
            (None, None) => Err(Failed { status, kind: String::new(), message: "no data".to_owned() }),
        };
        Self { said, notes }
    }

    /// Whether there is a value in what was said.
    pub(super) const fn has_data(&self) -> bool {
        match &self.said {
            Ok(Answer::Vector(series)) => !series.is_empty(),
            Ok(Answer::Matrix(series)) => !series.is_empty(),
            Ok(Answer::Scalar(_) | Answer::String(_)) => true,
            Err(_) => false,
        }
    }

    /// As if no series had these labels.
    pub(super) fn without(mut self, labels: &[String]) -> Self {
        let metrics: Vec<&mut LabelSet> = match &mut self.said {
            Ok(Answer::Vector(series)) => series.iter_mut().map(|one| &mut one.metric).collect(),
            Ok(Answer::Matrix(series)) => series.iter_mut().map(|one| &mut one.metric).collect(),
            _ => Vec::new(),
        };
        for metric in metrics {
            metric.retain(|name, _| !labels.contains(name));
        }
        self
    }
}

/// A note ends with its place in the query, as `(1:8)`.
fn without_place(note: &str) -> &str {
    let is_place = |text: &str| {
        let numbers = text.strip_suffix(')').and_then(|text| text.split_once(':'));
        let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        numbers.is_some_and(|(line, column)| is_number(line) && is_number(column))
    };
    match note.rsplit_once(" (") {
        Some((before, place)) if is_place(place) => before,
        _ => note,
    }
}

/// All that differs between what is said here and there; notes are left to the caller.
pub(super) fn compare(here: &Told, there: &Told, order: Order) -> Vec<Difference> {
    match (&here.said, &there.said) {
        (Ok(here), Ok(there)) => answers(here, there, order, same),
        (Err(here), Err(there)) if (here.status, &here.kind) == (there.status, &there.kind) => Vec::new(),
        (here, there) => {
            let failed = |said: &Result<Answer, Failed>| said.as_ref().err().cloned();
            vec![Difference::Failure { here: failed(here), there: failed(there) }]
        }
    }
}

/// All that differs between samples as they were taken in. There the sign of zero counts too: a query can make much of it, as
/// `1 / x` does.
pub(super) fn compare_samples(here: &Answer, there: &Answer) -> Vec<Difference> {
    answers(here, there, Order::Free, same_with_sign)
}

/// Whether two values are the same.
type Same = fn(f64, f64) -> bool;

fn answers(here: &Answer, there: &Answer, order: Order, same: Same) -> Vec<Difference> {
    match (here, there) {
        (Answer::Scalar((at, here)), Answer::Scalar((_, there))) => {
            let differ = !same(here.0, there.0);
            differ
                .then(|| value("the scalar", *at, 1, 1, &number_text(here.0), &number_text(there.0)))
                .into_iter()
                .collect()
        }
        (Answer::String((at, here)), Answer::String((_, there))) => {
            (here != there).then(|| value("the string", *at, 1, 1, here, there)).into_iter().collect()
        }
        (Answer::Vector(here), Answer::Vector(there)) => vectors(here, there, order, same),
        (Answer::Matrix(here), Answer::Matrix(there)) => matrices(here, there, same),
        _ => vec![Difference::Kind { here: kind(here), there: kind(there) }],
    }
}

const fn kind(answer: &Answer) -> &'static str {
    match answer {
        Answer::Scalar(_) => "scalar",
        Answer::String(_) => "string",
        Answer::Vector(_) => "vector",
        Answer::Matrix(_) => "matrix",
    }
}

fn vectors(here: &[Instant], there: &[Instant], order: Order, same: Same) -> Vec<Difference> {
    let [of_here, of_there] =
        [here, there].map(|vector| vector.iter().map(course_of_instant).collect::<Vec<_>>());
    let mut differences = courses(&of_here, &of_there, same);
    // Where values or series differ, so does their order, which says nothing more.
    if differences.is_empty()
        && let Some(at) = out_of_order(here, there, order)
    {
        let told =
            |vector: &[Instant]| vector.get(at).map(|one| series_text(&one.metric)).unwrap_or_default();
        differences.push(Difference::Order { place: at + 1, here: told(here), there: told(there) });
    }
    differences
}

/// The first place at which the order differs.
fn out_of_order(here: &[Instant], there: &[Instant], order: Order) -> Option<usize> {
    let differ = |(here, there): (&Instant, &Instant)| match order {
        Order::Free => false,
        Order::Series => here.metric != there.metric,
        Order::Values => match (here.value, there.value) {
            (Some((_, Number(here))), Some((_, Number(there)))) => !same(here, there),
            (here, there) => here.is_some() != there.is_some(),
        },
    };
    here.iter().zip(there).position(differ)
}

fn matrices(here: &[Series], there: &[Series], same: Same) -> Vec<Difference> {
    let [here, there] = [here, there].map(|matrix| matrix.iter().map(course_of_series).collect::<Vec<_>>());
    courses(&here, &there, same)
}

#[derive(Clone, Copy, Debug)]
enum Point<'a> {
    Float(f64),
    Histogram(&'a Histogram),
}

/// A series with its points, ascending by time.
type Course<'a> = (&'a LabelSet, Vec<(i64, Point<'a>)>);

fn course_of_instant(one: &Instant) -> Course<'_> {
    let float = one.value.iter().map(|(Millis(at), Number(value))| (*at, Point::Float(*value)));
    let histogram = one.histogram.iter().map(|(Millis(at), histogram)| (*at, Point::Histogram(histogram)));
    (&one.metric, float.chain(histogram).collect())
}

fn course_of_series(one: &Series) -> Course<'_> {
    let floats = one.values.iter().map(|(Millis(at), Number(value))| (*at, Point::Float(*value)));
    let histograms = one.histograms.iter().map(|(Millis(at), histogram)| (*at, Point::Histogram(histogram)));
    let mut points: Vec<_> = floats.chain(histograms).collect();
    points.sort_by_key(|(at, _)| *at);
    (&one.metric, points)
}

/// Series as sets of labels, each with its points.
fn courses(here: &[Course<'_>], there: &[Course<'_>], same: Same) -> Vec<Difference> {
    let mut differences = Vec::new();
    let (of_here, of_there) =
        (by_labels(here, Side::Here, &mut differences), by_labels(there, Side::There, &mut differences));
    let all: BTreeSet<&LabelSet> = of_here.keys().chain(of_there.keys()).copied().collect();
    for labels in all {
        let name = series_text(labels);
        match (of_here.get(labels), of_there.get(labels)) {
            (Some(here), Some(there)) => points(&name, here, there, same, &mut differences),
            (Some(points), None) => differences.push(missing(Side::There, &name, points, true)),
            (None, Some(points)) => differences.push(missing(Side::Here, &name, points, true)),
            (None, None) => {}
        }
    }
    differences
}

fn by_labels<'a, 'b>(
    courses: &'b [Course<'a>],
    side: Side,
    differences: &mut Vec<Difference>,
) -> BTreeMap<&'a LabelSet, &'b [(i64, Point<'a>)]> {
    let mut by_labels = BTreeMap::new();
    for (labels, points) in courses {
        if by_labels.insert(*labels, points.as_slice()).is_some() {
            differences.push(Difference::Twice { side, series: series_text(labels) });
        }
    }
    by_labels
}

/// Walks both along time: what only one has, in runs, and where values differ.
fn points(
    series: &str,
    here: &[(i64, Point<'_>)],
    there: &[(i64, Point<'_>)],
    same: Same,
    differences: &mut Vec<Difference>,
) {
    let (mut rest_here, mut rest_there) = (here, there);
    let mut both = 0;
    let mut differing = 0;
    let mut first: Option<(i64, String, String)> = None;
    loop {
        let lone = |rest: &[(i64, Point<'_>)], other: &[(i64, Point<'_>)]| {
            let until = other.first().map_or(i64::MAX, |(at, _)| *at);
            rest.iter().take_while(|(at, _)| *at < until).count()
        };
        let (only_here, only_there) = (lone(rest_here, rest_there), lone(rest_there, rest_here));
        for (side, rest, count) in
            [(Side::There, &mut rest_here, only_here), (Side::Here, &mut rest_there, only_there)]
        {
            let (run, behind) = rest.split_at(count);
            *rest = behind;
            if !run.is_empty() {
                differences.push(missing(side, series, run, false));
            }
        }
        let (Some(((at, a), more_here)), Some(((other, b), more_there))) =
            (rest_here.split_first(), rest_there.split_first())
        else {
            if rest_here.is_empty() && rest_there.is_empty() {
                break;
            }
            continue;
        };
        if at != other {
            continue;
        }
        (rest_here, rest_there) = (more_here, more_there);
        both += 1;
        if let Some((here, there)) = apart(*a, *b, same) {
            differing += 1;
            first.get_or_insert((*at, here, there));
        }
    }
    if let Some((at, here, there)) = first {
        differences.push(value(series, Millis(at), differing, both, &here, &there));
    }
}

fn value(series: &str, at: Millis, points: usize, of: usize, here: &str, there: &str) -> Difference {
    let (series, here, there) = (series.to_owned(), here.to_owned(), there.to_owned());
    Difference::Values { series, points, of, at: at.into(), here, there }
}

fn missing(side: Side, series: &str, points: &[(i64, Point<'_>)], whole: bool) -> Difference {
    let time = |point: Option<&(i64, Point<'_>)>| Millis(point.map_or(0, |(at, _)| *at)).into();
    let (from, to) = (time(points.first()), time(points.last()));
    Difference::Missing { side, series: series.to_owned(), whole, points: points.len(), from, to }
}

/// Two values as texts that show what differs, if something does.
fn apart(here: Point<'_>, there: Point<'_>, same: Same) -> Option<(String, String)> {
    match (here, there) {
        (Point::Float(here), Point::Float(there)) => {
            (!same(here, there)).then(|| (number_text(here), number_text(there)))
        }
        (Point::Histogram(here), Point::Histogram(there)) => histograms(here, there, same),
        (here, there) => {
            let told = |point| match point {
                Point::Float(value) => format!("the float {}", number_text(value)),
                Point::Histogram(_) => "a histogram".to_owned(),
            };
            Some((told(here), told(there)))
        }
    }
}

fn histograms(here: &Histogram, there: &Histogram, same: Same) -> Option<(String, String)> {
    for (what, here, there) in [("count", here.count, there.count), ("sum", here.sum, there.sum)] {
        if !same(here.0, there.0) {
            return Some((
                format!("{what} {}", number_text(here.0)),
                format!("{what} {}", number_text(there.0)),
            ));
        }
    }
    let told = |bucket: Option<&Bucket>| match bucket {
        Some(bucket) => format!("bucket {} with {}", bucket.interval(), number_text(bucket.3.0)),
        None => "no bucket more".to_owned(),
    };
    let longest = here.buckets.len().max(there.buckets.len());
    (0..longest).find_map(|at| match (here.buckets.get(at), there.buckets.get(at)) {
        (Some(a), Some(b))
            if a.0 == b.0 && same(a.1.0, b.1.0) && same(a.2.0, b.2.0) && same(a.3.0, b.3.0) =>
        {
            None
        }
        (a, b) => Some((told(a), told(b))),
    })
}

/// NaN is NaN, an infinity itself, and other values are within the tolerance.
fn same(here: f64, there: f64) -> bool {
    here == there
        || here.is_nan() && there.is_nan()
        || here.is_finite()
            && there.is_finite()
            && (here - there).abs() <= TOLERANCE * here.abs().max(there.abs())
}

/// The same, and no zero with another sign.
fn same_with_sign(here: f64, there: f64) -> bool {
    let signs_count = here == 0.0 && there == 0.0;
    same(here, there) && (!signs_count || here.is_sign_negative() == there.is_sign_negative())
}

#[cfg(test)]
mod tests;
