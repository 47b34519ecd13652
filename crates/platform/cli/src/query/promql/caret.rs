//! Pointing at the place of an error in a query.

use unicode_width::UnicodeWidthStr as _;

/// What stands before the query and before the caret.
const MARGIN: &str = "  ";
/// Columns of a long line that are shown before the caret at most.
const BEFORE: usize = 50;

/// A place in a query: line and column in bytes, from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    line: usize,
    column: usize,
}

/// Reads `…: 1:8: parse error: what`, as Prometheus says what is wrong with `query`, or `…: 3:9: what`, where the numbers are the
/// first byte and the last; gives the place and `what`.
pub(super) fn place<'m>(query: &str, message: &'m str) -> Option<(Place, &'m str)> {
    let (numbers, what, is_place) = match message.split_once(": parse error: ") {
        Some((before, what)) => (before.rsplit(is_no_number).next()?.trim_start_matches(':'), what, true),
        None => {
            let start = message.strip_prefix("invalid parameter \"query\": ").unwrap_or(message);
            let (numbers, what) = start.split_once(": ")?;
            (numbers, what, false)
        }
    };
    let (first, second) = numbers.split_once(':')?;
    let (first, second): (usize, usize) = (first.parse().ok()?, second.parse().ok()?);
    if is_place {
        return Some((Place { line: first, column: second }, what));
    }
    let before = query.get(..first)?;
    let line_start = before.rfind('\n').map_or(0, |at| at + 1);
    Some((Place { line: before.matches('\n').count() + 1, column: first - line_start + 1 }, what))
}

fn is_no_number(c: char) -> bool {
    c != ':' && !c.is_ascii_digit()
}

/// The query's line with a caret under the place, in at most `width` columns.
pub(super) fn under(query: &str, at: Place, width: usize) -> String {
    let text = query.split('\n').nth(at.line.saturating_sub(1)).unwrap_or_default().replace('\t', " ");
    let text: String = text.chars().map(|c| if c.is_control() { '·' } else { c }).collect();
    let end = (0..=at.column.saturating_sub(1).min(text.len())).rev().find(|end| text.is_char_boundary(*end));
    let (before, behind) = text.split_at(end.unwrap_or(0));
    let before = last_columns(before, BEFORE);
    let room = width.saturating_sub(MARGIN.width() + before.width());
    let behind = first_columns(behind, room);
    format!("{MARGIN}{before}{behind}\n{MARGIN}{}^", " ".repeat(before.width()))
}

fn last_columns(text: &str, columns: usize) -> String {
    if text.width() <= columns {
        return text.to_owned();
    }
    let mut kept = text;
    while kept.width() + 1 > columns {
        let mut rest = kept.chars();
        rest.next();
        kept = rest.as_str();
    }
    format!("…{kept}")
}

fn first_columns(text: &str, columns: usize) -> String {
    if text.width() <= columns {
        return text.to_owned();
    }
    let mut kept = text;
    while kept.width() + 1 > columns && !kept.is_empty() {
        let mut rest = kept.chars();
        rest.next_back();
        kept = rest.as_str();
    }
    format!("{kept}…")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_place_is_read_from_prometheus_words() {
        let (at, what) =
            place("", "invalid parameter \"query\": 1:8: parse error: unclosed left parenthesis").unwrap();
        assert_eq!((at, what), (Place { line: 1, column: 8 }, "unclosed left parenthesis"));
        assert_eq!(place("", "12:34: parse error: x").unwrap().0, Place { line: 12, column: 34 });
        assert_eq!(place("", "query timed out"), None);
        assert_eq!(place("", "unknown position: parse error: x"), None);
        let told = place("up\n[step()]", "3:9: duration must be greater than 0").unwrap();
        assert_eq!(told, (Place { line: 2, column: 1 }, "duration must be greater than 0"));
    }

    #[test]
    fn the_caret_stands_under_the_place() {
        let told = under("sum(\n  foo bar)", Place { line: 2, column: 7 }, 80);
        assert_eq!(told, "    foo bar)\n        ^");
    }

    #[test]
    fn columns_are_bytes_and_the_caret_counts_what_is_seen() {
        let told = under("a == \"größe\" }", Place { line: 1, column: 16 }, 80);
        assert_eq!(told, "  a == \"größe\" }\n               ^");
    }

    #[test]
    fn a_long_line_is_cut_on_both_sides() {
        let query = format!("{} ? {}", "a".repeat(200), "b".repeat(200));
        let told = under(&query, Place { line: 1, column: 202 }, 80);
        assert!(told.lines().all(|line| line.width() <= 80), "{told}");
        let (text, caret) = told.split_once('\n').unwrap();
        assert_eq!(text.chars().nth(caret.chars().count() - 1), Some('?'), "{told}");
    }
}
