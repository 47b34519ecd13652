//! `kandela`: the one binary. `kandela help` lists what it does.
//!
//! Exit codes: 0 done, 1 the check failed, 2 usage or input error.

mod check;
mod client;
mod config_file;
mod doctor;
mod import;
mod output;
mod progress;
mod query;
mod table;
mod up;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use output::Outcome;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[derive(Parser)]
#[command(name = "kandela", version, about = "Takes telemetry in, keeps it, answers", max_term_width = 80)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Start the server
    Up(up::Up),
    /// Ask a server, or a data folder that no server uses
    #[command(subcommand)]
    Query(query::Query),
    /// Check files before they are used
    #[command(subcommand)]
    Check(check::Check),
    /// Take in history
    Import(import::Import),
    /// Look for what would keep the server from working well
    Doctor(doctor::Doctor),
}

fn main() -> ExitCode {
    let command = Arguments::parse().command;
    let threads = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let outcome = threads.map_err(anyhow::Error::from).and_then(|threads| threads.block_on(run(command)));
    match outcome {
        Ok(Outcome::Done) => ExitCode::SUCCESS,
        Ok(Outcome::CheckFailed) => ExitCode::from(1),
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::from(2)
        }
    }
}

async fn run(command: Command) -> anyhow::Result<Outcome> {
    match command {
        Command::Up(up) => up.run().await,
        Command::Query(query) => query.run().await,
        Command::Check(check) => check.run(),
        Command::Import(import) => import.run().await,
        Command::Doctor(doctor) => doctor.run().await,
    }
}
