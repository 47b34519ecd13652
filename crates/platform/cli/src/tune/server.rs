//! `--target`: the server whose settings a search turns itself, and gives back as they were.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use clap::Args;
use kandela_autopilot::actuator::ActuateError;
use kandela_autopilot::actuator::command::Command;
use kandela_autopilot::target::postgres::{Data, Storage};
use kandela_autopilot::target::{Machine, Options, Target, TargetError, Workload};
use kandela_autopilot::watchdog::Watch;
use kandela_tune::{Config, Space};

use super::search::Compared;

/// What `--compare` takes in place of a file.
const PGTUNE: &str = "pgtune";
/// How long a restart may take.
const RESTART: Duration = Duration::from_secs(120);
/// How much longer than a trial's command a setting holds, before whoever tunes counts as hung.
const SPARE: Duration = Duration::from_secs(300);

/// A server to tune, and what has to be known of it.
#[derive(Args)]
pub(super) struct TargetArgs {
    /// The server to tune; what it stands at is the default, and is in force again at the end
    #[arg(long, value_name = "postgres://USER@HOST:PORT/DB or redis://HOST:PORT")]
    target: Option<String>,
    /// What restarts the server; without, only what a reload brings into force is searched
    #[arg(long, value_name = "CMD", requires = "target")]
    restart: Option<String>,
    /// A file whose first line is the server's password
    #[arg(long, value_name = "FILE", requires = "target")]
    password_file: Option<PathBuf>,
    /// Where PostgreSQL's postgresql.auto.conf lies [default: where the server says]
    #[arg(long, value_name = "DIR", requires = "target")]
    data_directory: Option<PathBuf>,
    /// What the server is used for: web, oltp, dw, desktop or mixed
    #[arg(long, value_name = "KIND", requires = "target", default_value_t = Workload::Mixed)]
    workload: Workload,
    /// Memory and cores that the server may use, as in 16GiB,4 [default: this machine's, if it runs here]
    #[arg(long, value_name = "MEMORY,CORES", requires = "target", value_parser = parse_machine)]
    machine: Option<Machine>,
}

/// The server in hand.
pub(super) struct Server {
    target: Target,
    hold: Duration,
}

/// Why a setting is not in force.
pub(super) enum Fault {
    /// The server refused it: a failed trial.
    Refused(String),
    /// Nothing can be measured there now.
    Lost(anyhow::Error),
}

impl TargetArgs {
    /// The file that keeps trials on this server, where nobody says.
    pub(super) fn record(&self) -> Option<PathBuf> {
        let url = self.target.as_deref()?;
        let place = url.rsplit('@').next().unwrap_or(url);
        let kept = |c: char| if c.is_ascii_alphanumeric() || c == '.' { c } else { '-' };
        let name: String = place.trim_start_matches("redis://").chars().map(kept).collect();
        Some(PathBuf::from(format!("{name}.trials.jsonl")))
    }

    /// Takes the server in hand, if one is named; `space` is searched in place of the default one, and no trial takes longer than
    /// `timeout`.
    ///
    /// # Errors
    /// What keeps the server from being tuned.
    pub(super) async fn open(
        &self,
        space: Option<Space>,
        timeout: Duration,
    ) -> anyhow::Result<Option<Server>> {
        let Some(url) = &self.target else { return Ok(None) };
        let program = std::env::current_exe().context("this program's own path is not known")?;
        let watchdog = vec![program.into(), "autopilot".into(), "watchdog".into()];
        let options = Options {
            restart: self.restart.as_ref().map(|command| Command::shell(command, RESTART)),
            data_directory: self.data_directory.clone(),
            password_file: self.password_file.clone(),
            space,
            machine: self.machine,
            workload: self.workload,
            ..Options::new(Watch::new(held_in()?, watchdog))
        };
        let target = Target::open(url, &options).await?;
        Ok(Some(Server { target, hold: timeout + RESTART + SPARE }))
    }
}

impl Server {
    /// What to search.
    pub(super) fn space(&self) -> &Space {
        self.target.space()
    }

    /// Brings settings into force.
    pub(super) async fn apply(&self, config: &Config) -> Result<(), Fault> {
        self.target.apply(config, self.hold).await.map_err(|error| match error {
            TargetError::Actuate(
                refused @ (ActuateError::Refused { .. }
                | ActuateError::Failed { .. }
                | ActuateError::Forbidden { .. }),
            ) => Fault::Refused(refused.to_string()),
            other => Fault::Lost(other.into()),
        })
    }

    /// The settings are in force still.
    pub(super) async fn check(&self, config: &Config) -> Result<(), Fault> {
        match self.target.strayed(config).await {
            Ok(None) => Ok(()),
            Ok(Some(what)) => Err(Fault::Refused(format!("at the end of the trial {what}"))),
            Err(error) => Err(Fault::Lost(error.into())),
        }
    }

