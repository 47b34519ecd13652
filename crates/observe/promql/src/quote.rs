//! Text in quotes, as Go's `strconv.Quote` writes it: errors and printed queries show strings so.

use std::fmt::Write as _;

/// `bytes` in double quotes, with what does not print and what is not UTF-8 as escapes.
pub(crate) fn quoted(bytes: impl AsRef<[u8]>) -> String {
    let mut out = String::from('"');
    for chunk in bytes.as_ref().utf8_chunks() {
        for c in chunk.valid().chars() {
            escape(c, '"', &mut out);
        }
        for byte in chunk.invalid() {
            let _ = write!(out, r"\x{byte:02x}");
        }
    }
    out.push('"');
    out
}

/// A character in single quotes; nothing is the replacement character, as for Go's end of input.
pub(crate) fn quoted_char(c: Option<char>) -> String {
    let mut out = String::from('\'');
    escape(c.unwrap_or(char::REPLACEMENT_CHARACTER), '\'', &mut out);
    out.push('\'');
    out
}

/// A character's number and, where it prints, the character: Go's `%#U`.
pub(crate) fn numbered(c: char) -> String {
    let number = format!("U+{:04X}", u32::from(c));
    if is_printed(c) { format!("{number} '{c}'") } else { number }
}

fn escape(c: char, quote: char, out: &mut String) {
    let short = match c {
        '\u{7}' => Some('a'),
        '\u{8}' => Some('b'),
        '\u{c}' => Some('f'),
        '\n' => Some('n'),
        '\r' => Some('r'),
        '\t' => Some('t'),
        '\u{b}' => Some('v'),
        '\\' => Some('\\'),
        c if c == quote => Some(c),
        _ => None,
    };
    let number = u32::from(c);
    let _ = match short {
        Some(short) => write!(out, "\\{short}"),
        None if is_printed(c) => write!(out, "{c}"),
        None if number < 0x80 => write!(out, r"\x{number:02x}"),
        None if number < 0x1_0000 => write!(out, r"\u{number:04x}"),
        None => write!(out, r"\U{number:08x}"),
    };
}

/// Whether a character prints: letters, marks, numbers, punctuation, symbols, and of the blanks only the space.
fn is_printed(c: char) -> bool {
    if matches!(c, '\'' | '"' | '\\') {
        return true;
    }
    // The standard library has that set as what it does not escape; only at the front of a text it escapes marks too.
    let text = String::from_iter(['x', c]);
    text.escape_debug().count() == 2
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_print_is_escaped_as_go_escapes_it() {
        assert_eq!(quoted("a\n\"\\'é\u{301}"), "\"a\\n\\\"\\\\'é\u{301}\"");
        assert_eq!(quoted("\u{0}\u{7f}\u{a0}\u{feff}\u{e0001}"), r#""\x00\x7f\u00a0\ufeff\U000e0001""#);
        assert_eq!(quoted(b"\xff\xe4\xb8a"), r#""\xff\xe4\xb8a""#);
    }

    #[test]
    fn single_characters_are_shown_as_go_shows_runes() {
        assert_eq!(quoted_char(Some('\'')), r"'\''");
        assert_eq!(quoted_char(Some('"')), "'\"'");
        assert_eq!(quoted_char(None), "'\u{fffd}'");
        assert_eq!(numbered('q'), "U+0071 'q'");
        assert_eq!(numbered('\n'), "U+000A");
    }
}
