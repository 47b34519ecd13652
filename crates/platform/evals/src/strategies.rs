//! The tuner's strategies against random search: the same generated objectives, the same budget, paired by instance.

mod families;

use std::fmt;
use std::process::ExitCode;
use std::str::FromStr;
use std::time::Instant;

use anyhow::Context;
use kandela_tune::portfolio::{MEMBERS, Portfolio, Sharing};
use kandela_tune::random::seeded;
use kandela_tune::strategy::UnknownStrategy;
use kandela_tune::{Brief, Measured, Outcome, Propose, Strategy, Study};
use serde::Serialize;

use crate::OutputFormat;
use crate::progress::Progress;
use families::{Family, Instance};

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// The strategies to measure; all of them, where none is named.
    #[arg(long, value_name = "STRATEGY")]
    strategy: Vec<Contender>,
    /// What they are compared with; `equal-split` is the portfolio that shares its budget in equal parts.
    #[arg(long, default_value = "random", value_name = "STRATEGY")]
    against: Contender,
    /// The families of objectives; all of them, where none is named.
    #[arg(long, value_enum)]
    family: Vec<Family>,
    /// How many axes; 5 and 10, where none is named.
    #[arg(long, value_name = "D")]
    dimension: Vec<usize>,
    /// How many trials; 60 and 50·D, where none is named.
    #[arg(long, value_name = "TRIALS")]
    budget: Vec<usize>,
    /// Objectives of each family.
    #[arg(long, default_value_t = 40)]
    instances: u64,
    /// The first instance's seed: other seeds give objectives that nobody has seen.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// How to print the outcome.
    #[arg(long, value_enum, default_value_t = OutputFormat::Table)]
    format: OutputFormat,
}

/// Who searches.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Contender {
    Named(Strategy),
    EqualSplit,
}

impl Contender {
    fn all() -> Vec<Contender> {
        Strategy::ALL.into_iter().map(Contender::Named).chain([Contender::EqualSplit]).collect()
    }

    fn begin(self, brief: &Brief) -> Box<dyn Propose> {
        match self {
            Contender::Named(strategy) => strategy.begin(brief),
            Contender::EqualSplit => {
                let members = MEMBERS.iter().map(|member| member.begin(brief)).collect();
                Box::new(Portfolio::new(members, Sharing::Equal))
            }
        }
    }
}

impl fmt::Display for Contender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Contender::Named(strategy) => strategy.fmt(f),
            Contender::EqualSplit => f.write_str("equal-split"),
        }
    }
}

impl FromStr for Contender {
    type Err = UnknownStrategy;

    fn from_str(word: &str) -> Result<Contender, UnknownStrategy> {
        if word == "equal-split" { Ok(Contender::EqualSplit) } else { word.parse().map(Contender::Named) }
    }
}

/// A strategy beside what it is compared with, over the instances of one family.
#[derive(Serialize)]
struct Row {
    family: Option<Family>,
    dimension: usize,
    budget: String,
    strategy: String,
    #[serde(flatten)]
    gain: Gain,
    /// Of an instance's search, its objective included.
    microseconds_a_trial: f64,
}

/// How many powers of ten its gap to the minimum is smaller by, with a 95 % interval of the mean over instances.
#[derive(Serialize)]
struct Gain {
    mean: f64,
    low: f64,
    high: f64,
    /// The share of instances on which it came closer; those where both came as close count half.
    wins: f64,
}

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    anyhow::ensure!(arguments.instances >= 2, "an interval takes two instances at least");
    let given = |given: &[usize], default: &[usize]| {
        if given.is_empty() { default.to_vec() } else { given.to_vec() }
    };
    let dimensions = given(&arguments.dimension, &[5, 10]);
    anyhow::ensure!(dimensions.iter().all(|d| *d > 1), "an objective has two axes at least");
    let families = if arguments.family.is_empty() { Family::ALL.to_vec() } else { arguments.family.clone() };
    let named = if arguments.strategy.is_empty() { Contender::all() } else { arguments.strategy.clone() };
    let strategies: Vec<Contender> = named.into_iter().filter(|s| *s != arguments.against).collect();

    let mut rows = Vec::new();
    for dimension in dimensions {
        for (place, budget) in given(&arguments.budget, &[60, 50 * dimension]).into_iter().enumerate() {
            let label = if arguments.budget.is_empty() && place == 1 {
                format!("50·D = {budget}")
            } else {
                budget.to_string()
            };
            measure(arguments, &families, &strategies, (dimension, budget, &label), &mut rows)?;
        }
    }
    match arguments.format {
        OutputFormat::Table => print_table(arguments.against, &rows),
        OutputFormat::Json => println!("{}", serde_json::to_string_pretty(&rows)?),
    }
    Ok(ExitCode::SUCCESS)
}

