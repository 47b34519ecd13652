//! How targets are described: what `kandela.yaml` says of each.

use std::path::PathBuf;
use std::sync::Arc;

use kandela_tune::Space;
use serde::{Deserialize, Serialize};

use super::command::{Command, time};
use super::environment::Environment;
use super::file::FileTemplate;
use super::health::Health;
use super::http::HttpKnobs;
use super::kubernetes::Kubernetes;
use super::postgres::Postgres;
use super::redis::Redis;
use super::replicas::Replicas;
use super::split::Split;
use super::{ActuateError, Actuator, Guarded, Settings};
use crate::watchdog::Watch;

/// One target: a name, and one of the systems below.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TargetConfig {
    /// What it is called in the ledger, and what its folder is called: letters, digits, `-`, `_` and `.`.
    pub name: String,
    /// Processes that show their knobs themselves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub http: Option<HttpConfig>,
    /// The share of the traffic that a canary gets.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub split: Option<SplitConfig>,
    /// A PostgreSQL server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub postgres: Option<PostgresConfig>,
    /// A Redis server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub redis: Option<RedisConfig>,
    /// A file that is made from a template, and who reads it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<FileConfig>,
    /// Variables in a file, and a command that has them read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub environment: Option<EnvironmentConfig>,
    /// How many of a service there are, by a command.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replicas: Option<ReplicasConfig>,
    /// A workload in Kubernetes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kubernetes: Option<KubernetesConfig>,
}

/// Processes with `/knobs`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HttpConfig {
    /// Where each process is: `http://127.0.0.1:7703`.
    pub processes: Vec<String>,
    /// Only knobs whose names begin with one of these; all, where there is none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub knobs: Vec<String>,
    /// Seconds that one answer may take.
    #[serde(default = "answer_s")]
    pub timeout_s: f64,
}

/// Who splits the traffic of one service over its replicas, with `/split`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SplitConfig {
    /// The processes that call the service.
    pub callers: Vec<String>,
    /// The service, as they call it.
    pub service: String,
    /// Addresses of the replicas that are the canary: `127.0.0.1:7713`.
    pub canary: Vec<String>,
    /// The most that a canary may get, from 0 to 1.
    pub most: f64,
    /// Seconds that one answer may take.
    #[serde(default = "answer_s")]
    pub timeout_s: f64,
}

/// A PostgreSQL server.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PostgresConfig {
    /// Where it is, without a password: `postgres://kandela@127.0.0.1:5432/postgres`, or `host=/var/run/postgresql user=kandela`.
    pub url: String,
    /// A file whose first line is the password.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password_file: Option<PathBuf>,
    /// What restarts it. Without, settings that need a restart are refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restart: Option<Command>,
    /// Where its `postgresql.auto.conf` lies: needed with `restart`, for when it does not start again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data_directory: Option<PathBuf>,
    /// Seconds that it may take to answer, and to be back after a restart.
    #[serde(default = "start_s")]
    pub timeout_s: f64,
    /// Its settings, numbers in the unit that `pg_settings` shows.
    pub knobs: Space,
}

/// A Redis server.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RedisConfig {
    /// Where it is: `127.0.0.1:6379`.
    pub address: String,
    /// As whom to speak to it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// A file whose first line is the password.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password_file: Option<PathBuf>,
    /// Whether confirmed values are written into its own file (`CONFIG REWRITE`), so that they outlast its restart.
    #[serde(default)]
    pub rewrite: bool,
    /// Seconds that one answer may take.
    #[serde(default = "answer_s")]
    pub timeout_s: f64,
    /// Its parameters, memory in bytes.
    pub knobs: Space,
}

/// A file made from a template.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileConfig {
    /// The template: text with `{{knob}}` where a value goes.
    pub template: PathBuf,
    /// The file that is made from it.
    pub file: PathBuf,
    /// What tells whether the new file is good; `{{candidate}}` is its path: `[nginx, -t, -c, "{{candidate}}"]`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub check: Option<Command>,
    /// What has the file read again.
    pub reload: Command,
    /// What has to answer afterwards.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub health: Option<Health>,
    /// The values in the template.
    pub knobs: Space,
}

