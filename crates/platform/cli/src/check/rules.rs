//! `kandela check rules`: look at rule files before a server reads them.

use std::path::PathBuf;

use clap::Args;
use kandela_config::rules::{ExpressionError, RuleFile, read_checked};
use kandela_config::{ConfigError, NameValidation, Place, Warning};
use kandela_promql::parse;
use serde::Serialize;

use crate::output::{Format, Outcome, State, line};

#[derive(Args)]
pub(crate) struct CheckRules {
    /// The files
    #[arg(required = true)]
    files: Vec<PathBuf>,
    /// Rules that give the same series are an error
    #[arg(long)]
    strict: bool,
    /// How to print
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

/// What was found in one file. Where it has errors, its rules are not counted.
#[derive(Debug, Serialize)]
struct Report {
    file: PathBuf,
    state: State,
    groups: usize,
    rules: usize,
    errors: Vec<Told>,
    warnings: Vec<Told>,
}

/// A sentence about a place in a file, or about the file.
#[derive(Debug, Serialize)]
struct Told {
    line: Option<usize>,
    column: Option<usize>,
    /// The key path, such as `groups[0].rules[1].expr`.
    path: String,
    message: String,
}

impl CheckRules {
    pub(crate) fn run(self) -> anyhow::Result<Outcome> {
        let reports: Vec<Report> = self.files.iter().map(|file| self.report(file.clone())).collect();
        match self.format {
            Format::Json => line(&serde_json::to_string_pretty(&reports)?),
            Format::Table => reports.iter().for_each(print),
        }
        let failed = reports.iter().any(|report| report.state == State::Fail);
        Ok(if failed { Outcome::CheckFailed } else { Outcome::Done })
    }

    fn report(&self, file: PathBuf) -> Report {
        match std::fs::read_to_string(&file) {
            Ok(text) => report(file, &text, self.strict),
            Err(error) => failed(file, vec![unread(&error)]),
        }
    }
}

/// Reads a rule file with its expressions checked.
///
/// # Errors
/// With all that is wrong in it.
pub(super) fn read(text: &str, file: &str) -> Result<(RuleFile, Vec<Warning>), kandela_config::ConfigErrors> {
    read_checked(text, file, NameValidation::Utf8, &|expression| match parse(expression) {
        Ok(_) => Ok(()),
        Err(error) => Err(ExpressionError { offset: error.span.start, message: error.message }),
    })
}

fn report(file: PathBuf, text: &str, strict: bool) -> Report {
    match read(text, &file.display().to_string()) {
        Ok((rules, warnings)) => {
            let told: Vec<Told> = warnings.iter().map(warned).collect();
            let state = match told.is_empty() {
                true => State::Ok,
                false if strict => State::Fail,
                false => State::Warn,
            };
            let (errors, warnings) = if strict { (told, Vec::new()) } else { (Vec::new(), told) };
            let count = rules.groups.iter().map(|group| group.rules.len()).sum();
            Report { file, state, groups: rules.groups.len(), rules: count, errors, warnings }
        }
        Err(errors) => failed(file, errors.iter().map(erred).collect()),
    }
}

fn failed(file: PathBuf, errors: Vec<Told>) -> Report {
    Report { file, state: State::Fail, groups: 0, rules: 0, errors, warnings: Vec::new() }
}

fn unread(error: &std::io::Error) -> Told {
    Told { line: None, column: None, path: String::new(), message: format!("cannot be read: {error}") }
}

fn erred(error: &ConfigError) -> Told {
    told(error.place, &error.path, error.problem.to_string())
}

fn warned(warning: &Warning) -> Told {
    told(warning.place, &warning.path, warning.reason.to_string())
}

fn told(place: Place, path: &str, message: String) -> Told {
    Told { line: Some(place.line), column: Some(place.column), path: path.to_owned(), message }
}

fn print(report: &Report) {
    let file = report.file.display();
    let plural = |count: usize, one: &str| format!("{count} {one}{}", if count == 1 { "" } else { "s" });
    let summary = match report.errors.len() {
        0 => format!("{} in {}", plural(report.rules, "rule"), plural(report.groups, "group")),
        errors => format!("{errors} to mend"),
    };
    line(&format!("{} {file}: {summary}", report.state.marked()));
    for Told { line: at, column, path, message } in report.errors.iter().chain(&report.warnings) {
        let separator = if path.is_empty() { "" } else { ": " };
        let place: String = [at, column].into_iter().flatten().map(|number| format!("{number}:")).collect();
        line(&format!("  {file}:{place} {path}{separator}{message}"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reported(text: &str, strict: bool) -> Report {
        report("rules.yml".into(), text, strict)
    }

    const TWICE: &str = "groups: [{name: g, rules: [{record: a, expr: b}, {record: a, expr: c}]}]";

    #[test]
    fn rules_and_groups_are_counted() {
        let report =
            reported("groups: [{name: g, rules: [{record: a, expr: b}]}, {name: h, rules: []}]", false);
        assert_eq!((report.state, report.groups, report.rules), (State::Ok, 2, 1), "{report:?}");
    }

    #[test]
    fn errors_of_expressions_stand_beside_those_of_the_file_each_at_its_place() {
        let report = reported(
            "groups:\n- name: g\n  rules:\n  - record: a\n    expr: |\n      sum(\n        rate(b))\n  - alert: x\n",
            false,
        );
        let places: Vec<_> = report.errors.iter().map(|told| (told.line, told.column)).collect();
        assert_eq!(places, [(Some(7), Some(14)), (Some(8), Some(5))], "{report:?}");
        assert_eq!(report.errors[0].path, "groups[0].rules[0].expr");
        assert_eq!(report.state, State::Fail);
    }

    #[test]
    fn rules_that_give_the_same_series_are_an_error_only_when_strict() {
        let lax = reported(TWICE, false);
        assert_eq!((lax.state, lax.rules, lax.warnings.len(), lax.errors.len()), (State::Warn, 2, 1, 0));
        let strict = reported(TWICE, true);
        assert_eq!((strict.state, strict.errors.len()), (State::Fail, 1));
    }
}
