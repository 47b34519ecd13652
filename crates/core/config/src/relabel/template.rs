//! Replacement templates in Go's syntax.

use std::fmt;
use std::sync::LazyLock;

use regex::{Captures, Regex};
use serde::{Serialize, Serializer};

/// A replacement such as `$1`, `${name}` or `a-$$-b`, resolved against the groups of its regex.
///
/// Source: `Regexp.Expand` of Go's standard library, <https://pkg.go.dev/regexp#Regexp.Expand>. A name is the longest run
/// of letters, digits and `_`, so `$1x` is `${1x}`; a name that is no group is empty; a `$` that begins nothing stays.
#[derive(Clone)]
pub struct Template {
    source: String,
    parts: Vec<Part>,
}

#[derive(Clone, PartialEq)]
enum Part {
    Text(String),
    Group(usize),
}

impl Template {
    /// `source` for matches of `regex`.
    pub fn new(source: &str, regex: &Regex) -> Self {
        Self { source: source.to_owned(), parts: parts(source, regex) }
    }

    /// The template as it was written.
    pub fn as_str(&self) -> &str {
        &self.source
    }

    pub(super) fn is_empty(&self) -> bool {
        self.source.is_empty()
    }

    pub(super) fn has_variables(&self) -> bool {
        self.source.contains('$')
    }

    /// The template with the groups of one match filled in.
    pub fn expand(&self, captures: &Captures<'_>) -> String {
        let mut text = String::with_capacity(self.expanded_len(captures));
        text.extend(self.filled(captures));
        text
    }

    /// How many bytes [`Template::expand`] gives.
    pub fn expanded_len(&self, captures: &Captures<'_>) -> usize {
        self.filled(captures).map(str::len).sum()
    }

    fn filled<'a>(&'a self, captures: &'a Captures<'_>) -> impl Iterator<Item = &'a str> {
        self.parts.iter().map(|part| match part {
            Part::Text(part) => part,
            Part::Group(group) => captures.get(*group).map_or("", |group| group.as_str()),
        })
    }
}

/// A run of what Go counts among letters and digits.
static NAME: LazyLock<Regex> = LazyLock::new(|| {
    #[allow(clippy::expect_used, reason = "the pattern is a constant, and tests compile it")]
    Regex::new(r"^[\p{L}\p{Nd}_]+").expect("a name is a valid pattern")
});

fn parts(source: &str, regex: &Regex) -> Vec<Part> {
    let mut parts = Vec::new();
    let mut text = String::new();
    let mut rest = source;
    while let Some((before, after)) = rest.split_once('$') {
        text.push_str(before);
        rest = after;
        if let Some(after) = rest.strip_prefix('$') {
            text.push('$');
            rest = after;
        } else if let Some((name, after)) = variable(rest) {
            if let Some(group) = group(name, regex) {
                parts.push(Part::Text(std::mem::take(&mut text)));
                parts.push(Part::Group(group));
            }
            rest = after;
        } else {
            text.push('$');
        }
    }
    text.push_str(rest);
    parts.push(Part::Text(text));
    parts.retain(|part| *part != Part::Text(String::new()));
    parts
}

/// The name at the front of what follows a `$`, and what follows it.
fn variable(text: &str) -> Option<(&str, &str)> {
    let in_braces = text.strip_prefix('{');
    let text = in_braces.unwrap_or(text);
    let end = NAME.find(text).map_or(0, |name| name.end());
    let (name, rest) = text.split_at(end);
    let rest = if in_braces.is_some() { rest.strip_prefix('}')? } else { rest };
    if name.is_empty() { None } else { Some((name, rest)) }
}

/// The group that a name means; digits without a leading zero are a number.
fn group(name: &str, regex: &Regex) -> Option<usize> {
    let is_number = name.bytes().all(|b| b.is_ascii_digit()) && (name == "0" || !name.starts_with('0'));
    if is_number {
        return name.parse().ok().filter(|group| *group < regex.captures_len());
    }
    regex.capture_names().position(|group| group == Some(name))
}

/// Whether `text` is made of legacy name characters and variables alone, as Prometheus checks targets of relabelling under
/// legacy validation; there, a name in a variable is of `[0-9A-Za-z_]`.
pub(super) fn is_legacy_name_template(text: &str) -> bool {
    let is_word = |text: &str| text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('$') {
        let Some((name, behind)) = variable(after) else { return false };
        if !is_word(before) || !is_word(name) {
            return false;
        }
        rest = behind;
    }
    is_word(rest)
}

impl PartialEq for Template {
    fn eq(&self, other: &Self) -> bool {
        self.source == other.source
    }
}

impl fmt::Debug for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.source.fmt(f)
    }
}

impl Serialize for Template {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.source)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expand(template: &str) -> String {
        let regex = Regex::new("^(?P<first>.)(.)(x)?$").unwrap();
        Template::new(template, &regex).expand(&regex.captures("ab").unwrap())
    }

    #[test]
    fn templates_expand_as_in_go() {
        for (template, expanded) in [
            ("$1", "a"),
            ("${2}${1}", "ba"),
            ("${first}-$0", "a-ab"),
            ("$1x", ""),
            ("${1}x", "ax"),
            ("$3|", "|"),
            ("$9|", "|"),
            ("$01|", "|"),
            ("${01}|", "|"),
            ("$äb|", "|"),
            ("$1٣|", "|"),
            ("$1²", "a²"),
            ("$$1", "$1"),
            ("100$", "100$"),
            ("$-", "$-"),
            ("${1", "${1"),
            ("${}", "${}"),
            ("${a b}", "${a b}"),
            ("plain", "plain"),
        ] {
            assert_eq!(expand(template), expanded, "{template}");
        }
    }
}
