//! Label matchers, with PromQL's meaning.

use kandela_config::re2;
use regex::Regex;

use crate::error::{LakeError, Result};

/// How a matcher compares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MatchOp {
    /// `=`
    Equal,
    /// `!=`
    NotEqual,
    /// `=~`
    Regex,
    /// `!~`
    NotRegex,
}

/// One condition on one label. A missing label counts as the empty value; regular expressions are fully anchored and run in
/// linear time.
#[derive(Clone, Debug)]
pub struct Matcher {
    name: String,
    op: MatchOp,
    value: String,
    regex: Option<Regex>,
}

impl Matcher {
    /// A matcher of `name`.
    ///
    /// # Errors
    /// [`LakeError::BadRegex`] when `value` should be a regular expression and is none.
    pub fn new(name: impl Into<String>, op: MatchOp, value: impl Into<String>) -> Result<Self> {
        let value = value.into();
        let regex = match op {
            MatchOp::Equal | MatchOp::NotEqual => None,
            MatchOp::Regex | MatchOp::NotRegex => {
                Some(re2::anchored(&value).map_err(|message| LakeError::BadRegex { message })?)
            }
        };
        Ok(Self { name: name.into(), op, value, regex })
    }

    /// `name = value`.
    pub fn equal(name: impl Into<String>, value: impl Into<String>) -> Self {
        Self { name: name.into(), op: MatchOp::Equal, value: value.into(), regex: None }
    }

    /// The label.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// How it compares.
    pub fn op(&self) -> MatchOp {
        self.op
    }

    /// What it compares with.
    pub fn value(&self) -> &str {
        &self.value
    }

    /// Whether a label of this value matches; the empty string stands for a missing label.
    pub fn matches(&self, value: &str) -> bool {
        let hit = self.regex.as_ref().map_or_else(|| self.value == value, |regex| regex.is_match(value));
        match self.op {
            MatchOp::Equal | MatchOp::Regex => hit,
            MatchOp::NotEqual | MatchOp::NotRegex => !hit,
        }
    }

    /// Whether series without the label match.
    pub fn matches_missing(&self) -> bool {
        self.matches("")
    }

    /// The values it can only be, where that is a short list: an equality, or a regular expression of plain alternatives.
    pub(crate) fn literal_values(&self) -> Option<Vec<&str>> {
        match self.op {
            MatchOp::Equal => Some(vec![&self.value]),
            MatchOp::Regex if !self.value.contains(|c: char| "\\.+*?()[]{}^$".contains(c)) => {
                Some(self.value.split('|').collect())
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn regular_expressions_are_anchored_at_both_ends() {
        let matcher = Matcher::new("job", MatchOp::Regex, "shop|cart").unwrap();
        assert!(matcher.matches("cart"));
        assert!(!matcher.matches("cart2"));
        assert!(!matcher.matches("bishop"));
    }

    #[test]
    fn a_pattern_is_read_as_prometheus_reads_it() {
        let digits = Matcher::new("job", MatchOp::Regex, r"\d+").unwrap();
        assert!(digits.matches("12") && !digits.matches("\u{0664}"), "digits are ASCII's");
        assert!(matches!(Matcher::new("job", MatchOp::Regex, "a)|(b"), Err(LakeError::BadRegex { .. })));
    }

    #[test]
    fn a_missing_label_counts_as_empty() {
        assert!(Matcher::new("job", MatchOp::NotEqual, "shop").unwrap().matches_missing());
        assert!(Matcher::equal("job", "").matches_missing());
        assert!(Matcher::new("job", MatchOp::Regex, ".*").unwrap().matches_missing());
        assert!(!Matcher::new("job", MatchOp::Regex, ".+").unwrap().matches_missing());
    }

    #[test]
    fn plain_alternatives_are_literals() {
        assert_eq!(Matcher::new("a", MatchOp::Regex, "x|y").unwrap().literal_values(), Some(vec!["x", "y"]));
        assert_eq!(Matcher::new("a", MatchOp::Regex, "x.*").unwrap().literal_values(), None);
    }
}
