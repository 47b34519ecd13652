//! `kandela doctor`: look for what would keep the server from working well, and say what to do about it.

mod levels;
mod machine;
mod storage;
mod surroundings;

use std::path::PathBuf;

use clap::Args;
use kandela_config::Config;
use kandela_config::kandela::DataLocation;
use serde::Serialize;

use crate::config_file;
use crate::output::{Format, Outcome, State, line, width, wrapped};

#[derive(Args)]
pub(crate) struct Doctor {
    /// The config that the server is, or will be, started with
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The data folder [default: data]
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Read every file of the lake and check its sums; what is damaged is put aside
    #[arg(long)]
    verify: bool,
    /// How to print
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

/// What one check found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct Finding {
    check: &'static str,
    state: State,
    /// What is so.
    found: String,
    /// What to do; nothing where all is well.
    #[serde(skip_serializing_if = "Option::is_none")]
    todo: Option<String>,
}

impl Finding {
    fn ok(check: &'static str, found: impl Into<String>) -> Self {
        Self { check, state: State::Ok, found: found.into(), todo: None }
    }

    fn warn(check: &'static str, found: impl Into<String>, todo: impl Into<String>) -> Self {
        Self { check, state: State::Warn, found: found.into(), todo: Some(todo.into()) }
    }

    fn fail(check: &'static str, found: impl Into<String>, todo: impl Into<String>) -> Self {
        Self { check, state: State::Fail, found: found.into(), todo: Some(todo.into()) }
    }
}

impl Doctor {
    pub(crate) async fn run(self) -> anyhow::Result<Outcome> {
        let mut findings = Vec::new();
        let config = self.read_config(&mut findings)?;
        let data = match (&self.data, &config.kandela.data) {
            (Some(folder), _) | (None, Some(DataLocation::Folder(folder))) => folder.clone(),
            _ => PathBuf::from("data"),
        };
        findings.extend(surroundings::ports(&config).await);
        findings.push(storage::space(&data));
        findings.extend(storage::lakes(&data, self.verify).await);
        findings.push(machine::memory(config.kandela.memory_limit));
        findings.push(machine::open_files());
        findings.extend(surroundings::peers(&config).await);
        let levels = levels::ladder(&config).await;
        match self.format {
            Format::Json => {
                let levels = match levels {
                    Ok(levels) => serde_json::json!(levels),
                    Err(why) => serde_json::json!({ "not_known": why }),
                };
                let all = serde_json::json!({ "findings": findings, "levels": levels });
                line(&serde_json::to_string_pretty(&all)?);
            }
            Format::Table => {
                print(&findings);
                levels::print(&levels);
            }
        }
        let failed = findings.iter().any(|finding| finding.state == State::Fail);
        Ok(if failed { Outcome::CheckFailed } else { Outcome::Done })
    }

    /// The config, or the default where it cannot be used.
    fn read_config(&self, findings: &mut Vec<Finding>) -> anyhow::Result<Config> {
        let Some(file) = &self.config else { return Ok(Config::default()) };
        match config_file::load(file, false)? {
            Ok(loaded) => {
                let name = file.display();
                findings.push(match loaded.warnings.first() {
                    None => Finding::ok("config", format!("{name} is valid")),
                    Some(first) => Finding::warn(
                        "config",
                        format!(
                            "{name} has {} keys without effect; the first: {first}",
                            loaded.warnings.len()
                        ),
                        format!("read them with `kandela check config {name}`"),
                    ),
                });
                Ok(loaded.config)
            }
            Err(errors) => {
                findings.push(Finding::fail(
                    "config",
                    errors.to_string(),
                    "mend the file; the default is looked at now",
                ));
                Ok(Config::default())
            }
        }
    }
}

fn print(findings: &[Finding]) {
    const INDENT: usize = 20;
    let room = width().saturating_sub(INDENT);
    for finding in findings {
        let mut lines = wrapped(&finding.found, room).into_iter();
        let first = lines.next().unwrap_or_default();
        line(&format!("{} {:<12} {first}", finding.state.marked(), finding.check));
        let todo =
            finding.todo.as_deref().map(|todo| wrapped(&format!("→ {todo}"), room)).unwrap_or_default();
        for more in lines.chain(todo) {
            line(&format!("{:INDENT$}{more}", ""));
        }
    }
    let count = |state| findings.iter().filter(|finding| finding.state == state).count();
    line(&format!(
        "\n{} ok, {} to look at, {} failed",
        count(State::Ok),
        count(State::Warn),
        count(State::Fail)
    ));
}
