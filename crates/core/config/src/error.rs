//! What can be wrong with a config, and what is merely ignored.

use std::fmt;
use std::sync::Arc;

/// A position in a file; both count from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The line.
    pub line: usize,
    /// The column, in characters.
    pub column: usize,
}

/// One thing that makes a config invalid, and where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError {
    /// The file, as the caller named it.
    pub file: Arc<str>,
    /// Where in the file.
    pub place: Place,
    /// The key path, such as `scrape_configs[0].job_name`; empty for the document itself.
    pub path: String,
    /// What is wrong.
    pub problem: Problem,
}

/// What is wrong with a config.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Problem {
    /// The text is not YAML.
    #[error("not valid YAML: {0}")]
    Syntax(String),
    /// The document is nested deeper than is allowed.
    #[error("nested deeper than {0} levels, aliases included; flatten it")]
    TooDeep(usize),
    /// The document, with its aliases written out, is larger than is allowed.
    #[error("larger than {0} bytes with every alias written out; use fewer aliases or split the file")]
    TooLarge(usize),
    /// A key stands twice in one mapping.
    #[error("key {key:?} already stands on line {first}; keep one of the two")]
    DuplicateKey {
        /// The key.
        key: String,
        /// The line of its first occurrence.
        first: usize,
    },
    /// A key that neither Prometheus nor Kandela knows.
    #[error("unknown key {key:?}; {}", hint(.nearest.as_deref()))]
    UnknownKey {
        /// The key.
        key: String,
        /// The known key of this section that is spelt most like it.
        nearest: Option<String>,
    },
    /// A required key is missing.
    #[error("key {0:?} is missing; add it")]
    MissingKey(&'static str),
    /// A value of another kind than the key takes.
    #[error("expected {expected}, found {found}")]
    WrongKind {
        /// What the key takes.
        expected: &'static str,
        /// What stands there.
        found: String,
    },
    /// A value, or a combination of values, that the key's meaning rules out.
    #[error("{0}")]
    Invalid(String),
    /// Under `--strict`, a warning is an error.
    #[error("{0} (an error, since warnings are errors in strict mode)")]
    Strict(Ignored),
}

fn hint(nearest: Option<&str>) -> String {
    match nearest {
        Some(key) => format!("did you mean {key:?}?"),
        None => "remove it, or see docs/config.md for the keys that there are".to_owned(),
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let separator = if self.path.is_empty() { "" } else { ": " };
        let Self { file, place, path, problem } = self;
        write!(f, "{file}:{}:{}: {path}{separator}{problem}", place.line, place.column)
    }
}

impl std::error::Error for ConfigError {}

/// All that makes a config invalid, in the order of the file; never empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigErrors(pub(crate) Vec<ConfigError>);

impl ConfigErrors {
    /// The errors, in the order of the file.
    pub fn iter(&self) -> std::slice::Iter<'_, ConfigError> {
        self.0.iter()
    }
}

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, error) in self.0.iter().enumerate() {
            write!(f, "{}{error}", if i == 0 { "" } else { "\n" })?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigErrors {}

/// Something in a config that has no effect, which its writer should know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning {
    /// The file, as the caller named it.
    pub file: Arc<str>,
    /// Where in the file.
    pub place: Place,
    /// The key path, such as `scrape_configs[0].consul_sd_configs`.
    pub path: String,
    /// Why it has no effect.
    pub reason: Ignored,
}

/// Why something in a config has no effect.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Ignored {
    /// Prometheus knows the key, Kandela does not act on it.
    #[error("Prometheus knows this key, Kandela does not serve it; it is ignored")]
    NotServed,
    /// Kandela reads the key and will act on it in a later version.
    #[error("kept for later: it is read, and not evaluated yet")]
    NotYet,
    /// A second YAML document in one file.
    #[error("only the first YAML document of a file is read; this one is ignored")]
    SecondDocument,
    /// A rule that gives the same series as another of its file.
    #[error("a rule on line {0} has the same name and labels; what is kept of the two is not defined")]
    DuplicateRule(usize),
    /// An environment variable in an external label is unset or empty.
    #[error("environment variable {0:?} is unset or empty; it expands to nothing")]
    EmptyVariable(String),
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let separator = if self.path.is_empty() { "" } else { ": " };
        let Self { file, place, path, reason } = self;
        write!(f, "{file}:{}:{}: {path}{separator}{reason}", place.line, place.column)
    }
}

/// Warnings as the errors that they are in strict mode.
///
/// # Errors
/// When there is a warning.
pub fn strict(warnings: &[Warning]) -> Result<(), ConfigErrors> {
    let errors: Vec<ConfigError> = warnings
        .iter()
        .map(|Warning { file, place, path, reason }| ConfigError {
            file: file.clone(),
            place: *place,
            path: path.clone(),
            problem: Problem::Strict(reason.clone()),
        })
        .collect();
    if errors.is_empty() { Ok(()) } else { Err(ConfigErrors(errors)) }
}
