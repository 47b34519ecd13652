//! Regular expressions in RE2's syntax, as Prometheus writes them, on the `regex` crate.
//!
//! The two engines share their semantics (leftmost-first, linear time); their syntaxes differ in a few places, which
//! [`translate`] bridges: in RE2 `\d \s \w \b` mean ASCII only, `\Q…\E` quotes, a `{` that begins no repetition is a plain
//! character, and so are `\<` and `\>` and, inside a character class, `[`, `&&`, `--` and `~~`. What only the crate takes is
//! refused. Source: <https://github.com/google/re2/wiki/Syntax>.

mod alternatives;
mod dialect;
mod values;
mod whole;

use std::fmt::Write as _;

use regex::{Regex, RegexBuilder};
use regex_syntax::ast::{Ast, parse::Parser};

pub use whole::Whole;

/// The most bytes that a compiled expression may take. It runs in linear time however large it is; this bounds what
/// compiling takes.
const MAX_COMPILED: usize = 32 << 20;

/// The most bytes of an expression that is compiled; lists of values and of beginnings may have more.
const MAX_PATTERN: usize = 512 << 10;

/// The most characters of an expression that an error shows.
const MAX_SHOWN: usize = 200;

/// Compiles `pattern` so that it matches whole texts only and `.` matches a line break too, as Prometheus does with every
/// expression in its config and its selectors.
///
/// # Errors
/// With a sentence that names what the engine refused.
pub fn anchored(pattern: &str) -> Result<Regex, String> {
    let translated = translate(pattern);
    // Parsed alone first, so that `a)|(b` cannot leave the group that anchors it.
    parse_bounded(pattern, &translated)?;
    compile(pattern, &format!("^(?s:{translated})$"))
}

/// Compiles `pattern` so that it may match anywhere in a text.
///
/// # Errors
/// With a sentence that names what the engine refused.
pub fn search(pattern: &str) -> Result<Regex, String> {
    let translated = translate(pattern);
    parse_bounded(pattern, &translated)?;
    compile(pattern, &translated)
}

/// Parses what is to be compiled.
fn parse_bounded(pattern: &str, translated: &str) -> Result<Ast, String> {
    if pattern.len() > MAX_PATTERN {
        return Err(too_large(pattern, &format!("it has more than {} KiB", MAX_PATTERN >> 10)));
    }
    parse(pattern, translated)
}

fn parse(pattern: &str, translated: &str) -> Result<Ast, String> {
    let expr = Parser::new().parse(translated).map_err(|e| refused(pattern, &e))?;
    dialect::check(&expr, translated).map_err(|reason| refused(pattern, &reason))?;
    Ok(expr)
}

fn compile(pattern: &str, translated: &str) -> Result<Regex, String> {
    RegexBuilder::new(translated).size_limit(MAX_COMPILED).build().map_err(|e| match &e {
        regex::Error::CompiledTooBig(limit) => {
            too_large(pattern, &format!("it takes more than {} MiB when compiled", limit >> 20))
        }
        other => refused(pattern, other),
    })
}

/// What is wrong with a pattern.
fn refused(pattern: &str, reason: &dyn std::fmt::Display) -> String {
    let reason = reason.to_string();
    let last = reason.lines().last().unwrap_or_default();
    let reason = last.trim_start_matches("error:").trim();
    format!("regular expression {} is not valid: {reason}", shown(pattern))
}

/// That a pattern takes more of something than it may.
fn too_large(pattern: &str, reason: &str) -> String {
    format!("regular expression {} is too large: {reason}", shown(pattern))
}

/// A pattern in quotes, without its middle where it is long.
fn shown(pattern: &str) -> String {
    let length = pattern.chars().count();
    if length <= MAX_SHOWN {
        return format!("{pattern:?}");
    }
    let front: String = pattern.chars().take(MAX_SHOWN / 2).collect();
    let back: String = pattern.chars().skip(length - MAX_SHOWN / 2).collect();
    format!("{:?}", format!("{front}…{back}"))
}

