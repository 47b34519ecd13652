//! Conditions on labels, with PromQL's meaning.

use std::fmt;
use std::sync::Arc;

use kandela_model::LabelsRef;

use crate::re2::Whole;

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
    test: Test,
}

/// What a value is compared with.
#[derive(Clone, Debug)]
enum Test {
    Value,
    Regex(Arc<Whole>),
}

impl Matcher {
    /// A matcher of `name`.
    ///
    /// # Errors
    /// When `value` should be a regular expression and is none: what the engine refused.
    pub fn new(name: impl Into<String>, op: MatchOp, value: impl Into<String>) -> Result<Self, String> {
        let value = value.into();
        let test = match op {
            MatchOp::Equal | MatchOp::NotEqual => Test::Value,
            MatchOp::Regex | MatchOp::NotRegex => Test::Regex(Whole::new(&value)?.into()),
        };
        Ok(Self { name: name.into(), op, value, test })
    }

    /// `name = value`.
    pub fn equal(name: impl Into<String>, value: impl Into<String>) -> Self {
        Self { name: name.into(), op: MatchOp::Equal, value: value.into(), test: Test::Value }
    }

    /// Whether a value of the label satisfies the condition; the empty string stands for a missing label.
    pub fn matches(&self, value: &str) -> bool {
        let hit = match &self.test {
            Test::Value => self.value == value,
            Test::Regex(whole) => whole.is_match(value),
        };
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

    /// The values it can only be, where that is a list: an equality, or a regular expression of plain alternatives.
    pub fn literal_values(&self) -> Option<Vec<&str>> {
        match (self.op, &self.test) {
            (MatchOp::Equal, _) => Some(vec![&self.value]),
            (MatchOp::Regex, Test::Regex(whole)) => {
                whole.values().map(|values| values.iter().map(String::as_str).collect())
            }
            _ => None,
        }
    }

    /// Heap bytes in use, about.
    pub fn heap_bytes(&self) -> usize {
        let compiled = match &self.test {
            Test::Value => 0,
            Test::Regex(whole) => whole.heap_bytes(),
        };
        self.name.len() + self.value.len() + compiled
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
    fn any_of_thousands_of_alternatives_matches_and_flags_hold_for_all_that_follow() {
        let all: Vec<String> = (0..3_000).map(|n| format!("pod-{n}.*")).collect();
        let alternation = matcher(MatchOp::Regex, &all.join("|"));
        assert!(alternation.matches("pod-0") && alternation.matches("pod-2999-x"));
        assert!(!alternation.matches("node-1") && !alternation.matches("x-pod-1"));
        let folded = matcher(MatchOp::Regex, &format!("(?i){}", all.join("|")));
        assert!(folded.matches("POD-2999-X"));
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
    fn a_list_of_values_is_compared_as_the_expression_would_be() {
        for pattern in ["cart|stock", "(?:car|star)t", "^(cart|stock)$", "(?i)cart", "[a-c]art|"] {
            let (is, is_not) = (matcher(MatchOp::Regex, pattern), matcher(MatchOp::NotRegex, pattern));
            let regex = crate::re2::anchored(pattern).unwrap();
            for value in ["", "cart", "CART", "stock", "start", "stocks", "art"] {
                assert_eq!(is.matches(value), regex.is_match(value), "{pattern} {value}");
                assert_eq!(is_not.matches(value), !regex.is_match(value), "{pattern} {value}");
            }
        }
    }

    #[test]
    fn a_very_long_expression_is_refused_unless_it_lists_values() {
        let names: Vec<String> = (0..60_000).map(|n| format!("service-{n:05}")).collect();
        assert!(matcher(MatchOp::Regex, &names.join("|")).matches("service-59999"));
        assert!(matcher(MatchOp::Regex, &names.join(".*|")).matches("service-59998-x"));
        let refused = Matcher::new("job", MatchOp::Regex, names.join(".+|")).unwrap_err();
        assert!(refused.contains("it has more than 512 KiB") && refused.len() < 300, "{refused}");
    }

    #[test]
    fn thousands_of_alternatives_are_a_list() {
        let names: Vec<String> = (0..5_000).map(|n| format!("my-service-{n:05}\\.shop")).collect();
        let is = matcher(MatchOp::Regex, &names.join("|"));
        assert!(is.matches("my-service-04999.shop") && !is.matches("my-service-05000.shop"));
        assert_eq!(is.literal_values().map(|values| values.len()), Some(5_000));
    }

    #[test]
    fn plain_alternatives_are_told_as_a_list() {
        assert_eq!(matcher(MatchOp::Regex, "b|a").literal_values(), Some(vec!["a", "b"]));
        assert_eq!(matcher(MatchOp::NotRegex, "a|b").literal_values(), None);
        assert_eq!(matcher(MatchOp::Regex, "a.*").literal_values(), None);
    }
}
