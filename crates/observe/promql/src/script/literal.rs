//! Numbers, quoted strings, durations and counts as Go and Prometheus write them.

use kandela_config::parse_duration;

use super::cursor::Cursor;

/// The most values that one item of a sequence may stand for; a typo should not fill the memory.
const MAX_REPEAT: usize = 1_000_000;

const MICROS: f64 = 1e6;

/// A number by itself: decimal, hexadecimal, octal (also `017`), binary, `1_000`, `1e3`, `0x1p-2`, `Inf` or `NaN`, in
/// any case and with a sign.
pub(super) fn number(text: &str) -> Option<f64> {
    let (sign, magnitude) = match text.strip_prefix('-') {
        Some(rest) => (-1.0, rest),
        None => (1.0, text.strip_prefix('+').unwrap_or(text)),
    };
    if magnitude.starts_with(['+', '-']) {
        return None;
    }
    let value = integer(magnitude).or_else(|| magnitude.parse().ok()).or_else(|| hex_float(magnitude))?;
    Some(sign * value)
}

fn integer(text: &str) -> Option<f64> {
    let lower = text.to_ascii_lowercase();
    let (base, digits) = match lower.strip_prefix('0') {
        Some(rest) if rest.starts_with('x') => (16, rest.get(1..)?),
        Some(rest) if rest.starts_with('b') => (2, rest.get(1..)?),
        Some(rest) if rest.starts_with('o') => (8, rest.get(1..)?),
        Some(rest) if !rest.is_empty() => (8, rest),
        _ => (10, lower.as_str()),
    };
    if digits.starts_with(['+', '-']) || digits.ends_with('_') || digits.contains("__") {
        return None;
    }
    i64::from_str_radix(&digits.replace('_', ""), base).ok().map(|value| value as f64)
}

fn hex_float(text: &str) -> Option<f64> {
    let lower = text.to_ascii_lowercase();
    let (mantissa, exponent) = lower.strip_prefix("0x")?.split_once('p')?;
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = format!("{whole}{fraction}").replace('_', "");
    let value = u64::from_str_radix(&digits, 16).ok()? as f64;
    let exponent: i32 = exponent.parse().ok()?;
    let fraction_bits = i32::try_from(fraction.len()).ok()?.checked_mul(4)?;
    Some(value * f64::from(exponent.checked_sub(fraction_bits)?).exp2())
}

/// A decimal number, `Inf` or `NaN` without a sign, at the front of what is left. Inside a sequence `x` repeats, so
/// that there is no hexadecimal.
pub(super) fn take_number(cursor: &mut Cursor<'_>) -> Result<f64, String> {
    let start = *cursor;
    let word = take_word(cursor);
    match word.to_ascii_lowercase().as_str() {
        "inf" => return Ok(f64::INFINITY),
        "nan" => return Ok(f64::NAN),
        _ => *cursor = start,
    }
    let digits = |c: char| c.is_ascii_digit() || c == '.' || c == '_';
    let mut text = cursor.take_while(digits).to_owned();
    if !text.is_empty() && cursor.peek().is_some_and(|c| c == 'e' || c == 'E') {
        text.extend(cursor.next());
        if cursor.peek().is_some_and(|c| c == '+' || c == '-') {
            text.extend(cursor.next());
        }
        text.push_str(cursor.take_while(|c| c.is_ascii_digit()));
    }
    number(&text).ok_or_else(|| format!("a number was expected at {}", start.here()))
}

/// [`take_number`] with an optional sign before it.
pub(super) fn take_signed(cursor: &mut Cursor<'_>) -> Result<f64, String> {
    if cursor.eat("-") {
        return Ok(-take_number(cursor)?);
    }
    cursor.eat("+");
    take_number(cursor)
}

/// A run of letters at the front; `x` ends it where a digit follows, since that repeats.
pub(super) fn take_word<'a>(cursor: &mut Cursor<'a>) -> &'a str {
    let rest = cursor.rest();
    let mut end = 0;
    for (at, c) in rest.char_indices() {
        let repeats = c == 'x'
            && at > 0
            && rest.get(at + 1..).is_some_and(|r| r.starts_with(|c: char| c.is_ascii_digit()));
        if !c.is_ascii_alphabetic() || repeats {
            break;
        }
        end = at + c.len_utf8();
    }
    let word = rest.get(..end).unwrap_or_default();
    cursor.eat(word);
    word
}

