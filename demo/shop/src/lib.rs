//! A shop of six small services in processes of their own: the first user of `kandela-runtime`, and a target to measure and tune.
//! `docs/shop.md` says how to use it. `kandela-shop` is the program; `kandela shop` is the same within `kandela`.

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

use std::ffi::OsString;
use std::process::ExitCode;

pub use cli::Command;

/// What an autopilot is told of the shop; its processes are where `up` puts them by default.
pub const AUTOPILOT: &str = include_str!("../autopilot.yaml");

/// Does what `command` says, in a runtime of its own. `program` with `serve` behind it runs one service.
pub fn main(command: Command, program: Vec<OsString>) -> ExitCode {
    match cli::run(command, program) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("kandela-shop: {error:#}");
            ExitCode::FAILURE
        }
    }
}
