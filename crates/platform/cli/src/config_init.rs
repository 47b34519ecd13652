//! `kandela config`: files to begin with.

use std::fs::File;
use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::{Args, Subcommand};
use serde_json::json;

use crate::output::{Format, Outcome, line};

/// What is written, each by its path below the folder.
const FILES: [(&str, &str); 10] = [
    ("kandela.yaml", include_str!("../../../../integrations/kandela.yaml")),
    ("prometheus.yml", include_str!("../../../../integrations/prometheus/prometheus.yml")),
    ("kandela.service", include_str!("../../../../integrations/systemd/kandela.service")),
    (
        "grafana/provisioning/datasources/kandela.yaml",
        include_str!("../../../../integrations/grafana/provisioning/datasources/kandela.yaml"),
    ),
    (
        "grafana/provisioning/dashboards/kandela.yaml",
        include_str!("../../../../integrations/grafana/provisioning/dashboards/kandela.yaml"),
    ),
    (
        "grafana/dashboards/latency.json",
        include_str!("../../../../integrations/grafana/dashboards/latency.json"),
    ),
    (
        "grafana/dashboards/errors.json",
        include_str!("../../../../integrations/grafana/dashboards/errors.json"),
    ),
    (
        "grafana/dashboards/saturation.json",
        include_str!("../../../../integrations/grafana/dashboards/saturation.json"),
    ),
    (
        "grafana/dashboards/autopilot.json",
        include_str!("../../../../integrations/grafana/dashboards/autopilot.json"),
    ),
    (
        "grafana/dashboards/kandela.json",
        include_str!("../../../../integrations/grafana/dashboards/kandela.json"),
    ),
];

#[derive(Subcommand)]
pub(crate) enum Config {
    /// Write a starting kandela.yaml, a prometheus.yml, Grafana's data source and dashboards, and a systemd unit
    Init(Init),
}

#[derive(Args)]
pub(crate) struct Init {
    /// The folder that they go into
    #[arg(value_name = "DIR", default_value = ".")]
    folder: PathBuf,
    /// Replace files that are there
    #[arg(long)]
    force: bool,
    /// How to print
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

impl Config {
    pub(crate) fn run(self) -> anyhow::Result<Outcome> {
        let Self::Init(init) = self;
        init.run()
    }
}

impl Init {
    fn run(self) -> anyhow::Result<Outcome> {
        let there: Vec<&str> =
            FILES.iter().map(|(name, _)| *name).filter(|name| self.folder.join(name).exists()).collect();
        anyhow::ensure!(
            self.force || there.is_empty(),
            "{} would be replaced in {}; name another folder, or say --force",
            there.join(", "),
            self.folder.display()
        );
        for (name, text) in FILES {
            write(&self.folder.join(name), text, self.force)?;
        }
        let written: Vec<String> =
            FILES.iter().map(|(name, _)| self.folder.join(name).display().to_string()).collect();
        match self.format {
            Format::Json => line(&json!({ "written": written }).to_string()),
            Format::Table => {
                written.iter().for_each(|name| line(&format!("  {name}")));
                let config = self.folder.join("kandela.yaml");
                line(&format!("\nstart       kandela up --config {}", config.display()));
                line("grafana     provisioning/ goes to /etc/grafana, dashboards/ to /var/lib/grafana");
            }
        }
        Ok(Outcome::Done)
    }
}

/// Writes a file; one that has come since it was looked is not replaced.
fn write(path: &Path, text: &str, replace: bool) -> anyhow::Result<()> {
    let place = || format!("writing {}", path.display());
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).with_context(place)?;
    }
    let opened = match replace {
        true => File::create(path),
        false => File::create_new(path),
    };
    match opened {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            anyhow::bail!("{} is there by now; say --force to replace it", path.display())
        }
        opened => opened.with_context(place)?.write_all(text.as_bytes()).with_context(place),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn init(folder: &Path, force: bool) -> Result<(), String> {
        let init = Init { folder: folder.to_owned(), force, format: Format::Json };
        init.run().map(drop).map_err(|error| format!("{error:#}"))
    }

    #[test]
    fn what_is_written_is_a_config_without_warnings() {
        let folder = tempfile::tempdir().unwrap();
        let into = folder.path().join("new");
        init(&into, false).unwrap();
        for name in ["kandela.yaml", "prometheus.yml"] {
            let loaded = crate::config_file::load(&into.join(name), true).unwrap().unwrap();
            assert!(loaded.warnings.is_empty(), "{name}");
        }
    }

    #[test]
    fn what_is_there_is_not_replaced_unasked() {
        let folder = tempfile::tempdir().unwrap();
        let mine = folder.path().join("kandela.yaml");
        std::fs::write(&mine, "mine").unwrap();
        let error = init(folder.path(), false).unwrap_err();
        assert!(error.contains("kandela.yaml would be replaced") && error.contains("--force"), "{error}");
        assert_eq!(std::fs::read_to_string(&mine).unwrap(), "mine");
        assert!(!folder.path().join("prometheus.yml").exists(), "nothing else is written either");
        init(folder.path(), true).unwrap();
        assert_ne!(std::fs::read_to_string(&mine).unwrap(), "mine");
    }
}
