//! A table of times: questions in rows, whom they were asked in columns.

use std::fmt;

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
}

impl Target {
    pub(super) fn name(self) -> String {
        format!("{}{}", self.system.name(), if self.nocache { " nocache" } else { "" })
    }
}

impl Times {
    pub(super) fn new(targets: Vec<Target>, questions: impl IntoIterator<Item = String>) -> Self {
        let none = vec![Vec::new(); targets.len()];
        let rows = questions.into_iter().map(|what| Row { what, ms: none.clone() }).collect();
        Self { targets, rows }
    }

    pub(super) fn add(&mut self, question: usize, target: usize, ms: f64) {
        self.rows[question].ms[target].push(ms);
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
        for (mine, theirs) in [(1.0, 2.0), (10.0, 40.0), (3.0, 4.0)] {
            times.add(0, 0, mine);
            times.add(0, 1, theirs);
        }
        let ratios = times.ratios(&times.rows[0]);
        assert_eq!(ratios, [Some(Spread { median: 0.5, min: 0.25, max: 0.75 })]);
        let text = times.to_string();
        assert!(text.contains("3.00 (1.00 to 10.00)") && text.contains("0.50 (0.25 to 0.75)"), "{text}");
    }
}
