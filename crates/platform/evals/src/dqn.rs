//! `kandela-evals dqn`: what a deep Q-network has learned after so many steps of classic control tasks.
//!
//! For each environment and seed a network is trained, and the one that training ends with is judged, greedy, by 100 episodes that
//! it was not trained on. No checkpoint is picked.

mod environment;
mod train;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, bail};
use kandela_tune::dqn::Settings;
use serde::Serialize;
use xxhash_rust::xxh3::xxh3_64;

use crate::progress::Progress;
use crate::results::Results;
use crate::{OutputFormat, build};
use environment::Task;
use train::Row;

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Which environments.
    #[arg(long, value_name = "NAMES", value_delimiter = ',', default_value = "cartpole,acrobot,mountaincar")]
    environments: Vec<Task>,
    /// Which seeds: 1-10, or 3,5,7.
    #[arg(long, value_name = "SEEDS", default_value = "1-10", value_parser = seeds)]
    seeds: Seeds,
    /// How many steps each network is trained for.
    #[arg(long, value_name = "N", default_value_t = 50_000, value_parser = clap::value_parser!(u64).range(1..=1 << 32))]
    steps: u64,
    /// How the networks learn: JSON, by the names in docs/tune-dqn.md; what is not named keeps its default.
    #[arg(long, value_name = "JSON")]
    settings: Option<String>,
    /// Appends each seed's figure to this file as a line of JSON, and skips those that this build has in it already.
    #[arg(long, value_name = "FILE")]
    results: Option<PathBuf>,
    /// How to print the outcome.
    #[arg(long, value_enum, default_value_t = OutputFormat::Table)]
    format: OutputFormat,
}

#[derive(Clone, Debug)]
struct Seeds(Vec<u64>);

fn seeds(text: &str) -> Result<Seeds, String> {
    let number = |word: &str| word.trim().parse::<u64>().map_err(|error| format!("{word:?}: {error}"));
    let mut all = Vec::new();
    for part in text.split(',') {
        match part.split_once('-') {
            None => all.push(number(part)?),
            Some((first, last)) => {
                let (first, last) = (number(first)?, number(last)?);
                if first > last || last - first >= 100_000 {
                    return Err(format!("{part}: a range goes up, by at most 100000"));
                }
                all.extend(first..=last);
            }
        }
    }
    Ok(Seeds(all))
}

/// The figures of one environment.
#[derive(Debug, Serialize)]
struct Summary {
    environment: String,
    /// The mean over seeds of each seed's mean return.
    mean: f64,
    /// The least of the seeds' mean returns.
    min: f64,
    seconds_per_run: f64,
    rows: Vec<Row>,
}

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let settings: Settings = match &arguments.settings {
        Some(json) => serde_json::from_str(json).context("--settings")?,
        None => Settings::default(),
    };
    let build = build::fingerprint()?;
    let settings_hash = format!("{:016x}", xxh3_64(&serde_json::to_vec(&settings)?));
    let (mut results, mut known): (_, Vec<Row>) = match &arguments.results {
        Some(path) => {
            let (results, known) = Results::open(path)?;
            (Some(results), known)
        }
        None => (None, Vec::new()),
    };
    known.retain(|row| row.build == build && row.settings == settings_hash && row.steps == arguments.steps);

    let mut progress = Progress::new(arguments.environments.len() * arguments.seeds.0.len(), "trainings");
    let mut summaries = Vec::new();
    let mut done = 0;
    for task in &arguments.environments {
        let mut rows = Vec::new();
        for seed in &arguments.seeds.0 {
            progress.show(done, &format!("{task} with seed {seed}"));
            done += 1;
            if let Some(row) = known.iter().find(|row| row.environment == task.as_str() && row.seed == *seed)
            {
                rows.push(row.clone());
                continue;
            }
            let (mean, worst, seconds) = train::train(*task, *seed, arguments.steps, &settings)?;
            let row = Row {
                environment: task.as_str().to_owned(),
                seed: *seed,
                steps: arguments.steps,
                settings: settings_hash.clone(),
                build: build.clone(),
                mean,
                worst,
                seconds,
            };
            if let Some(results) = &mut results {
                results.append(&row)?;
            }
            rows.push(row);
        }
        summaries.push(summary(*task, rows)?);
    }
    progress.clear();
    match arguments.format {
        OutputFormat::Table => print_table(&summaries, arguments.steps),
        OutputFormat::Json => println!("{}", serde_json::to_string_pretty(&summaries)?),
    }
    Ok(ExitCode::SUCCESS)
}

fn summary(task: Task, rows: Vec<Row>) -> anyhow::Result<Summary> {
    if rows.is_empty() {
        bail!("there is no seed to train with; name some with --seeds");
    }
    let count = rows.len() as f64;
    Ok(Summary {
        environment: task.as_str().to_owned(),
        mean: rows.iter().map(|row| row.mean).sum::<f64>() / count,
        min: rows.iter().map(|row| row.mean).fold(f64::INFINITY, f64::min),
        seconds_per_run: rows.iter().map(|row| row.seconds).sum::<f64>() / count,
        rows,
    })
}

fn print_table(summaries: &[Summary], steps: u64) {
    for summary in summaries {
        println!("{:>12}  seed  mean of 100    worst  seconds", summary.environment);
        for row in &summary.rows {
            println!("{:>18}  {:>11.2}  {:>7.0}  {:>7.1}", row.seed, row.mean, row.worst, row.seconds);
        }
        println!(
            "{:>18}  {:>11.2}  least {:.2}; {:.1} s for {steps} steps\n",
            "all", summary.mean, summary.min, summary.seconds_per_run
        );
    }
}
