//! What a run over the traces prints.

use std::path::Path;

use kandela_runtime::cache::PolicyKind;
use serde_json::{Map, Value, json};

use super::measure::{OWN, Row};

/// A line for each trace and size, the best fixed policy marked, then the regrets.
pub(super) fn print_table(rows: &[Row]) {
    let widest = rows.iter().map(|row| row.trace.len()).max().unwrap_or(0).max("trace".len());
    print!("{:widest$} {:>9}", "trace", "entries");
    print!(" {:>9}", "adaptive");
    PolicyKind::ALL.iter().for_each(|kind| print!(" {:>9}", kind.name()));
    println!(" {:>9} {:>8}", "belady", "regret");
    for row in rows {
        let best = row.best(true).0;
        print!("{:widest$} {:>9} {:>9.4}", row.trace, row.capacity, row.adaptive);
        for (kind, ratio) in &row.fixed {
            let mark = if *kind == best { '*' } else { ' ' };
            print!(" {ratio:>8.4}{mark}");
        }
        println!(" {:>9.4} {:>8.4}", row.belady, row.regret());
    }
    let summary = Summary::of(rows);
    println!();
    println!("regret to the best policy of the literature   mean      max");
    println!("  adaptive                                 {:>8.4} {:>8.4}", summary.mean, summary.max);
    println!(
        "  s3fifo                                   {:>8.4} {:>8.4}",
        summary.s3fifo_mean, summary.s3fifo_max
    );
    println!("with {OWN}, Kandela's own, among the fixed policies");
    println!(
        "  adaptive                                 {:>8.4} {:>8.4}",
        summary.with_own_mean, summary.with_own_max
    );
}

/// One JSON object.
pub(super) fn print_json(folder: &Path, rows: &[Row]) -> anyhow::Result<()> {
    let summary = Summary::of(rows);
    let report = json!({
        "suite": "cache",
        "data": folder.display().to_string(),
        "rows": rows.iter().map(row_json).collect::<Vec<_>>(),
        "regret_mean": summary.mean,
        "regret_max": summary.max,
        "s3fifo_regret_mean": summary.s3fifo_mean,
        "s3fifo_regret_max": summary.s3fifo_max,
        "regret_with_own_mean": summary.with_own_mean,
        "regret_with_own_max": summary.with_own_max,
    });
    println!("{}", serde_json::to_string_pretty(&report)?);
    Ok(())
}

fn row_json(row: &Row) -> Value {
    let mut ratios: Map<String, Value> =
        row.fixed.iter().map(|(kind, ratio)| (kind.name().to_owned(), json!(ratio))).collect();
    ratios.insert("adaptive".to_owned(), json!(row.adaptive));
    ratios.insert("belady".to_owned(), json!(row.belady));
    json!({
        "trace": row.trace,
        "accesses": row.accesses,
        "keys": row.keys,
        "capacity": row.capacity,
        "miss_ratio": ratios,
        "best": row.best(false).0.name(),
        "regret": row.regret(),
        "regret_with_own": row.regret_with_own(),
        "ended_with": row.ended_with.name(),
        "changes": row.changes,
    })
}

struct Summary {
    mean: f64,
    max: f64,
    s3fifo_mean: f64,
    s3fifo_max: f64,
    with_own_mean: f64,
    with_own_max: f64,
}

impl Summary {
    fn of(rows: &[Row]) -> Summary {
        let (mean, max) = mean_and_max(rows, Row::regret);
        let (s3fifo_mean, s3fifo_max) = mean_and_max(rows, |row| row.regret_of(PolicyKind::S3Fifo));
        let (with_own_mean, with_own_max) = mean_and_max(rows, Row::regret_with_own);
        Summary { mean, max, s3fifo_mean, s3fifo_max, with_own_mean, with_own_max }
    }
}

fn mean_and_max(rows: &[Row], regret: impl Fn(&Row) -> f64) -> (f64, f64) {
    let sum: f64 = rows.iter().map(&regret).sum();
    let max = rows.iter().map(&regret).fold(f64::NEG_INFINITY, f64::max);
    (sum / rows.len() as f64, max)
}
