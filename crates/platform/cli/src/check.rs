//! `kandela check`: look at files before they are used.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use serde::Serialize;

use crate::config_file;
use crate::output::{Format, Outcome, State, line};

#[derive(Subcommand)]
pub(crate) enum Check {
    /// Check kandela.yaml or prometheus.yml files
    Config(CheckConfig),
}

#[derive(Args)]
pub(crate) struct CheckConfig {
    /// The files
    #[arg(required = true)]
    files: Vec<PathBuf>,
    /// What has no effect is an error
    #[arg(long)]
    strict: bool,
    /// Print each config as it takes effect, secrets hidden
    #[arg(long)]
    print: bool,
    /// How to print
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

/// What was found in one file.
#[derive(Serialize)]
struct Report {
    file: PathBuf,
    state: State,
    errors: Vec<String>,
    warnings: Vec<String>,
    summary: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    effective: Option<String>,
}

impl Check {
    pub(crate) fn run(self) -> anyhow::Result<Outcome> {
        let Self::Config(check) = self;
        let reports =
            check.files.iter().map(|file| check.report(file.clone())).collect::<anyhow::Result<Vec<_>>>()?;
        match check.format {
            Format::Json => line(&serde_json::to_string_pretty(&reports)?),
            Format::Table => reports.iter().for_each(print),
        }
        let failed = reports.iter().any(|report| report.state == State::Fail);
        Ok(if failed { Outcome::CheckFailed } else { Outcome::Done })
    }
}

impl CheckConfig {
    fn report(&self, file: PathBuf) -> anyhow::Result<Report> {
        let report = match config_file::load(&file, self.strict)? {
            Err(errors) => {
                let errors: Vec<String> = errors.iter().map(ToString::to_string).collect();
                let summary = format!("{} to mend", errors.len());
                Report { file, state: State::Fail, errors, warnings: Vec::new(), summary, effective: None }
            }
            Ok(loaded) => {
                let warnings: Vec<String> = loaded.warnings.iter().map(ToString::to_string).collect();
                let state = if warnings.is_empty() { State::Ok } else { State::Warn };
                let (jobs, receivers) =
                    (loaded.config.scrape_configs.len(), loaded.config.remote_write.len());
                let summary = format!("{jobs} scrape jobs, {receivers} receivers");
                let effective = self.print.then(|| loaded.config.to_yaml()).transpose()?;
                Report { file, state, errors: Vec::new(), warnings, summary, effective }
            }
        };
        Ok(report)
    }
}

fn print(report: &Report) {
    line(&format!("{} {}: {}", report.state.marked(), report.file.display(), report.summary));
    for told in report.errors.iter().chain(&report.warnings) {
        line(&format!("  {told}"));
    }
    if let Some(effective) = &report.effective {
        line(effective.trim_end());
    }
}
