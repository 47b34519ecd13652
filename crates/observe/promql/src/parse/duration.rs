//! Numbers and durations.

use super::expression::{Parsed, Parser};
use super::token::{Keyword, Punctuation, TokenKind, quoted};
use crate::ast::{BinaryOp, Duration, DurationExpr, DurationOp, Number, Span};

const CONTEXT: &str = "subquery or range selector";
const WANTED: &str = "number, duration, step(), or range()";

/// The number or duration that stands next.
pub(super) fn number(parser: &mut Parser<'_>) -> Parsed<Number> {
    let (text, span) = (parser.text(), parser.span());
    let is_duration = *parser.peek() == TokenKind::Duration;
    let value = if is_duration { seconds(text) } else { float(text) };
    let value = value.map_err(|message| (span, message))?;
    parser.advance();
    Ok(Number { value, is_duration })
}

/// A duration of the range of a selector or subquery, or a subquery's step.
pub(super) fn positive(parser: &mut Parser<'_>) -> Parsed<Duration> {
    let duration = calculated(parser, 0)?;
    match constant(&duration.expr) {
        Some(seconds) if seconds.is_nan() || seconds <= 0.0 => {
            Err((duration.span, "duration must be greater than 0".to_owned()))
        }
        _ => Ok(duration),
    }
}

/// A duration behind `offset`: without parentheses, an operator behind it belongs to the expression around it.
pub(super) fn offset(parser: &mut Parser<'_>) -> Parsed<Duration> {
    signed(parser, &mut |parser| atom(parser, "offset"))
}

/// What is written without calculation, in seconds.
fn constant(expr: &DurationExpr) -> Option<f64> {
    match expr {
        DurationExpr::Literal(number) => Some(number.value),
        DurationExpr::Signed(negative, inner) => {
            constant(&inner.expr).map(|value| if *negative { -value } else { value })
        }
        DurationExpr::Paren(inner) => constant(&inner.expr),
        _ => None,
    }
}

fn calculated(parser: &mut Parser<'_>, weakest: u8) -> Parsed<Duration> {
    parser.deeper(|parser| {
        // As in expressions, only powers bind more tightly than a sign.
        let pow = BinaryOp::Pow.precedence();
        let mut left = signed(parser, &mut |parser| {
            let base = atom(parser, CONTEXT)?;
            powers(parser, base)
        })?;
        while let TokenKind::Operator(op) = *parser.peek()
            && let Some(calculation) = op_of(op)
            && op.precedence() >= weakest
            && op.precedence() < pow
        {
            parser.advance();
            let right = calculated(parser, op.precedence() + 1)?;
            left = binary(calculation, left, right);
        }
        Ok(left)
    })
}

/// `base ^ …`, grouped to the right.
fn powers(parser: &mut Parser<'_>, base: Duration) -> Parsed<Duration> {
    if *parser.peek() != TokenKind::Operator(BinaryOp::Pow) {
        return Ok(base);
    }
    parser.advance();
    let exponent = parser.deeper(|parser| {
        signed(parser, &mut |parser| {
            let base = atom(parser, CONTEXT)?;
            powers(parser, base)
        })
    })?;
    Ok(binary(DurationOp::Pow, base, exponent))
}

fn binary(op: DurationOp, left: Duration, right: Duration) -> Duration {
    let span = left.span.to(right.span);
    Duration { expr: DurationExpr::Binary(op, Box::new(left), Box::new(right)), span }
}

const fn op_of(op: BinaryOp) -> Option<DurationOp> {
    match op {
        BinaryOp::Add => Some(DurationOp::Add),
        BinaryOp::Sub => Some(DurationOp::Sub),
        BinaryOp::Mul => Some(DurationOp::Mul),
        BinaryOp::Div => Some(DurationOp::Div),
        BinaryOp::Mod => Some(DurationOp::Mod),
        BinaryOp::Pow => Some(DurationOp::Pow),
        _ => None,
    }
}

