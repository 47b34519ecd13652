//! `kandela`: the one binary. `kandela help` lists what it does.
//!
//! Exit codes: 0 done, 1 the check failed, 2 usage, input or output error.

mod autopilot;
mod check;
mod client;
mod config_file;
mod config_init;
mod demo;
mod doctor;
mod ends;
mod engine;
mod figures;
mod import;
mod output;
mod plot;
mod progress;
mod prometheus;
mod promqltest;
mod query;
mod table;
mod top;
mod tune;
mod up;
mod when;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use output::Outcome;

#[derive(Parser)]
#[command(name = "kandela", version, about = "Takes telemetry in, keeps it, answers", max_term_width = 80)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// See the whole loop in ten minutes: a shop, its customers, a noon too much, and the autopilot
    Demo(demo::Demo),
    /// Start the server
    Up(up::Up),
    /// Ask a server, or a data folder that no server uses
    #[command(subcommand)]
    Query(query::Query),
    /// Files to begin with
    #[command(subcommand)]
    Config(config_init::Config),
    /// Check files before they are used, and whether two servers answer alike
    #[command(subcommand)]
    Check(check::Check),
    /// Run Prometheus' test scripts against the PromQL engine
    Promqltest(promqltest::Promqltest),
    /// Take in history
    Import(import::Import),
    /// Search for better settings of what a command measures
    Tune(Box<tune::Tune>),
    /// Where the autopilot stands, why it did what it did, and orders to it
    #[command(subcommand)]
    Autopilot(autopilot::Autopilot),
    /// Watch a server live: services, the autopilot, its ledger
    Top(top::Top),
    /// Look for what would keep the server from working well
    Doctor(doctor::Doctor),
    /// A shop of six small services, to try things on: to measure, to break and to tune
    #[command(subcommand)]
    Shop(kandela_shop::Command),
}

fn main() -> ExitCode {
    kandela_server::share_heaps();
    let command = match Arguments::parse().command {
        Command::Autopilot(autopilot::Autopilot::Watchdog { folder }) => {
            return kandela_autopilot::watchdog::main(std::slice::from_ref(&folder));
        }
        Command::Shop(shop) => return run_shop(shop),
        command => command,
    };
    let threads = tokio::runtime::Builder::new_multi_thread()
        .thread_stack_size(kandela_lake::QUERY_STACK)
        .enable_all()
        .build();
    let outcome = threads
        .map_err(anyhow::Error::from)
        .and_then(|threads| threads.block_on(async { tokio::spawn(run(command)).await? }))
        .and_then(|outcome| output::finish().map(|()| outcome));
    match outcome {
        Ok(Outcome::Done) => ExitCode::SUCCESS,
        Ok(Outcome::CheckFailed) => ExitCode::from(1),
        Ok(Outcome::Interrupted) => ExitCode::from(130),
        Err(error) => {
            eprintln!("error: {}", chain(&error));
            ExitCode::from(2)
        }
    }
}

fn run_shop(command: kandela_shop::Command) -> ExitCode {
    match std::env::current_exe() {
        Ok(program) => kandela_shop::main(command, vec![program.into(), "shop".into()]),
        Err(error) => {
            eprintln!("error: this program's own path is not known: {error}");
            ExitCode::from(2)
        }
    }
}

/// An error with its causes, each said once.
fn chain(error: &anyhow::Error) -> String {
    error.chain().map(ToString::to_string).fold(String::new(), |text, cause| match text.as_str() {
        "" => cause,
        said if said.contains(&cause) => text,
        said => format!("{said}: {cause}"),
    })
}

async fn run(command: Command) -> anyhow::Result<Outcome> {
    match command {
        Command::Demo(demo) => demo.run().await,
        Command::Up(up) => up.run().await,
        Command::Query(query) => query.run().await,
        Command::Config(config) => config.run(),
        Command::Check(check) => check.run().await,
        Command::Promqltest(scripts) => scripts.run(),
        Command::Import(import) => import.run().await,
        Command::Tune(tune) => tune.run().await,
        Command::Autopilot(autopilot) => autopilot.run().await,
        Command::Top(top) => top.run().await,
        Command::Doctor(doctor) => doctor.run().await,
        Command::Shop(_) => anyhow::bail!("the shop has a runtime of its own"),
    }
}