/// `pattern`, written in RE2's syntax, in the syntax of the `regex` crate.
pub fn translate(pattern: &str) -> String {
    let mut out = String::with_capacity(pattern.len() + 16);
    let mut rest = pattern;
    while let Some(c) = rest.chars().next() {
        let after = rest.get(c.len_utf8()..).unwrap_or_default();
        rest = match c {
            '\\' => escape(after, false, &mut out),
            '[' => class(after, &mut out),
            '{' if !is_repetition(after) => {
                out.push_str(r"\{");
                after
            }
            _ => {
                out.push(c);
                after
            }
        };
    }
    out
}

/// Translates what follows a backslash, and gives what follows that.
fn escape<'p>(after: &'p str, in_class: bool, out: &mut String) -> &'p str {
    let Some(c) = after.chars().next() else {
        out.push('\\');
        return after;
    };
    let rest = after.get(c.len_utf8()..).unwrap_or_default();
    let (open, open_negated, close) = if in_class { ("", "[^", "") } else { ("[", "[^", "]") };
    let perl = match c.to_ascii_lowercase() {
        'd' => "0-9",
        's' => r"\t\n\f\r ",
        'w' => "0-9A-Za-z_",
        _ => "",
    };
    match c {
        'd' | 's' | 'w' => {
            let _ = write!(out, "{open}{perl}{close}");
        }
        'D' | 'S' | 'W' => {
            let _ = write!(out, "{open_negated}{perl}]");
        }
        'b' | 'B' if !in_class => {
            let _ = write!(out, r"(?-u:\{c})");
        }
        '<' | '>' => out.push(c),
        'Q' if !in_class => {
            let (quoted, rest) = rest.split_once(r"\E").unwrap_or((rest, ""));
            out.push_str(&regex::escape(quoted));
            return rest;
        }
        'p' | 'P' | 'x' if rest.starts_with('{') => {
            let (name, behind) = rest.split_at(rest.find('}').map_or(rest.len(), |end| end + 1));
            let _ = write!(out, r"\{c}{name}");
            return behind;
        }
        _ => {
            out.push('\\');
            out.push(c);
        }
    }
    rest
}

/// Whether what follows a `{` makes it a repetition: `n}`, `n,}` or `n,m}`.
fn is_repetition(after: &str) -> bool {
    let Some((counts, _)) = after.split_once('}') else { return false };
    let (low, high) = counts.split_once(',').unwrap_or((counts, ""));
    let is_number = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    !low.is_empty() && is_number(low) && is_number(high)
}

/// Translates a character class from behind its `[`, and gives what follows its `]`.
fn class<'p>(after: &'p str, out: &mut String) -> &'p str {
    out.push('[');
    let mut rest = after;
    if let Some(negated) = rest.strip_prefix('^') {
        out.push('^');
        rest = negated;
    }
    // A `]` in front is a plain character in both syntaxes; escaped, it is one wherever it stands.
    if let Some(bracket) = rest.strip_prefix(']') {
        out.push_str(r"\]");
        rest = bracket;
    }
    while let Some(c) = rest.chars().next() {
        if c == ']' {
            out.push(']');
            return rest.get(1..).unwrap_or_default();
        }
        if let Some((name, behind)) = posix_class(rest) {
            out.push_str(name);
            rest = behind;
            continue;
        }
        let is_class = is_class_escape(rest);
        rest = member(rest, out);
        // A `-` that stands neither last nor behind a class makes a range, whatever follows it.
        let end = rest.strip_prefix('-').filter(|end| !end.is_empty() && !end.starts_with(']'));
        if let Some(end) = end.filter(|_| !is_class) {
            out.push('-');
            if is_class_escape(end) {
                // Left as it is, the engine refuses it too.
                out.push_str(end.get(..2).unwrap_or_default());
                rest = end.get(2..).unwrap_or_default();
            } else {
                rest = member(end, out);
            }
        }
    }
    rest
}

/// Whether `\d`, `\pL` or their like are in front.
fn is_class_escape(text: &str) -> bool {
    text.strip_prefix('\\').is_some_and(|name| name.starts_with(['d', 'D', 's', 'S', 'w', 'W', 'p', 'P']))
}

/// Translates one member of a character class, and gives what follows it.
fn member<'p>(text: &'p str, out: &mut String) -> &'p str {
    let Some(c) = text.chars().next() else { return text };
    let next = text.get(c.len_utf8()..).unwrap_or_default();
    match c {
        '\\' => return escape(next, true, out),
        '[' | '&' | '~' | '-' | '^' => {
            out.push('\\');
            out.push(c);
        }
        _ => out.push(c),
    }
    next
}

