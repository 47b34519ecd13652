//! `kandela-evals bbob`: how near the optimum of BBOB's noiseless functions an optimiser comes within a budget.
//!
//! What counts is the *gap*: how far the lowest of the noise-free values that were evaluated is above the lowest there is. A run is one
//! optimiser on one instance of one function; the mean of log10(max(gap, 1e-8)) over instances is told for each function, and over
//! functions for each dimension.

mod functions;
mod gallagher;
mod instance;
mod measure;
mod peers;
mod report;
mod transform;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, bail};
use kandela_tune::Strategy;

use crate::OutputFormat;
use crate::build;
use crate::optimiser::Contender;
use crate::progress::Progress;
use measure::{Case, Records};

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// The functions: numbers and ranges, `1-5,8`.
    #[arg(long, value_name = "LIST", default_value = "1-12", value_parser = numbers)]
    functions: Numbers,
    /// The dimensions, each at least 2.
    #[arg(long, value_name = "LIST", default_value = "5,10", value_parser = numbers)]
    dimensions: Numbers,
    /// The instances of each function.
    #[arg(long, value_name = "LIST", default_value = "1-3", value_parser = numbers)]
    instances: Numbers,
    /// Evaluations for each dimension.
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    budget_factor: u32,
    /// Our strategies to run; without it, all of them.
    #[arg(long, value_name = "NAME", num_args = 1..)]
    strategy: Vec<Strategy>,
    /// Strategies of peers to run beside them, as peers/tune/peer.py names them.
    #[arg(long, value_name = "NAME", num_args = 1..)]
    beside: Vec<String>,
    /// Appends each run to this file as a line of JSON, and skips the runs that stand in it.
    #[arg(long, value_name = "FILE")]
    results: Option<PathBuf>,
    /// How to print the outcome.
    #[arg(long, value_enum, default_value_t = OutputFormat::Table)]
    format: OutputFormat,
}

#[derive(Clone, Debug, PartialEq)]
struct Numbers(BTreeSet<u32>);

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    check(arguments)?;
    let contenders = contenders(arguments)?;
    let build = build::fingerprint()?;
    let mut records = Records::open(arguments.results.as_deref(), build)?;
    let cases = cases(arguments);
    let mut progress = Progress::new(cases.len() * contenders.len(), "runs");
    let mut done = Vec::new();
    for contender in &contenders {
        for case in &cases {
            let at = format!("f{} in {}-D by {}", case.function, case.dimension, contender.name());
            progress.show(done.len(), &at);
            done.push(records.known_or_run(contender, case).with_context(|| at)?);
        }
    }
    progress.clear();
    match arguments.format {
        OutputFormat::Table => report::print_table(&done),
        OutputFormat::Json => report::print_json(&done)?,
    }
    Ok(ExitCode::SUCCESS)
}

fn check(arguments: &Arguments) -> anyhow::Result<()> {
    if let Some(unknown) = arguments.functions.0.iter().find(|f| !functions::FUNCTIONS.contains(f)) {
        bail!("there is no function {unknown}; BBOB has 1 to 24");
    }
    if let Some(odd) = arguments.dimensions.0.iter().find(|d| !(2..=40).contains(*d)) {
        bail!("the functions are not measured in {odd} dimensions, but in 2 to 40");
    }
    Ok(())
}

fn contenders(arguments: &Arguments) -> anyhow::Result<Vec<Contender>> {
    let all = arguments.strategy.is_empty() && arguments.beside.is_empty();
    let ours = if all { Strategy::ALL.to_vec() } else { arguments.strategy.clone() };
    let peers = peers::named(&arguments.beside);
    Ok(ours.into_iter().map(Contender::Ours).chain(peers).collect())
}

fn cases(arguments: &Arguments) -> Vec<Case> {
    let mut cases = Vec::new();
    for &dimension in &arguments.dimensions.0 {
        for &function in &arguments.functions.0 {
            for &instance in &arguments.instances.0 {
                let budget = dimension * arguments.budget_factor;
                cases.push(Case { function, dimension, instance, budget });
            }
        }
    }
    cases
}

/// `1-3,7` is 1, 2, 3 and 7.
fn numbers(text: &str) -> Result<Numbers, String> {
    let number = |word: &str| {
        let number = word.trim().parse::<u32>().ok().filter(|number| (1..=10_000).contains(number));
        number.ok_or_else(|| format!("{word:?} is no number from 1 to 10000; write lists like 1-5,8"))
    };
    let mut found = BTreeSet::new();
    for part in text.split(',') {
        let (from, to) = part.split_once('-').unwrap_or((part, part));
        let (from, to) = (number(from)?, number(to)?);
        if from > to {
            return Err(format!("{part} holds nothing; write the lower number first"));
        }
        found.extend(from..=to);
    }
    Ok(Numbers(found))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_hold_numbers_and_ranges_and_say_what_is_wrong() {
        let listed = |text| numbers(text).map(|numbers| numbers.0.into_iter().collect::<Vec<_>>());
        assert_eq!(listed("7,1-3"), Ok(vec![1, 2, 3, 7]));
        assert!(listed("3-1").is_err_and(|why| why.contains("lower number first")));
        assert!(listed("x").is_err_and(|why| why.contains("no number")));
    }
}
