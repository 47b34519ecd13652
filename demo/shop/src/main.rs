//! A shop of six small services in processes of their own: the first user of `kandela-runtime`, and a target to measure and tune.
//! `docs/shop.md` says how to use it.

mod answer;
mod cli;
mod database;
mod downstream;
mod extract;
mod failure;
mod faults;
mod figure;
mod knobs;
mod load;
mod pricing;
mod process;
mod queue;
mod random;
mod resilience;
mod services;
mod settings;
mod split;
mod telemetry;
mod up;

use std::process::ExitCode;

fn main() -> ExitCode {
    match cli::run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("kandela-shop: {error:#}");
            ExitCode::FAILURE
        }
    }
}
