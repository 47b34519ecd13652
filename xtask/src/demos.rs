//! Demos with one seed after another: how often the loop closes. What was run is in a file, so the same command goes on after a stop.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, ensure};
use clap::Args;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Which demos.
#[derive(Args)]
pub(crate) struct Demos {
    /// The program, built for release
    #[arg(long, value_name = "FILE", default_value = "target/release/kandela")]
    kandela: PathBuf,
    /// Seeds 1 to N
    #[arg(long, value_name = "N", default_value_t = 20)]
    seeds: u64,
    /// How long each takes
    #[arg(long, value_name = "MINUTES", default_value_t = 4)]
    minutes: u32,
    /// A line of JSON for each; those that are there are not run again
    #[arg(long, value_name = "FILE")]
    results: PathBuf,
}

/// What one demo came to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Row {
    seed: u64,
    minutes: u32,
    closed: bool,
    /// What it did not show.
    failed: Vec<String>,
    /// Shares of requests that were answered well, in time.
    first_noon: f64,
    second_noon: f64,
    /// Of one core, and megabytes.
    cpu_share: f64,
    memory_mb: f64,
    /// Cores that others had, where that could be told.
    #[serde(default)]
    others_cores: Option<f64>,
}

/// Runs those that are missing, and prints all.
///
/// # Errors
/// Where a demo can't be run or says nothing, or the file can't be used.
pub(crate) fn run(demos: &Demos) -> anyhow::Result<()> {
    let mut rows = read(&demos.results)?;
    let there: BTreeSet<(u64, u32)> = rows.iter().map(|row| (row.seed, row.minutes)).collect();
    let data = tempfile::tempdir()?;
    for seed in (1..=demos.seeds).filter(|seed| !there.contains(&(*seed, demos.minutes))) {
        eprintln!("seed {seed}: {} minutes", demos.minutes);
        let row = one(demos, seed, data.path())?;
        append(&demos.results, &row)?;
        println!("{}", told(&row));
        rows.push(row);
    }
    rows.retain(|row| row.minutes == demos.minutes && row.seed <= demos.seeds);
    rows.sort_by_key(|row| row.seed);
    println!("{}", summary(&rows));
    Ok(())
}

fn one(demos: &Demos, seed: u64, data: &Path) -> anyhow::Result<Row> {
    let minutes = demos.minutes.to_string();
    let output = Command::new(&demos.kandela)
        .args(["demo", "--headless", "--minutes", &minutes, "--seed", &seed.to_string(), "--data"])
        .arg(data)
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .with_context(|| format!("running {}", demos.kandela.display()))?;
    let said = String::from_utf8_lossy(&output.stdout);
    // The report is the last that is said, and begins a line.
    let report = said.find("\n{").map(|at| &said[at..]).context("the demo gave no report")?;
    let report: Value = serde_json::from_str(report).context("the demo's report")?;
    row(&report)
}

fn row(report: &Value) -> anyhow::Result<Row> {
    let share = |noon: &Value| {
        let count = |name: &str| noon[name].as_f64().unwrap_or(0.0);
        count("within") / count("requests").max(1.0)
    };
    let checks = report["checks"].as_array().context("the report has no checks")?;
    ensure!(!checks.is_empty(), "the report has no checks");
    let failed = checks.iter().filter(|check| check["passed"] != true);
    Ok(Row {
        seed: report["seed"].as_u64().context("the report has no seed")?,
        minutes: report["minutes"].as_u64().and_then(|minutes| minutes.try_into().ok()).unwrap_or(0),
        closed: report["closed"] == true,
        failed: failed.map(|check| check["what"].as_str().unwrap_or_default().to_owned()).collect(),
        first_noon: share(&report["first_noon"]),
        second_noon: share(&report["second_noon"]),
        cpu_share: report["cost"]["cpu_share"].as_f64().context("the report has no cost")?,
        memory_mb: report["cost"]["memory_mb"].as_f64().context("the report has no cost")?,
        others_cores: report["cost"]["others_cores"].as_f64(),
    })
}

fn read(file: &Path) -> anyhow::Result<Vec<Row>> {
    if !file.exists() {
        return Ok(Vec::new());
    }
    let place = || file.display().to_string();
    let text = fs::read_to_string(file).with_context(place)?;
    text.lines().map(|line| serde_json::from_str(line).with_context(place)).collect()
}

fn append(file: &Path, row: &Row) -> anyhow::Result<()> {
    let mut line = serde_json::to_string(row)?;
    line.push('\n');
    let opened = File::options().create(true).append(true).open(file);
    opened
        .and_then(|mut file| file.write_all(line.as_bytes()))
        .with_context(|| format!("writing {}", file.display()))
}

fn told(row: &Row) -> String {
    let Row { seed, closed, failed, first_noon, second_noon, cpu_share, memory_mb, others_cores, .. } = row;
    let closed = if *closed { "closed" } else { "open" };
    let others = others_cores.map_or(String::new(), |cores| format!("  others {cores:.1} cores"));
    format!(
        "{seed:>4}  {closed:<6}  first noon {:5.1} %  second {:5.1} %  {:4.1} % of a core  {memory_mb:4.0} MB{others}  {}",
        first_noon * 100.0,
        second_noon * 100.0,
        cpu_share * 100.0,
        failed.join("; ")
    )
}

fn summary(rows: &[Row]) -> String {
    let mut lines: Vec<String> = rows.iter().map(told).collect();
    let closed = rows.iter().filter(|row| row.closed).count();
    lines.push(format!("the loop closed in {closed} of {} demos", rows.len()));
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn report(seed: u64, passed: bool) -> Value {
        json!({
            "seed": seed, "minutes": 4, "closed": passed,
            "checks": [{"passed": passed, "what": "the good idea was promoted"}, {"passed": true, "what": "other"}],
            "first_noon": {"requests": 1000, "within": 120}, "second_noon": {"requests": 1000, "within": 998},
            "cost": {"cpu_share": 0.05, "memory_mb": 220.0, "others_cores": 0.1}
        })
    }

    #[test]
    fn a_report_becomes_a_row_that_reads_back() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("results.jsonl");
        assert_eq!(read(&file).expect("none yet"), []);
        let rows = [row(&report(1, true)).expect("a report"), row(&report(2, false)).expect("a report")];
        rows.iter().for_each(|row| append(&file, row).expect("writable"));
        assert_eq!(read(&file).expect("readable"), rows);
        let told = summary(&rows);
        assert!(
            told.contains("the loop closed in 1 of 2 demos") && told.contains("second  99.8 %"),
            "{told}"
        );
        assert!(
            told.lines().nth(1).is_some_and(|line| line.ends_with("the good idea was promoted")),
            "{told}"
        );
    }

    #[test]
    fn a_report_without_checks_shows_nothing() {
        assert!(row(&json!({"seed": 1, "checks": []})).is_err());
    }
}
