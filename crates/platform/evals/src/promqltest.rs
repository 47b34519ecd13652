//! PromQL as Prometheus tests it: each case is a file `NAME.test` in the language of `promqltest`, run on our engine.
//!
//! A file passes when every one of its `eval`s does.

use std::fs;
use std::path::Path;

use anyhow::{Context, ensure};
use kandela_promql::script::{Query, QueryTime, Report, run as run_script};
use kandela_promql::{Options, When, evaluate};

use crate::suite::Verdict;

/// A file that fails in many places is told by the first of them.
const MOST_TOLD: usize = 5;

/// The files whose names end in `.test`.
pub(crate) fn cases(folder: &Path) -> anyhow::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(folder).with_context(|| format!("cannot list {}", folder.display()))? {
        let path = entry.with_context(|| format!("cannot list {}", folder.display()))?.path();
        if let Some(name) = path.file_name().filter(|_| path.extension().is_some_and(|end| end == "test")) {
            names.push(name.to_string_lossy().into_owned());
        }
    }
    names.sort_unstable();
    Ok(names)
}

pub(crate) fn run(folder: &Path, name: &str) -> anyhow::Result<Verdict> {
    let text = fs::read_to_string(folder.join(name)).context("cannot read the script")?;
    let report = run_script(&text, |source, query| {
        // The series lie in memory, so nothing is waited for.
        futures::executor::block_on(evaluate(source, &query.expr, when(query), Options::of_scripts()))
            .map_err(|error| error.to_string())
    });
    let asked = report.passed + report.failed.len();
    ensure!(asked > 0, "the script asks nothing");
    Ok(Verdict {
        passed: report.failed.is_empty(),
        expected: format!("{asked} of {asked} as the script expects"),
        got: told(&report, asked),
    })
}

fn when(query: &Query) -> When {
    match query.time {
        QueryTime::Instant(at) => When::Instant(at),
        QueryTime::Range { from, through, step } => When::Range { from, through, step },
    }
}

fn told(report: &Report, asked: usize) -> String {
    let mut text = format!("{} of {asked}", report.passed);
    for failure in report.failed.iter().take(MOST_TOLD) {
        text.push_str("; ");
        text.push_str(failure.message.trim_end());
    }
    if let Some(more) = report.failed.len().checked_sub(MOST_TOLD).filter(|more| *more > 0) {
        text.push_str(&format!("; and {more} more"));
    }
    text
}