    /// Brings back what was in force before the search.
    ///
    /// # Errors
    /// When the server does not take it; a watchdog goes on trying.
    pub(super) async fn restore(&self) -> anyhow::Result<()> {
        let restored = self.target.restore().await;
        restored.context("the settings from before are not in force yet; a watchdog goes on trying")
    }

    /// What to run so that `config` stays in force.
    pub(super) fn statements(&self, config: &Config) -> Vec<String> {
        self.target.statements(config)
    }

    /// The settings that `--compare` names.
    ///
    /// # Errors
    /// When they can't be read, or PGTune knows nothing of the server.
    pub(super) fn compared(&self, which: &str) -> anyhow::Result<Compared> {
        if which != PGTUNE {
            return read_compared(Path::new(which), self.target.space());
        }
        let peer = self.target.pgtune(Storage::default(), Data::default())?;
        for (name, why) in &peer.left_out {
            eprintln!("of PGTune's settings {name} is left out: {why}");
        }
        Ok(Compared { name: "PGTune's".to_owned(), config: peer.config })
    }
}

/// The settings in a file; knobs that it does not name stay at their defaults.
///
/// # Errors
/// When the file can't be read, or names what the space has not.
pub(super) fn read_compared(file: &Path, space: &Space) -> anyhow::Result<Compared> {
    let place = || file.display().to_string();
    let text = std::fs::read_to_string(file).with_context(|| format!("can't read {}", file.display()))?;
    let given: std::collections::BTreeMap<String, kandela_model::WireValue> = serde_json::from_str(&text)
        .with_context(|| format!("{} is no object of settings", file.display()))?;
    let mut config = space.decode(&space.start());
    for (name, value) in &given {
        let parameter =
            space.parameter(name).with_context(|| format!("{}: there is no knob {name}", place()))?;
        let typed = value.typed(&parameter.spec.kind);
        let typed = typed.with_context(|| format!("{}: {name} takes {}", place(), parameter.spec.kind))?;
        parameter.spec.check(&typed).with_context(place)?;
        config.insert(name.clone(), typed);
    }
    Ok(Compared { name: format!("those of {}", file.display()), config })
}

/// Where watchdogs keep what they would bring back: the same for all searches of one user, so that the next one finds what a killed one
/// left.
fn held_in() -> anyhow::Result<PathBuf> {
    let of = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let state = of("XDG_STATE_HOME").or_else(|| Some(of("HOME")?.join(".local/state")));
    let folder = state.unwrap_or_else(std::env::temp_dir).join("kandela/tune");
    std::fs::create_dir_all(&folder).with_context(|| format!("can't make {}", folder.display()))?;
    Ok(folder)
}

fn parse_machine(text: &str) -> Result<Machine, String> {
    let parts = text.split_once(',').ok_or("give memory and a number of cores, as in 16GiB,4")?;
    let memory = kandela_config::parse_size(parts.0.trim())?;
    let cpus = parts.1.trim().parse().ok().filter(|cpus| *cpus > 0);
    let cpus = cpus.ok_or_else(|| {
        format!("{:?} is no number of cores; give memory and cores, as in 16GiB,4", parts.1)
    })?;
    Ok(Machine { memory, cpus })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_is_its_memory_and_its_cores() {
        assert_eq!(parse_machine("512MiB, 2"), Ok(Machine { memory: 1 << 29, cpus: 2 }));
        for text in ["16GiB", "16GiB,0", "16GiB,four"] {
            assert!(parse_machine(text).unwrap_err().contains("as in 16GiB,4"), "{text}");
        }
        assert!(parse_machine("much,4").is_err());
    }

    #[test]
    fn settings_to_compare_with_are_checked_against_the_space() {
        let json = r#"{"pool": {"type": "int", "min": 1, "max": 9, "default": 2}, "z": {"type": "bool", "default": true}}"#;
        let space: Space = serde_json::from_str(json).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("mine.json");
        let read = |text: &str| {
            std::fs::write(&file, text).unwrap();
            read_compared(&file, &space).map_err(|error| format!("{error:#}"))
        };
        let compared = read(r#"{"pool": 5}"#).unwrap();
        assert_eq!(compared.config["pool"], kandela_model::KnobValue::Int(5));
        assert_eq!(compared.config["z"], kandela_model::KnobValue::Bool(true));
        let error = |text| read(text).err().unwrap();
        assert!(error(r#"{"size": 5}"#).contains("there is no knob size"));
        assert!(error(r#"{"pool": "many"}"#).contains("pool takes a whole number from 1 to 9"));
        assert!(error(r#"{"pool": 50}"#).contains("50"));
        assert!(error("[]").contains("is no object of settings"));
    }
}
