//! Conditions on labels, with PromQL's meaning.

use std::fmt;

use kandela_model::LabelsRef;
use regex::Regex;

use crate::re2;

/// How a matcher compares.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
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

impl fmt::Display for MatchOp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Equal => "=",
            Self::NotEqual => "!=",
            Self::Regex => "=~",
            Self::NotRegex => "!~",
        })
    }
}

/// One condition on one label. A missing label counts as the empty value; regular expressions are RE2's, fully anchored, and
/// run in linear time.
#[derive(Clone, Debug)]
pub struct Matcher {
    /// The label.
    pub name: String,
    /// How its value is compared.
    pub op: MatchOp,
    /// With what.
    pub value: String,
    regex: Option<Regex>,
}

impl Matcher {
    /// A matcher of `name`.
    ///
    /// # Errors
    /// When `value` should be a regular expression and is none: what the engine refused.
    pub fn new(name: impl Into<String>, op: MatchOp, value: impl Into<String>) -> Result<Self, String> {
        let value = value.into();
        let regex = match op {
            MatchOp::Equal | MatchOp::NotEqual => None,
            MatchOp::Regex | MatchOp::NotRegex => Some(re2::anchored(&value)?),
        };
        Ok(Self { name: name.into(), op, value, regex })
    }

    /// `name = value`.
    pub fn equal(name: impl Into<String>, value: impl Into<String>) -> Self {
        Self { name: name.into(), op: MatchOp::Equal, value: value.into(), regex: None }
    }

    /// Whether a value of the label satisfies the condition; the empty string stands for a missing label.
    pub fn matches(&self, value: &str) -> bool {
        let hit = self.regex.as_ref().map_or_else(|| self.value == value, |regex| regex.is_match(value));
        match self.op {
            MatchOp::Equal | MatchOp::Regex => hit,
            MatchOp::NotEqual | MatchOp::NotRegex => !hit,
        }
    }

    /// Whether series without the label satisfy the condition.
    pub fn matches_missing(&self) -> bool {
        self.matches("")
    }

    /// Whether a series with these labels satisfies the condition.
    pub fn matches_labels(&self, labels: LabelsRef<'_>) -> bool {
        self.matches(labels.get(&self.name).unwrap_or_default())
    }

    /// The values it can only be, where that is a short list: an equality, or a regular expression of plain alternatives.
    pub fn literal_values(&self) -> Option<Vec<&str>> {
        match self.op {
            MatchOp::Equal => Some(vec![&self.value]),
            MatchOp::Regex if !self.value.contains(|c: char| "\\.+*?()[]{}^$".contains(c)) => {
                Some(self.value.split('|').collect())
            }
            _ => None,
        }
    }
}

impl PartialEq for Matcher {
    fn eq(&self, other: &Self) -> bool {
        (&self.name, self.op, &self.value) == (&other.name, other.op, &other.value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matcher(op: MatchOp, value: &str) -> Matcher {
        Matcher::new("job", op, value).unwrap()
    }

    #[test]
    fn regular_expressions_are_anchored() {
        assert!(matcher(MatchOp::Regex, "cart|stock").matches("stock"));
        assert!(!matcher(MatchOp::Regex, "cart|stock").matches("stocks"));
    }

    #[test]
    fn a_pattern_is_read_as_prometheus_reads_it() {
        let digits = matcher(MatchOp::Regex, r"\d+");
        assert!(digits.matches("12") && !digits.matches("\u{0664}"), "digits are ASCII's");
        assert!(Matcher::new("job", MatchOp::Regex, "a)|(b").is_err());
    }

    #[test]
    fn a_missing_label_counts_as_the_empty_value() {
        let without = kandela_model::Labels::default();
        assert!(matcher(MatchOp::Equal, "").matches_labels(without.as_ref()));
        assert!(matcher(MatchOp::NotEqual, "cart").matches_labels(without.as_ref()));
        assert!(!matcher(MatchOp::Regex, ".+").matches_labels(without.as_ref()));
    }

    #[test]
    fn plain_alternatives_are_told_as_a_list() {
        assert_eq!(matcher(MatchOp::Regex, "a|b").literal_values(), Some(vec!["a", "b"]));
        assert_eq!(matcher(MatchOp::Regex, "a.*").literal_values(), None);
    }
}