/// How often to repeat, after an `x`.
pub(super) fn take_count(cursor: &mut Cursor<'_>) -> Result<usize, String> {
    let start = *cursor;
    let digits = cursor.take_while(|c| c.is_ascii_digit());
    let count: usize =
        digits.parse().map_err(|_| format!("a whole number was expected after x at {}", start.here()))?;
    if count > MAX_REPEAT {
        Err(format!("{count} repetitions are more than {MAX_REPEAT}"))
    } else {
        Ok(count)
    }
}

/// A duration in microseconds: `5m`, `1h30m`, `0`, or seconds such as `1.5`.
pub(super) fn duration(text: &str) -> Result<i64, String> {
    let too_long = || format!("{text:?} is too long");
    match parse_duration(text) {
        Ok(duration) => i64::try_from(duration.as_micros()).map_err(|_| too_long()),
        Err(reason) => {
            let digits = !text.is_empty() && text.chars().all(|c| c.is_ascii_digit() || c == '.');
            let seconds = if digits { text.parse::<f64>().ok() } else { None };
            let micros = (seconds.ok_or(reason)? * MICROS).round();
            if micros < i64::MAX as f64 { Ok(micros as i64) } else { Err(too_long()) }
        }
    }
}

/// A string in `"`, `'` or `` ` `` at the front, without its quotes; the first two know Go's escapes.
pub(super) fn take_string(cursor: &mut Cursor<'_>) -> Result<String, String> {
    let start = *cursor;
    let unterminated = || format!("the string at {} has no end", start.here());
    let quote = cursor.next().filter(|c| matches!(c, '"' | '\'' | '`'));
    let quote = quote.ok_or_else(|| format!("a quoted string was expected at {}", start.here()))?;
    let mut bytes = Vec::new();
    loop {
        match cursor.next().ok_or_else(unterminated)? {
            c if c == quote => break,
            '\\' if quote != '`' => take_escape(cursor, &mut bytes)?,
            c => push_char(&mut bytes, c),
        }
    }
    String::from_utf8(bytes).map_err(|_| format!("the string at {} is not UTF-8", start.here()))
}

fn push_char(bytes: &mut Vec<u8>, c: char) {
    bytes.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
}

fn take_escape(cursor: &mut Cursor<'_>, bytes: &mut Vec<u8>) -> Result<(), String> {
    let start = *cursor;
    let invalid =
        || format!("there is no escape sequence \\{}", start.rest().chars().take(9).collect::<String>());
    let plain = match cursor.next().ok_or_else(invalid)? {
        'a' => 0x07,
        'b' => 0x08,
        'f' => 0x0c,
        'n' => b'\n',
        'r' => b'\r',
        't' => b'\t',
        'v' => 0x0b,
        '\\' => b'\\',
        '\'' => b'\'',
        '"' => b'"',
        'x' => u8::try_from(take_code(cursor, 16, 2).ok_or_else(invalid)?).map_err(|_| invalid())?,
        'u' => {
            return take_code(cursor, 16, 4)
                .and_then(char::from_u32)
                .map(|c| push_char(bytes, c))
                .ok_or_else(invalid);
        }
        'U' => {
            return take_code(cursor, 16, 8)
                .and_then(char::from_u32)
                .map(|c| push_char(bytes, c))
                .ok_or_else(invalid);
        }
        '0'..='7' => {
            *cursor = start;
            u8::try_from(take_code(cursor, 8, 3).ok_or_else(invalid)?).map_err(|_| invalid())?
        }
        _ => return Err(invalid()),
    };
    bytes.push(plain);
    Ok(())
}

fn take_code(cursor: &mut Cursor<'_>, base: u32, digits: usize) -> Option<u32> {
    (0..digits).try_fold(0u32, |code, _| code.checked_mul(base)?.checked_add(cursor.next()?.to_digit(base)?))
}
