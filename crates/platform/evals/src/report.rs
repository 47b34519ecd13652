//! What a run prints.

use serde::Serialize;

use crate::results::Outcome;
use crate::runner::Run;

/// Each failure in a paragraph, then the count.
pub(crate) fn print_table(run: &Run) {
    for outcome in run.failures() {
        println!("FAILED {}\n  expected: {}\n  got:      {}", outcome.case, outcome.expected, outcome.got);
    }
    if run.resumed > 0 {
        println!("{} outcomes from the results file", run.resumed);
    }
    println!("{}", closing_line(run));
}

#[derive(Serialize)]
struct Summary<'a> {
    suite: &'a str,
    data: &'a str,
    build: &'a str,
    passed: usize,
    failed: usize,
    resumed: usize,
    failures: Vec<&'a Outcome>,
}

/// One JSON object on standard output; the closing line goes to standard error.
pub(crate) fn print_json(run: &Run) -> anyhow::Result<()> {
    let summary = Summary {
        suite: run.suite,
        data: &run.data,
        build: &run.build,
        passed: run.passed(),
        failed: run.failed(),
        resumed: run.resumed,
        failures: run.failures().collect(),
    };
    println!("{}", serde_json::to_string_pretty(&summary)?);
    eprintln!("{}", closing_line(run));
    Ok(())
}

fn closing_line(run: &Run) -> String {
    format!("{} passed, {} failed", run.passed(), run.failed())
}
