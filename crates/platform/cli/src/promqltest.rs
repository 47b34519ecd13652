//! `kandela promqltest`: Prometheus' test scripts against the engine.

use std::path::PathBuf;

use clap::Args;
use kandela_promql::script::{Query, QueryTime, run};
use kandela_promql::{Options, When, evaluate};
use serde::Serialize;

use crate::output::{Format, Outcome, line, shortened};

/// Characters of a message's line; a script's own lines, which it quotes, may have any length.
const MESSAGE: usize = 200;

#[derive(Args)]
pub(crate) struct Promqltest {
    /// The scripts, in the language of Prometheus' promqltest
    #[arg(required = true)]
    files: Vec<PathBuf>,
    /// How to print
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

/// How one script went.
#[derive(Serialize)]
struct Report {
    file: PathBuf,
    passed: usize,
    failed: Vec<String>,
}

impl Promqltest {
    pub(crate) fn run(self) -> anyhow::Result<Outcome> {
        let reports: Vec<Report> = self.files.into_iter().map(report).collect();
        let passed: usize = reports.iter().map(|report| report.passed).sum();
        let failed: usize = reports.iter().map(|report| report.failed.len()).sum();
        match self.format {
            Format::Json => line(&serde_json::to_string_pretty(&reports)?),
            Format::Table => {
                for report in &reports {
                    report.failed.iter().for_each(|told| line(&format!("{}: {told}", report.file.display())));
                }
                line(&format!("{passed} passed, {failed} failed"));
            }
        }
        Ok(if failed == 0 { Outcome::Done } else { Outcome::CheckFailed })
    }
}

fn report(file: PathBuf) -> Report {
    let text = match std::fs::read_to_string(&file) {
        Ok(text) => text,
        Err(error) => return Report { file, passed: 0, failed: vec![format!("cannot be read: {error}")] },
    };
    let report = run(&text, |source, query| {
        // The series lie in memory, so nothing is waited for.
        futures::executor::block_on(evaluate(source, &query.expr, when(query), Options::of_scripts()))
            .map_err(|error| error.to_string())
    });
    let failed = report.failed.into_iter().map(|failure| shortened(&failure.message, MESSAGE)).collect();
    Report { file, passed: report.passed, failed }
}

fn when(query: &Query) -> When {
    match query.time {
        QueryTime::Instant(at) => When::Instant(at),
        QueryTime::Range { from, through, step } => When::Range { from, through, step },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_line_of_a_script_makes_no_long_message() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("long.test");
        std::fs::write(&file, "\"".repeat(100_000)).unwrap();
        let report = report(file);
        let [told] = report.failed.as_slice() else { panic!("{} failed", report.failed.len()) };
        assert_eq!(told.chars().count(), MESSAGE);
        assert!(told.starts_with("line 1: ") && told.ends_with("those are load, clear and eval"), "{told}");
    }
}
