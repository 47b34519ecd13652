//! Which rule a key falls under.

use std::collections::HashMap;

use kandela_config::re2;
use regex::{RegexSet, RegexSetBuilder};

use super::RedactError;
use super::config::{KeyAction, KeyPattern, KeyRule};

/// Memory that all compiled expressions may take.
const REGEX_SIZE: usize = 8 << 20;

/// The rules by key, ready to apply.
#[derive(Debug)]
pub(super) struct KeyRules {
    actions: Vec<KeyAction>,
    keys: KeySet,
}

/// Patterns of keys, each with a number.
#[derive(Debug)]
pub(super) struct KeySet {
    /// The lowest number that stands for a key.
    exact: HashMap<String, usize>,
    patterns: RegexSet,
    /// For every expression its number.
    numbers: Vec<usize>,
}

impl KeySet {
    /// The patterns, numbered as they come.
    pub(super) fn new<'p>(patterns: impl Iterator<Item = &'p KeyPattern>) -> Result<Self, RedactError> {
        let mut exact = HashMap::new();
        let mut sources = Vec::new();
        let mut numbers = Vec::new();
        for (number, pattern) in patterns.enumerate() {
            let (source, given) = match pattern {
                KeyPattern::Exact(key) => {
                    exact.entry(key.clone()).or_insert(number);
                    continue;
                }
                KeyPattern::Glob(glob) => (glob_source(glob), glob),
                KeyPattern::Regex(regex) => (format!("^(?:{})$", re2::translate(regex)), regex),
            };
            regex::Regex::new(&source)
                .map_err(|error| RedactError::Regex { pattern: given.clone(), error: error.to_string() })?;
            sources.push(source);
            numbers.push(number);
        }
        let patterns = RegexSetBuilder::new(&sources).size_limit(REGEX_SIZE).build().map_err(|error| {
            RedactError::Regex { pattern: "all key patterns together".to_owned(), error: error.to_string() }
        })?;
        Ok(Self { exact, patterns, numbers })
    }

    pub(super) fn is_empty(&self) -> bool {
        self.exact.is_empty() && self.numbers.is_empty()
    }

    /// The number of the first pattern that `key` fits.
    pub(super) fn first_match(&self, key: &str) -> Option<usize> {
        let exact = self.exact.get(key).copied();
        let pattern = if self.numbers.is_empty() {
            None
        } else {
            self.patterns.matches(key).iter().next().and_then(|at| self.numbers.get(at)).copied()
        };
        exact.into_iter().chain(pattern).min()
    }
}

impl KeyRules {
    pub(super) fn new(rules: &[KeyRule]) -> Result<Self, RedactError> {
        let keys = KeySet::new(rules.iter().map(|rule| &rule.pattern))?;
        Ok(Self { actions: rules.iter().map(|rule| rule.action.clone()).collect(), keys })
    }

    pub(super) fn is_empty(&self) -> bool {
        self.actions.is_empty()
    }

    /// What the first rule that matches `key` says.
    pub(super) fn action(&self, key: &str) -> Option<&KeyAction> {
        self.actions.get(self.keys.first_match(key)?)
    }
}

/// The expression that matches what a glob matches.
fn glob_source(glob: &str) -> String {
    let mut source = String::from("(?s)^");
    for c in glob.chars() {
        match c {
            '*' => source.push_str(".*"),
            '?' => source.push('.'),
            other => source.push_str(&regex::escape(other.encode_utf8(&mut [0; 4]))),
        }
    }
    source.push('$');
    source
}
