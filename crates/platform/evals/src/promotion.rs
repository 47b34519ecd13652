//! `kandela-evals promotion`: how often the way in which changes are promoted errs, and how fast it finds what is a gain.
//!
//! - *A/A*: changes that do nothing, 30 proposals a run on one error budget, alternately by canary and by switchback, in noise of
//!   several kinds. The figure is the share of runs in which anything at all was promoted.
//! - *Steals*: a change that only takes from the control what both share, so that the concurrent comparison looks splendid.
//! - *Power*: how often and after how many slices a true gain is promoted.
//!
//! Beside it stand what people use: a t-test with a fixed number of blocks, and Welch's test looked at after every slice, both at the
//! budget divided by the number of proposals.

mod peers;
mod queue;
mod report;
mod trial;
mod world;

use std::fs::OpenOptions;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;
use kandela_tune::experiment::{Account, Decision, Design};
use serde_json::Value;

use crate::OutputFormat;
use crate::progress::Progress;
use peers::{Peers, Quantiles};
use queue::Shared;
use trial::{Tried, plan, try_change};
use world::{Weather, World};

/// The error budget that the figure is for.
const ALPHA: f64 = 0.05;
/// How many proposals a run makes on one budget.
const PROPOSALS: u32 = 30;

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// How many runs in each kind of noise; a fifth as many for each true gain, and at most 100 for changes that steal.
    #[arg(long, default_value_t = 1_000, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    runs: u32,
    /// What all randomness is seeded with.
    #[arg(long, default_value_t = 1, value_name = "N")]
    seed: u64,
    /// Appends each row to this file as a line of JSON, as soon as it is there.
    #[arg(long, value_name = "FILE")]
    results: Option<PathBuf>,
    /// How to print the outcome.
    #[arg(long, value_enum, default_value_t = OutputFormat::Table)]
    format: OutputFormat,
}

/// Changes that do nothing, in one kind of noise.
pub(crate) struct Nothing {
    weather: &'static str,
    alpha: f64,
    runs: u32,
    /// Runs in which anything was promoted, and what peers promoted.
    any: u32,
    peers_any: Peers<u32>,
    slices: u64,
    proposals: u64,
    futile: u64,
    /// What the account had left at the end, of its budget, on average.
    left: f64,
}

/// A change that only takes from the control.
pub(crate) struct Steals {
    /// How much slower whole-system work becomes by it: nothing, or something.
    harm: bool,
    runs: u32,
    promoted: u32,
    /// What would have been promoted on the concurrent comparison alone.
    by_canary: u32,
}

/// A change that is a gain.
pub(crate) struct Power {
    weather: &'static str,
    design: &'static str,
    gain: f64,
    runs: u32,
    promoted: u32,
    /// Slices until promotion, sorted.
    slices: Vec<u64>,
    peers: Peers<u32>,
}

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let (runs, seed) = (arguments.runs, arguments.seed);
    let mut rows = report::Rows::default();
    let alphas = Weather::ALL.iter().map(|weather| (*weather, ALPHA));
    let others = [0.01, 0.1, 0.2].into_iter().map(|alpha| (Weather::Everything, alpha));
    let nothing: Vec<(Weather, f64)> = alphas.chain(others).collect();
    let gains: Vec<(Weather, bool, f64)> = [Weather::Correlated, Weather::Everything]
        .into_iter()
        .flat_map(|weather| [true, false].map(|canary| (weather, canary)))
        .flat_map(|(weather, canary)| [0.05, 0.1, 0.2].map(|gain| (weather, canary, gain)))
        .collect();
    let mut progress = Progress::new(nothing.len() + 2 + gains.len(), "rows");
    let keep = |row: Value| arguments.results.as_deref().map_or(Ok(()), |path| append(path, &row));
    for (weather, alpha) in nothing {
        progress.show(rows.len(), weather.name());
        rows.nothing.push(does_nothing(weather, alpha, runs, seed));
        rows.nothing.last().map_or(Ok(()), |row| keep(row.json()))?;
    }
    for harm in [false, true] {
        progress.show(rows.len(), "stealing");
        rows.steals.push(steals(harm, runs.min(100), seed));
        rows.steals.last().map_or(Ok(()), |row| keep(row.json()))?;
    }
    for (weather, canary, gain) in gains {
        progress.show(rows.len(), weather.name());
        rows.power.push(power(weather, canary, gain, runs.div_ceil(5), seed));
        rows.power.last().map_or(Ok(()), |row| keep(row.json()))?;
    }
    progress.clear();
    match arguments.format {
        OutputFormat::Table => report::print_table(&rows),
        OutputFormat::Json => report::print_json(&rows)?,
    }
    Ok(if rows.kept() { ExitCode::SUCCESS } else { ExitCode::from(1) })
}