/// Variables in a file, such as systemd's `EnvironmentFile=`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EnvironmentConfig {
    /// Lines `NAME=value`; lines that are no knob's are left as they are.
    pub file: PathBuf,
    /// What has it read: a restart.
    pub restart: Command,
    /// What has to answer afterwards.
    pub health: Health,
    /// The variables. A default is what the service takes where the variable is not set.
    pub knobs: Space,
}

/// How many of a service there are.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReplicasConfig {
    /// What prints the number.
    pub read: Command,
    /// What sets it; `{{replicas}}` is the number.
    pub set: Command,
    /// What has to answer afterwards.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub health: Option<Health>,
    /// One whole number.
    pub knobs: Space,
}

/// A workload in Kubernetes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KubernetesConfig {
    /// Where the API is: `https://10.0.0.1:443`.
    pub server: String,
    /// A file with the bearer token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token_file: Option<PathBuf>,
    /// A file with the certificates of the authorities that the API server's is signed by, in PEM.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authority_file: Option<PathBuf>,
    /// The namespace.
    pub namespace: String,
    /// The deployment.
    pub deployment: String,
    /// Where patch files go that are proposed because somebody else owns the field.
    pub proposals: PathBuf,
    /// Seconds that a rollout may take.
    #[serde(default = "rollout_s")]
    pub timeout_s: f64,
    /// Which field each knob is: `replicas`, `container/NAME/limits/cpu`, `container/NAME/requests/memory` or
    /// `container/NAME/env/VARIABLE`. Quantities are in thousandths of a core, and in bytes.
    pub fields: std::collections::BTreeMap<String, String>,
    /// The knobs.
    pub knobs: Space,
}

fn answer_s() -> f64 {
    5.0
}

fn start_s() -> f64 {
    30.0
}

fn rollout_s() -> f64 {
    600.0
}

/// Why a description is none.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The text is no list of targets.
    #[error("targets: {0}")]
    Text(String),
    /// Something in one target is wrong.
    #[error("target {target}: {what}")]
    Target {
        /// Which.
        target: String,
        /// What is wrong, and what to do.
        what: String,
    },
}

const KINDS: &str = "http, split, postgres, redis, file, environment, replicas or kubernetes";

/// Reads a list of targets and checks each.
///
/// # Errors
/// [`ConfigError`], with line and column where the text is at fault.
pub fn targets_from_yaml(text: &str) -> Result<Vec<TargetConfig>, ConfigError> {
    let targets: Vec<TargetConfig> =
        serde_saphyr::from_str(text).map_err(|error| ConfigError::Text(error.to_string()))?;
    for (place, target) in targets.iter().enumerate() {
        target.check()?;
        if targets[..place].iter().any(|earlier| earlier.name == target.name) {
            return Err(target.fault("there are two of this name; give each its own".to_owned()));
        }
    }
    Ok(targets)
}

impl TargetConfig {
    /// Whether it describes one system, as far as can be told without asking the system.
    ///
    /// # Errors
    /// [`ConfigError::Target`].
    pub fn check(&self) -> Result<(), ConfigError> {
        let fine = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        if self.name.is_empty() || self.name.starts_with('.') || !self.name.chars().all(fine) {
            return Err(self.fault(
                "a name is letters, digits, `-`, `_` and `.`, and does not begin with a dot".to_owned(),
            ));
        }
        let given = [
            self.http.is_some(),
            self.split.is_some(),
            self.postgres.is_some(),
            self.redis.is_some(),
            self.file.is_some(),
            self.environment.is_some(),
            self.replicas.is_some(),
            self.kubernetes.is_some(),
        ];
        match given.iter().filter(|given| **given).count() {
            1 if self.http.is_some() => HttpKnobs::new(self).map(drop),
            1 => self.settings().map(drop),
            0 => Err(self.fault(format!("it is no system; give one of {KINDS}"))),
            _ => Err(self.fault(format!("it is several systems; give one of {KINDS}, and a target to each"))),
        }
    }

