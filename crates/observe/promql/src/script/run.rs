//! Running a script against an engine.

use super::check::{Mismatch, check, check_in_range};
use super::command::{Command, Eval};
use super::memory::MemorySource;
use super::parse::parse;
use super::query::Query;
use crate::answer::Answered;

/// How a script went.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// How many `eval`s came out as they should.
    pub passed: usize,
    /// Those that did not, and loads that the source refused, in the order of the script.
    pub failed: Vec<Failure>,
}

/// A command that did not come out as it should.
#[derive(Clone, Debug)]
pub struct Failure {
    /// Its line, counted from 1.
    pub line: usize,
    /// The expression; empty where the command is no `eval`.
    pub expr: String,
    /// What was wrong, in words.
    pub message: String,
}

/// Runs all commands of a script. `evaluate` is called with what was loaded until then: once for each `eval`, again for
/// an instant `eval` that must answer the same at other times (see [`Eval::at_other_times`]), and each time once more where
/// it must answer the same as a step of a range query (see [`Eval::query_in_range`]). An `eval` counts once. A script that
/// cannot be read gives one failure and runs nothing.
pub fn run(
    text: &str,
    mut evaluate: impl FnMut(&MemorySource, &Query) -> Result<Answered, String>,
) -> Report {
    let mut report = Report::default();
    let commands = match parse(text) {
        Ok(commands) => commands,
        Err(error) => {
            let message = error.to_string();
            report.failed.push(Failure { line: error.line, expr: String::new(), message });
            return report;
        }
    };
    let mut source = MemorySource::new();
    for command in &commands {
        match command {
            Command::Clear => source.clear(),
            Command::Load(load) => {
                if let Err(reason) = source.load(load) {
                    let message = format!("line {}: cannot load {reason}", load.line);
                    report.failed.push(Failure { line: load.line, expr: String::new(), message });
                }
            }
            Command::Eval(eval) => match run_eval(eval, |query| evaluate(&source, query)) {
                Ok(()) => report.passed += 1,
                Err(mismatch) => report.failed.push(Failure {
                    line: eval.line,
                    expr: eval.expr.clone(),
                    message: mismatch.to_string(),
                }),
            },
        }
    }
    report
}

fn run_eval(
    eval: &Eval,
    mut evaluate: impl FnMut(&Query) -> Result<Answered, String>,
) -> Result<(), Mismatch> {
    run_once(eval, &mut evaluate)?;
    eval.at_other_times().iter().try_for_each(|again| run_once(again, &mut evaluate))
}

fn run_once(
    eval: &Eval,
    mut evaluate: impl FnMut(&Query) -> Result<Answered, String>,
) -> Result<(), Mismatch> {
    check(eval, &evaluate(&eval.query()))?;
    match eval.query_in_range() {
        Some(query) => check_in_range(eval, &evaluate(&query)),
        None => Ok(()),
    }
}
