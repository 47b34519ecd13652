//! A table of times: questions in rows, whom they were asked in columns.

use std::fmt;
use std::time::Duration;

use serde::Serialize;

use crate::peers::report::Spread;
use crate::peers::system::System;

/// Whom a question is asked, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(super) struct Target {
    pub(super) system: System,
    /// VictoriaMetrics keeps answers to range queries; so told, it works each one out.
    pub(super) nocache: bool,
}

#[derive(Debug, Serialize)]
pub(super) struct Times {
    targets: Vec<Target>,
    rows: Vec<Row>,
}

#[derive(Debug, Serialize)]
struct Row {
    what: String,
    /// Milliseconds of each repetition, by target.
    ms: Vec<Vec<f64>>,
    /// Milliseconds that all threads of the system worked meanwhile, in all repetitions together, by target.
    cpu_ms: Vec<f64>,
}

/// How long something took.
#[derive(Debug, Clone, Copy)]
pub(super) struct Took {
    pub(super) wall: Duration,
    /// Of all threads of the system; the kernel counts it in steps of 10 ms.
    pub(super) cpu: Duration,
}

impl Target {
    pub(super) fn name(self) -> String {
        format!("{}{}", self.system.name(), if self.nocache { " nocache" } else { "" })
    }
}

impl Times {
    pub(super) fn new(targets: Vec<Target>, questions: impl IntoIterator<Item = String>) -> Self {
        let none = vec![Vec::new(); targets.len()];
        let cpu_ms = vec![0.0; targets.len()];
        let row = |what| Row { what, ms: none.clone(), cpu_ms: cpu_ms.clone() };
        let rows = questions.into_iter().map(row).collect();
        Self { targets, rows }
    }

    pub(super) fn add(&mut self, question: usize, target: usize, took: Took) {
        let row = &mut self.rows[question];
        row.ms[target].push(took.wall.as_secs_f64() * 1e3);
        row.cpu_ms[target] += took.cpu.as_secs_f64() * 1e3;
    }

    /// The first target over each other one, of the same repetition.
    fn ratios(&self, row: &Row) -> Vec<Option<Spread>> {
        let Some((mine, others)) = row.ms.split_first() else { return Vec::new() };
        others
            .iter()
            .map(|theirs| Spread::of(mine.iter().zip(theirs).map(|(mine, theirs)| mine / theirs)))
            .collect()
    }
}

const WHAT: usize = 34;
const CELL: usize = 26;

impl fmt::Display for Times {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let heading = |f: &mut fmt::Formatter<'_>, what: &str, targets: &[Target]| {
            write!(f, "  {what:<WHAT$}")?;
            targets.iter().try_for_each(|target| write!(f, " {:>CELL$}", target.name()))?;
            writeln!(f)
        };
        let line = |f: &mut fmt::Formatter<'_>, what: &str, spreads: &[Option<Spread>]| {
            write!(f, "  {what:<WHAT$}")?;
            let told = |spread: &Option<Spread>| spread.map_or_else(String::new, |spread| spread.to_string());
            spreads.iter().try_for_each(|spread| write!(f, " {:>CELL$}", told(spread)))?;
            writeln!(f)
        };
        heading(f, "ms", &self.targets)?;
        for row in &self.rows {
            let spreads: Vec<_> = row.ms.iter().map(|ms| Spread::of(ms.iter().copied())).collect();
            line(f, &row.what, &spreads)?;
        }
        heading(f, "CPU ms, mean", &self.targets)?;
        for row in &self.rows {
            write!(f, "  {:<WHAT$}", row.what)?;
            for (cpu_ms, ms) in row.cpu_ms.iter().zip(&row.ms) {
                write!(f, " {:>CELL$.1}", cpu_ms / ms.len() as f64)?;
            }
            writeln!(f)?;
        }
        if let [first, others @ ..] = self.targets.as_slice()
            && !others.is_empty()
        {
            heading(f, &format!("{} over", first.name()), others)?;
            for row in &self.rows {
                line(f, &row.what, &self.ratios(row))?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ratios_pair_what_was_asked_in_one_repetition() {
        let of = |system| Target { system, nocache: false };
        let targets = vec![of(System::Kandela), of(System::Prometheus)];
        let mut times = Times::new(targets, ["q".to_owned()]);
        let took = |ms: f64| Took { wall: Duration::from_secs_f64(ms / 1e3), cpu: Duration::from_millis(30) };
        for (mine, theirs) in [(1.0, 2.0), (10.0, 40.0), (3.0, 4.0)] {
            times.add(0, 0, took(mine));
            times.add(0, 1, took(theirs));
        }
        let ratios = times.ratios(&times.rows[0]);
        assert_eq!(ratios, [Some(Spread { median: 0.5, min: 0.25, max: 0.75 })]);
        let text = times.to_string();
        assert!(text.contains(" 30.0\n"), "{text}");
        assert!(text.contains("3.00 (1.00 to 10.00)") && text.contains("0.50 (0.25 to 0.75)"), "{text}");
    }
}
