//! What `constrained` prints: a line for each search and family, and one for all families.

use serde::Serialize;

use super::Row;
use super::problem::FAMILIES;

#[derive(Serialize)]
struct Summary<'a> {
    strategy: &'a str,
    family: &'a str,
    runs: usize,
    unsafe_runs: usize,
    /// The share of unsafe runs, and the upper end of its 95 % interval (Wilson, one-sided).
    unsafe_share: f64,
    unsafe_at_most: f64,
    /// Unsafe trials a run.
    unsafe_trials: f64,
    /// Mean and median share of the gain up to the optimum that a path joins to the start, and the mean up to the one anywhere.
    share_mean: f64,
    share_median: f64,
    share_anywhere_mean: f64,
    alarmed_share: f64,
}

fn summaries<'a>(rows: &'a [Row], names: &[&'a str]) -> Vec<Summary<'a>> {
    let all = ["all"];
    let families = FAMILIES.iter().chain(&all);
    let of = |name: &'a str, family: &'static str| {
        let these: Vec<&Row> = rows
            .iter()
            .filter(|row| row.strategy == name && (family == "all" || row.family == family))
            .collect();
        (!these.is_empty()).then(|| summary(name, family, &these))
    };
    names.iter().flat_map(|name| families.clone().filter_map(move |family| of(name, family))).collect()
}

fn summary<'a>(strategy: &'a str, family: &'a str, rows: &[&Row]) -> Summary<'a> {
    let runs = rows.len();
    let mean = |of: &dyn Fn(&Row) -> f64| rows.iter().map(|row| of(row)).sum::<f64>() / runs as f64;
    let unsafe_runs = rows.iter().filter(|row| row.unsafe_trials > 0).count();
    let mut shares: Vec<f64> = rows.iter().map(|row| row.share).collect();
    shares.sort_by(f64::total_cmp);
    Summary {
        strategy,
        family,
        runs,
        unsafe_runs,
        unsafe_share: unsafe_runs as f64 / runs as f64,
        unsafe_at_most: at_most(unsafe_runs, runs),
        unsafe_trials: mean(&|row| row.unsafe_trials as f64),
        share_mean: mean(&|row| row.share),
        share_median: shares[runs / 2],
        share_anywhere_mean: mean(&|row| row.share_anywhere),
        alarmed_share: mean(&|row| f64::from(u8::from(row.alarmed.is_some()))),
    }
}

/// Wilson's upper end, one-sided at 95 %.
fn at_most(hits: usize, of: usize) -> f64 {
    const Z: f64 = 1.645;
    let (n, p) = (of as f64, hits as f64 / of as f64);
    let middle = p + Z * Z / (2.0 * n);
    let half = Z * (p * (1.0 - p) / n + Z * Z / (4.0 * n * n)).sqrt();
    ((middle + half) / (1.0 + Z * Z / n)).min(1.0)
}

pub(super) fn print_table(rows: &[Row], names: &[&str]) {
    println!(
        "{:<12} {:<9} {:>5} {:>7} {:>7} {:>7} {:>9}   {:>6} {:>6} {:>8}   {:>7}",
        "strategy",
        "family",
        "runs",
        "unsafe",
        "share",
        "at most",
        "trials",
        "gain",
        "median",
        "anywhere",
        "alarmed"
    );
    for s in summaries(rows, names) {
        println!(
            "{:<12} {:<9} {:>5} {:>7} {:>6.1}% {:>6.1}% {:>9.2}   {:>5.1}% {:>5.1}% {:>7.1}%   {:>6.1}%",
            s.strategy,
            s.family,
            s.runs,
            s.unsafe_runs,
            100.0 * s.unsafe_share,
            100.0 * s.unsafe_at_most,
            s.unsafe_trials,
            100.0 * s.share_mean,
            100.0 * s.share_median,
            100.0 * s.share_anywhere_mean,
            100.0 * s.alarmed_share
        );
    }
}

pub(super) fn print_json(rows: &[Row], names: &[&str]) -> anyhow::Result<()> {
    #[derive(Serialize)]
    struct Printed<'a> {
        summaries: Vec<Summary<'a>>,
        rows: &'a [Row],
    }
    println!("{}", serde_json::to_string_pretty(&Printed { summaries: summaries(rows, names), rows })?);
    Ok(())
}
