//! Numbers and durations: where their text ends, and what it says.

use super::lexer::{Lexer, is_alphanumeric};
use crate::quote::quoted;

/// The longest duration in seconds: 64 bits of nanoseconds, as in Go.
const MAX_SECONDS: f64 = (1u64 << 63) as f64 / 1e9;

/// Reads a number; false where what stands there is none, and then stands behind the part that could be one. What is read
/// may still be no number, such as `1e`; [`float`] finds that.
pub(super) fn scan(lexer: &mut Lexer<'_>) -> bool {
    let start = lexer.text().len();
    let hexadecimal = lexer.take_if(|c| c == '0') && lexer.take_if(|c| matches!(c, 'x' | 'X'));
    if hexadecimal {
        lexer.take_if(|c| c == '_');
    }
    let is_digit = |c: char| if hexadecimal { c.is_ascii_hexdigit() } else { c.is_ascii_digit() };
    lexer.take_if(|c| c == '.');
    lexer.take_if(is_digit);
    let (mut dot, mut exponent) = (false, false);
    while let Some(c) = lexer.peek() {
        match c {
            '.' => {
                lexer.take();
                if dot || lexer.take_if(|c| matches!(c, '_' | '.')) || hexadecimal {
                    return false;
                }
                dot = true;
            }
            c if is_digit(c) && !matches!(c, 'e' | 'E') => lexer.take_while(is_digit),
            'e' | 'E' => {
                lexer.take();
                if exponent {
                    return false;
                }
                exponent = true;
                lexer.take_if(|c| matches!(c, '+' | '-'));
                if lexer.take_if(|c| matches!(c, '.' | '_' | 'e' | 'E')) || lexer.peek().is_none() {
                    return false;
                }
            }
            '_' => {
                lexer.take();
                if lexer.take_if(|c| matches!(c, '.' | '_' | 'e' | 'E')) || lexer.peek().is_none() {
                    return false;
                }
            }
            _ => break,
        }
    }
    lexer.text().len() > start && !lexer.peek().is_some_and(is_alphanumeric)
}

/// Reads on from a number to a duration such as `1h30m`. What has no sense, such as `5hs`, [`seconds`] finds.
pub(super) fn scan_rest_of_duration(lexer: &mut Lexer<'_>) -> bool {
    if !lexer.take_if(|c| matches!(c, 's' | 'm' | 'h' | 'd' | 'w' | 'y')) {
        return false;
    }
    lexer.take_if(|c| c == 's');
    while lexer.take_if(|c| c.is_ascii_digit()) {
        lexer.take_while(|c| c.is_ascii_digit());
        if !lexer.take_if(|c| matches!(c, 's' | 'm' | 'h' | 'd' | 'w')) {
            return false;
        }
        lexer.take_if(|c| c == 's');
    }
    !lexer.take_if(is_alphanumeric)
}

/// A number as Go reads it: `0x1F`, `017`, `1_000`, `.5e3`, `Inf`, `NaN`.
pub(super) fn float(text: &str) -> Result<f64, String> {
    if let Some(whole) = integer(text) {
        return Ok(whole as f64);
    }
    let fault = |reason: &str| {
        format!("error parsing number: strconv.ParseFloat: parsing {}: {reason}", quoted(text))
    };
    let lower = text.to_ascii_lowercase();
    match lower.as_str() {
        "inf" => return Ok(f64::INFINITY),
        "nan" => return Ok(f64::NAN),
        _ => {}
    }
    if !lower.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'.' | b'e' | b'+' | b'-' | b'_'))
        || !underscores_separate_digits(&lower)
    {
        return Err(fault("invalid syntax"));
    }
    match lower.replace('_', "").parse::<f64>() {
        Ok(value) if value.is_infinite() => Err(fault("value out of range")),
        Ok(value) => Ok(value),
        Err(_) => Err(fault("invalid syntax")),
    }
}

/// A whole number of 64 bits, `0x` before hexadecimal digits and `0` before octal ones.
fn integer(text: &str) -> Option<i64> {
    if !underscores_separate_digits(text) {
        return None;
    }
    let digits = text.replace('_', "");
    let hexadecimal = digits.strip_prefix("0x").or_else(|| digits.strip_prefix("0X"));
    match (hexadecimal, digits.strip_prefix('0')) {
        (Some(digits), _) => i64::from_str_radix(digits, 16).ok(),
        (None, Some(octal)) if !octal.is_empty() => i64::from_str_radix(octal, 8).ok(),
        _ => digits.parse().ok(),
    }
}

