//! Stacks, a line each.

use std::fmt::Write;

use crate::profiler::TraceSummary;

pub(in crate::profiler) fn write(summary: &TraceSummary) -> String {
    let mut text = String::new();
    for row in summary.rows().iter().filter(|row| row.times.own.0 > 0) {
        let _ = writeln!(text, "{} {}", joined(&row.path), row.times.own.0);
    }
    text
}

/// The names of a path as one text, from which they can be told.
pub(super) fn joined(path: &[&str]) -> String {
    let plain = |name: &&str| -> String {
        name.chars()
            .map(|c| if c.is_control() { ' ' } else { c })
            .map(|c| if c == ';' { ':' } else { c })
            .collect()
    };
    path.iter().map(plain).collect::<Vec<_>>().join(";")
}
