//! The best, measured again beside the defaults and what else it is compared with: what won a search has won by luck too, so the measurement that won it says nothing of
//! what it is worth.

use kandela_tune::{Config, Outcome, Study};
use serde::Serialize;
use statrs::distribution::{ContinuousCDF as _, StudentsT};

use super::record::{Part, Row};
use super::search::{Plan, outcome};

/// Rounds, where values are noisy and nobody says how many.
const USUAL_ROUNDS: usize = 5;
/// Pairs that an interval takes at least.
const FEWEST_PAIRS: usize = 2;

/// How the best compares with other settings.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Check {
    /// With which.
    pub beside: String,
    /// Rounds in which both were measured.
    pub pairs: usize,
    /// Trials of the check that failed or broke a constraint, of the best.
    pub broken: usize,
    /// Mean of the objective, as printed.
    pub best: f64,
    /// The same of the other settings.
    pub other: f64,
    /// How much better the best is: as a share of the other where all values are above 0, else as a difference.
    pub gain: Interval,
    /// Whether it is a share.
    pub relative: bool,
}

/// A mean with its 95 % interval.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(super) struct Interval {
    pub mean: f64,
    pub low: f64,
    pub high: f64,
}

/// As many rounds as make sense: none where measuring again gives the same value again.
pub(super) fn usual_rounds(study: &Study) -> usize {
    let trials: Vec<_> = study.history().measured().collect();
    let again = trials.iter().enumerate().flat_map(|(index, (trial, measured))| {
        let same = trials[..index].iter().filter(move |(other, _)| other.point == trial.point);
        same.map(|(_, other)| other.value == measured.value)
    });
    let repeats: Vec<bool> = again.collect();
    let exact = !repeats.is_empty() && repeats.iter().all(|same| *same);
    if exact { 0 } else { USUAL_ROUNDS }
}

/// The order within a round: by a hash of seed and round, so that none always meets a warm cache.
pub(super) fn order(seed: u64, round: usize, mut parts: Vec<Part>) -> Vec<Part> {
    let mut mixed = seed ^ (round as u64) << 32 ^ 0x9e37_79b9;
    for last in (1..parts.len()).rev() {
        mixed = (mixed ^ mixed >> 29).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        parts.swap(last, (mixed >> 33) as usize % (last + 1));
    }
    parts
}

/// Settings that are measured in each round.
pub(super) struct Arm<'a> {
    pub part: Part,
    /// What they are called.
    pub name: &'a str,
    pub config: &'a Config,
}

/// How many rounds from the first on have a row of each arm.
pub(super) fn whole_rounds(arms: &[Arm<'_>], rows: &[Row]) -> usize {
    (0..).take_while(|round| arms.iter().all(|arm| last(arm, *round, rows).is_some())).count()
}

/// What was measured of an arm in a round, at last.
fn last<'a>(arm: &Arm<'_>, round: u64, rows: &'a [Row]) -> Option<&'a Row> {
    let config = super::record::shown(arm.config);
    rows.iter().rev().find(|row| row.id == round && row.part == arm.part && row.config == config)
}

/// Compares what the rounds measured of `best` with what they measured of `other`; nothing where too few rounds have both.
pub(super) fn check(plan: &Plan, best: &Arm<'_>, other: &Arm<'_>, rows: &[Row]) -> Option<Check> {
    let value = |row: &Row| match outcome(plan, row) {
        Outcome::Measured(measured) => Some(plan.as_printed(measured.value)),
        Outcome::Failed => None,
    };
    let rounds = rows.iter().filter(|row| row.part == Part::Best).map(|row| row.id).max()?;
    let runs: Vec<(&Row, &Row)> = (0..=rounds)
        .filter_map(|round| Some((last(best, round, rows)?, last(other, round, rows)?)))
        .collect();
    let broken = runs.iter().filter(|(row, _)| !kept(plan, row)).count();
    let pairs: Vec<(f64, f64)> = runs.iter().filter_map(|(b, d)| Some((value(b)?, value(d)?))).collect();
    if pairs.len() < FEWEST_PAIRS {
        return None;
    }
    let relative = pairs.iter().all(|(best, other)| *best > 0.0 && *other > 0.0);
    let sign = if plan.maximize { 1.0 } else { -1.0 };
    let gains: Vec<f64> = pairs
        .iter()
        .map(|(best, other)| sign * if relative { (best / other).ln() } else { best - other })
        .collect();
    let gain = interval(&gains)?;
    // A gain of a minimised objective is how much of the other is saved.
    let share = |log: f64| sign * ((sign * log).exp() - 1.0);
    let gain = if relative {
        Interval { mean: share(gain.mean), low: share(gain.low), high: share(gain.high) }
    } else {
        gain
    };
    let mean = |pick: fn(&(f64, f64)) -> f64| pairs.iter().map(pick).sum::<f64>() / pairs.len() as f64;
    let beside = other.name.to_owned();
    let (best, other) = (mean(|p| p.0), mean(|p| p.1));
    Some(Check { beside, pairs: pairs.len(), broken, best, other, gain, relative })
}

fn kept(plan: &Plan, row: &Row) -> bool {
    matches!(outcome(plan, row), Outcome::Measured(measured) if measured.feasible)
}

/// Student's interval of the mean; none of fewer than two values.
fn interval(values: &[f64]) -> Option<Interval> {
    let n = values.len() as f64;
    let student = StudentsT::new(0.0, 1.0, n - 1.0).ok()?;
    let mean = values.iter().sum::<f64>() / n;
    let variance = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / (n - 1.0);
    let half = student.inverse_cdf(0.975) * (variance / n).sqrt();
    Some(Interval { mean, low: mean - half, high: mean + half })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_interval_is_that_of_the_tables() {
        let interval = interval(&[1.0, 2.0, 3.0, 4.0, 5.0]).unwrap();
        assert!((interval.low - 1.0368).abs() < 1e-3 && (interval.high - 4.9632).abs() < 1e-3);
        assert_eq!(super::interval(&[1.0]), None);
    }

    #[test]
    fn each_may_come_first() {
        let parts = vec![Part::Best, Part::Defaults, Part::Compared(0)];
        for part in &parts {
            let first = (0..60).filter(|round| order(7, *round, parts.clone())[0] == *part).count();
            assert!((10..=30).contains(&first), "{first}");
        }
    }
}
