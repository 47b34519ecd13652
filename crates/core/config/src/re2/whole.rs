//! Which texts an expression matches as a whole, told in the least memory.
//!
//! Values and beginnings that an expression lists are kept as sorted lists. Other alternatives are compiled, some hundred to
//! an automaton: one for thousands would outgrow the memory in which it runs fast.

use regex_automata::meta;
use regex_automata::nfa::thompson::WhichCaptures;

use super::alternatives::alternatives;
use super::{MAX_COMPILED, MAX_PATTERN, refused, too_large, translate, values};

/// Alternatives of one automaton.
const IN_A_PIECE: usize = 256;
/// The most bytes of the text that is parsed at a time.
const MAX_PARSED: usize = 128 << 10;
/// What a running automaton may remember of texts it has seen.
const MAX_REMEMBERED: usize = 1 << 20;

/// The texts that an expression matches from their start to their end.
#[derive(Clone, Debug, Default)]
pub struct Whole {
    /// Ascending; these.
    values: Vec<String>,
    /// Ascending, none the beginning of another; and what begins with these.
    beginnings: Vec<String>,
    /// And what one of these matches.
    automata: Vec<meta::Regex>,
}

impl Whole {
    /// Reads an expression in RE2's syntax. `.` matches a line break too.
    ///
    /// # Errors
    /// With a sentence that names what the engine refused.
    pub fn new(pattern: &str) -> Result<Self, String> {
        if !pattern.contains(|c: char| "\\.+*?()[]{}^$".contains(c)) {
            return Ok(Self::of(pattern.split('|').map(str::to_owned).collect(), Vec::new()));
        }
        let translated = translate(pattern);
        let (mut beginnings, mut others) = (Vec::new(), Vec::new());
        for alternative in alternatives(&translated) {
            match beginning(alternative) {
                Some(text) => beginnings.push(text),
                None => others.push(alternative),
            }
        }
        if others.is_empty() {
            return Ok(Self::of(Vec::new(), beginnings));
        }
        let pieces = pieces(&others);
        if let Some(longest) = pieces.iter().map(String::len).max().filter(|longest| *longest > MAX_PARSED) {
            let kib = MAX_PARSED >> 10;
            return Err(too_large(
                pattern,
                &format!("it has a part of {longest} bytes without alternatives, and {kib} KiB are the most"),
            ));
        }
        if let Some(values) = listed(pattern, &pieces) {
            return Ok(Self::of(values, beginnings));
        }
        let others: usize = pieces.iter().map(String::len).sum();
        if others > MAX_PATTERN {
            let kib = MAX_PATTERN >> 10;
            return Err(too_large(
                pattern,
                &format!("it has more than {kib} KiB besides values and beginnings"),
            ));
        }
        let mut whole = Self::of(Vec::new(), beginnings);
        for piece in &pieces {
            super::parse(pattern, piece)?;
            let room = MAX_COMPILED.saturating_sub(whole.heap_bytes());
            whole.automata.push(compiled(pattern, piece, room)?);
        }
        Ok(whole)
    }

    fn of(mut values: Vec<String>, mut beginnings: Vec<String>) -> Self {
        values.sort_unstable();
        values.dedup();
        beginnings.sort_unstable();
        // What begins like the one before it comes right behind it.
        beginnings.dedup_by(|longer, shorter| longer.starts_with(&**shorter));
        Self { values, beginnings, automata: Vec::new() }
    }

    /// Whether it matches `text` from start to end.
    pub fn is_match(&self, text: &str) -> bool {
        let is_value = || self.values.binary_search_by(|value| value.as_str().cmp(text)).is_ok();
        let begins = || {
            let behind = self.beginnings.partition_point(|beginning| beginning.as_str() <= text);
            let nearest = behind.checked_sub(1).and_then(|before| self.beginnings.get(before));
            nearest.is_some_and(|beginning| text.starts_with(&**beginning))
        };
        is_value() || begins() || self.automata.iter().any(|automaton| automaton.is_match(text))
    }

    /// The values, ascending, if these are all that it matches.
    pub fn values(&self) -> Option<&[String]> {
        (self.beginnings.is_empty() && self.automata.is_empty()).then_some(&self.values)
    }

