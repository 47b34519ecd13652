//! The systems that are measured: where each is found, how it is started, flushed and asked.
//!
//! A peer is looked for in `$KANDELA_PEERS/bin`, by default `~/.cache/kandela/peers/bin`, then on `PATH`.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, ensure};
use clap::ValueEnum;
use serde::Serialize;
use serde_json::Value;
use ureq::Agent;

use super::load::Load;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum System {
    Kandela,
    Prometheus,
    VictoriaMetrics,
}

/// What a system says it holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Held {
    pub(crate) series: u64,
    pub(crate) samples: u64,
}

impl System {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Kandela => "kandela",
            Self::Prometheus => "prometheus",
            Self::VictoriaMetrics => "victoria-metrics",
        }
    }

    /// Where its program is, if it is anywhere.
    pub(crate) fn find(self, root: &Path) -> Option<PathBuf> {
        match self {
            Self::Kandela => {
                let target =
                    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from);
                Some(target.join("release/kandela")).filter(|path| path.is_file())
            }
            Self::Prometheus | Self::VictoriaMetrics => find_peer(self.name()),
        }
    }

    /// The command that makes [`Self::find`] succeed.
    pub(crate) fn how_to_get(self) -> &'static str {
        match self {
            Self::Kandela => "cargo build --release",
            Self::Prometheus | Self::VictoriaMetrics => "peers/install servers",
        }
    }

    /// Its version, as the program or its package tells it.
    pub(crate) fn version(self, program: &Path) -> String {
        packaged_version(program, self.name())
            .or_else(|| {
                let output = Command::new(program).arg("--version").output().ok()?;
                let text = String::from_utf8(output.stdout).ok()?;
                text.lines().next().map(str::trim).filter(|line| !line.is_empty()).map(str::to_owned)
            })
            .unwrap_or_else(|| "unknown".to_owned())
    }

    /// Starts it with its data in `folder`, which is empty, and its API on `port` of loopback.
    ///
    /// # Errors
    /// When its configuration cannot be written.
    pub(crate) fn command(self, program: &Path, folder: &Path, port: u16) -> anyhow::Result<Command> {
        let listen = format!("127.0.0.1:{port}");
        let mut command = Command::new(program);
        command.current_dir(folder);
        match self {
            Self::Kandela => {
                let config = folder.join("kandela.yaml");
                // By default the table's files are written minutes later, when nobody measures any more.
                std::fs::write(&config, "kandela: {flush_interval: 10s}\n")
                    .with_context(|| format!("{} cannot be written", config.display()))?;
                command.arg("up").arg("--config").arg(&config);
                command.arg("--data").arg(folder.join("data")).args(["--listen", &listen]);
                // What the others do not do either: other listeners, and metrics of the machine.
                command.args([
                    "--otlp-grpc",
                    "127.0.0.1:0",
                    "--otlp-http",
                    "127.0.0.1:0",
                    "--no-host-metrics",
                ]);
            }
            Self::Prometheus => {
                let config = folder.join("prometheus.yml");
                std::fs::write(&config, "global: {}\n")
                    .with_context(|| format!("{} cannot be written", config.display()))?;
                command.args([
                    format!("--config.file={}", config.display()),
                    format!("--storage.tsdb.path={}", folder.join("data").display()),
                    format!("--web.listen-address={listen}"),
                    "--web.enable-remote-write-receiver".to_owned(),
                    "--web.enable-admin-api".to_owned(),
                    "--storage.tsdb.retention.time=15d".to_owned(),
                    // The count at the end reads every sample in one query.
                    format!("--query.max-samples={}", i32::MAX),
                    "--log.level=warn".to_owned(),
                ]);
            }
            Self::VictoriaMetrics => {
                command.args([
                    format!("-storageDataPath={}", folder.join("data").display()),
                    format!("-httpListenAddr={listen}"),
                    "-retentionPeriod=15d".to_owned(),
                    format!("-search.maxUniqueTimeseries={}", i32::MAX),
                    "-search.latencyOffset=0s".to_owned(),
                    "-loggerLevel=WARN".to_owned(),
                ]);
            }
        }
        Ok(command)
    }

    /// Answers 200 here when it is ready.
    pub(crate) fn ready_path(self) -> &'static str {
        match self {
            Self::Kandela | Self::Prometheus => "/-/ready",
            Self::VictoriaMetrics => "/health",
        }
    }

    /// Has it make visible what it still holds back. Prometheus and Kandela hold nothing back.
    pub(crate) fn flush(self, agent: &Agent, base: &str) -> anyhow::Result<()> {
        match self {
            Self::Kandela | Self::Prometheus => {}
            Self::VictoriaMetrics => {
                agent.get(format!("{base}/internal/force_flush")).call()?;
            }
        }
        Ok(())
    }

    /// What it holds of the load.
    pub(crate) fn held(self, agent: &Agent, base: &str, load: &Load) -> anyhow::Result<Held> {
        match self {
            Self::Kandela => held_by_sql(agent, base),
            Self::Prometheus | Self::VictoriaMetrics => held_by_promql(agent, base, load),
        }
    }
}

