//! What `kandela.yaml` says.
//!
//! The file holds Prometheus' own keys as they are, so that a `prometheus.yml` is a valid config, and Kandela's under one
//! key, `kandela:`. Text comes in; a typed, complete and checked [`Config`] and the [`Warning`]s come out. Nothing is read
//! from disk, the network or the environment: whoever has those hands over the text and a lookup of variables, and reads
//! the files that the config names.
//!
//! Every key is in one of three sets. Served keys are fields here. Keys that Prometheus knows and Kandela does not serve
//! give a warning, which is an error in strict mode. Any other key is an error that names the nearest key there is.
//!
//! ```
//! let text = "
//! global: {scrape_interval: 15s}
//! scrape_configs:
//!   - job_name: node
//!     static_configs:
//!       - targets: ['localhost:9100']
//! ";
//! let (config, warnings) = kandela_config::parse(text, "kandela.yaml", &|_| None)?;
//! assert_eq!(config.scrape_configs[0].metrics_path, "/metrics");
//! assert_eq!(config.scrape_configs[0].scrape_interval.as_secs(), 15);
//! assert!(warnings.is_empty());
//!
//! let errors = kandela_config::parse("scrape_config: []", "kandela.yaml", &|_| None).unwrap_err();
//! assert_eq!(
//!     errors.to_string(),
//!     r#"kandela.yaml:1:1: unknown key "scrape_config"; did you mean "scrape_configs"?"#
//! );
//! # Ok::<(), kandela_config::ConfigErrors>(())
//! ```

mod alerting;
pub mod discovery;
mod error;
mod global;
pub mod http_client;
pub mod kandela;
pub mod matcher;
mod named;
mod otlp;
mod print;
pub mod re2;
mod read;
pub mod relabel;
mod remote_write;
pub mod rules;
mod scrape;
mod secret;
mod source;
mod units;
mod yaml;

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Serialize;

pub use alerting::{Alerting, Alertmanager, AlertmanagerApi};
pub use error::{ConfigError, ConfigErrors, Ignored, Place, Problem, Warning, strict};
pub use global::{Global, ScrapeLimits, ScrapeProtocol};
pub use kandela::Kandela;
pub use named::{NameEscaping, NameValidation};
pub use otlp::{Otlp, Translation};
pub use print::PrintError;
pub use remote_write::{MetadataQueue, Queue, RemoteWrite, WriteMessage};
pub use scrape::{Scheme, ScrapeConfig};
pub use secret::{REDACTED, Secret, Url};
pub use units::{duration_text, parse_duration, parse_size, size_text};

use read::{Fields, Item};

/// Sections that Prometheus knows and Kandela does not serve.
const NOT_SERVED: &[&str] = &["runtime", "tracing", "remote_read"];

/// All that a config says, complete with defaults. The default is what an empty file says.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Config {
    /// What holds for every job unless the job says otherwise.
    pub global: Global,
    /// The Alertmanagers that alerts will be sent to; kept for later.
    #[serde(skip_serializing_if = "Alerting::is_default")]
    pub alerting: Alerting,
    /// Files with rules, the last segment of each a glob; kept for later.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub rule_files: Vec<PathBuf>,
    /// Files with more jobs, the last segment of each a glob; [`Config::add_scrape_config_file`] takes their content.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub scrape_config_files: Vec<PathBuf>,
    /// Jobs.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub scrape_configs: Vec<ScrapeConfig>,
    /// Whom samples are passed on to.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub remote_write: Vec<RemoteWrite>,
    /// How metrics that arrive by OTLP are named and labelled.
    pub otlp: Otlp,
    /// What is Kandela's own.
    pub kandela: Kandela,
}

/// Reads a config. `file` names the text in messages; `variable` looks up environment variables, which are expanded in
/// `global.external_labels` only.
///
/// # Errors
/// With all that is wrong in the text, each with its place, key path and what to do.
pub fn parse(
    text: &str,
    file: &str,
    variable: &dyn Fn(&str) -> Option<String>,
) -> Result<(Config, Vec<Warning>), ConfigErrors> {
    read::document(file, text, |root| Config::read(&root, variable))
}