    /// Whoever turns it. What a watchdog needs lies in a folder of the target's own in `watch`'s; what a crash left there is taken
    /// back before this returns.
    ///
    /// # Errors
    /// [`OpenError`].
    pub async fn open(&self, watch: &Watch) -> Result<Arc<dyn Actuator>, OpenError> {
        self.check()?;
        if self.http.is_some() {
            return Ok(Arc::new(HttpKnobs::new(self)?));
        }
        Ok(Arc::new(Guarded::open(self, watch).await?))
    }

    /// The system, where it is one that keeps no leases.
    ///
    /// # Errors
    /// [`ConfigError`], where it is none.
    pub(crate) fn settings(&self) -> Result<Box<dyn Settings>, ConfigError> {
        let fault = |what: String| self.fault(what);
        let name = &self.name;
        if let Some(config) = &self.split {
            Ok(Box::new(Split::new(name, config).map_err(fault)?))
        } else if let Some(config) = &self.postgres {
            Ok(Box::new(Postgres::new(config).map_err(fault)?))
        } else if let Some(config) = &self.redis {
            Ok(Box::new(Redis::new(config).map_err(fault)?))
        } else if let Some(config) = &self.file {
            Ok(Box::new(FileTemplate::new(config).map_err(fault)?))
        } else if let Some(config) = &self.environment {
            Ok(Box::new(Environment::new(config).map_err(fault)?))
        } else if let Some(config) = &self.replicas {
            Ok(Box::new(Replicas::new(name, config).map_err(fault)?))
        } else if let Some(config) = &self.kubernetes {
            Ok(Box::new(Kubernetes::new(config).map_err(fault)?))
        } else {
            Err(self.fault("it keeps its leases itself".to_owned()))
        }
    }

    /// The knobs that it declares; none where the system shows its own.
    pub fn knobs(&self) -> Option<&Space> {
        let declared = [
            self.postgres.as_ref().map(|config| &config.knobs),
            self.redis.as_ref().map(|config| &config.knobs),
            self.file.as_ref().map(|config| &config.knobs),
            self.environment.as_ref().map(|config| &config.knobs),
            self.replicas.as_ref().map(|config| &config.knobs),
            self.kubernetes.as_ref().map(|config| &config.knobs),
        ];
        declared.into_iter().flatten().next()
    }

    pub(crate) fn fault(&self, what: String) -> ConfigError {
        ConfigError::Target { target: self.name.clone(), what }
    }
}

/// Why a target could not be taken in hand.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// Its description is wrong.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// Its folder can't be used.
    #[error(transparent)]
    Actuate(#[from] ActuateError),
}

/// `seconds` as a time, for a field `timeout_s`.
pub(crate) fn timeout(seconds: f64) -> Result<std::time::Duration, String> {
    time("timeout_s", seconds)
}