/// An agent with a connection of its own, which answers errors by status and gives up in the end.
pub(crate) fn agent() -> Agent {
    Agent::config_builder()
        .http_status_as_error(false)
        .proxy(None)
        .timeout_global(Some(Duration::from_secs(120)))
        .build()
        .into()
}

/// The whole number that a PromQL instant query at the end of the load gives.
fn instant(agent: &Agent, base: &str, load: &Load, query: &str) -> anyhow::Result<u64> {
    let mut response = agent
        .get(format!("{base}/api/v1/query"))
        .query("query", query)
        .query("time", format!("{:.3}", load.end_ms as f64 / 1000.0))
        .call()?;
    let answer: Value = serde_json::from_str(&response.body_mut().read_to_string()?)?;
    ensure!(answer["status"] == "success", "{query} answered {answer}");
    let result = answer.pointer("/data/result").and_then(Value::as_array);
    let Some(first) = result.and_then(|result| result.first()) else { return Ok(0) };
    let number = first.pointer("/value/1").and_then(Value::as_str).and_then(|text| text.parse::<f64>().ok());
    number.map(|number| number as u64).with_context(|| format!("{query} answered {answer}"))
}

/// Metric by metric, because series of several that lose their names to a function may look the same.
fn held_by_promql(agent: &Agent, base: &str, load: &Load) -> anyhow::Result<Held> {
    let mut held = Held { series: 0, samples: 0 };
    for metric in Load::metrics() {
        let counts = format!("count_over_time({metric}[{}s])", load.range_s());
        held.series += instant(agent, base, load, &format!("count({counts})"))?;
        held.samples += instant(agent, base, load, &format!("sum({counts})"))?;
    }
    Ok(held)
}

fn held_by_sql(agent: &Agent, base: &str) -> anyhow::Result<Held> {
    let metrics: Vec<String> = Load::metrics().map(|metric| format!("'{metric}'")).collect();
    let query = format!(
        "SELECT count(*) AS samples, count(DISTINCT series_id) AS series FROM metrics WHERE metric IN ({})",
        metrics.join(", ")
    );
    let mut response = agent.post(format!("{base}/api/sql")).send(&query)?;
    let status = response.status();
    let text = response.body_mut().read_to_string()?;
    let answer: Value =
        serde_json::from_str(&text).with_context(|| format!("{query} answered {status}: {text}"))?;
    let number = |key| {
        find(&answer, key).and_then(Value::as_u64).with_context(|| format!("{query} answered {answer}"))
    };
    Ok(Held { series: number("series")?, samples: number("samples")? })
}

/// The first value under `key`, at any depth.
fn find<'a>(value: &'a Value, key: &str) -> Option<&'a Value> {
    match value {
        Value::Object(map) => map.get(key).or_else(|| map.values().find_map(|value| find(value, key))),
        Value::Array(values) => values.iter().find_map(|value| find(value, key)),
        _ => None,
    }
}

pub(super) fn find_peer(name: &str) -> Option<PathBuf> {
    let installed = peers_folder().map(|folder| folder.join("bin"));
    let path = std::env::var_os("PATH").unwrap_or_default();
    installed
        .into_iter()
        .chain(std::env::split_paths(&path))
        .map(|folder| folder.join(name))
        .find(|path| path.is_file())
}

fn peers_folder() -> Option<PathBuf> {
    let given = std::env::var_os("KANDELA_PEERS").filter(|value| !value.is_empty()).map(PathBuf::from);
    given.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cache/kandela/peers")))
}

/// The version of the package that `program` came in, where `peers/install` noted it.
fn packaged_version(program: &Path, package: &str) -> Option<String> {
    let noted = std::fs::read_to_string(program.parent()?.parent()?.join("root/versions")).ok()?;
    noted.lines().find_map(|line| line.strip_prefix(package)?.strip_prefix(' ').map(str::to_owned))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_of_a_package_is_not_that_of_a_longer_name() {
        let folder = tempfile::tempdir().expect("folder");
        std::fs::create_dir_all(folder.path().join("root")).expect("root");
        std::fs::write(
            folder.path().join("root/versions"),
            "prometheus-node-exporter 1.11\nprometheus 3.5\n",
        )
        .expect("versions");
        let program = folder.path().join("bin/prometheus");
        assert_eq!(packaged_version(&program, "prometheus").as_deref(), Some("3.5"));
        assert_eq!(packaged_version(&program, "victoria-metrics"), None);
    }
}