impl Config {
    fn read(root: &Item<'_>, variable: &dyn Fn(&str) -> Option<String>) -> Self {
        let Some(mut fields) = root.fields() else { return Self::default() };
        let global = fields.section("global", |fields| Global::read(fields, variable)).unwrap_or_default();
        let names = global.metric_name_validation_scheme;
        let alerting = fields.section("alerting", |fields| {
            fields.whole().warn(Ignored::NotYet);
            Alerting::read(fields, names)
        });
        let rule_files = globs(&mut fields, "rule_files");
        if let Some(item) = fields.peek("rule_files").filter(|_| !rule_files.is_empty()) {
            item.warn(Ignored::NotYet);
        }
        let window = fields.section("storage", out_of_order_window).flatten();
        let kandela = match fields.get("kandela").and_then(|item| item.fields()) {
            Some(fields) => Kandela::read(fields, window),
            None => {
                let default = Kandela::default();
                Kandela { out_of_order_window: window.unwrap_or(default.out_of_order_window), ..default }
            }
        };
        let config = Self {
            alerting: alerting.unwrap_or_default(),
            rule_files,
            scrape_config_files: globs(&mut fields, "scrape_config_files"),
            scrape_configs: scrape::scrape_configs(&mut fields, &global, &[]),
            remote_write: remote_write::remote_writes(&mut fields, names),
            otlp: fields.section("otlp", |fields| Otlp::read(fields, names)).unwrap_or_default(),
            kandela,
            global,
        };
        fields.finish(NOT_SERVED);
        config
    }

    /// Adds the jobs of a file that `scrape_config_files` names. `file` names the text in messages, and `folder`, in which
    /// the file lies, is what its paths are relative to.
    ///
    /// # Errors
    /// With all that is wrong in the text, a job's name that is already in use included; no job is added then.
    pub fn add_scrape_config_file(
        &mut self,
        text: &str,
        file: &str,
        folder: &Path,
    ) -> Result<Vec<Warning>, ConfigErrors> {
        let (mut jobs, warnings) = read::document(file, text, |root| {
            let Some(mut fields) = root.fields() else { return Vec::new() };
            let jobs = scrape::scrape_configs(&mut fields, &self.global, &self.scrape_configs);
            fields.finish(&[]);
            jobs
        })?;
        resolve(jobs.iter_mut().flat_map(ScrapeConfig::paths), folder);
        self.scrape_configs.append(&mut jobs);
        Ok(warnings)
    }

    /// Files that scrape jobs and receivers need once they run: secrets, certificates, lists of targets.
    pub fn client_files(&self) -> Vec<PathBuf> {
        let (mut jobs, mut receivers) = (self.scrape_configs.clone(), self.remote_write.clone());
        let of_jobs = jobs.iter_mut().flat_map(ScrapeConfig::paths);
        of_jobs.chain(receivers.iter_mut().flat_map(RemoteWrite::paths)).map(|path| path.clone()).collect()
    }

    /// Makes every relative path relative to `folder`, the folder that the config lies in.
    pub fn resolve_paths(&mut self, folder: &Path) {
        let Self { alerting, rule_files, scrape_config_files, scrape_configs, remote_write, kandela, .. } =
            self;
        resolve(rule_files.iter_mut().chain(scrape_config_files), folder);
        resolve(scrape_configs.iter_mut().flat_map(ScrapeConfig::paths), folder);
        resolve(remote_write.iter_mut().flat_map(RemoteWrite::paths), folder);
        resolve(alerting.paths(), folder);
        resolve(kandela.paths(), folder);
    }
}

fn resolve<'p>(paths: impl IntoIterator<Item = &'p mut PathBuf>, folder: &Path) {
    for path in paths {
        *path = folder.join(&*path);
    }
}

/// `storage`, of which only the window for late samples is served.
fn out_of_order_window(mut fields: Fields<'_>) -> Option<Duration> {
    let window = fields.section("tsdb", |mut fields| {
        let window = fields.duration("out_of_order_time_window");
        fields.finish(&["retention", "stale_series_compaction_threshold", "chunk_encoding"]);
        window
    });
    fields.finish(&["exemplars"]);
    window.flatten()
}

/// Paths of which only the last segment may hold one `*`; Prometheus' rule `^[^*]*(\*[^/]*)?$`.
fn globs(fields: &mut Fields<'_>, key: &'static str) -> Vec<PathBuf> {
    let items = fields.get(key).map(|item| item.items()).unwrap_or_default();
    let mut paths = Vec::with_capacity(items.len());
    for item in items {
        let Some(path) = item.text() else { continue };
        if path.split_once('*').is_some_and(|(_, behind)| behind.contains('/')) {
            item.invalid(format!("{path:?} has a * before its last segment; only the last may hold one"));
        }
        paths.push(PathBuf::from(path));
    }
    paths
}
