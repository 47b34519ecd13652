//! `tune-noisy`: small budgets, noise and mixed knobs. What each optimiser recommends is judged by its noise-free value.

mod families;
mod paired;
mod problem;

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use anyhow::Context;
use kandela_tune::{Outcome, Strategy};
use serde::{Deserialize, Serialize};

use crate::OutputFormat;
use crate::optimiser::{Contender, peer_command};
use paired::{Interval, interval};
use problem::{Problem, Yardstick, noise_of};

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// The instances, by number: `0-59`.
    #[arg(long, value_name = "A-B", default_value = "0-59", value_parser = range)]
    instances: (u64, u64),
    /// Our strategies.
    #[arg(long, value_name = "NAMES", value_delimiter = ',', default_value = "bayes")]
    strategy: Vec<Strategy>,
    /// The peers, by the names that `peers/tune/peer.py --list` prints.
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    beside: Vec<String>,
    /// Keeps what peers reached in this file, one line of JSON each, and does not run those again that are in it.
    #[arg(long, value_name = "FILE")]
    results: Option<PathBuf>,
    /// How to print the outcome.
    #[arg(long, value_enum, default_value_t = OutputFormat::Table)]
    format: OutputFormat,
}

fn range(text: &str) -> Result<(u64, u64), String> {
    let bounds = text.split_once('-').and_then(|(a, b)| Some((a.parse().ok()?, b.parse().ok()?)));
    bounds
        .filter(|(a, b)| a <= b)
        .ok_or_else(|| format!("{text} is no range of instances; give one like 0-59"))
}

/// What one contender reached on one instance.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Row {
    instance: u64,
    family: String,
    contender: String,
    regret: f64,
    seconds: f64,
}

#[derive(Serialize)]
struct Report {
    rows: Vec<Row>,
    differences: Vec<Difference>,
}

/// How much more regret a peer has than a strategy of ours, instance by instance.
#[derive(Serialize)]
struct Difference {
    strategy: String,
    beside: String,
    instances: usize,
    #[serde(flatten)]
    interval: Interval,
}

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let mut contenders: Vec<Contender> = arguments.strategy.iter().map(|s| Contender::Ours(*s)).collect();
    if !arguments.beside.is_empty() {
        match peer_command() {
            Ok(command) => {
                let peer =
                    |name: &String| Contender::Peer { command: command.clone(), strategy: name.clone() };
                contenders.extend(arguments.beside.iter().map(peer));
            }
            Err(why) => eprintln!("skipped the peers: {why}"),
        }
    }
    let kept = arguments.results.as_deref().map(read).transpose()?.unwrap_or_default();
    let mut rows = Vec::new();
    for number in arguments.instances.0..=arguments.instances.1 {
        let problem = families::instance(number)?;
        let yardstick = Yardstick::of(&problem, number);
        for contender in &contenders {
            let peer = matches!(contender, Contender::Peer { .. });
            let known =
                kept.iter().find(|row| peer && row.instance == number && row.contender == contender.name());
            if let Some(row) = known {
                rows.push(row.clone());
                continue;
            }
            let began = Instant::now();
            let regret = search(contender, &problem, &yardstick, number)
                .with_context(|| format!("{} on instance {number}", contender.name()))?;
            let seconds = began.elapsed().as_secs_f64();
            let (family, contender) = (problem.family.to_owned(), contender.name().to_owned());
            let row = Row { instance: number, family, contender, regret, seconds };
            if let Some(file) = arguments.results.as_deref().filter(|_| peer) {
                append(file, &row)?;
            }
            rows.push(row);
        }
    }
    let differences = differences(&rows, &arguments.strategy, &arguments.beside);
    match arguments.format {
        OutputFormat::Table => print(&rows, &differences),
        OutputFormat::Json => println!("{}", serde_json::to_string(&Report { rows, differences })?),
    }
    Ok(ExitCode::SUCCESS)
}

/// The regret of what is recommended once the budget is spent.
fn search(
    contender: &Contender,
    problem: &Problem,
    yardstick: &Yardstick,
    number: u64,
) -> anyhow::Result<f64> {
    let mut noise = noise_of(number);
    let mut optimiser = contender.begin(&problem.space, problem.budget, number)?;
    for _ in 0..problem.budget {
        let (id, config) = optimiser.ask()?;
        match problem.measure(&config, &mut noise) {
            Outcome::Measured(measured) => optimiser.tell(id, measured)?,
            Outcome::Failed => optimiser.fail(id)?,
        }
    }
    let recommended = optimiser.recommend()?;
    Ok(yardstick.regret(recommended.and_then(|config| problem.truth(&config))))
}

fn read(path: &Path) -> anyhow::Result<Vec<Row>> {
    let Ok(file) = File::open(path) else { return Ok(Vec::new()) };
    let lines = BufReader::new(file).lines();
    let row = |line: std::io::Result<String>| {
        serde_json::from_str(&line?)
            .with_context(|| format!("{} holds no results of tune-noisy", path.display()))
    };
    lines.map(row).collect()
}

fn append(path: &Path, row: &Row) -> anyhow::Result<()> {
    let mut file = OpenOptions::new().create(true).append(true).open(path)?;
    writeln!(file, "{}", serde_json::to_string(row)?)
        .with_context(|| format!("can't write {}", path.display()))
}

fn differences(rows: &[Row], strategies: &[Strategy], beside: &[String]) -> Vec<Difference> {
    let of = |name: &str| -> BTreeMap<u64, f64> {
        rows.iter().filter(|row| row.contender == name).map(|row| (row.instance, row.regret)).collect()
    };
    let mut found = Vec::new();
    for strategy in strategies {
        let ours = of(strategy.as_str());
        let others = strategies.iter().filter(|other| *other != strategy).map(|s| s.as_str());
        for other in beside.iter().map(String::as_str).chain(others) {
            let theirs = of(other);
            let pairs: Vec<f64> = ours.iter().filter_map(|(k, own)| Some(theirs.get(k)? - own)).collect();
            if !pairs.is_empty() {
                let (strategy, beside) = (strategy.to_string(), other.to_owned());
                found.push(Difference {
                    strategy,
                    beside,
                    instances: pairs.len(),
                    interval: interval(&pairs),
                });
            }
        }
    }
    found
}

fn print(rows: &[Row], differences: &[Difference]) {
    let families: BTreeSet<&str> = rows.iter().map(|row| row.family.as_str()).collect();
    let mut contenders: Vec<&str> = Vec::new();
    for row in rows {
        if !contenders.contains(&row.contender.as_str()) {
            contenders.push(&row.contender);
        }
    }
    let mean = |pick: &dyn Fn(&&Row) -> bool, value: fn(&Row) -> f64| {
        let picked: Vec<f64> = rows.iter().filter(pick).map(value).collect();
        picked.iter().sum::<f64>() / picked.len() as f64
    };
    print!("{:<26}{:>8}{:>8}", "regret", "mean", "s");
    families.iter().for_each(|family| print!("{family:>10}"));
    println!();
    for contender in contenders {
        let own = |row: &&Row| row.contender == contender;
        print!("{contender:<26}{:>8.4}{:>8.2}", mean(&own, |row| row.regret), mean(&own, |row| row.seconds));
        for family in &families {
            print!("{:>10.4}", mean(&|row| own(row) && row.family == *family, |row| row.regret));
        }
        println!();
    }
    for difference in differences {
        let Difference { strategy, beside, instances, interval: Interval { mean, low, high } } = difference;
        println!("{beside} over {strategy}: {mean:+.4} ({low:+.4} to {high:+.4}) on {instances} instances");
    }
}
