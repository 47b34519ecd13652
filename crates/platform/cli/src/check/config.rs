//! `kandela check config`: look at configs before they are used.

use std::path::PathBuf;

use clap::Args;
use kandela_config::Config;
use kandela_server::Options;
use serde::Serialize;

use crate::config_file;
use crate::output::{Format, Outcome, State, line};

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

impl CheckConfig {
    pub(crate) fn run(self) -> anyhow::Result<Outcome> {
        let reports =
            self.files.iter().map(|file| self.report(file.clone())).collect::<anyhow::Result<Vec<_>>>()?;
        match self.format {
            Format::Json => line(&serde_json::to_string_pretty(&reports)?),
            Format::Table => reports.iter().for_each(print),
        }
        let failed = reports.iter().any(|report| report.state == State::Fail);
        Ok(if failed { Outcome::CheckFailed } else { Outcome::Done })
    }

    fn report(&self, file: PathBuf) -> anyhow::Result<Report> {
        let report = match config_file::load(&file, self.strict) {
            Err(error) => failed(file, vec![format!("{error:#}")]),
            Ok(Err(errors)) => failed(file, errors.iter().map(ToString::to_string).collect()),
            Ok(Ok(loaded)) => {
                let mut warnings: Vec<String> = loaded.warnings.iter().map(ToString::to_string).collect();
                warnings.extend(missing_files(&loaded.config));
                let options = Options { config: loaded.config.clone(), ..Options::default() };
                let errors: Vec<String> = options.check().err().iter().map(ToString::to_string).collect();
                let state = match (errors.is_empty(), warnings.is_empty()) {
                    (false, _) => State::Fail,
                    (true, false) => State::Warn,
                    (true, true) => State::Ok,
                };
                let (jobs, receivers) =
                    (loaded.config.scrape_configs.len(), loaded.config.remote_write.len());
                let summary = format!("{jobs} scrape jobs, {receivers} receivers");
                let effective = self.print.then(|| loaded.config.to_yaml()).transpose()?;
                Report { file, state, errors, warnings, summary, effective }
            }
        };
        Ok(report)
    }
}

fn failed(file: PathBuf, errors: Vec<String>) -> Report {
    let summary = format!("{} to mend", errors.len());
    Report { file, state: State::Fail, errors, warnings: Vec::new(), summary, effective: None }
}

/// Files that jobs and receivers will ask for and that are not there yet.
fn missing_files(config: &Config) -> Vec<String> {
    let files = config.client_files().into_iter();
    let missing = files.filter(|file| !file.to_string_lossy().contains('*') && !file.exists());
    missing.map(|file| format!("{} does not exist", file.display())).collect()
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

#[cfg(test)]
mod tests {
    use super::*;

    const CHECK: CheckConfig =
        CheckConfig { files: Vec::new(), strict: false, print: false, format: Format::Table };

    fn reported(text: &str) -> Report {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("kandela.yaml");
        std::fs::write(&file, text).unwrap();
        CHECK.report(file).unwrap()
    }

    #[test]
    fn a_file_that_cannot_be_read_is_an_error_of_its_own() {
        let report = CHECK.report("not-there.yaml".into()).unwrap();
        assert_eq!(report.state, State::Fail);
        assert!(report.errors[0].starts_with("reading not-there.yaml: No such file"), "{:?}", report.errors);
    }

    #[test]
    fn a_secret_that_a_start_would_stumble_over_is_an_error() {
        let report = reported(
            "kandela: {users: [{name: grafana, role: viewer, bearer_token_file: not-there.token}]}\n",
        );
        assert_eq!(report.state, State::Fail);
        assert!(report.errors[0].contains("grafana") && report.errors[0].contains("not-there.token"));
    }

    #[test]
    fn a_file_that_a_job_will_ask_for_is_a_warning() {
        let job = "{job_name: a, tls_config: {ca_file: ca.pem}, file_sd_configs: [{files: ['*.json']}]}";
        let report = reported(&format!("scrape_configs: [{job}]\n"));
        assert_eq!((report.state, report.warnings.len()), (State::Warn, 1), "{:?}", report.warnings);
        assert!(report.warnings[0].ends_with("ca.pem does not exist"));
    }
}
