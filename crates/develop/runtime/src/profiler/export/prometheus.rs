//! Prometheus' text format, version 0.0.4.

use std::fmt::Write;

use kandela_algebra::histogram::LogHistogram;

use super::collapsed::joined;
use crate::exposition::{escaped, family};
use crate::profiler::TraceSummary;
use crate::profiler::summary::Row;

/// Bounds from 2⁻²⁰ s, about a microsecond, to 2⁶ s, about a minute.
const EXPONENTS: std::ops::RangeInclusive<i32> = -20..=6;

pub(in crate::profiler) fn write(summary: &TraceSummary) -> String {
    let rows: Vec<(String, Row<'_>)> = summary
        .rows()
        .into_iter()
        .filter(|row| !row.times.is_empty())
        .map(|row| (labels(&row.path), row))
        .collect();
    let mut text = String::new();
    family(
        &mut text,
        "trace_operation_seconds",
        "histogram",
        "Time from the start of an operation to its end.",
    );
    rows.iter().for_each(|(labels, row)| histogram(&mut text, labels, &row.times.durations, row));
    family(
        &mut text,
        "trace_operation_own_seconds_total",
        "counter",
        "Time in which a thread was at an operation itself.",
    );
    for (labels, row) in &rows {
        let _ =
            writeln!(text, "trace_operation_own_seconds_total{{{labels}}} {}", row.times.own.0 as f64 / 1e9);
    }
    family(
        &mut text,
        "trace_operation_idle_seconds_total",
        "counter",
        "Time in which no thread was at an operation.",
    );
    for (labels, row) in &rows {
        let _ = writeln!(
            text,
            "trace_operation_idle_seconds_total{{{labels}}} {}",
            row.times.idle.0 as f64 / 1e9
        );
    }
    text
}

fn histogram(text: &mut String, labels: &str, durations: &LogHistogram, row: &Row<'_>) {
    const NAME: &str = "trace_operation_seconds";
    let mut buckets = durations.buckets().peekable();
    let mut count = 0;
    for exponent in EXPONENTS {
        let bound = 2f64.powi(exponent);
        while let Some(bucket) = buckets.next_if(|bucket| bucket.upper <= bound) {
            count += bucket.count;
        }
        let _ = writeln!(text, "{NAME}_bucket{{{labels},le=\"{bound}\"}} {count}");
    }
    let total = durations.count();
    let _ = writeln!(text, "{NAME}_bucket{{{labels},le=\"+Inf\"}} {total}");
    let _ = writeln!(text, "{NAME}_sum{{{labels}}} {}", row.times.total.0 as f64 / 1e9);
    let _ = writeln!(text, "{NAME}_count{{{labels}}} {total}");
}

fn labels(path: &[&str]) -> String {
    let operation = path.last().copied().unwrap_or_default();
    format!("path=\"{}\",operation=\"{}\"", escaped(&joined(path)), escaped(operation))
}
