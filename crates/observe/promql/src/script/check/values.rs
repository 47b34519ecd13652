//! Comparing values, and printing them for messages.

use std::cmp::Ordering;

use kandela_model::Labels;

use super::Difference;
use super::almost::{same_float, same_histogram};
use crate::answer::{Answer, Point};
use crate::script::command::{Expected, Slot};
use crate::script::memory::compare_labels;
use crate::script::print;
use crate::script::query::QueryTime;

pub(super) fn compare_scalar(expected: f64, got: f64) -> Result<(), Difference> {
    if same_float(expected, got) {
        return Ok(());
    }
    Err(Difference::new("the scalar differs", print::float(expected), print::float(got)))
}

pub(super) fn compare_vector(
    expected: &[(Labels, Vec<Slot>)],
    got: &[(Labels, Point)],
    ordered: bool,
) -> Result<(), Difference> {
    let row = |labels: &Labels, slots: &[Slot]| format!("{} {}", print::labels(labels), sequence(slots));
    for (position, (labels, point)) in got.iter().enumerate() {
        let got_row = format!("{} {}", print::labels(labels), print::point(point));
        let Some(expected_at) = expected.iter().position(|(other, _)| other == labels) else {
            return Err(Difference::new("a series came that should not", "no such series", got_row));
        };
        if got.iter().take(position).any(|(other, _)| other == labels) {
            return Err(Difference::new("a series came twice", "each series once", got_row));
        }
        if ordered && expected_at != position {
            let places = format!("at place {}: {}", expected_at + 1, print::labels(labels));
            return Err(Difference::new("the order differs", places, format!("at place {}", position + 1)));
        }
        let slots = expected.get(expected_at).map(|(_, slots)| slots.as_slice()).unwrap_or_default();
        if !slots.first().is_some_and(|slot| same_point(slot, point)) {
            return Err(Difference::new("a value differs", row(labels, slots), got_row));
        }
    }
    match expected.iter().find(|(labels, _)| !got.iter().any(|(other, _)| other == labels)) {
        Some((labels, slots)) => Err(Difference::new(
            "a series is missing",
            row(labels, slots),
            answer(&Answer::Vector(got.to_vec())),
        )),
        None => Ok(()),
    }
}

/// `steps` says at which times the expected values lie; an instant has none, so that only an empty matrix can be right.
pub(super) fn compare_matrix(
    expected: &[(Labels, Vec<Slot>)],
    got: &[(Labels, Vec<(i64, Point)>)],
    steps: QueryTime,
) -> Result<(), Difference> {
    check_sorted(got)?;
    let longest = expected.iter().map(|(_, slots)| slots.len()).max().unwrap_or_default();
    let times: Vec<i64> = steps.steps().map(|steps| steps.take(longest).collect()).unwrap_or_default();
    let row = |labels: &Labels, slots: &[Slot]| format!("{} {}", print::labels(labels), sequence(slots));
    for (labels, points) in got {
        let got_row = || format!("{} {}", print::labels(labels), timed(points, steps));
        let Some((_, slots)) = expected.iter().find(|(other, _)| other == labels) else {
            return Err(Difference::new("a series came that should not", "no such series", got_row()));
        };
        if slots.len() > times.len() {
            let what = format!("{} values are expected at {} steps", slots.len(), times.len());
            return Err(Difference::new(what, row(labels, slots), got_row()));
        }
        let present = slots.iter().zip(&times).filter(|(slot, _)| **slot != Slot::Gap);
        let same_times = present.clone().map(|(_, time)| *time).eq(points.iter().map(|(time, _)| *time));
        if !same_times {
            return Err(Difference::new("values are at other steps", row(labels, slots), got_row()));
        }
        let differing = present.zip(points).find(|((slot, _), (_, point))| !same_point(slot, point));
        if let Some(((slot, time), (_, point))) = differing {
            let what = format!(
                "the value at {} s differs, {} for {}",
                *time as f64 / 1e6,
                print::point(point),
                print::slot(slot)
            );
            return Err(Difference::new(what, row(labels, slots), got_row()));
        }
    }
    match expected.iter().find(|(labels, _)| !got.iter().any(|(other, _)| other == labels)) {
        Some((labels, slots)) => {
            Err(Difference::new("a series is missing", row(labels, slots), matrix(got, steps)))
        }
        None => Ok(()),
    }
}

