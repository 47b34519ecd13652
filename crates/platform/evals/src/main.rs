//! Public benchmark suites, run over a data folder: `kandela-evals SUITE [--data DIR] [--format table|json]`.
//!
//! Most suites are a folder of cases, each of which passes or fails: which there are stands in `suite`; how cases are run one after
//! another, and how a run that was cut off goes on, in `runner`. `cache` measures instead: miss ratios beside other policies'; so does `dqn`:
//! returns on control tasks.
//!
//! Exit codes: 0 every case passed, or there is no data and nobody named any; 1 a case failed; 2 wrong usage or input.

mod build;
mod cache;
mod choice;
mod data;
mod dqn;
mod openmetrics;
mod progress;
mod promqltest;
mod report;
mod results;
mod runner;
mod strategies;
mod suite;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand, ValueEnum};

use data::Location;
use suite::Suite;

#[derive(Parser)]
#[command(name = "kandela-evals", version, about = "Runs public benchmark suites over a data folder")]
struct Arguments {
    #[command(subcommand)]
    suite: Choice,
}

#[derive(Subcommand)]
enum Choice {
    /// Pages that the OpenMetrics parser must accept or refuse
    Openmetrics(SuiteArguments),
    /// Prometheus' own test scripts
    Promqltest(SuiteArguments),
    /// Miss ratios of the self-optimising cache beside fixed policies and the optimum, over key traces
    Cache(cache::Arguments),
    /// What a deep Q-network learns on CartPole, Acrobot and MountainCar
    Dqn(dqn::Arguments),
    /// Whether a network that learned to choose among strategies beats the portfolio that did not
    Choice(choice::Arguments),
    /// Each strategy of the tuner against random search at equal budget, over generated objectives
    Strategies(strategies::Arguments),
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
        Choice::Openmetrics(arguments) => run(&suite::OPENMETRICS, &arguments),
        Choice::Promqltest(arguments) => run(&suite::PROMQLTEST, &arguments),
        Choice::Cache(arguments) => cache::run(&arguments),
        Choice::Dqn(arguments) => dqn::run(&arguments),
        Choice::Choice(arguments) => choice::run(&arguments),
        Choice::Strategies(arguments) => strategies::run(&arguments),
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
