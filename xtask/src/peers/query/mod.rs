//! Queries in PromQL over the same data, asked of each system through the same HTTP API; how long each took.
//!
//! Four parts. `ranges`: range queries over hours, warm and right after a restart. `dashboard`: panels that refresh while
//! samples stream in. `instant`: one series among many. `memory`: more samples than the server may hold, Kandela alone.

mod agree;
mod ask;
mod dashboard;
mod fleet;
mod instance;
mod instant;
mod latency;
mod limited;
mod pace;
mod ranges;
mod times;

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, ensure};
use clap::{Args, ValueEnum};
use serde::Serialize;

use super::ingest::{self, Format};
use super::process::Interrupt;
use super::system::System;

#[derive(Args)]
pub(crate) struct Arguments {
    /// What to measure
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = [Part::Ranges, Part::Dashboard, Part::Instant])]
    part: Vec<Part>,
    /// Systems to measure; ratios are of the first to each other one
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = [System::Kandela, System::Prometheus, System::VictoriaMetrics])]
    systems: Vec<System>,
    #[command(flatten)]
    ranges: ranges::Settings,
    #[command(flatten)]
    dashboard: dashboard::Settings,
    #[command(flatten)]
    instant: instant::Settings,
    #[command(flatten)]
    limited: limited::Settings,
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Part {
    /// Range queries over hours of samples, warm and right after a restart
    Ranges,
    /// Panels that refresh while samples stream in
    Dashboard,
    /// One series among many
    Instant,
    /// Questions over more samples than the server may hold
    Memory,
}

/// What every part needs.
struct Bench<'a> {
    programs: &'a [(System, PathBuf)],
    /// Where the systems' data lie while they are measured.
    folder: &'a Path,
    interrupt: &'a Interrupt,
}

#[derive(Serialize)]
struct Outcome {
    started_unix: u64,
    /// Of the machine, which whoever asks shares.
    cores: usize,
    systems: Vec<Version>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    ranges: Vec<ranges::Outcome>,
    #[serde(skip_serializing_if = "Option::is_none")]
    dashboard: Option<dashboard::Outcome>,
    #[serde(skip_serializing_if = "Option::is_none")]
    instant: Option<instant::Outcome>,
    #[serde(skip_serializing_if = "Option::is_none")]
    memory: Option<limited::Outcome>,
}

#[derive(Serialize)]
struct Version {
    system: System,
    version: String,
}

pub(crate) fn run(root: &Path, arguments: &Arguments) -> anyhow::Result<()> {
    ensure!(
        !cfg!(debug_assertions),
        "without optimisation this program takes longer to read an answer than some systems to give it: run \
         `cargo run --release -p xtask -- peers query`"
    );
    let programs = ingest::programs(root, &arguments.systems)?;
    let interrupt = Interrupt::on_signals()?;
    let folder = root.join("target/peers");
    fs::create_dir_all(&folder).with_context(|| format!("{} cannot be made", folder.display()))?;
    let bench = Bench { programs: &programs, folder: &folder, interrupt: &interrupt };
    let asked = |part| arguments.part.contains(&part);
    let systems = programs
        .iter()
        .map(|(system, program)| Version { system: *system, version: system.version(program) });

    let outcome = Outcome {
        started_unix: SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs(),
        cores: thread::available_parallelism().map_or(0, usize::from),
        systems: systems.collect(),
        ranges: if asked(Part::Ranges) { ranges::run(&bench, &arguments.ranges)? } else { Vec::new() },
        dashboard: asked(Part::Dashboard)
            .then(|| dashboard::run(&bench, &arguments.dashboard))
            .transpose()?,
        instant: asked(Part::Instant).then(|| instant::run(&bench, &arguments.instant)).transpose()?,
        memory: asked(Part::Memory).then(|| limited::run(&bench, &arguments.limited)).transpose()?,
    };
    ingest::append(&folder.join("queries.jsonl"), &outcome)?;
    match arguments.format {
        Format::Table => print!("{outcome}"),
        Format::Json => println!("{}", serde_json::to_string_pretty(&outcome)?),
    }
    agree_or_fail(&outcome)
}

/// A system that answers something else may be fast for that reason, so the run fails; its numbers are printed before.
fn agree_or_fail(outcome: &Outcome) -> anyhow::Result<()> {
    let ranges = outcome.ranges.iter().flat_map(|outcome| &outcome.agreement);
    let dashboard = outcome.dashboard.iter().flat_map(|outcome| &outcome.agreement);
    agree::ensure(ranges.chain(dashboard))
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for Version { system, version } in &self.systems {
            writeln!(f, "{} {version}", system.name())?;
        }
        self.ranges.iter().try_for_each(|outcome| write!(f, "\n{outcome}"))?;
        self.dashboard.iter().try_for_each(|outcome| write!(f, "\n{outcome}"))?;
        self.instant.iter().try_for_each(|outcome| write!(f, "\n{outcome}"))?;
        self.memory.iter().try_for_each(|outcome| write!(f, "\n{outcome}"))
    }
}

/// Now, in milliseconds since 1970, at the beginning of its minute.
fn this_minute_ms() -> anyhow::Result<i64> {
    const MINUTE_MS: i64 = 60_000;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).context("the clock is before 1970")?;
    Ok(i64::try_from(now.as_millis())? / MINUTE_MS * MINUTE_MS)
}