/// `[:alpha:]` and its like at the front of `text`, and what follows it.
fn posix_class(text: &str) -> Option<(&str, &str)> {
    let inner = text.strip_prefix("[:")?;
    let end = inner.find(":]")?;
    let name = inner.get(..end)?.trim_start_matches('^');
    let is_name = !name.is_empty() && name.bytes().all(|b| b.is_ascii_lowercase());
    if is_name { text.split_at_checked(end + 4) } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn matches(pattern: &str, text: &str) -> bool {
        anchored(pattern).unwrap().is_match(text)
    }

    #[test]
    fn a_pattern_cannot_leave_its_anchors() {
        assert!(anchored("a)|(b").unwrap_err().contains("unopened group"));
    }

    #[test]
    fn an_expression_matches_whole_texts_only() {
        assert!(matches("foo|bar", "bar"));
        assert!(!matches("foo|bar", "foobar"));
        assert!(!matches("foo", "foo\n"));
        assert!(matches("a.*b", "a\nb"));
    }

    #[test]
    fn perl_classes_are_ascii() {
        assert!(matches(r"\d+", "123"));
        assert!(!matches(r"\d+", "١٢٣"));
        assert!(!matches(r"\w", "é"));
        assert!(matches(r"\W", "é"));
        assert!(matches(r"[^\w]", "é"));
        assert!(matches(r"[\W]", "é"));
        assert!(matches(r"[\d.]+", "1.2"));
        assert!(matches(r".\b.*", "é1"));
    }

    #[test]
    fn class_members_that_the_engine_would_take_for_operators_are_plain() {
        assert!(matches("[[]", "["));
        assert!(matches("[a&&b]+", "a&b"));
        assert!(matches("[]a]+", "]a"));
        assert!(matches("[^]a]", "b"));
        assert!(matches("[[:alpha:]_]+", "ab_"));
        assert!(matches("[a-c]+", "abc"));
        assert!(!matches("[a-c]+", "a-c"));
        assert!(matches("[--a]+", "-Z09a") && !matches("[--a]", "b"));
        assert!(matches("[^--0]", "1") && !matches("[^--0]", "."));
        assert!(matches("[a-]+", "a-") && matches("[-a]+", "a-") && matches("[a^]+", "^a"));
    }

    #[test]
    fn braces_that_repeat_nothing_are_plain() {
        assert!(matches("a{", "a{"));
        assert!(matches("{{.+}}", "{{x}}"));
        assert!(matches("a{,2}", "a{,2}"));
        assert!(matches("a{2,3}", "aaa"));
        assert!(matches(r"\p{Greek}\x{61}[\p{Lu}]", "λaB"));
    }

    #[test]
    fn quoting_is_understood() {
        assert!(matches(r"\Qa.b*\E+", "a.b**"));
        assert!(!matches(r"\Qa.b\E", "axb"));
        assert!(matches(r"\Qa.b", "a.b"));
    }

    #[test]
    fn what_the_engine_refuses_is_named() {
        let error = anchored("a(b").unwrap_err();
        assert!(error.contains("a(b") && error.contains("unclosed group"), "{error}");
        for pattern in ["[a--b]", r"[.-\d]", r"[^\d--\n]", "[b-a]", "[a"] {
            assert!(anchored(pattern).is_err(), "{pattern}");
        }
        assert!(anchored(&r"\pL{1000}".repeat(5)).unwrap_err().contains("more than 32 MiB"));
    }

    #[test]
    fn a_long_pattern_that_is_refused_is_shown_without_its_middle() {
        let error = anchored(&format!("{}({}", "a".repeat(5_000), "b".repeat(5_000))).unwrap_err();
        assert!(error.len() < 300 && error.contains("a…b"), "{error}");
    }

    proptest! {
        #[test]
        fn arbitrary_patterns_never_panic(pattern in r"[\[\]\\^$a-z&~QEdwWs:.*+?(){}|-]{0,24}|\PC{0,16}") {
            let _ = anchored(&pattern);
        }
    }
}
