//! The effective config, as `/api/v1/status/config` and `kandela check config` show it: defaults filled in, secrets hidden.

use crate::Config;

/// Why a config can't be printed.
#[derive(Debug, thiserror::Error)]
#[error("the config can't be printed: {0}; a path in it may not be valid UTF-8")]
pub struct PrintError(String);

impl Config {
    /// This config as YAML that reads back as this config, but for its secrets.
    ///
    /// # Errors
    /// When a path is not valid UTF-8.
    pub fn to_yaml(&self) -> Result<String, PrintError> {
        serde_saphyr::to_string(self).map_err(|e| PrintError(e.to_string()))
    }

    /// The same as JSON.
    ///
    /// # Errors
    /// When a path is not valid UTF-8.
    pub fn to_json(&self) -> Result<String, PrintError> {
        serde_json::to_string(self).map_err(|e| PrintError(e.to_string()))
    }
}
