//! `kandela-evals choice`: whether a network that has learned to choose among strategies beats the portfolio that has not.
//!
//! The network is trained on generated problems of some families, and tested on problems of other families. Each test problem is
//! searched by both, with the same seed; what counts is log10 of the gap to the least value, and the interval is of the paired
//! differences.

mod families;

use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context;
use kandela_tune::dqn::{Dqn, Settings};
use kandela_tune::portfolio::{MEMBERS, Portfolio, Sharing};
use kandela_tune::random::{Random, seeded};
use kandela_tune::strategy::Choice;
use kandela_tune::{Brief, History, Measured, Outcome, Propose};
use rand::Rng;
use serde::Serialize;

use crate::OutputFormat;
use crate::progress::Progress;
use families::{Problem, TEST, TRAINING};

/// Gaps below count as this.
const LEAST_GAP: f64 = 1e-8;

/// Streams of randomness.
const TRAINED_ON: u64 = 1;
const TESTED_ON: u64 = 2;
const RESAMPLED: u64 = 3;

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// How many problems the network is trained on.
    #[arg(long, value_name = "N", default_value_t = 400)]
    train: usize,
    /// How many problems it is tested on.
    #[arg(long, value_name = "N", default_value_t = 200, value_parser = clap::value_parser!(u32).range(2..))]
    test: u32,
    /// Trials for each problem.
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    budget: u32,
    /// The seed of everything.
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// How to print the outcome.
    #[arg(long, value_enum, default_value_t = OutputFormat::Table)]
    format: OutputFormat,
}

/// What the test found.
#[derive(Debug, Serialize)]
struct Report {
    trained_on: usize,
    tested_on: u32,
    budget: u32,
    /// Means of log10 of the gap; lower is better.
    dqn: f64,
    portfolio: f64,
    equal: f64,
    /// What the network gains, in powers of ten: the mean of the paired differences, and its 95 % interval.
    gain_over_portfolio: Gain,
    gain_over_equal: Gain,
}

#[derive(Debug, Serialize)]
struct Gain {
    mean: f64,
    low: f64,
    high: f64,
}

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let budget = arguments.budget as usize;
    let mut progress = Progress::new(arguments.train + arguments.test as usize, "problems");
    let mut network = untrained(arguments)?;
    let mut random = seeded(arguments.seed, TRAINED_ON);
    for done in 0..arguments.train {
        let problem = Problem::draw(&TRAINING, &mut random)?;
        progress.show(done, problem.family);
        let brief = brief(&problem, budget, random.random());
        let mut choice = Choice::learning(members(&brief), network, &brief, 0.0)?;
        search(&mut choice, &problem, budget)?;
        network = choice.into_network();
    }

    let mut random = seeded(arguments.seed, TESTED_ON);
    let mut gaps = Vec::new();
    for done in 0..arguments.test as usize {
        let problem = Problem::draw(&TEST, &mut random)?;
        progress.show(arguments.train + done, problem.family);
        let brief = brief(&problem, budget, random.random());
        let mut choice = Choice::new(members(&brief), network.clone(), &brief)?;
        let mut portfolio = Portfolio::of(&MEMBERS, &brief);
        let mut equal = Portfolio::new(members(&brief), Sharing::Equal);
        gaps.push([
            search(&mut choice, &problem, budget)?,
            search(&mut portfolio, &problem, budget)?,
            search(&mut equal, &problem, budget)?,
        ]);
    }
    progress.clear();
    print(&report(arguments, &gaps), arguments.format)?;
    Ok(ExitCode::SUCCESS)
}

fn untrained(arguments: &Arguments) -> anyhow::Result<Dqn> {
    let horizon = arguments.train as u64 * u64::from(arguments.budget);
    // Improvements are few and small beside what a new context would be worth: curiosity would drown them.
    let settings = Settings { horizon, novelty: 0.0, longest_repeat: 10, ..Settings::default() };
    Ok(Dqn::new(Choice::context_len(MEMBERS.len()), MEMBERS.len(), settings, arguments.seed)?)
}

