//! `kandela-evals constrained`: how often a search breaks a constraint that it was to keep, and how much it finds within.
//!
//! A run is one generated problem. A trial is *unsafe* if a constraint's noise-free value is broken there; a run counts as unsafe with
//! the first such trial. The *share of the feasible gain* is how far the noise-free objective of the recommended settings has
//! come from the start's towards the lowest that keeps the constraints.

mod problem;
mod report;
mod truth;

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Context, bail};
use kandela_tune::random::{Random, seeded};
use kandela_tune::{Constraint, Measured, Strategy};
use rand_distr::{Distribution, StandardNormal};
use serde::{Deserialize, Serialize};

use crate::OutputFormat;
use crate::optimiser::Contender;
use crate::progress::Progress;
use problem::Problem;

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// How many problems.
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..))]
    runs: u32,
    /// The number of the first problem; the others follow.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Our strategy.
    #[arg(long, default_value = "safe")]
    strategy: String,
    /// Others to run on the same problems: our strategies by name, else a peer by the name that its command knows.
    #[arg(long, value_name = "NAME", num_args = 1..)]
    beside: Vec<String>,
    /// The command that peers answer to.
    #[arg(long, value_name = "COMMAND", default_value = "python3 peers/tune/peer.py")]
    peer: String,
    /// Declares each constraint's noise, and as its rate this many times the true one, instead of leaving them to be estimated.
    #[arg(long, value_name = "TIMES")]
    declared: Option<f64>,
    /// Trials a run; 60 to 100, by the problem's dimension, where it is not given.
    #[arg(long)]
    budget: Option<usize>,
    /// Appends each run to this file as a line of JSON, and skips those that this build has in it already.
    #[arg(long, value_name = "FILE")]
    results: Option<PathBuf>,
    /// How to print the outcome.
    #[arg(long, value_enum, default_value_t = OutputFormat::Table)]
    format: OutputFormat,
}

/// What one search did on one problem.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Row {
    pub(crate) build: String,
    pub(crate) strategy: String,
    pub(crate) declared: Option<f64>,
    pub(crate) number: u64,
    pub(crate) family: String,
    pub(crate) dimension: usize,
    pub(crate) trials: usize,
    pub(crate) unsafe_trials: usize,
    /// The first of them.
    pub(crate) first_unsafe: Option<usize>,
    /// How far it broke its bound, in standard deviations of the noise.
    pub(crate) worst: f64,
    /// Of the gain up to the optimum that a path joins to the start.
    pub(crate) share: f64,
    /// Of the gain up to the optimum anywhere.
    pub(crate) share_anywhere: f64,
    pub(crate) alarms: Vec<String>,
    /// The first trial before which there was an alarm.
    pub(crate) alarmed: Option<usize>,
}

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let contenders: Vec<Contender> = std::iter::once(&arguments.strategy)
        .chain(&arguments.beside)
        .map(|n| contender(n, &arguments.peer))
        .collect::<anyhow::Result<_>>()?;
    if arguments.declared.is_some_and(|times| !times.is_finite() || times <= 0.0) {
        bail!("--declared takes a number above 0, as a multiple of the true rate");
    }
    let build = crate::build::fingerprint()?;
    let known = arguments.results.as_deref().map_or(Ok(Vec::new()), known)?;
    let mut rows: Vec<Row> = Vec::new();
    let mut jobs: Vec<(&Contender, u64)> = Vec::new();
    for contender in &contenders {
        for number in arguments.seed..arguments.seed + u64::from(arguments.runs) {
            let same = |row: &&Row| {
                row.build == build
                    && row.strategy == contender.name()
                    && row.number == number
                    && row.declared == arguments.declared
            };
            match known.iter().find(same) {
                Some(row) => rows.push(row.clone()),
                None => jobs.push((contender, number)),
            }
        }
    }
    let progress = Mutex::new(Progress::new(jobs.len(), "runs"));
    let (next, done) = (AtomicUsize::new(0), Mutex::new(rows));
    let failed = Mutex::new(None);
    let work = || {
        while let Some((contender, number)) = jobs.get(next.fetch_add(1, Ordering::Relaxed)) {
            let outcome = measure(contender, *number, arguments, &build)
                .and_then(|row| append(arguments.results.as_deref(), &row).map(|()| row));
            match outcome {
                Ok(row) => {
                    let mut done = done.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
                    done.push(row);
                    progress
                        .lock()
                        .unwrap_or_else(|poisoned| poisoned.into_inner())
                        .show(done.len(), contender.name());
                }
                Err(error) => {
                    *failed.lock().unwrap_or_else(|poisoned| poisoned.into_inner()) = Some(error);
                    return;
                }
            }
        }
    };
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    std::thread::scope(|scope| (0..threads).for_each(|_| drop(scope.spawn(work))));
    if let Some(error) = failed.into_inner().unwrap_or_else(|poisoned| poisoned.into_inner()) {
        return Err(error);
    }
    progress.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).clear();
    let mut rows = done.into_inner().unwrap_or_else(|poisoned| poisoned.into_inner());
    rows.sort_by_key(|row| row.number);
    let names: Vec<&str> = contenders.iter().map(Contender::name).collect();
    match arguments.format {
        OutputFormat::Table => report::print_table(&rows, &names),
        OutputFormat::Json => report::print_json(&rows, &names)?,
    }
    Ok(ExitCode::SUCCESS)
}

