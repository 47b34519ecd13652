//! What the simulations print.

use serde_json::{Value, json};
use statrs::distribution::{Beta, ContinuousCDF};

use super::peers::BLOCKS;
use super::{ALPHA, Nothing, PROPOSALS, Power, Steals};

/// How much of its budget the upper bound of a rate may exceed it by: what is known of a rate from a number of runs is not exact.
const SLACK: f64 = 1.3;

#[derive(Default)]
pub(super) struct Rows {
    pub(super) nothing: Vec<Nothing>,
    pub(super) steals: Vec<Steals>,
    pub(super) power: Vec<Power>,
}

impl Rows {
    pub(super) fn len(&self) -> usize {
        self.nothing.len() + self.steals.len() + self.power.len()
    }

    /// Whether what is promised was shown: budgets kept in every noise, nothing that steals promoted.
    pub(super) fn kept(&self) -> bool {
        self.nothing.iter().all(Nothing::kept) && self.steals.iter().all(|row| row.promoted == 0)
    }
}

impl Nothing {
    fn upper(&self) -> f64 {
        upper(self.any, self.runs)
    }

    fn kept(&self) -> bool {
        self.upper() <= SLACK * self.alpha
    }

    pub(super) fn json(&self) -> Value {
        json!({
            "kind": "nothing",
            "noise": self.weather,
            "alpha": self.alpha,
            "runs": self.runs,
            "any_promoted": self.any,
            "rate": f64::from(self.any) / f64::from(self.runs),
            "upper_95": self.upper(),
            "limit": SLACK * self.alpha,
            "kept": self.kept(),
            "slices_each": self.slices as f64 / self.proposals as f64,
            "futile": self.futile as f64 / self.proposals as f64,
            "budget_left": self.left,
            "t_test_any": self.peers_any.t_test,
            "welch_any": self.peers_any.welch,
            "before_after_any": self.peers_any.before_after,
        })
    }
}

impl Steals {
    pub(super) fn json(&self) -> Value {
        json!({
            "kind": "steals",
            "harm": self.harm,
            "runs": self.runs,
            "promoted": self.promoted,
            "promoted_by_canary_alone": self.by_canary,
        })
    }
}

impl Power {
    fn quantile(&self, share: f64) -> Option<u64> {
        let last = self.slices.len().checked_sub(1)?;
        self.slices.get((share * last as f64).round() as usize).copied()
    }

    pub(super) fn json(&self) -> Value {
        json!({
            "kind": "power",
            "noise": self.weather,
            "design": self.design,
            "gain": self.gain,
            "runs": self.runs,
            "promoted": self.promoted,
            "slices_median": self.quantile(0.5),
            "slices_p90": self.quantile(0.9),
            "t_test": self.peers.t_test,
            "welch": self.peers.welch,
            "before_after": self.peers.before_after,
        })
    }
}

/// The upper end of the exact one-sided 95 % interval of a rate (Clopper and Pearson 1934).
fn upper(count: u32, runs: u32) -> f64 {
    if count >= runs {
        return 1.0;
    }
    let beta = Beta::new(f64::from(count) + 1.0, f64::from(runs - count));
    beta.map_or(1.0, |beta| beta.inverse_cdf(0.95))
}

pub(super) fn print_table(rows: &Rows) {
    let horizon = 2 * BLOCKS;
    println!("changes that do nothing, {PROPOSALS} proposals a run: runs with any promotion");
    println!(
        "{:>11} {:>6} {:>6} {:>5} {:>7} {:>8} {:>7} {:>10} {:>12} {:>7} {:>11} {:>7} {:>7} {:>12}",
        "noise",
        "alpha",
        "runs",
        "any",
        "rate",
        "95% <=",
        "limit",
        "",
        "slices each",
        "futile",
        "budget left",
        "t-test",
        "welch",
        "before/after"
    );
    for row in &rows.nothing {
        let share = |count: u32| f64::from(count) / f64::from(row.runs);
        println!(
            "{:>11} {:>6} {:>6} {:>5} {:>7.4} {:>8.4} {:>7.4} {:>10} {:>12.0} {:>7.2} {:>11.2} {:>7.3} {:>7.3} {:>12.3}",
            row.weather,
            row.alpha,
            row.runs,
            row.any,
            share(row.any),
            row.upper(),
            SLACK * row.alpha,
            if row.kept() { "kept" } else { "not shown" },
            row.slices as f64 / row.proposals as f64,
            row.futile as f64 / row.proposals as f64,
            row.left,
            share(row.peers_any.t_test),
            share(row.peers_any.welch),
            share(row.peers_any.before_after),
        );
    }
    println!();
    println!("a change that only takes from the control");
    println!("{:>25} {:>6} {:>9} {:>20}", "on the whole system", "runs", "promoted", "by the canary alone");
    for row in &rows.steals {
        let whole = if row.harm { "slower" } else { "no effect" };
        println!("{:>25} {:>6} {:>9} {:>20}", whole, row.runs, row.promoted, row.by_canary);
    }
    println!();
    println!(
        "true gains at a stake of {ALPHA}/{PROPOSALS}; the tests beside it use {horizon} slices at the same level"
    );
    println!(
        "{:>11} {:>11} {:>6} {:>6} {:>9} {:>14} {:>7} {:>7} {:>7}",
        "noise", "design", "gain", "runs", "promoted", "slices median", "p90", "t-test", "welch"
    );
    for row in &rows.power {
        let share = |count: u32| f64::from(count) / f64::from(row.runs);
        let slices = |share| row.quantile(share).map_or_else(|| "-".to_owned(), |slices| slices.to_string());
        println!(
            "{:>11} {:>11} {:>6} {:>6} {:>9.3} {:>14} {:>7} {:>7.3} {:>7.3}",
            row.weather,
            row.design,
            format!("{:+.0}%", 100.0 * row.gain),
            row.runs,
            share(row.promoted),
            slices(0.5),
            slices(0.9),
            share(row.peers.t_test),
            share(row.peers.welch),
        );
    }
}

/// One JSON object.
pub(super) fn print_json(rows: &Rows) -> anyhow::Result<()> {
    let report = json!({
        "suite": "promotion",
        "proposals": PROPOSALS,
        "nothing": rows.nothing.iter().map(Nothing::json).collect::<Vec<_>>(),
        "steals": rows.steals.iter().map(Steals::json).collect::<Vec<_>>(),
        "power": rows.power.iter().map(Power::json).collect::<Vec<_>>(),
        "kept": rows.kept(),
    });
    println!("{}", serde_json::to_string_pretty(&report)?);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn upper_bounds_are_those_of_the_binomial_distribution() {
        // No mistake in n runs: 1 - 0.05^(1/n).
        assert!((upper(0, 100) - 0.029_513).abs() < 1e-6);
        assert!((upper(50, 1_000) - 0.062_9).abs() < 1e-3);
        assert_eq!(upper(7, 7), 1.0);
    }
}