fn brief(problem: &Problem, budget: usize, seed: u64) -> Brief {
    Brief { space: Arc::new(problem.space.clone()), budget: Some(budget), seed, constraints: [].into() }
}

fn members(brief: &Brief) -> Vec<Box<dyn Propose>> {
    MEMBERS.iter().map(|strategy| strategy.begin(brief)).collect()
}

/// log10 of the gap that is left after `budget` trials.
fn search(strategy: &mut dyn Propose, problem: &Problem, budget: usize) -> anyhow::Result<f64> {
    let mut history = History::default();
    for _ in 0..budget {
        let point = problem.space.snap(&strategy.ask(&history));
        let value = problem.value(&point);
        let id = history.begin(point);
        history.end(id, Outcome::Measured(Measured::of(value)));
        let trial = history.trial(id).context("a trial that was just begun")?.clone();
        strategy.tell(&history, &trial);
    }
    let (_, best) = history.lowest().context("nothing was measured")?;
    Ok(libm::log10(best.value.max(LEAST_GAP)))
}

fn report(arguments: &Arguments, gaps: &[[f64; 3]]) -> Report {
    let mean = |of: usize| gaps.iter().map(|gaps| gaps[of]).sum::<f64>() / gaps.len() as f64;
    let mut random = seeded(arguments.seed, RESAMPLED);
    let mut over =
        |other: usize| gain(&gaps.iter().map(|gaps| gaps[other] - gaps[0]).collect::<Vec<_>>(), &mut random);
    Report {
        trained_on: arguments.train,
        tested_on: arguments.test,
        budget: arguments.budget,
        dqn: mean(0),
        portfolio: mean(1),
        equal: mean(2),
        gain_over_portfolio: over(1),
        gain_over_equal: over(2),
    }
}

/// The mean of the differences, with the interval that 95 % of 2,000 bootstrap resamples lie in.
fn gain(differences: &[f64], random: &mut Random) -> Gain {
    let count = differences.len();
    let mean = differences.iter().sum::<f64>() / count as f64;
    let mut resample =
        || (0..count).map(|_| differences[random.random_range(0..count)]).sum::<f64>() / count as f64;
    let mut means: Vec<f64> = (0..2000).map(|_| resample()).collect();
    means.sort_by(f64::total_cmp);
    Gain { mean, low: means[50], high: means[1949] }
}

fn print(report: &Report, format: OutputFormat) -> anyhow::Result<()> {
    if let OutputFormat::Json = format {
        println!("{}", serde_json::to_string_pretty(report)?);
        return Ok(());
    }
    let Report { trained_on, tested_on, budget, dqn, portfolio, equal, .. } = report;
    println!(
        "trained on {trained_on} problems, tested on {tested_on} of other families, {budget} trials each"
    );
    println!("mean log10 gap: dqn {dqn:.3}, portfolio {portfolio:.3}, equal shares {equal:.3}");
    for (other, gain) in
        [("portfolio", &report.gain_over_portfolio), ("equal shares", &report.gain_over_equal)]
    {
        let Gain { mean, low, high } = gain;
        println!("gain over {other}: {mean:.3} powers of ten, 95 % from {low:.3} to {high:.3}");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interval_holds_its_mean_and_narrows_with_more_of_the_same() {
        let mut random = seeded(1, 0);
        let few: Vec<f64> = (0..20).map(f64::from).collect();
        let many: Vec<f64> = (0..400).map(|i| f64::from(i % 20)).collect();
        let (few, many) = (gain(&few, &mut random), gain(&many, &mut random));
        assert!((few.mean - 9.5).abs() < 1e-9 && few.low < 9.5 && 9.5 < few.high);
        assert!(many.high - many.low < 0.5 * (few.high - few.low));
    }
}
