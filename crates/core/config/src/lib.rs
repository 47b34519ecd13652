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

pub mod discovery;
mod error;
mod global;
pub mod http_client;
mod named;
pub mod re2;
mod read;
pub mod relabel;
mod scrape;
mod secret;
mod units;
mod yaml;

use std::path::{Path, PathBuf};

use serde::Serialize;

pub use error::{ConfigError, ConfigErrors, Ignored, Place, Problem, Warning, strict};
pub use global::{Global, ScrapeLimits, ScrapeProtocol};
pub use named::{NameEscaping, NameValidation};
pub use scrape::{Scheme, ScrapeConfig};
pub use secret::{REDACTED, Secret, Url};
pub use units::{duration_text, parse_duration, parse_size, size_text};

use read::Item;

/// All that a config says, complete with defaults. The default is what an empty file says.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Config {
    /// What holds for every job unless the job says otherwise.
    pub global: Global,
    /// Jobs.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub scrape_configs: Vec<ScrapeConfig>,
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
        let config = Self { scrape_configs: scrape::scrape_configs(&mut fields, &global, |_| None), global };
        fields.finish(&["runtime", "tracing", "remote_read"]);
        config
    }

    /// Makes every relative path relative to `folder`, the folder that the config lies in.
    pub fn resolve_paths(&mut self, folder: &Path) {
        let mut paths: Vec<&mut PathBuf> = Vec::new();
        paths.extend(self.scrape_configs.iter_mut().flat_map(ScrapeConfig::paths));
        for path in paths {
            *path = folder.join(&*path);
        }
    }
}
