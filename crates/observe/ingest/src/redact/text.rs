//! Finds and replaces what text must not contain.

use std::borrow::Cow;
use std::ops::Range;

use kandela_config::re2;
use regex::{Captures, Regex, RegexBuilder, RegexSet, RegexSetBuilder};

use super::RedactError;
use super::SecretKind;
use super::config::{ValueAction, ValuePattern, ValueRule};
use super::hash::Hasher;
use super::keys::KeySet;

/// Memory that one compiled expression may take.
const REGEX_SIZE: usize = 1 << 20;

const EMAIL: &str = r"(?-u:\b)[A-Za-z0-9._%+-]+@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)*\.[A-Za-z]{2,}(?-u:\b)";
const CARD_DIGITS: &str = r"[0-9](?:[ -]?[0-9]){12,}";
const BEARER: &str = r"(?i-u:\bbearer[ \t]+)([A-Za-z0-9._~+/=-]{8,})";
const AWS_KEY: &str = r"(?-u:\b)(?:AKIA|ASIA|ABIA|ACCA|AGPA|AIDA|AIPA|ANPA|ANVA|AROA)[A-Z0-9]{16}(?-u:\b)";
const IPV4: &str =
    r"(?-u:\b)(?:25[0-5]|2[0-4][0-9]|1?[0-9]?[0-9])(?:\.(?:25[0-5]|2[0-4][0-9]|1?[0-9]?[0-9])){3}(?-u:\b)";

/// The rules by value, ready to apply.
#[derive(Debug)]
pub(super) struct TextRules {
    /// All expressions at once, to pass over text that has none in one go.
    any: RegexSet,
    rules: Vec<TextRule>,
}

#[derive(Debug)]
struct TextRule {
    keys: KeySet,
    regex: Regex,
    secret: Option<SecretKind>,
    action: ValueAction,
}

impl TextRules {
    pub(super) fn new(rules: &[ValueRule]) -> Result<Self, RedactError> {
        let sources: Vec<Cow<'_, str>> = rules.iter().map(|rule| source(&rule.pattern)).collect();
        let rules = rules.iter().zip(&sources).map(|(rule, source)| {
            let (secret, given) = match &rule.pattern {
                ValuePattern::Known(secret) => (Some(*secret), secret.as_str()),
                ValuePattern::Regex(given) => (None, given.as_str()),
            };
            let regex = RegexBuilder::new(source).size_limit(REGEX_SIZE).build().map_err(|error| {
                RedactError::Regex { pattern: given.to_owned(), error: error.to_string() }
            })?;
            let keys = KeySet::new(rule.keys.iter())?;
            Ok(TextRule { keys, regex, secret, action: rule.action.clone() })
        });
        let rules = rules.collect::<Result<Vec<_>, RedactError>>()?;
        let any = RegexSetBuilder::new(&sources).size_limit(REGEX_SIZE * (rules.len() + 1)).build();
        let any = any.map_err(|error| RedactError::Regex {
            pattern: "all rules together".to_owned(),
            error: error.to_string(),
        })?;
        Ok(Self { any, rules })
    }

    pub(super) fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    pub(super) fn hashes(&self) -> bool {
        self.rules.iter().any(|rule| rule.action == ValueAction::Hash)
    }

    /// `text` without what the rules mean; `None` where it has nothing of it.
    pub(super) fn apply(&self, text: &str, place: Place<'_>, hasher: &Hasher) -> Option<String> {
        if self.is_empty() || !self.any.is_match(text) {
            return None;
        }
        let mut clean = Cow::Borrowed(text);
        for rule in self.rules.iter().filter(|rule| rule.keys.is_empty() || place.is_in(&rule.keys)) {
            if let Some(replaced) = rule.apply(&clean, hasher) {
                clean = Cow::Owned(replaced);
            }
        }
        match clean {
            Cow::Owned(clean) if clean != text => Some(clean),
            _ => None,
        }
    }
}

/// Where a text stands: under which attribute, within which others.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Place<'a> {
    key: Option<&'a str>,
    outer: Option<&'a Place<'a>>,
}

impl<'a> Place<'a> {
    /// The place of what stands under `key` here.
    pub(super) fn under(&'a self, key: &'a str) -> Place<'a> {
        Place { key: Some(key), outer: Some(self) }
    }

    fn is_in(&self, keys: &KeySet) -> bool {
        self.key.is_some_and(|key| keys.first_match(key).is_some())
            || self.outer.is_some_and(|outer| outer.is_in(keys))
    }
}

fn source(pattern: &ValuePattern) -> Cow<'_, str> {
    let known = match pattern {
        ValuePattern::Regex(given) => return Cow::Owned(re2::translate(given)),
        ValuePattern::Known(SecretKind::Email) => EMAIL,
        ValuePattern::Known(SecretKind::CreditCard) => CARD_DIGITS,
        ValuePattern::Known(SecretKind::BearerToken) => BEARER,
        ValuePattern::Known(SecretKind::AwsKey) => AWS_KEY,
        ValuePattern::Known(SecretKind::Ipv4) => IPV4,
    };
    Cow::Borrowed(known)
}

