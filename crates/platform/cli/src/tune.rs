//! `kandela tune`: search for better settings of something that a command measures, or serve the search to another program.

mod ask_tell;
mod constraint;
mod exec;
mod measure;
mod progress;
mod record;
mod report;
mod search;
mod server;
mod verify;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context as _;
use clap::Args;
use kandela_tune::{Space, Strategy};

use crate::output::{Format, Outcome};
use crate::when::parse_step;
use constraint::Constraint;
use measure::Pattern;
use server::TargetArgs;

/// Trials for each axis, where neither a budget nor a time is given.
const TRIALS_PER_AXIS: usize = 10;
/// Trials at least, where neither is given.
const FEWEST_TRIALS: usize = 30;

/// Search for better settings
#[derive(Args)]
#[command(after_help = "\
The command runs once for each trial, by `sh -c`. Its environment has each knob under its name (what is no letter, digit or \
underscore becomes an underscore) and KANDELA_TRIAL. The last line of its output that is a JSON object has the objective:

    {\"value\": 241.5}                          lower is better, unless --maximize
    {\"value\": 241.5, \"p99\": 87, \"noise\": 3.1}  with what --constraint looks at, and its standard error

A command that fails, or prints no such line, is a failed trial. Trials are kept in --state as they end: run the same command \
again to go on where it stopped.

    kandela tune --space space.json --exec ./measure.sh --budget 40 --constraint 'p99<=100'

With --target the settings of a server are turned before each trial, and are as they were when the search ends, is stopped or is killed:

    kandela tune --target postgres://postgres@127.0.0.1:5432/bench --restart 'pg_ctlcluster 15 main restart' \\
      --exec 'pgbench -c 8 -T 120 bench' --measure 'tps = ([0-9.]+)' --maximize --compare pgtune")]
pub(crate) struct Tune {
    /// The knobs: a file of JSON or YAML such as
    /// {"pool": {"type": "int", "min": 1, "max": 128, "log": true, "default": 8}} [default: those of the --target]
    #[arg(long, value_name = "FILE", required_unless_present_any = ["ask_tell", "target"])]
    space: Option<PathBuf>,
    #[command(flatten)]
    target: TargetArgs,
    /// What measures a trial
    #[arg(long, value_name = "CMD", required_unless_present = "ask_tell")]
    exec: Option<String>,
    /// Serve the search on standard input and output, as lines of JSON
    #[arg(long, conflicts_with_all = ["space", "exec", "target"])]
    ask_tell: bool,
    /// Trials at most [default: 10 a knob, at least 30]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    budget: Option<u32>,
    /// Time at most: no trial begins after it
    #[arg(long, value_name = "DURATION", value_parser = parse_step)]
    time: Option<Duration>,
    /// Who proposes
    #[arg(long, default_value_t = Strategy::Auto)]
    strategy: Strategy,
    /// The same seed and the same values give the same search
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Read numbers by a regular expression in place of JSON: a named group is what it is called, one without a name the objective;
    /// the last match counts. May be given more than once
    #[arg(long, value_name = "REGEX")]
    measure: Vec<Pattern>,
    /// The key of the objective in the command's output
    #[arg(long, value_name = "KEY", default_value = "value")]
    objective: String,
    /// Higher is better
    #[arg(long)]
    maximize: bool,
    /// What a setting has to keep, as in 'p99<=100'; may be given more than once
    #[arg(long, value_name = "KEY<=NUMBER")]
    constraint: Vec<Constraint>,
    /// A trial that takes longer is ended and counts as failed
    #[arg(long, value_name = "DURATION", value_parser = parse_step, default_value = "10m")]
    timeout: Duration,
    /// Measure the best again beside the defaults, in so many pairs [default: 5 where values are noisy, else 0]
    #[arg(long, value_name = "PAIRS", value_parser = pairs)]
    verify: Option<u32>,
    /// Try these settings first, and measure them at the end beside the best as well: a file such as {"pool": 16}, where knobs that it
    /// leaves out are at their defaults; or pgtune, for those that PGTune would give a PostgreSQL. May be given more than once
    #[arg(long, value_name = "FILE")]
    compare: Vec<String>,
    /// Where trials are kept [default: the space's file, or the server's name, with .trials.jsonl]
    #[arg(long, value_name = "FILE")]
    state: Option<PathBuf>,
    /// Write a page with plots
    #[arg(long, value_name = "FILE.html")]
    report: Option<PathBuf>,
    /// How to print
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

impl Tune {
    pub(crate) async fn run(self) -> anyhow::Result<Outcome> {
        let Some(command) = self.exec else { return ask_tell::serve() };
        let declared = self.space.as_ref().map(read_space).transpose()?;
        let beside = self.space.as_ref().map(|file| file.with_extension("trials.jsonl"));
        let state = self.state.or_else(|| self.target.record()).or(beside);
        let state = state.context("name the file that keeps trials, by --state")?;
        if let Some(folder) =
            self.report.as_ref().and_then(|page| page.parent()).filter(|f| !f.as_os_str().is_empty())
        {
            anyhow::ensure!(
                folder.is_dir(),
                "the report can't be written: there is no folder {}",
                folder.display()
            );
        }
        // What a server's own space is depends on how it stands; a search goes on with the space that it began with.
        let searched = declared.clone().or_else(|| record::space(&state));
        let server = self.target.open(searched, self.timeout).await?;
        let space = server.as_ref().map(|server| server.space().clone()).or(declared);
        let space = space.context("give the knobs by --space, or a --target")?;
        let compared = self.compare.iter().map(|which| match &server {
            Some(server) => server.compared(which),
            None => server::read_compared(which.as_ref(), &space),
        });
        let compared = compared.collect::<anyhow::Result<_>>()?;
        // Of one point, the second measurement could only be luckier.
        let budget = self.budget.map(|budget| if space.axes().is_empty() { 1 } else { budget as usize });
        let plan = search::Plan {
            budget: budget.or_else(|| self.time.is_none().then(|| usual_budget(&space))),
            time: self.time,
            strategy: self.strategy,
            seed: self.seed,
            command,
            measure: self.measure,
            objective: self.objective,
            maximize: self.maximize,
            constraints: self.constraint,
            timeout: self.timeout,
            verify: self.verify,
            compared,
            space,
            server,
        };
        let done = search::run(&plan, &state, self.format).await?;
        report::print(&plan, &done, self.format)?;
        if let Some(page) = &self.report {
            report::write_page(&plan, &done, page)?;
        }
        Ok(done.outcome())
    }
}

/// None, or as many as an interval takes.
fn pairs(text: &str) -> Result<u32, String> {
    let pairs = text.parse().ok().filter(|pairs| *pairs != 1);
    pairs.ok_or_else(|| "give 0, or 2 and more: one pair says nothing of the noise".to_owned())
}

fn usual_budget(space: &Space) -> usize {
    let axes = space.axes().len();
    let usual = (axes * TRIALS_PER_AXIS).max(FEWEST_TRIALS);
    space.size().and_then(|size| usize::try_from(size).ok()).map_or(usual, |size| usual.min(size))
}

fn read_space(file: &PathBuf) -> anyhow::Result<Space> {
    let text = std::fs::read_to_string(file).with_context(|| format!("can't read {}", file.display()))?;
    // Every JSON document is YAML, but JSON's own errors are the better ones for it.
    let space = if text.trim_start().starts_with('{') {
        serde_json::from_str(&text).map_err(anyhow::Error::from)
    } else {
        serde_saphyr::from_str(&text).map_err(anyhow::Error::from)
    };
    let space: Space = space.with_context(|| format!("{} is no space", file.display()))?;
    anyhow::ensure!(!space.parameters().is_empty(), "{} has no knobs", file.display());
    Ok(space)
}