fn append(path: &Path, row: &Value) -> anyhow::Result<()> {
    let context = || format!("cannot append to the results file {}", path.display());
    let mut file = OpenOptions::new().create(true).append(true).open(path).with_context(context)?;
    writeln!(file, "{row}").with_context(context)
}

fn does_nothing(weather: Weather, alpha: f64, runs: u32, seed: u64) -> Nothing {
    let quantiles = Quantiles::at(alpha / f64::from(PROPOSALS));
    let one = |run: u32| {
        let mut world = World::new(weather, trial::coin(seed, run, PROPOSALS));
        let mut account = Account::new(alpha, PROPOSALS).expect("a budget and proposals");
        let mut tried = Vec::new();
        for proposal in 0..PROPOSALS {
            let name = proposal.to_string();
            let stake = account.open(&name).expect("each name once");
            let coin = trial::coin(seed, run, proposal);
            let change = try_change(&mut world, plan(design(proposal % 2 == 0)), stake, coin, 0.0);
            account.settle(&name, change.capital, change.promoted()).expect("it is open");
            tried.push(change);
        }
        let peers = (0..PROPOSALS)
            .map(|proposal| peers::promote(&mut world, &quantiles, trial::coin(seed, run, proposal), 0.0))
            .fold(Peers::default(), |any: Peers<bool>, one| any.or(one));
        (tried, peers, account.left() / alpha)
    };
    let all = parallel(runs, one);
    let mut row = Nothing {
        weather: weather.name(),
        alpha,
        runs,
        any: 0,
        peers_any: Peers::default(),
        slices: 0,
        proposals: 0,
        futile: 0,
        left: 0.0,
    };
    for (tried, peers, left) in all {
        row.any += u32::from(tried.iter().any(Tried::promoted));
        row.peers_any = row.peers_any.plus(peers);
        row.slices += tried.iter().map(|change| change.slices).sum::<u64>();
        row.proposals += tried.len() as u64;
        row.futile += tried.iter().filter(|change| change.decision == Some(Decision::Futile)).count() as u64;
        row.left += left / f64::from(runs);
    }
    row
}

fn steals(harm: bool, runs: u32, seed: u64) -> Steals {
    let stake = ALPHA / f64::from(PROPOSALS);
    let promoted = |run: u32, canary: bool| {
        let mut shared = Shared::new(harm, trial::coin(seed, run, 2));
        let coin = trial::coin(seed, run, u32::from(canary));
        try_change(&mut shared, plan(design(canary)), stake, coin, 0.0).promoted()
    };
    let all = parallel(runs, |run| (promoted(run, false), promoted(run, true)));
    let count = |which: fn(&(bool, bool)) -> bool| all.iter().filter(|one| which(one)).count() as u32;
    Steals { harm, runs, promoted: count(|one| one.0), by_canary: count(|one| one.1) }
}

fn power(weather: Weather, canary: bool, gain: f64, runs: u32, seed: u64) -> Power {
    let stake = ALPHA / f64::from(PROPOSALS);
    let quantiles = Quantiles::at(stake);
    let one = |run: u32| {
        let mut world = World::new(weather, trial::coin(seed, run, PROPOSALS));
        let coin = trial::coin(seed, run, 0);
        let tried = try_change(&mut world, plan(design(canary)), stake, coin, (1.0 + gain).ln());
        (tried, peers::promote(&mut world, &quantiles, coin, (1.0 + gain).ln()))
    };
    let all = parallel(runs, one);
    let mut slices: Vec<u64> =
        all.iter().filter(|(tried, _)| tried.promoted()).map(|(tried, _)| tried.slices).collect();
    slices.sort_unstable();
    let peers = all.iter().fold(Peers::default(), |sum: Peers<u32>, (_, peers)| sum.plus(*peers));
    let design = if canary { "canary" } else { "switchback" };
    Power { weather: weather.name(), design, gain, runs, promoted: slices.len() as u32, slices, peers }
}

fn design(canary: bool) -> Design {
    if canary { Design::Canary } else { Design::Switchback { wash_out: 1 } }
}

/// What `one` gives for each run, in their order, on all cores.
fn parallel<T: Send>(runs: u32, one: impl Fn(u32) -> T + Sync) -> Vec<T> {
    let threads = std::thread::available_parallelism().map_or(1, |cores| cores.get() as u32);
    let piece = runs.div_ceil(threads).max(1);
    std::thread::scope(|scope| {
        let one = &one;
        let begin =
            |from: u32| scope.spawn(move || (from..runs.min(from + piece)).map(one).collect::<Vec<T>>());
        let pieces: Vec<_> = (0..runs).step_by(piece as usize).map(begin).collect();
        pieces.into_iter().flat_map(|piece| piece.join().expect("no run panics")).collect()
    })
}
