//! `kandela-evals cache`: what the self-optimising cache misses, beside policies that stay as they are and Belady's optimum.
//!
//! Each trace of a folder is replayed at 1 % and at 10 % of its distinct keys, one lookup after another, each miss followed by an
//! insertion. *Regret* is how much more of the lookups missed than under the best of the fixed policies for that trace and
//! size. The policies of the literature are one set of peers; Kandela's own, `gittins`, is told apart.

mod belady;
mod measure;
mod report;
mod trace;

use std::process::ExitCode;

use anyhow::{Context, bail};

use crate::data::{self, Location};
use crate::progress::Progress;
use crate::{Common, OutputFormat};
use measure::Row;

/// Sizes as shares of the distinct keys.
const SHARES: [usize; 2] = [100, 10];

#[derive(clap::Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    common: Common,
    /// Only this trace: its file's name without .u64le.zst.
    #[arg(long, value_name = "NAME")]
    trace: Option<String>,
    /// This many entries, in place of 1 % and 10 % of the distinct keys.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=1 << 30))]
    capacity: Option<u64>,
}

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let folder = match data::locate("cache", arguments.common.data.as_deref(), trace::names)? {
        Location::Found(folder) => folder,
        Location::Absent(explanation) => {
            eprintln!("skipped: {explanation}");
            return Ok(ExitCode::SUCCESS);
        }
    };
    let mut names = trace::names(&folder)?;
    if let Some(wanted) = &arguments.trace {
        if !names.contains(wanted) {
            bail!("{} holds no trace {wanted}; it has: {}", folder.display(), names.join(", "));
        }
        names.retain(|name| name == wanted);
    }
    let mut rows: Vec<Row> = Vec::new();
    let mut progress = Progress::new(names.len(), "traces");
    for (done, name) in names.iter().enumerate() {
        progress.show(done, name);
        let keys = trace::read(&folder, name).with_context(|| format!("cannot replay the trace {name}"))?;
        let distinct = trace::distinct(&keys);
        let sizes = match arguments.capacity {
            Some(capacity) => vec![capacity as usize],
            None => SHARES.iter().map(|share| (distinct / share).max(1)).collect(),
        };
        for size in sizes {
            progress.show(done, &format!("{name} at {size} entries"));
            rows.push(measure::row(name, &keys, distinct, size)?);
        }
    }
    progress.clear();
    match arguments.common.format {
        OutputFormat::Table => report::print_table(&rows),
        OutputFormat::Json => report::print_json(&folder, &rows)?,
    }
    Ok(ExitCode::SUCCESS)
}