    /// Heap bytes in use, about. An automaton takes as much again while it runs.
    pub fn heap_bytes(&self) -> usize {
        let texts = self.values.iter().chain(&self.beginnings).map(|text| text.len() + size_of::<String>());
        let automata = self.automata.iter().map(|automaton| 2 * automaton.memory_usage());
        texts.sum::<usize>() + automata.sum::<usize>()
    }
}

/// The text that anything may follow, where an alternative is that.
fn beginning(alternative: &str) -> Option<String> {
    let mut rest = alternative.strip_suffix(".*")?;
    let mut text = String::with_capacity(rest.len());
    while let Some(c) = rest.chars().next() {
        rest = rest.get(c.len_utf8()..)?;
        match c {
            '\\' => {
                let quoted = rest.chars().next().filter(char::is_ascii_punctuation)?;
                text.push(quoted);
                rest = rest.get(1..)?;
            }
            '.' | '+' | '*' | '?' | '(' | ')' | '[' | ']' | '{' | '}' | '^' | '$' | '|' => return None,
            _ => text.push(c),
        }
    }
    Some(text)
}

/// Alternatives put together again, so many that parsing and running them takes little memory.
fn pieces(alternatives: &[&str]) -> Vec<String> {
    let mut pieces: Vec<String> = Vec::new();
    let mut in_last = 0;
    for alternative in alternatives {
        let room =
            |piece: &&mut String| in_last < IN_A_PIECE && piece.len() + alternative.len() < MAX_PARSED / 4;
        match pieces.last_mut().filter(room) {
            Some(piece) => {
                piece.push('|');
                piece.push_str(alternative);
                in_last += 1;
            }
            None => {
                pieces.push((*alternative).to_owned());
                in_last = 1;
            }
        }
    }
    pieces
}

/// All values, if these are all that the pieces match.
fn listed(pattern: &str, pieces: &[String]) -> Option<Vec<String>> {
    let mut all = Vec::new();
    for piece in pieces {
        all.append(&mut values::values(pattern, piece)?);
        if all.len() > values::MAX_VALUES {
            return None;
        }
    }
    Some(all)
}

fn compiled(pattern: &str, piece: &str, room: usize) -> Result<meta::Regex, String> {
    let config = meta::Config::new()
        .nfa_size_limit(Some(room / 2))
        .hybrid_cache_capacity(MAX_REMEMBERED)
        .which_captures(WhichCaptures::None);
    let built = meta::Builder::new().configure(config).build(&format!("^(?s:{piece})$"));
    built.map_err(|e| match (e.size_limit(), e.syntax_error()) {
        (Some(_), _) => {
            too_large(pattern, &format!("it takes more than {} MiB when compiled", MAX_COMPILED >> 20))
        }
        (None, Some(error)) => refused(pattern, error),
        (None, None) => refused(pattern, &e),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn beginnings_need_no_automaton() {
        let all: Vec<String> = (0..45_000).map(|n| format!(r"pod\-{n}.*")).collect();
        let whole = Whole::new(&format!("^(?:{})$", all.join("|"))).unwrap();
        assert!(whole.automata.is_empty() && whole.heap_bytes() < 1 << 20, "{}", whole.heap_bytes());
        assert!(whole.is_match("pod-44999") && whole.is_match("pod-7\nx") && !whole.is_match("pod-x"));
    }

    #[test]
    fn what_is_no_beginning_is_compiled() {
        for pattern in ["a.*b", "a.+", "a.?", r"a\.*", "a.*?", "(?i)a.*", r"\d.*", "(a|b).*"] {
            assert!(!Whole::new(pattern).unwrap().automata.is_empty(), "{pattern}");
        }
    }

    proptest! {
        #[test]
        fn it_matches_as_one_automaton_would(
            pattern in r"(\(|\(\?:|\)|\||\||a|b|ab|\.\*|\.|[*]|\[ab\]|\\\||\^|\$|\\\.|\(\?i\)|\\d){0,14}",
            texts in proptest::collection::vec("[ab.|1]{0,5}", 1..8),
        ) {
            match (crate::re2::anchored(&pattern), Whole::new(&pattern)) {
                (Ok(one), Ok(whole)) => for text in &texts {
                    prop_assert_eq!(whole.is_match(text), one.is_match(text), "{:?}", text);
                },
                (one, whole) => prop_assert_eq!(one.is_ok(), whole.is_ok()),
            }
        }
    }
}