fn measure(
    arguments: &Arguments,
    families: &[Family],
    strategies: &[Contender],
    (dimension, budget, label): (usize, usize, &str),
    rows: &mut Vec<Row>,
) -> anyhow::Result<()> {
    let count = usize::try_from(arguments.instances)?;
    let mut progress = Progress::new(families.len() * count, "instances");
    let mut all = vec![Vec::new(); strategies.len()];
    let mut all_took = vec![0.0; strategies.len()];
    for (number, family) in families.iter().enumerate() {
        let mut differences = vec![Vec::with_capacity(count); strategies.len()];
        let mut took = vec![0.0; strategies.len()];
        for step in 0..arguments.instances {
            progress.show(number * count + usize::try_from(step)?, &format!("{family:?} in {dimension}-D"));
            let seed = arguments.seed + step;
            let instance = family.instance(dimension, seed)?;
            let base = gap(&instance, *family, arguments.against, budget, seed)?;
            for (place, strategy) in strategies.iter().enumerate() {
                let begun = Instant::now();
                differences[place].push(base - gap(&instance, *family, *strategy, budget, seed)?);
                took[place] += begun.elapsed().as_secs_f64() * 1e6 / budget as f64;
            }
        }
        for (place, strategy) in strategies.iter().enumerate() {
            let microseconds_a_trial = took[place] / count as f64;
            rows.push(row(
                Some(*family),
                dimension,
                label,
                *strategy,
                &differences[place],
                microseconds_a_trial,
            ));
            all[place].append(&mut differences[place]);
            all_took[place] += microseconds_a_trial / families.len() as f64;
        }
    }
    progress.clear();
    for (place, strategy) in strategies.iter().enumerate() {
        rows.push(row(None, dimension, label, *strategy, &all[place], all_took[place]));
    }
    Ok(())
}

/// The logarithm of the true gap between what a search recommends and the minimum, as a share of the objective's scale.
fn gap(
    instance: &Instance,
    family: Family,
    strategy: Contender,
    budget: usize,
    seed: u64,
) -> anyhow::Result<f64> {
    let mut study = Study::with(instance.space.clone(), Some(budget), seed, |brief| strategy.begin(brief));
    let mut noise = seeded(seed, 99);
    while let Some(asked) = study.ask() {
        let point = instance.space.encode(&asked.config)?;
        let value = instance.measure(&point, &mut noise);
        study.tell(asked.id, Outcome::Measured(Measured::of(value)))?;
    }
    let best = study.best().context("nothing was recommended")?;
    let value = instance.value(&instance.space.encode(&best.config)?);
    Ok((value / instance.scale).max(family.floor()).log10())
}

fn row(
    family: Option<Family>,
    dimension: usize,
    budget: &str,
    strategy: Contender,
    differences: &[f64],
    microseconds_a_trial: f64,
) -> Row {
    let budget = budget.to_owned();
    Row {
        family,
        dimension,
        budget,
        strategy: strategy.to_string(),
        gain: gain(differences),
        microseconds_a_trial,
    }
}

fn gain(differences: &[f64]) -> Gain {
    let count = differences.len() as f64;
    let mean = differences.iter().sum::<f64>() / count;
    let variance = differences.iter().map(|d| (d - mean).powi(2)).sum::<f64>() / (count - 1.0);
    let half = 1.96 * (variance / count).sqrt();
    let points = |difference: &f64| {
        if *difference > 0.0 {
            1.0
        } else if *difference < 0.0 {
            0.0
        } else {
            0.5
        }
    };
    let wins = differences.iter().map(points).sum::<f64>() / count;
    Gain { mean, low: mean - half, high: mean + half, wins }
}

fn print_table(against: Contender, rows: &[Row]) {
    println!(
        "powers of ten by which the gap to the minimum is smaller than that of {against}; mean, 95 % interval"
    );
    println!(
        "{:<12} {:>3} {:>12} {:<12} {:>7} {:>16} {:>6} {:>9}",
        "family", "D", "budget", "strategy", "gain", "interval", "wins", "µs/trial"
    );
    for row in rows {
        let family =
            row.family.map_or_else(|| "all".to_owned(), |family| format!("{family:?}").to_lowercase());
        println!(
            "{family:<12} {:>3} {:>12} {:<12} {:>7.2} {:>16} {:>5.0}% {:>9.0}",
            row.dimension,
            row.budget,
            row.strategy,
            row.gain.mean,
            format!("{:.2} to {:.2}", row.gain.low, row.gain.high),
            100.0 * row.gain.wins,
            row.microseconds_a_trial,
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interval_is_that_of_the_mean_difference() {
        let gain = gain(&[1.0, 3.0, 2.0, 2.0, 0.0, 4.0]);
        assert!((gain.mean - 2.0).abs() < 1e-12);
        assert!((gain.high - gain.mean - 1.96 * (2.0_f64 / 6.0).sqrt()).abs() < 1e-12, "{}", gain.high);
        assert!((gain.wins - 5.5 / 6.0).abs() < 1e-12);
    }
}
