//! The alternatives of an expression, found by its brackets alone: to parse thousands of them at once takes a hundred times
//! the memory of their text.

use std::ops::Range;

/// The alternatives of `expr`, which is in the syntax of the `regex` crate; brackets and anchors around all of them are
/// taken off. One where there is none, where brackets do not match, or where a flag holds from one to the next.
pub(super) fn alternatives(expr: &str) -> Vec<&str> {
    let mut inside = expr;
    loop {
        match Scan::of(inside) {
            Some(Scan { bars, .. }) if !bars.is_empty() => return split(inside, &bars),
            Some(Scan { group: Some(group), .. }) => inside = inside.get(group).unwrap_or_default(),
            _ => return vec![expr],
        }
    }
}

fn split<'e>(expr: &'e str, bars: &[usize]) -> Vec<&'e str> {
    let starts = std::iter::once(0).chain(bars.iter().map(|bar| bar + 1));
    let ends = bars.iter().copied().chain([expr.len()]);
    starts.zip(ends).filter_map(|(start, end)| expr.get(start..end)).collect()
}

/// What stands outside of all brackets.
struct Scan {
    /// Where the bars are.
    bars: Vec<usize>,
    /// What is in the one group that is all of the expression, but for anchors.
    group: Option<Range<usize>>,
}

impl Scan {
    fn of(expr: &str) -> Option<Self> {
        let (mut groups, mut classes) = (0usize, 0usize);
        let mut bars = Vec::new();
        let mut closed = None;
        let mut bytes = expr.bytes().enumerate();
        while let Some((at, byte)) = bytes.next() {
            match byte {
                b'\\' => drop(bytes.next()),
                b'[' => classes += 1,
                b']' if classes > 0 => classes -= 1,
                _ if classes > 0 => {}
                b'(' if groups == 0 && sets_flags(expr.get(at..).unwrap_or_default()) => return None,
                b'(' => groups += 1,
                b')' => {
                    groups = groups.checked_sub(1)?;
                    closed = closed.or((groups == 0).then_some(at));
                }
                b'|' if groups == 0 => bars.push(at),
                _ => {}
            }
        }
        let front = if expr.starts_with('^') { 1 } else { 0 };
        let end = expr.strip_suffix('$').unwrap_or(expr).len();
        let open = match expr.get(front..).unwrap_or_default() {
            rest if rest.starts_with("(?:") => Some(front + 3),
            rest if rest.starts_with("(?") => None,
            rest if rest.starts_with('(') => Some(front + 1),
            _ => None,
        };
        let group = closed.filter(|closed| closed + 1 == end).and_then(|closed| Some(open?..closed));
        (groups == 0 && classes == 0).then_some(Self { bars, group })
    }
}

/// Whether `(?flags)` is in front, which holds for all that follows.
fn sets_flags(text: &str) -> bool {
    let Some(flags) = text.strip_prefix("(?") else { return false };
    flags.trim_start_matches(|c: char| c.is_ascii_alphabetic() || c == '-').starts_with(')')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn bars_outside_of_brackets_part_alternatives() {
        for (expr, expected) in [
            ("a|b", vec!["a", "b"]),
            ("a||", vec!["a", "", ""]),
            ("(a|b)", vec!["a", "b"]),
            ("^(?:a|(b|c)d)$", vec!["a", "(b|c)d"]),
            (r"a\|b|[|]|[\]|]|(c|d)", vec![r"a\|b", "[|]", r"[\]|]", "(c|d)"]),
            ("[[:alpha:]|]|x", vec!["[[:alpha:]|]", "x"]),
            ("(?i:a)|b", vec!["(?i:a)", "b"]),
            ("(a|b)(c|d)", vec!["(a|b)(c|d)"]),
            ("(a|b)?", vec!["(a|b)?"]),
            ("(?i:a|b)", vec!["(?i:a|b)"]),
            ("a|(?i)b|c", vec!["a|(?i)b|c"]),
            ("a)|(b", vec!["a)|(b"]),
            ("(a|b", vec!["(a|b"]),
            (r"(a|b\)", vec![r"(a|b\)"]),
            ("((a|b))", vec!["a", "b"]),
            ("", vec![""]),
        ] {
            assert_eq!(alternatives(expr), expected, "{expr}");
        }
    }

    proptest! {
        #[test]
        fn what_any_alternative_matches_the_whole_does_too(
            pattern in r"(\(|\(\?:|\)|\||\||a|b|\[a\|\]|\\\||\^|\$|\*|\(\?i\)|[.]){0,12}",
            text in "[abAB|]{0,4}",
        ) {
            let matches = |expr: &str| {
                regex::Regex::new(&format!("^(?s:{expr})$")).map(|regex| regex.is_match(&text))
            };
            // Where the whole is none, an alternative may be one.
            if let Ok(whole) = matches(&pattern) && regex_syntax::parse(&pattern).is_ok() {
                let parts = alternatives(&pattern);
                let any = parts.iter().any(|part| matches(part).unwrap_or(false));
                prop_assert_eq!(any, whole, "{:?}", parts);
            }
        }
    }
}