fn contender(name: &str, peer: &str) -> anyhow::Result<Contender> {
    if let Ok(strategy) = name.parse::<Strategy>() {
        return Ok(Contender::Ours(strategy));
    }
    let command: Vec<String> = peer.split_whitespace().map(str::to_owned).collect();
    if command.is_empty() {
        bail!("--peer names the command that {name} answers to");
    }
    Ok(Contender::Peer { command, strategy: name.to_owned() })
}

fn measure(contender: &Contender, number: u64, arguments: &Arguments, build: &str) -> anyhow::Result<Row> {
    let problem = Problem::generate(number)?;
    let axes = problem.start.len();
    let budget = arguments.budget.unwrap_or(52 + 8 * axes);
    let constraint = |(which, limit): (usize, &problem::Limit)| {
        let rate = arguments.declared.map(|times| times * truth::steepest(limit, axes, number));
        let noise = arguments.declared.map(|_| 3.0 * limit.noise);
        Constraint { name: format!("c{which}"), bound: limit.bound, rate, noise }
    };
    let constraints: Vec<Constraint> = problem.limits().iter().enumerate().map(constraint).collect();
    let mut search = contender.begin_constrained(&problem.space, constraints, budget, number)?;
    let mut random = seeded(number, 80);
    let mut broken: Vec<(usize, f64)> = Vec::new();
    let (mut trials, mut alarmed) = (0, None);
    while let Some((id, config)) = search.ask_within(trials, budget)? {
        if alarmed.is_none() && !search.alarms().is_empty() {
            alarmed = Some(trials);
        }
        let point = problem.space.encode(&config)?;
        let worst = problem
            .limits()
            .iter()
            .map(|limit| limit.margin(&point) / limit.noise)
            .fold(f64::INFINITY, f64::min);
        if worst < 0.0 {
            broken.push((trials, worst));
        }
        let margins: Vec<f64> = problem
            .limits()
            .iter()
            .map(|limit| limit.margin(&point) + limit.noise * bounded(&mut random))
            .collect();
        let value = problem.objective(&point) + problem.noise * bounded(&mut random);
        let feasible = margins.iter().all(|margin| *margin >= 0.0);
        search.tell(id, Measured { margins, feasible, ..Measured::of(value) })?;
        trials += 1;
    }
    let optimum = truth::optimum(&problem, number);
    let from = problem.objective(&problem.start);
    let recommended = match search.recommend()? {
        Some(config) => problem.space.encode(&config)?,
        None => problem.start.clone(),
    };
    // What breaks a constraint has gained nothing.
    let gain = if problem.kept(&recommended) { from - problem.objective(&recommended) } else { 0.0 };
    let alarms: Vec<String> = search.alarms().iter().map(ToString::to_string).collect();
    Ok(Row {
        build: build.to_owned(),
        strategy: contender.name().to_owned(),
        declared: arguments.declared,
        number,
        family: problem.family.to_owned(),
        dimension: axes,
        trials,
        unsafe_trials: broken.len(),
        first_unsafe: broken.first().map(|(trial, _)| *trial),
        worst: broken.iter().map(|(_, worst)| *worst).fold(0.0, f64::min),
        share: gain / (from - optimum.joined),
        share_anywhere: gain / (from - optimum.anywhere),
        alarmed: alarmed.or((!alarms.is_empty()).then_some(trials)),
        alarms,
    })
}

/// Normal, cut off at three standard deviations.
fn bounded(random: &mut Random) -> f64 {
    loop {
        let z: f64 = StandardNormal.sample(random);
        if z.abs() <= 3.0 {
            return z;
        }
    }
}

fn known(path: &Path) -> anyhow::Result<Vec<Row>> {
    if !path.exists() {
        return Ok(Vec::new());
    }
    let text = fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    // A line that is no row is what a run that was cut off has left.
    Ok(text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect())
}

fn append(path: Option<&Path>, row: &Row) -> anyhow::Result<()> {
    let Some(path) = path else { return Ok(()) };
    let context = || format!("cannot append to {}", path.display());
    let mut file = OpenOptions::new().create(true).append(true).open(path).with_context(context)?;
    writeln!(file, "{}", serde_json::to_string(row)?).with_context(context)
}
