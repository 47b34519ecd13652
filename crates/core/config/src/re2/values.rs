//! Expressions that only list values: they need no automaton.

use regex_syntax::hir::translate::Translator;
use regex_syntax::hir::{Class, Hir, HirKind, Look};

/// The most values that an expression is written out to.
pub(super) const MAX_VALUES: usize = 1 << 16;
/// The most bytes that these may have.
const MAX_BYTES: usize = 8 << 20;

/// All values that `piece` of `pattern`, in the crate's syntax, matches as a whole; `None` where these are no short list, or
/// where it is no regular expression.
pub(super) fn values(pattern: &str, piece: &str) -> Option<Vec<String>> {
    let expr = super::parse(pattern, piece).ok()?;
    let hir = Translator::new().translate(piece, &expr).ok()?;
    let values = of(&hir, Ends { start: true, end: true })?;
    values.0.into_iter().map(|value| String::from_utf8(value).ok()).collect()
}

/// Whether an expression begins or ends where the whole one does, so that anchors there say nothing new.
#[derive(Clone, Copy)]
struct Ends {
    start: bool,
    end: bool,
}

fn of(hir: &Hir, ends: Ends) -> Option<Values> {
    match hir.kind() {
        HirKind::Empty => Some(Values::of_nothing()),
        HirKind::Literal(literal) => Some(Values(vec![literal.0.to_vec()])),
        HirKind::Class(class) => of_class(class),
        HirKind::Look(Look::Start) if ends.start => Some(Values::of_nothing()),
        HirKind::Look(Look::End) if ends.end => Some(Values::of_nothing()),
        HirKind::Look(_) => None,
        HirKind::Capture(capture) => of(&capture.sub, ends),
        HirKind::Repetition(repetition) => {
            let inside = of(&repetition.sub, Ends { start: false, end: false })?;
            let (mut power, mut all) = (Values::of_nothing(), Values(Vec::new()));
            for times in 0..=repetition.max? {
                if times >= repetition.min {
                    all = all.or(power.clone())?;
                }
                power = power.then(&inside)?;
            }
            Some(all)
        }
        HirKind::Concat(parts) => {
            let is_look = |part: &&Hir| matches!(part.kind(), HirKind::Look(_));
            let first = parts.iter().take_while(is_look).count();
            let last = parts.len() - 1 - parts.iter().rev().take_while(is_look).count().min(parts.len() - 1);
            let mut parts = parts.iter().enumerate().map(|(at, part)| {
                of(part, Ends { start: ends.start && at <= first, end: ends.end && at >= last })
            });
            parts.try_fold(Values::of_nothing(), |before, part| before.then(&part?))
        }
        HirKind::Alternation(parts) => {
            parts.iter().try_fold(Values(Vec::new()), |all, part| all.or(of(part, ends)?))
        }
    }
}

fn of_class(class: &Class) -> Option<Values> {
    let Class::Unicode(class) = class else { return None };
    let size: usize = class.iter().map(|range| range.len()).sum();
    let chars = class.iter().flat_map(|range| range.start()..=range.end());
    (size <= MAX_VALUES).then(|| Values(chars.map(|c| c.to_string().into_bytes()).collect()))
}

#[derive(Clone)]
struct Values(Vec<Vec<u8>>);

impl Values {
    fn of_nothing() -> Self {
        Self(vec![Vec::new()])
    }

    fn bytes(&self) -> usize {
        self.0.iter().map(Vec::len).sum()
    }

    /// These or those.
    fn or(mut self, mut other: Self) -> Option<Self> {
        self.0.append(&mut other.0);
        (self.0.len() <= MAX_VALUES).then_some(self)
    }

    /// Each of these, followed by each of those.
    fn then(&self, other: &Self) -> Option<Self> {
        let bytes = self.bytes() * other.0.len() + other.bytes() * self.0.len();
        if self.0.len() * other.0.len() > MAX_VALUES || bytes > MAX_BYTES {
            return None;
        }
        let joined = |value: &Vec<u8>| {
            other.0.iter().map(|behind| [value.as_slice(), behind].concat()).collect::<Vec<_>>()
        };
        Some(Self(self.0.iter().flat_map(joined).collect()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sorted(pattern: &str) -> Option<Vec<String>> {
        let mut values = values(pattern, &crate::re2::translate(pattern))?;
        values.sort();
        values.dedup();
        Some(values)
    }

    #[test]
    fn what_only_lists_values_is_written_out() {
        for (pattern, expected) in [
            ("", vec![""]),
            ("a", vec!["a"]),
            ("b|a|", vec!["", "a", "b"]),
            (r"10\.0\.0\.1:9090|10\.0\.0\.2:9090", vec!["10.0.0.1:9090", "10.0.0.2:9090"]),
            ("shop-(?:cart|stock)-[12]", vec!["shop-cart-1", "shop-cart-2", "shop-stock-1", "shop-stock-2"]),
            ("^(a|b)$", vec!["a", "b"]),
            ("^a$|^b", vec!["a", "b"]),
            ("ab?c{2}", vec!["abcc", "acc"]),
            ("(?i:on)", vec!["ON", "On", "oN", "on"]),
            ("é|ü.?", vec![]),
            (r"\Qa.b\E", vec!["a.b"]),
        ] {
            let expected = (!expected.is_empty()).then_some(expected);
            assert_eq!(sorted(pattern).as_deref(), expected.as_deref().map(owned).as_deref(), "{pattern}");
        }
    }

    fn owned(values: &[&str]) -> Vec<String> {
        values.iter().map(|value| (*value).to_owned()).collect()
    }

    #[test]
    fn what_lists_no_values_or_too_many_is_not() {
        for pattern in ["a.*", "a+", r"a\b", "a^b", "[a-z]{9}", "(?i:abcdefghijklmnopqrstuvwxyz)", "a(b"] {
            assert_eq!(sorted(pattern), None, "{pattern}");
        }
    }
}