/// The series of a matrix ascend by labels, and each comes once.
pub(super) fn check_sorted(got: &[(Labels, Vec<(i64, Point)>)]) -> Result<(), Difference> {
    let out_of_order = got.windows(2).find_map(|pair| match pair {
        [(first, _), (second, _)] if compare_labels(first, second) != Ordering::Less => Some((first, second)),
        _ => None,
    });
    match out_of_order {
        None => Ok(()),
        Some((first, second)) => {
            let got = format!("{} before {}", print::labels(first), print::labels(second));
            Err(Difference::new("the series of the matrix are not sorted", "ascending labels", got))
        }
    }
}

fn same_point(expected: &Slot, got: &Point) -> bool {
    match (expected, got) {
        (Slot::Float(expected), Point::Float(got)) => same_float(*expected, *got),
        (Slot::Histogram { histogram: expected, hint_given }, Point::Histogram(got)) => {
            same_histogram(expected, got, *hint_given)
        }
        _ => false,
    }
}

fn sequence(slots: &[Slot]) -> String {
    slots.iter().map(print::slot).collect::<Vec<_>>().join(" ")
}

/// Values as a sequence, with `_` where a step has none; with their times where they are off the steps.
fn timed(points: &[(i64, Point)], steps: QueryTime) -> String {
    let Some((last, _)) = points.last() else { return "no value".to_owned() };
    let mut rest = points.iter().peekable();
    let times: Vec<i64> =
        steps.steps().map(|all| all.take_while(|time| time <= last).collect()).unwrap_or_default();
    let on_steps: Vec<String> = times
        .iter()
        .map(|time| {
            rest.next_if(|(at, _)| at == time).map_or("_".to_owned(), |(_, point)| print::point(point))
        })
        .collect();
    if rest.peek().is_none() {
        return on_steps.join(" ");
    }
    let with_time = |(time, point): &(i64, Point)| format!("{}@{}s", print::point(point), *time as f64 / 1e6);
    points.iter().map(with_time).collect::<Vec<_>>().join(" ")
}

fn matrix(series: &[(Labels, Vec<(i64, Point)>)], steps: QueryTime) -> String {
    let rows =
        series.iter().map(|(labels, points)| format!("{} {}", print::labels(labels), timed(points, steps)));
    block(rows)
}

fn block(rows: impl Iterator<Item = String>) -> String {
    let text = rows.collect::<Vec<_>>().join("\n            ");
    if text.is_empty() { "no series".to_owned() } else { text }
}

/// An answer in the script's notation.
pub(super) fn answer(answer: &Answer) -> String {
    match answer {
        Answer::Scalar(value) => format!("scalar {}", print::float(*value)),
        Answer::String(text) => format!("string {text:?}"),
        Answer::Vector(vector) => block(
            vector.iter().map(|(labels, point)| format!("{} {}", print::labels(labels), print::point(point))),
        ),
        Answer::Matrix(series) => matrix(series, QueryTime::Instant(0)),
    }
}

/// What kind of value is expected, in words.
pub(super) fn kind_of(expected: &Expected) -> String {
    match expected {
        Expected::Series(series) if series.is_empty() => "no series".to_owned(),
        Expected::Series(series) => block(
            series.iter().map(|(labels, slots)| format!("{} {}", print::labels(labels), sequence(slots))),
        ),
        Expected::RangeVector(_, _) => "a range vector".to_owned(),
        Expected::Scalar(value) => format!("scalar {}", print::float(*value)),
        Expected::String(text) => format!("string {text:?}"),
    }
}
