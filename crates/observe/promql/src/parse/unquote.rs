//! What a string in quotes says.

/// The bytes that a quoted string of the language stands for: Go's escapes in `"…"` and `'…'`, none in backquotes.
///
/// # Errors
/// When an escape has no meaning.
pub(super) fn unquote(quoted: &str) -> Result<Vec<u8>, String> {
    let mut chars = quoted.chars();
    let (Some(quote), Some(_)) = (chars.next(), chars.next_back()) else {
        return Err("invalid syntax".to_owned());
    };
    let body = chars.as_str();
    if quote == '`' {
        return Ok(body.replace('\r', "").into_bytes());
    }
    let mut out = Vec::with_capacity(body.len());
    let mut rest = body.chars();
    while let Some(c) = rest.next() {
        if c == '\\' {
            escape(&mut rest, quote, &mut out)?;
        } else {
            out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
        }
    }
    Ok(out)
}

fn escape(rest: &mut std::str::Chars<'_>, quote: char, out: &mut Vec<u8>) -> Result<(), String> {
    let c = rest.next().ok_or("escape sequence not terminated")?;
    let simple = match c {
        'a' => Some(7),
        'b' => Some(8),
        'f' => Some(12),
        'n' => Some(b'\n'),
        'r' => Some(b'\r'),
        't' => Some(b'\t'),
        'v' => Some(11),
        '\\' => Some(b'\\'),
        c if c == quote => Some(c as u8),
        _ => None,
    };
    if let Some(byte) = simple {
        out.push(byte);
        return Ok(());
    }
    let (digits, radix, first) = match c {
        'x' => (2, 16, None),
        'u' => (4, 16, None),
        'U' => (8, 16, None),
        '0'..='7' => (3, 8, Some(c)),
        c => return Err(format!("unknown escape sequence U+{:04X} {c:?}", u32::from(c))),
    };
    let mut value = 0u32;
    for at in 0..digits {
        let digit = match first.filter(|_| at == 0) {
            Some(first) => first,
            None => rest.next().ok_or("escape sequence not terminated")?,
        };
        let digit = digit.to_digit(radix).ok_or_else(|| {
            format!("illegal character U+{:04X} {digit:?} in escape sequence", u32::from(digit))
        })?;
        value = value.wrapping_mul(radix).wrapping_add(digit);
    }
    let invalid = || "escape sequence is an invalid Unicode code point".to_owned();
    match c {
        'u' | 'U' => {
            let c = char::from_u32(value).ok_or_else(invalid)?;
            out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
        }
        _ => out.push(u8::try_from(value).map_err(|_| invalid())?),
    }
    Ok(())
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
        for (quoted, reason) in [
            (r#""\q""#, "unknown escape"),
            (r#""\xg1""#, "illegal character"),
            (r#""\ud800""#, "invalid Unicode"),
            (r#""\400""#, "invalid Unicode"),
            (r#"'\"'"#, "unknown escape"),
        ] {
            assert!(unquote(quoted).unwrap_err().contains(reason), "{quoted}");
        }
    }
}
