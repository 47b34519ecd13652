//! The best, measured again beside the defaults: what won a search has won by luck too, so the measurement that won it says nothing of
//! what it is worth.

use kandela_tune::{Config, Outcome, Study};
use serde::Serialize;

use super::record::{Part, Row};
use super::search::{Plan, outcome};

/// Pairs, where values are noisy and nobody says how many.
const USUAL_PAIRS: usize = 5;
/// Pairs that an interval takes at least.
const FEWEST_PAIRS: usize = 2;

/// How the best compares with the defaults.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Check {
    /// Pairs in which both were measured.
    pub pairs: usize,
    /// Trials of the check that failed or broke a constraint, of the best.
    pub broken: usize,
    /// Mean of the objective, as printed.
    pub best: f64,
    /// The same of the defaults.
    pub defaults: f64,
    /// How much better the best is: as a share of the defaults where all values are above 0, else as a difference.
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

/// As many pairs as make sense: none where measuring again gives the same value again.
pub(super) fn usual_pairs(study: &Study) -> usize {
    let trials: Vec<_> = study.history().measured().collect();
    let again = trials.iter().enumerate().flat_map(|(index, (trial, measured))| {
        let same = trials[..index].iter().filter(move |(other, _)| other.point == trial.point);
        same.map(|(_, other)| other.value == measured.value)
    });
    let repeats: Vec<bool> = again.collect();
    let exact = !repeats.is_empty() && repeats.iter().all(|same| *same);
    if exact { 0 } else { USUAL_PAIRS }
}

/// Which of a pair comes first: by a hash of seed and pair, so that neither always meets a warm cache.
pub(super) fn order(seed: u64, pair: usize) -> [Part; 2] {
    let mixed = (seed ^ (pair as u64) << 32 ^ 0x9e37_79b9).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    if (mixed >> 60).is_multiple_of(2) { [Part::Best, Part::Defaults] } else { [Part::Defaults, Part::Best] }
}

/// Compares what the pairs measured of `best`; nothing where too few pairs have both.
pub(super) fn check(plan: &Plan, best: &Config, rows: &[Row]) -> Option<Check> {
    let best = super::record::shown(best);
    let of = |id: u64, part: Part| rows.iter().rev().find(|row| row.id == id && row.part == part);
    let value = |row: &Row| match outcome(plan, row) {
        Outcome::Measured(measured) => Some(plan.as_printed(measured.value)),
        Outcome::Failed => None,
    };
    let ids = rows.iter().filter(|row| row.part == Part::Best).map(|row| row.id).max()?;
    let runs: Vec<(&Row, &Row)> = (0..=ids)
        .filter_map(|id| Some((of(id, Part::Best)?, of(id, Part::Defaults)?)))
        .filter(|(row, _)| row.config == best)
        .collect();
    let broken = runs.iter().filter(|(row, _)| !kept(plan, row)).count();
    let pairs: Vec<(f64, f64)> = runs.iter().filter_map(|(b, d)| Some((value(b)?, value(d)?))).collect();
    if pairs.len() < FEWEST_PAIRS {
        return None;
    }
    let relative = pairs.iter().all(|(best, defaults)| *best > 0.0 && *defaults > 0.0);
    let sign = if plan.maximize { 1.0 } else { -1.0 };
    let gains: Vec<f64> = pairs
        .iter()
        .map(|(best, defaults)| sign * if relative { (best / defaults).ln() } else { best - defaults })
        .collect();
    let gain = interval(&gains);
    // A gain of a minimised objective is how much of the defaults is saved.
    let share = |log: f64| sign * ((sign * log).exp() - 1.0);
    let gain = if relative {
        Interval { mean: share(gain.mean), low: share(gain.low), high: share(gain.high) }
    } else {
        gain
    };
    let mean = |pick: fn(&(f64, f64)) -> f64| pairs.iter().map(pick).sum::<f64>() / pairs.len() as f64;
    Some(Check { pairs: pairs.len(), broken, best: mean(|p| p.0), defaults: mean(|p| p.1), gain, relative })
}

fn kept(plan: &Plan, row: &Row) -> bool {
    matches!(outcome(plan, row), Outcome::Measured(measured) if measured.feasible)
}

/// Student's interval of the mean.
fn interval(values: &[f64]) -> Interval {
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    let variance = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / (n - 1.0);
    let half = student(values.len() - 1) * (variance / n).sqrt();
    Interval { mean, low: mean - half, high: mean + half }
}

/// The 97.5 % quantile of Student's distribution with so many degrees of freedom.
fn student(freedom: usize) -> f64 {
    const FEW: [f64; 10] = [12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228];
    let many = || {
        // Cornish and Fisher's expansion around the normal quantile.
        let (z, n) = (1.959_964_f64, freedom as f64);
        let third = 3.0 * z.powi(7) + 19.0 * z.powi(5) + 17.0 * z.powi(3) - 15.0 * z;
        z + (z.powi(3) + z) / (4.0 * n)
            + (5.0 * z.powi(5) + 16.0 * z.powi(3) + 3.0 * z) / (96.0 * n * n)
            + third / (384.0 * n.powi(3))
    };
    freedom.checked_sub(1).and_then(|index| FEW.get(index).copied()).unwrap_or_else(many)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_interval_is_that_of_the_tables() {
        assert!((student(20) - 2.086).abs() < 2e-3 && (student(11) - 2.201).abs() < 2e-3);
        let interval = interval(&[1.0, 2.0, 3.0, 4.0, 5.0]);
        assert!((interval.low - 1.0368).abs() < 1e-3 && (interval.high - 4.9632).abs() < 1e-3);
    }

    #[test]
    fn either_may_come_first() {
        let first: Vec<Part> = (0..40).map(|pair| order(7, pair)[0]).collect();
        let best = first.iter().filter(|part| **part == Part::Best).count();
        assert!((10..=30).contains(&best), "{best}");
    }
}