/// Whether each underscore stands between digits, or between a prefix and a digit.
fn underscores_separate_digits(text: &str) -> bool {
    let behind_prefix = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X"));
    let (digits, mut behind_digit) = behind_prefix.map_or((text, false), |digits| (digits, true));
    let is_digit = |b: u8| if behind_prefix.is_some() { b.is_ascii_hexdigit() } else { b.is_ascii_digit() };
    let mut bytes = digits.bytes().peekable();
    while let Some(byte) = bytes.next() {
        if byte == b'_' && !(behind_digit && bytes.peek().is_some_and(|next| is_digit(*next))) {
            return false;
        }
        behind_digit = is_digit(byte);
    }
    true
}

/// The seconds of a duration such as `1h30m`: each unit at most once, from large to small.
pub(super) fn seconds(text: &str) -> Result<f64, String> {
    const UNITS: [(&str, u64); 7] = [
        ("y", 365 * 86_400_000),
        ("w", 7 * 86_400_000),
        ("d", 86_400_000),
        ("h", 3_600_000),
        ("m", 60_000),
        ("s", 1_000),
        ("ms", 1),
    ];
    let invalid = || format!("not a valid duration string: {}", quoted(text));
    let too_long = || "duration out of range".to_owned();
    let (mut rest, mut next_unit, mut total) = (text, 0, 0u64);
    while !rest.is_empty() {
        let end = rest.find(|c: char| !c.is_ascii_digit()).ok_or_else(invalid)?;
        let (digits, behind) = rest.split_at(end);
        let count: u64 = digits.parse().map_err(|_| invalid())?;
        let length = behind.find(|c: char| c.is_ascii_digit()).unwrap_or(behind.len());
        let (unit, after) = behind.split_at(length);
        let mut known = UNITS.iter().enumerate();
        let Some((at, (_, millis))) = known.find(|(_, (name, _))| *name == unit) else {
            return Err(format!("unknown unit {} in duration {}", quoted(unit), quoted(text)));
        };
        if at < next_unit {
            return Err(invalid());
        }
        total = count.checked_mul(*millis).and_then(|part| total.checked_add(part)).ok_or_else(too_long)?;
        if total > i64::MAX as u64 / 1_000_000 {
            return Err(too_long());
        }
        (rest, next_unit) = (after, at + 1);
    }
    Ok(total as f64 / 1_000.0)
}

/// Whether seconds are more, or less, than a duration can be.
pub(super) fn is_out_of_range(seconds: f64) -> bool {
    seconds.is_nan() || seconds.abs() > MAX_SECONDS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_as_go_reads_them() {
        for (text, value) in [
            ("1", 1.0),
            ("017", 15.0),
            ("0x1F", 31.0),
            ("0x_1F", 31.0),
            ("1_000", 1000.0),
            ("1_000.2_5e1_0", 10_002_500_000_000.0),
            (".5e3", 500.0),
            ("2.", 2.0),
            ("Inf", f64::INFINITY),
            ("08", 8.0),
            ("0777777777777777777777777", 777_777_777_777_777_800_000_000.0),
        ] {
            assert_eq!(float(text), Ok(value), "{text}");
        }
        assert!(float("NaN").unwrap().is_nan());
    }

    #[test]
    fn what_is_no_number_is_named_with_the_reason() {
        for (text, reason) in [
            ("1e1000", "value out of range"),
            ("1e", "invalid syntax"),
            ("0x", "invalid syntax"),
            ("0.5.5", "invalid syntax"),
            ("0xffffffffffffffffffffff", "invalid syntax"),
            ("1_.5", "invalid syntax"),
        ] {
            let expected = format!("error parsing number: strconv.ParseFloat: parsing \"{text}\": {reason}");
            assert_eq!(float(text), Err(expected));
        }
    }

    #[test]
    fn durations_add_up_from_large_units_to_small() {
        assert_eq!(seconds("1h30m"), Ok(5_400.0));
        assert_eq!(seconds("1y2w3d4h5m6s7ms"), Ok(33_019_506.007));
        for (wrong, reason) in [
            ("30m1h", "not a valid duration string: \"30m1h\""),
            ("1m1m", "not a valid duration string: \"1m1m\""),
            ("5hs", "unknown unit \"hs\" in duration \"5hs\""),
            ("1000y", "duration out of range"),
            ("99999999999999999999m", "not a valid duration string: \"99999999999999999999m\""),
        ] {
            assert_eq!(seconds(wrong), Err(reason.to_owned()), "{wrong}");
        }
    }
}