/// The first line of a file that holds a secret.
pub(crate) fn secret(path: &std::path::Path) -> Result<String, String> {
    let text = std::fs::read_to_string(path).map_err(|e| format!("{} can't be read: {e}", path.display()))?;
    match text.lines().next() {
        Some(line) if !line.trim().is_empty() => Ok(line.trim().to_owned()),
        _ => Err(format!("{} is empty; its first line is to be the secret", path.display())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TARGETS: &str = r#"
- name: orders-db
  postgres:
    url: postgres://kandela@127.0.0.1:5432/postgres
    restart: [pg_ctlcluster, "15", main, restart]
    data_directory: /var/lib/postgresql/15/main
    knobs:
      shared_buffers: {type: int, min: 1024, max: 262144, log: true, cost: restart}
      random_page_cost: {type: float, min: 1, max: 8, cost: reload}
- name: sessions
  redis:
    address: 127.0.0.1:6379
    knobs: {maxmemory: {type: int, min: 1048576, max: 4294967296, log: true}}
- name: shop
  http: {processes: ["http://127.0.0.1:7700", "http://127.0.0.1:7703"]}
"#;

    fn refusal(yaml: &str) -> String {
        targets_from_yaml(yaml).expect_err(yaml).to_string()
    }

    #[test]
    fn targets_are_read_and_return_from_json() {
        let targets = targets_from_yaml(TARGETS).expect("three targets");
        assert_eq!(targets.len(), 3);
        for target in targets {
            let json = serde_json::to_string(&target).expect("serialises");
            assert_eq!(serde_json::from_str::<TargetConfig>(&json).expect("reads"), target);
        }
    }

    #[test]
    fn what_is_wrong_is_told_with_its_line_or_its_target() {
        let error = refusal("- name: a\n  redis:\n    adress: x\n    knobs: {}\n");
        assert!(error.contains("adress") && error.contains("line 3"), "{error}");
        let error = refusal("- name: a\n");
        assert_eq!(error, format!("target a: it is no system; give one of {KINDS}"));
        let error = refusal("- {name: a/b, http: {processes: [\"http://127.0.0.1:1\"]}}\n");
        assert!(error.starts_with("target a/b: a name is letters"), "{error}");
        let error = refusal("- name: a\n  postgres: {url: 'host=/tmp', restart: [x], knobs: {}}\n");
        assert!(error.contains("data_directory"), "{error}");
        let error = refusal("- name: a\n  postgres: {url: 'postgres://u:secret@h/d', knobs: {}}\n");
        assert!(error.contains("password_file") && !error.contains("secret"), "{error}");
        let error = refusal("- name: a\n  http: {processes: []}\n");
        assert!(error.contains("processes"), "{error}");
    }

    #[test]
    fn a_secret_in_an_address_is_refused_and_not_shown() {
        for system in [
            "http: {processes: [\"http://u:secret@127.0.0.1:1\"]}",
            "http: {processes: [\"ftp://u:secret@127.0.0.1:1\"]}",
            "split: {callers: [\"http://u:secret@127.0.0.1:1\"], service: s, canary: [\"h:1\"], most: 0.5}",
            "redis: {address: \"redis://:secret@127.0.0.1:6379\", knobs: {}}",
            "redis: {address: \"redis://:secret@127.0.0.1\", knobs: {}}",
            "postgres: {url: \"postgres://u:secret@h/d\", knobs: {}}",
            "replicas: {read: [a], set: [a, \"{{replicas}}\"], health: {url: \"http://u:secret@h/\"}, \
             knobs: {n: {type: int, min: 1, max: 2}}}",
        ] {
            let error = refusal(&format!("- name: a\n  {system}\n"));
            assert!(error.contains("password") || error.contains("http or https"), "{error}");
            assert!(!error.contains("secret"), "{error}");
        }
    }

    #[test]
    fn a_template_with_a_hole_where_nothing_may_be_searched_is_refused() {
        let folder = tempfile::tempdir().expect("a folder");
        let (template, file) = (folder.path().join("template"), folder.path().join("redis.conf"));
        std::fs::write(&template, "port 6379\nappendfsync {{how}}\n").expect("writable");
        let error = refusal(&format!(
            "- name: a\n  file: {{template: {}, file: {}, reload: [a], knobs: {{how: {{type: enum, values: [always, no]}}}}}}\n",
            template.display(),
            file.display()
        ));
        assert!(error.contains("`appendfsync {{how}}`") && error.contains("is on disk"), "{error}");
    }

    #[test]
    fn a_target_without_processes_is_told() {
        let error = refusal("- name: a\n  http: {processes: []}\n");
        assert!(error.contains("processes"), "{error}");
    }
}
