//! Which rule a key falls under.

use std::collections::HashMap;

use regex::{RegexSet, RegexSetBuilder};

use super::RedactError;
use super::config::{KeyAction, KeyPattern, KeyRule};

/// Memory that all compiled expressions may take.
const REGEX_SIZE: usize = 8 << 20;

/// The rules by key, ready to apply.
#[derive(Debug)]
pub(super) struct KeyRules {
    actions: Vec<KeyAction>,
    /// Index of the first rule that names a key.
    exact: HashMap<String, usize>,
    patterns: RegexSet,
    /// For every pattern the index of its rule.
    pattern_rules: Vec<usize>,
}

impl KeyRules {
    pub(super) fn new(rules: &[KeyRule]) -> Result<Self, RedactError> {
        let mut exact = HashMap::new();
        let mut sources = Vec::new();
        let mut pattern_rules = Vec::new();
        for (index, rule) in rules.iter().enumerate() {
            let (source, given) = match &rule.pattern {
                KeyPattern::Exact(key) => {
                    exact.entry(key.clone()).or_insert(index);
                    continue;
                }
                KeyPattern::Glob(glob) => (glob_source(glob), glob),
                KeyPattern::Regex(regex) => (format!("^(?:{regex})$"), regex),
            };
            regex::Regex::new(&source)
                .map_err(|error| RedactError::Regex { pattern: given.clone(), error: error.to_string() })?;
            sources.push(source);
            pattern_rules.push(index);
        }
        let patterns = RegexSetBuilder::new(&sources).size_limit(REGEX_SIZE).build().map_err(|error| {
            RedactError::Regex { pattern: "all key patterns together".to_owned(), error: error.to_string() }
        })?;
        let actions = rules.iter().map(|rule| rule.action).collect();
        Ok(Self { actions, exact, patterns, pattern_rules })
    }

    pub(super) fn is_empty(&self) -> bool {
        self.actions.is_empty()
    }

    /// What the first rule that matches `key` says.
    pub(super) fn action(&self, key: &str) -> Option<KeyAction> {
        let exact = self.exact.get(key).copied();
        let pattern = if self.pattern_rules.is_empty() {
            None
        } else {
            self.patterns.matches(key).iter().next().and_then(|at| self.pattern_rules.get(at)).copied()
        };
        let first = exact.into_iter().chain(pattern).min()?;
        self.actions.get(first).copied()
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
