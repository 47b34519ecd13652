//! Whether systems answer the same, so that none is fast by being wrong.

use std::fmt;

use anyhow::bail;
use serde::Serialize;

use super::ask::Answer;
use crate::peers::system::System;

/// Values that differ by less than this part of the greater one are the same: sums in another order differ in their last bits.
const TOLERANCE: f64 = 1e-6;

/// How one system's answer to one question compares with the reference's.
#[derive(Debug, Serialize)]
pub(super) struct Agreement {
    pub(super) what: String,
    pub(super) system: System,
    /// Whose answer it is compared with.
    pub(super) reference: System,
    #[serde(flatten)]
    pub(super) difference: Difference,
}

#[derive(Debug, Default, PartialEq, Serialize)]
pub(super) struct Difference {
    /// Points that both have.
    pub(super) points: usize,
    /// Points that the reference has alone.
    pub(super) missing: usize,
    /// Points that the reference has not.
    pub(super) extra: usize,
    /// Points of both whose values differ.
    pub(super) unlike: usize,
    /// The greatest relative difference of two values.
    pub(super) worst: f64,
}

impl Difference {
    /// Times count from `origin` and `reference_origin`, in seconds, for answers about data that end at different times.
    pub(super) fn between(
        (answer, origin): (&Answer, i64),
        (reference, reference_origin): (&Answer, i64),
    ) -> Self {
        let mut difference = Self::default();
        let absent = Vec::new();
        for (labels, theirs) in reference {
            let mine = answer.get(labels).unwrap_or(&absent);
            difference.add((mine, origin as f64), (theirs, reference_origin as f64));
        }
        let extra = answer.iter().filter(|(labels, _)| !reference.contains_key(*labels));
        difference.extra += extra.map(|(_, points)| points.len()).sum::<usize>();
        difference
    }

    fn add(&mut self, (mine, origin): (&[(f64, f64)], f64), (theirs, their_origin): (&[(f64, f64)], f64)) {
        let mut mine = mine.iter().map(|(time, value)| (time - origin, value)).peekable();
        for (time, their_value) in theirs.iter().map(|(time, value)| (time - their_origin, value)) {
            while mine.next_if(|(my_time, _)| *my_time < time).is_some() {
                self.extra += 1;
            }
            let Some((_, my_value)) = mine.next_if(|(my_time, _)| *my_time == time) else {
                self.missing += 1;
                continue;
            };
            let relative = relative_difference(*my_value, *their_value);
            self.points += 1;
            self.unlike += usize::from(relative > TOLERANCE);
            self.worst = self.worst.max(relative);
        }
        self.extra += mine.count();
    }

    fn is_none(&self) -> bool {
        self.points > 0 && self.missing == 0 && self.extra == 0 && self.unlike == 0
    }
}

fn relative_difference(left: f64, right: f64) -> f64 {
    if left == right || (left.is_nan() && right.is_nan()) {
        return 0.0;
    }
    let difference = (left - right).abs() / left.abs().max(right.abs());
    if difference.is_finite() { difference } else { 1.0 }
}

/// # Errors
/// When a system that means the same by PromQL as the reference answers something else. VictoriaMetrics does not: its rates
/// are not extrapolated to the window's ends and look at the sample before it.
pub(super) fn ensure<'a>(agreements: impl Iterator<Item = &'a Agreement>) -> anyhow::Result<()> {
    let wrong: Vec<_> = agreements
        .filter(|agreement| agreement.system != System::VictoriaMetrics && !agreement.difference.is_none())
        .map(ToString::to_string)
        .collect();
    if wrong.is_empty() {
        return Ok(());
    }
    bail!("answers that must be the same are not, so their times mean nothing:\n{}", wrong.join("\n"))
}

impl fmt::Display for Agreement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { what, system, reference, difference } = self;
        write!(f, "{what}: {} beside {}: ", system.name(), reference.name())?;
        match difference {
            none if none.is_none() => {
                write!(f, "the same {} points, to {:.0e}", none.points, none.worst.max(f64::EPSILON))
            }
            Difference { points, missing, extra, unlike, worst } => write!(
                f,
                "{unlike} of {points} points differ, by {worst:.1e} at most; {missing} are missing, {extra} are more"
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(series: &[(&str, &[(f64, f64)])]) -> Answer {
        series.iter().map(|(labels, points)| ((*labels).to_owned(), points.to_vec())).collect()
    }

    #[test]
    fn answers_about_data_that_end_later_are_the_same_when_all_else_is() {
        let reference = answer(&[("a", &[(10.0, 1.0), (20.0, f64::NAN)])]);
        let later = answer(&[("a", &[(110.0, 1.0 + 1e-9), (120.0, f64::NAN)])]);
        let difference = Difference::between((&later, 130), (&reference, 30));
        assert!(difference.is_none(), "{difference:?}");
        assert!(!Difference::between((&later, 30), (&reference, 30)).is_none());
    }

    #[test]
    fn points_that_are_missing_extra_or_unlike_are_counted() {
        let reference = answer(&[("a", &[(1.0, 1.0), (2.0, 2.0), (3.0, 3.0)]), ("b", &[(1.0, 1.0)])]);
        let other = answer(&[("a", &[(0.0, 9.0), (1.0, 1.0), (3.0, 4.0)]), ("c", &[(1.0, 1.0)])]);
        let difference = Difference::between((&other, 0), (&reference, 0));
        assert_eq!(difference, Difference { points: 2, missing: 2, extra: 2, unlike: 1, worst: 0.25 });
    }

    #[test]
    fn nothing_beside_nothing_is_no_agreement() {
        let nothing = Answer::new();
        assert!(!Difference::between((&nothing, 0), (&nothing, 0)).is_none());
    }

    #[test]
    fn only_victoria_metrics_may_differ() {
        let differs = |system| Agreement {
            what: "q".to_owned(),
            system,
            reference: System::Prometheus,
            difference: Difference { points: 1, unlike: 1, worst: 0.1, ..Difference::default() },
        };
        ensure([differs(System::VictoriaMetrics)].iter()).expect("its rate means something else");
        let error = ensure([differs(System::Kandela)].iter()).expect_err("Kandela's does not");
        assert!(error.to_string().contains("q: kandela beside prometheus: 1 of 1 points differ"), "{error}");
    }
}
