//! Values in the script's own notation, for messages.

use std::fmt::Write as _;

use kandela_model::{Histogram, Labels, METRIC_NAME, ResetHint, is_stale};

use super::command::Slot;
use crate::answer::Point;

/// Buckets further apart than this are listed one by one.
const MAX_RUN: i64 = 1_000;

/// A number as a script writes it.
pub(super) fn float(value: f64) -> String {
    let magnitude = value.abs();
    if is_stale(value) {
        "stale".to_owned()
    } else if value.is_infinite() {
        if value > 0.0 { "Inf" } else { "-Inf" }.to_owned()
    } else if magnitude != 0.0 && !(1e-4..1e15).contains(&magnitude) && !value.is_nan() {
        format!("{value:e}")
    } else {
        format!("{value}")
    }
}

pub(super) fn point(point: &Point) -> String {
    match point {
        Point::Float(value) => float(*value),
        Point::Histogram(value) => histogram(value),
    }
}

pub(super) fn slot(slot: &Slot) -> String {
    match slot {
        Slot::Gap => "_".to_owned(),
        Slot::Float(value) => float(*value),
        Slot::Histogram { histogram: value, .. } => histogram(value),
    }
}

/// Labels as a script writes them; names that are no identifiers are quoted.
pub(super) fn labels(labels: &Labels) -> String {
    let name = labels.get(METRIC_NAME).unwrap_or_default();
    let (outside, inside) = if is_identifier(name, true) { (name, "") } else { ("", name) };
    let mut parts = Vec::new();
    if !inside.is_empty() {
        parts.push(format!("{inside:?}"));
    }
    for (label, value) in labels.iter().filter(|(label, _)| *label != METRIC_NAME) {
        parts.push(match is_identifier(label, false) {
            true => format!("{label}={value:?}"),
            false => format!("{label:?}={value:?}"),
        });
    }
    match (outside.is_empty(), parts.is_empty()) {
        (false, true) => outside.to_owned(),
        _ => format!("{outside}{{{}}}", parts.join(", ")),
    }
}

fn is_identifier(text: &str, colons: bool) -> bool {
    let letter = |c: char| c.is_ascii_alphabetic() || c == '_' || (colons && c == ':');
    text.starts_with(letter) && text.chars().all(|c| letter(c) || c.is_ascii_digit())
}

/// A histogram as a script writes it, without empty buckets at the ends.
pub(super) fn histogram(histogram: &Histogram) -> String {
    let mut parts = Vec::new();
    if histogram.schema != 0 {
        parts.push(format!("schema:{}", histogram.schema));
    }
    let numbers = [
        ("count", histogram.count),
        ("sum", histogram.sum),
        ("z_bucket", histogram.zero_count),
        ("z_bucket_w", histogram.zero_threshold),
    ];
    parts.extend(
        numbers
            .iter()
            .filter(|(_, value)| *value != 0.0)
            .map(|(key, value)| format!("{key}:{}", float(*value))),
    );
    if !histogram.custom_bounds.is_empty() {
        parts.push(format!("custom_values:{}", list(histogram.custom_bounds.iter().copied())));
    }
    match histogram.reset_hint {
        ResetHint::Unknown => {}
        ResetHint::Reset => parts.push("counter_reset_hint:reset".to_owned()),
        ResetHint::NotReset => parts.push("counter_reset_hint:not_reset".to_owned()),
        ResetHint::Gauge => parts.push("counter_reset_hint:gauge".to_owned()),
    }
    push_buckets(&mut parts, "", histogram.positive());
    push_buckets(&mut parts, "n_", histogram.negative());
    format!("{{{{{}}}}}", parts.join(" "))
}

fn push_buckets(parts: &mut Vec<String>, prefix: &str, buckets: impl Iterator<Item = (i64, f64)>) {
    let buckets: Vec<(i64, f64)> = buckets.filter(|(_, count)| *count != 0.0).collect();
    let (Some((first, _)), Some((last, _))) = (buckets.first(), buckets.last()) else { return };
    if last - first > MAX_RUN {
        let mut text = format!("{prefix}buckets at");
        for (index, count) in &buckets {
            let _ = write!(text, " {index}={}", float(*count));
        }
        parts.push(text);
        return;
    }
    if *first != 0 {
        parts.push(format!("{prefix}offset:{first}"));
    }
    let mut counts = buckets.iter().peekable();
    let run =
        (*first..=*last).map(|index| counts.next_if(|(at, _)| *at == index).map_or(0.0, |(_, count)| *count));
    parts.push(format!("{prefix}buckets:{}", list(run)));
}

fn list(values: impl Iterator<Item = f64>) -> String {
    format!("[{}]", values.map(float).collect::<Vec<_>>().join(" "))
}
