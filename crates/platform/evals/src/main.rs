//! Public benchmark suites, run over a data folder: `kandela-evals SUITE [--data DIR] [--format table|json]`.
//!
//! Most suites are a folder of cases, each of which passes or fails: which there are stands in `suite`; how cases are run one after
//! another, and how a run that was cut off goes on, in `runner`. The others measure: `cache` miss ratios, and the rest how well the tuner
//! searches, how safely, what it promotes, and what its network learns.
//!
//! Exit codes: 0 every case passed, or there is no data and nobody named any; 1 a case failed; 2 wrong usage or input.

mod bbob;
mod build;
mod cache;
mod choice;
mod constrained;
mod data;
mod dqn;
mod openmetrics;
mod optimiser;
mod progress;
mod promotion;
mod promqltest;
mod report;
mod results;
mod runner;
mod strategies;
mod suite;
mod tune_noisy;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand, ValueEnum};

use data::Location;
use suite::Suite;

#[derive(Parser)]
#[command(name = "kandela-evals", version, about = "Runs public benchmark suites over a data folder")]
struct Arguments {
    #[command(subcommand)]
    suite: Wanted,
}

#[derive(Subcommand)]
enum Wanted {
    /// Pages that the OpenMetrics parser must accept or refuse
    Openmetrics(SuiteArguments),
    /// Prometheus' own test scripts
    Promqltest(SuiteArguments),
    /// Miss ratios of the self-optimising cache beside fixed policies and the optimum, over key traces
    Cache(cache::Arguments),
    /// How often changes that are no gain are promoted, and how fast those that are, in simulated systems
    Promotion(promotion::Arguments),
    /// Each strategy of the tuner against random search at equal budget, over generated objectives
    Strategies(strategies::Arguments),
    /// How near the optimum of BBOB's 24 noiseless functions an optimiser comes within a budget
    Bbob(bbob::Arguments),
    /// Regret of the tuner beside peers on noisy problems with mixed knobs and few trials
    TuneNoisy(tune_noisy::Arguments),
    /// How often a search breaks a constraint, and how much it finds within, on generated problems
    Constrained(constrained::Arguments),
    /// What a deep Q-network learns on CartPole, Acrobot and MountainCar
    Dqn(dqn::Arguments),
    /// Whether a network that learned to choose among strategies beats the portfolio that did not
    Choice(choice::Arguments),
}

#[derive(clap::Args)]
struct SuiteArguments {
    #[command(flatten)]
    common: Common,
    /// Appends each outcome to this file as a line of JSON, and skips the cases that this build has in it already.
    #[arg(long, value_name = "FILE")]
    results: Option<PathBuf>,
}

#[derive(clap::Args)]
struct Common {
    /// The folder with the suite's cases, or with a folder of the suite's name; else KANDELA_DATA, else ../shared/data beside
    /// the workspace.
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// How to print the outcome.
    #[arg(long, value_enum, default_value_t = OutputFormat::Table)]
    format: OutputFormat,
}

#[derive(Clone, Copy, ValueEnum)]
enum OutputFormat {
    Table,
    Json,
}

fn main() -> ExitCode {
    let outcome = match Arguments::parse().suite {
        Wanted::Openmetrics(arguments) => run(&suite::OPENMETRICS, &arguments),
        Wanted::Promqltest(arguments) => run(&suite::PROMQLTEST, &arguments),
        Wanted::Cache(arguments) => cache::run(&arguments),
        Wanted::Promotion(arguments) => promotion::run(&arguments),
        Wanted::Strategies(arguments) => strategies::run(&arguments),
        Wanted::Bbob(arguments) => bbob::run(&arguments),
        Wanted::TuneNoisy(arguments) => tune_noisy::run(&arguments),
        Wanted::Constrained(arguments) => constrained::run(&arguments),
        Wanted::Dqn(arguments) => dqn::run(&arguments),
        Wanted::Choice(arguments) => choice::run(&arguments),
    };
    match outcome {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::from(2)
        }
    }
}

fn run(suite: &Suite, arguments: &SuiteArguments) -> anyhow::Result<ExitCode> {
    let folder = match data::locate(suite.name, arguments.common.data.as_deref(), suite.cases)? {
        Location::Found(folder) => folder,
        Location::Absent(explanation) => {
            eprintln!("skipped: {explanation}");
            return Ok(ExitCode::SUCCESS);
        }
    };
    let run = runner::run(suite, &folder, arguments.results.as_deref())?;
    match arguments.common.format {
        OutputFormat::Table => report::print_table(&run),
        OutputFormat::Json => report::print_json(&run)?,
    }
    Ok(if run.failed() == 0 { ExitCode::SUCCESS } else { ExitCode::from(1) })
}