fn signed(
    parser: &mut Parser<'_>,
    inner: &mut dyn FnMut(&mut Parser<'_>) -> Parsed<Duration>,
) -> Parsed<Duration> {
    let start = parser.span();
    let negative = match parser.peek() {
        TokenKind::Operator(BinaryOp::Add) => false,
        TokenKind::Operator(BinaryOp::Sub) => true,
        _ => return inner(parser),
    };
    parser.advance();
    let unsigned = parser.deeper(|parser| signed(parser, inner))?;
    let span = start.to(unsigned.span);
    Ok(Duration { expr: DurationExpr::Signed(negative, Box::new(unsigned)), span })
}

fn atom(parser: &mut Parser<'_>, context: &str) -> Parsed<Duration> {
    let start = parser.span();
    let expr = match *parser.peek() {
        TokenKind::Number | TokenKind::Duration => DurationExpr::Literal(number(parser)?),
        TokenKind::Keyword(keyword @ (Keyword::Step | Keyword::Range)) => {
            parser.advance();
            parser.expect(Punctuation::LeftParen, context, "\"(\"")?;
            parser.expect(Punctuation::RightParen, context, "\")\"")?;
            if keyword == Keyword::Step { DurationExpr::Step } else { DurationExpr::Range }
        }
        TokenKind::Keyword(keyword @ (Keyword::MinOf | Keyword::MaxOf)) => {
            parser.advance();
            parser.expect(Punctuation::LeftParen, context, "\"(\"")?;
            let left = calculated(parser, 0)?;
            parser.expect(Punctuation::Comma, context, "\",\"")?;
            let right = calculated(parser, 0)?;
            parser.expect(Punctuation::RightParen, context, "\")\"")?;
            let op = if keyword == Keyword::MinOf { DurationOp::Min } else { DurationOp::Max };
            DurationExpr::Binary(op, Box::new(left), Box::new(right))
        }
        TokenKind::Punctuation(Punctuation::LeftParen) => {
            parser.advance();
            let inner = calculated(parser, 0)?;
            parser.expect(Punctuation::RightParen, context, "\")\"")?;
            DurationExpr::Paren(Box::new(inner))
        }
        _ => return Err(parser.unexpected(context, WANTED)),
    };
    Ok(Duration { expr, span: Span { start: start.start, end: parser.last_span().end } })
}

/// A number as Go reads it: `0x1F`, `0o17`, `017`, `0b1`, `1_000`, `.5e3`, `Inf`, `NaN`.
fn float(text: &str) -> Result<f64, String> {
    let lower = text.to_ascii_lowercase();
    let digits = lower.replace('_', "");
    let invalid =
        || format!("error parsing number: strconv.ParseFloat: parsing {}: invalid syntax", quoted(text));
    let radix = match digits.as_bytes() {
        [b'0', b'x', ..] => Some((16, 2)),
        [b'0', b'o', ..] => Some((8, 2)),
        [b'0', b'b', ..] => Some((2, 2)),
        [b'0', rest @ ..] if !rest.is_empty() && rest.iter().all(|c| (b'0'..=b'7').contains(c)) => {
            Some((8, 1))
        }
        _ => None,
    };
    if let Some((radix, prefix)) = radix {
        let value = i64::from_str_radix(digits.get(prefix..).unwrap_or_default(), radix);
        return value.map(|value| value as f64).map_err(|_| invalid());
    }
    match digits.as_str() {
        "inf" => Ok(f64::INFINITY),
        "nan" => Ok(f64::NAN),
        // Underscores separate digits of whole numbers only.
        _ if lower.contains('_') => digits.parse::<i64>().map(|value| value as f64).map_err(|_| invalid()),
        _ => digits.parse().map_err(|_| invalid()),
    }
}

/// The seconds of a duration such as `1h30m`: each unit at most once, from large to small.
fn seconds(text: &str) -> Result<f64, String> {
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
    let (mut rest, mut units, mut total) = (text, UNITS.as_slice(), 0u64);
    while !rest.is_empty() {
        let end = rest.find(|c: char| !c.is_ascii_digit()).ok_or_else(invalid)?;
        let (digits, behind) = rest.split_at(end);
        let length = behind.find(|c: char| c.is_ascii_digit()).unwrap_or(behind.len());
        let (unit, after) = behind.split_at(length);
        let at = units.iter().position(|(name, _)| *name == unit).ok_or_else(invalid)?;
        let (found, smaller) = units.split_at(at + 1);
        let millis = found.last().map_or(0, |(_, millis)| *millis);
        let count: u64 = digits.parse().map_err(|_| invalid())?;
        total = count.checked_mul(millis).and_then(|part| total.checked_add(part)).ok_or_else(too_long)?;
        (rest, units) = (after, smaller);
    }
    // Nanoseconds in 64 bits, as there.
    if total > i64::MAX as u64 / 1_000_000 { Err(too_long()) } else { Ok(total as f64 / 1_000.0) }
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
            ("1_000", 1000.0),
            (".5e3", 500.0),
            ("2.", 2.0),
            ("Inf", f64::INFINITY),
            ("08", 8.0),
        ] {
            assert_eq!(float(text), Ok(value), "{text}");
        }
        assert!(float("NaN").unwrap().is_nan());
    }

    #[test]
    fn durations_add_up_from_large_units_to_small() {
        assert_eq!(seconds("1h30m"), Ok(5_400.0));
        assert_eq!(seconds("1y2w3d4h5m6s7ms"), Ok(33_019_506.007));
        for wrong in ["30m1h", "1m1m", "5hs", "1x"] {
            assert!(seconds(wrong).is_err(), "{wrong}");
        }
        assert_eq!(seconds("1000y"), Err("duration out of range".to_owned()));
    }
}
