//! Strings in quotes: where they end, and what they say.

use super::lexer::Lexer;
use super::token::TokenKind;
use crate::quote::numbered;

/// Reads a string to its closing quote; the opening one is read.
///
/// # Errors
/// When the string does not end, or an escape in it has no meaning.
pub(super) fn quoted(lexer: &mut Lexer<'_>, quote: char) -> Result<TokenKind, String> {
    loop {
        match lexer.take() {
            Some('\\') => {
                escape(&mut || lexer.take(), quote)?;
            }
            Some('\n') | None => return Err("unterminated quoted string".to_owned()),
            Some(char::REPLACEMENT_CHARACTER) => return Err(not_utf8()),
            Some(c) if c == quote => return Ok(TokenKind::String),
            Some(_) => {}
        }
    }
}

/// Reads a string without escapes to its closing backquote; the opening one is read.
///
/// # Errors
/// When the string does not end.
pub(super) fn raw(lexer: &mut Lexer<'_>) -> Result<TokenKind, String> {
    loop {
        match lexer.take() {
            Some('`') => return Ok(TokenKind::String),
            Some(char::REPLACEMENT_CHARACTER) => return Err(not_utf8()),
            Some(_) => {}
            None => return Err("unterminated raw string".to_owned()),
        }
    }
}

/// What Prometheus says of the character that stands for bytes that are no UTF-8, also where it is meant.
fn not_utf8() -> String {
    "invalid UTF-8 rune".to_owned()
}

/// The bytes that a quoted string of the language stands for: Go's escapes in `"…"` and `'…'`, none in backquotes.
///
/// # Errors
/// When an escape has no meaning.
pub(super) fn unquote(text: &str) -> Result<Vec<u8>, String> {
    let mut chars = text.chars();
    let (Some(quote), Some(_)) = (chars.next(), chars.next_back()) else {
        return Err("invalid syntax".to_owned());
    };
    let body = chars.as_str();
    if quote == '`' {
        return Ok(body.as_bytes().to_vec());
    }
    let mut out = Vec::with_capacity(body.len());
    let mut rest = body.chars();
    while let Some(c) = rest.next() {
        let meant = match c {
            '\\' => escape(&mut || rest.next(), quote)?,
            c => Meant::Character(c),
        };
        match meant {
            Meant::Character(c) => out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
            Meant::Byte(byte) => out.push(byte),
        }
    }
    Ok(out)
}

/// What an escape stands for.
enum Meant {
    Character(char),
    Byte(u8),
}

/// What the escape stands for of which the backslash is read.
fn escape(next: &mut dyn FnMut() -> Option<char>, quote: char) -> Result<Meant, String> {
    let end = "escape sequence not terminated";
    let c = next().ok_or(end)?;
    let (digits, radix, first) = match c {
        'a' => return Ok(Meant::Byte(7)),
        'b' => return Ok(Meant::Byte(8)),
        'f' => return Ok(Meant::Byte(12)),
        'n' => return Ok(Meant::Byte(b'\n')),
        'r' => return Ok(Meant::Byte(b'\r')),
        't' => return Ok(Meant::Byte(b'\t')),
        'v' => return Ok(Meant::Byte(11)),
        c if c == '\\' || c == quote => return Ok(Meant::Character(c)),
        'x' => (2, 16, None),
        'u' => (4, 16, None),
        'U' => (8, 16, None),
        '0'..='7' => (3, 8, Some(c)),
        c => return Err(format!("unknown escape sequence {}", numbered(c))),
    };
    let mut value = 0u32;
    for at in 0..digits {
        let digit = match first.filter(|_| at == 0) {
            Some(first) => first,
            None => next().ok_or(end)?,
        };
        let of_digit = digit
            .to_digit(radix)
            .ok_or_else(|| format!("illegal character {} in escape sequence", numbered(digit)))?;
        value = value.wrapping_mul(radix).wrapping_add(of_digit);
    }
    let meant = match c {
        'u' | 'U' => char::from_u32(value).map(Meant::Character),
        _ => u8::try_from(value).ok().map(Meant::Byte),
    };
    meant.ok_or_else(|| "escape sequence is an invalid Unicode code point".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_stand_for_characters_and_bytes() {
        assert_eq!(unquote(r#""a\n\"\u00e9\x41\101""#).unwrap(), "a\n\"éAA".as_bytes());
        assert_eq!(unquote(r"'\xff'").unwrap(), [0xff]);
        assert_eq!(unquote(r"`\n`").unwrap(), br"\n");
    }

    #[test]
    fn escapes_without_a_meaning_are_refused() {
        for (text, reason) in [
            (r#""\q""#, "unknown escape sequence U+0071 'q'"),
            (r#""\xg1""#, "illegal character U+0067 'g' in escape sequence"),
            (r#""\ud800""#, "escape sequence is an invalid Unicode code point"),
            (r#""\400""#, "escape sequence is an invalid Unicode code point"),
            (r#"'\"'"#, "unknown escape sequence U+0022 '\"'"),
        ] {
            assert_eq!(unquote(text), Err(reason.to_owned()), "{text}");
        }
    }
}
