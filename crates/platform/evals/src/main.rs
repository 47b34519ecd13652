//! Public benchmark suites, run over a data folder: `kandela-evals SUITE [--data DIR] [--format table|json] [--results FILE]`.
//!
//! A suite is a folder of cases, and each case passes or fails. Which suites there are stands in `suite`; how cases are run
//! one after another, and how a run that was cut off goes on, in `runner`.
//!
//! Exit codes: 0 every case passed, or there is no data and nobody named any; 1 a case failed; 2 wrong usage or input.

mod build;
mod data;
mod openmetrics;
mod promqltest;
mod report;
mod results;
mod runner;
mod suite;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, ValueEnum};

use data::Location;
use suite::Suite;

#[derive(Parser)]
#[command(name = "kandela-evals", version, about = "Runs public benchmark suites over a data folder")]
struct Arguments {
    /// Which suite to run.
    #[arg(value_parser = suite::find)]
    suite: &'static Suite,
    /// The folder with the suite's cases, or with a folder of the suite's name; else KANDELA_DATA, else ../shared/data beside
    /// the workspace.
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// How to print the outcome.
    #[arg(long, value_enum, default_value_t = OutputFormat::Table)]
    format: OutputFormat,
    /// Appends each outcome to this file as a line of JSON, and skips the cases that this build has in it already.
    #[arg(long, value_name = "FILE")]
    results: Option<PathBuf>,
}

#[derive(Clone, Copy, ValueEnum)]
enum OutputFormat {
    Table,
    Json,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match run(&arguments) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::from(2)
        }
    }
}

fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let suite = arguments.suite;
    let folder = match data::locate(suite, arguments.data.as_deref())? {
        Location::Found(folder) => folder,
        Location::Absent(explanation) => {
            eprintln!("skipped: {explanation}");
            return Ok(ExitCode::SUCCESS);
        }
    };
    let run = runner::run(suite, &folder, arguments.results.as_deref())?;
    match arguments.format {
        OutputFormat::Table => report::print_table(&run),
        OutputFormat::Json => report::print_json(&run)?,
    }
    Ok(if run.failed() == 0 { ExitCode::SUCCESS } else { ExitCode::from(1) })
}