impl TextRule {
    fn apply(&self, text: &str, hasher: &Hasher) -> Option<String> {
        let mut out = String::new();
        let mut copied = 0;
        for captures in self.regex.captures_iter(text) {
            for range in self.secrets(text, &captures) {
                let (Some(before), Some(secret)) = (text.get(copied..range.start), text.get(range.clone()))
                else {
                    continue;
                };
                out.push_str(before);
                match &self.action {
                    ValueAction::Replace(replacement) => out.push_str(replacement),
                    ValueAction::Hash => out.push_str(&hasher.hash(secret.as_bytes())),
                }
                copied = range.end;
            }
        }
        if copied == 0 {
            return None;
        }
        out.push_str(text.get(copied..).unwrap_or_default());
        Some(out)
    }

    /// Where within a match the secrets are, ascending.
    fn secrets(&self, text: &str, captures: &Captures<'_>) -> Vec<Range<usize>> {
        let Some(whole) = captures.get(0).filter(|whole| !whole.is_empty()) else { return Vec::new() };
        match self.secret {
            Some(SecretKind::CreditCard) => cards(text, whole.range()),
            Some(SecretKind::BearerToken) => captures.get(1).map(|token| token.range()).into_iter().collect(),
            Some(SecretKind::Ipv4) if is_part_of_more(text, whole.range()) => Vec::new(),
            _ => vec![whole.range()],
        }
    }
}

/// Whether four numbers with dots are part of a longer row of them, such as a version or an object identifier.
fn is_part_of_more(text: &str, range: Range<usize>) -> bool {
    let before = text.get(..range.start).unwrap_or_default();
    let after = text.get(range.end..).unwrap_or_default();
    let goes_on = after.strip_prefix('.').is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()));
    let came_before =
        before.strip_suffix('.').is_some_and(|rest| rest.ends_with(|c: char| c.is_ascii_digit()));
    goes_on || came_before
}

/// Card numbers within a row of digits, spaces and hyphens. A number begins and ends where a group of digits does, so a card
/// that stands after another number is found too.
fn cards(text: &str, range: Range<usize>) -> Vec<Range<usize>> {
    let row = text.get(range.clone()).unwrap_or_default();
    let mut groups: Vec<Range<usize>> = Vec::new();
    for (at, _) in row.bytes().enumerate().filter(|(_, byte)| byte.is_ascii_digit()) {
        match groups.last_mut() {
            Some(last) if last.end == at => last.end = at + 1,
            _ => groups.push(at..at + 1),
        }
    }
    let mut found = Vec::new();
    let mut first = 0;
    while let Some(start) = groups.get(first).map(|group| group.start) {
        let mut digits: Vec<u8> = Vec::new();
        let mut card = None;
        for (index, group) in groups.iter().enumerate().skip(first) {
            digits.extend(row.get(group.clone()).unwrap_or_default().bytes().map(|byte| byte - b'0'));
            if digits.len() > 19 {
                break;
            }
            if is_card(&digits) {
                card = Some((index, group.end));
            }
        }
        match card {
            Some((last, end)) => {
                found.push(range.start + start..range.start + end);
                first = last + 1;
            }
            None => first += 1,
        }
    }
    found
}

/// Whether digits are a number that a card issuer gives out: its prefix, its length and its check digit.
fn is_card(digits: &[u8]) -> bool {
    let prefix = |len: usize| digits.iter().take(len).fold(0u32, |n, digit| n * 10 + u32::from(*digit));
    let len = digits.len();
    let known_issuer = match (prefix(1), prefix(2), prefix(3), prefix(4)) {
        (4, ..) => matches!(len, 13 | 16 | 19),
        (_, 51..=55, ..) | (_, _, _, 2221..=2720) => len == 16,
        (_, 34 | 37, ..) => len == 15,
        (_, 36 | 38 | 39, ..) | (_, _, 300..=305, _) => (14..=19).contains(&len),
        (_, _, _, 3528..=3589 | 6011) | (_, 62 | 65, ..) | (_, _, 644..=649, _) => (16..=19).contains(&len),
        _ => false,
    };
    known_issuer && passes_luhn(digits)
}

fn passes_luhn(digits: &[u8]) -> bool {
    let sum: u32 = digits
        .iter()
        .rev()
        .enumerate()
        .map(|(place, digit)| match (place % 2, u32::from(*digit)) {
            (0, digit) => digit,
            (_, digit) if digit > 4 => digit * 2 - 9,
            (_, digit) => digit * 2,
        })
        .sum();
    sum.is_multiple_of(10)
}
