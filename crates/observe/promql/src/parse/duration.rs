//! Numbers and durations.

use super::Fault;
use super::expression::{Parsed, Parser};
use super::number::{float, is_out_of_range, seconds};
use super::token::{Keyword, Punctuation, TokenKind};
use crate::ast::{BinaryOp, Duration, DurationExpr, DurationOp, Number, Span};

/// What a duration may be, in messages.
pub(super) const WANTED: &str = "number, duration, step(), or range()";
/// The same where it may also be missing.
pub(super) const WANTED_OR_END: &str = "number, duration, step(), range(), or \"]\"";

/// The number or duration that stands next.
pub(super) fn number(parser: &mut Parser<'_>) -> Parsed<Number> {
    let (text, span) = (parser.text(), parser.span());
    let is_duration = *parser.peek() == TokenKind::Duration;
    let value = if is_duration { seconds(text) } else { float(text) };
    let value = value.map_err(|message| Fault::Told((span, message)))?;
    parser.advance();
    Ok(Number { value, is_duration })
}

/// A duration of the range of a selector or subquery, or a subquery's step.
pub(super) fn positive(parser: &mut Parser<'_>) -> Parsed<Duration> {
    let duration = parser.duration(|parser| calculated(parser, 0))?;
    match literal(&duration) {
        Some(seconds) if seconds.is_nan() || seconds <= 0.0 => {
            Err(parser.fault_before_next(duration.span, "duration must be greater than 0"))
        }
        _ => Ok(duration),
    }
}

/// A duration behind `offset`, and whether it ends where it seems to: an operator behind it belongs to the expression
/// around it then. One that begins with parentheses, or with a sign and another, goes on.
pub(super) fn offset(parser: &mut Parser<'_>) -> Parsed<(Duration, bool)> {
    parser.duration(offset_and_end)
}

fn offset_and_end(parser: &mut Parser<'_>) -> Parsed<(Duration, bool)> {
    let start = parser.span();
    let negative = match parser.peek() {
        TokenKind::Operator(BinaryOp::Add) => Some(false),
        TokenKind::Operator(BinaryOp::Sub) => Some(true),
        _ => None,
    };
    let goes_on = match negative {
        Some(_) => parser.next_is_sign(),
        None => *parser.peek() == TokenKind::Punctuation(Punctuation::LeftParen),
    };
    if goes_on {
        return calculated(parser, 0).map(|duration| (duration, false));
    }
    let Some(negative) = negative else { return atom(parser).map(|duration| (duration, true)) };
    parser.advance();
    let unsigned = match parser.peek() {
        TokenKind::Number | TokenKind::Duration => written_out(parser, start)?,
        _ => atom(parser)?,
    };
    Ok((with_sign(start, negative, unsigned), true))
}

/// Whether a literal, with its signs, gives no time.
pub(super) fn is_nothing(duration: &Duration) -> bool {
    literal(duration).is_some_and(|seconds| (seconds * 1e9).round() == 0.0)
}

/// The seconds of a literal and the signs before it.
fn literal(duration: &Duration) -> Option<f64> {
    match &duration.expr {
        DurationExpr::Literal(number) => Some(number.value),
        DurationExpr::Signed(negative, inner) => {
            literal(inner).map(|value| if *negative { -value } else { value })
        }
        _ => None,
    }
}

fn calculated(parser: &mut Parser<'_>, weakest: u8) -> Parsed<Duration> {
    parser.deeper(|parser| {
        // As in expressions, only powers bind more tightly than a sign.
        let pow = BinaryOp::Pow.precedence();
        let mut left = signed(parser)?;
        while let TokenKind::Operator(op) = *parser.peek()
            && let Some(calculation) = op_of(op)
            && op.precedence() >= weakest
            && op.precedence() < pow
        {
            let place = parser.span();
            parser.link()?;
            parser.advance();
            let right = calculated(parser, op.precedence() + 1)?;
            if let Some(message) = by_zero(calculation, &right) {
                return Err(parser.fault_before_next(place, message));
            }
            left = binary(calculation, left, right);
        }
        Ok(left)
    })
}

fn by_zero(op: DurationOp, right: &Duration) -> Option<&'static str> {
    match op {
        DurationOp::Div if literal(right) == Some(0.0) => Some("division by zero"),
        DurationOp::Mod if literal(right) == Some(0.0) => Some("modulo by zero"),
        _ => None,
    }
}

fn signed(parser: &mut Parser<'_>) -> Parsed<Duration> {
    let start = parser.span();
    let negative = match parser.peek() {
        TokenKind::Operator(BinaryOp::Add) => false,
        TokenKind::Operator(BinaryOp::Sub) => true,
        _ => {
            let base = atom(parser)?;
            return powers(parser, base);
        }
    };
    parser.advance();
    let unsigned = parser.deeper(signed)?;
    Ok(with_sign(start, negative, unsigned))
}

/// `base ^ …`, grouped to the right.
fn powers(parser: &mut Parser<'_>, base: Duration) -> Parsed<Duration> {
    if *parser.peek() != TokenKind::Operator(BinaryOp::Pow) {
        return Ok(base);
    }
    parser.advance();
    let exponent = parser.deeper(signed)?;
    Ok(binary(DurationOp::Pow, base, exponent))
}

fn with_sign(sign: Span, negative: bool, unsigned: Duration) -> Duration {
    let span = sign.to(unsigned.span);
    Duration { expr: DurationExpr::Signed(negative, Box::new(unsigned)), span }
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

/// A number or duration; one that is too large is shown at `shown`.
fn written_out(parser: &mut Parser<'_>, shown: Span) -> Parsed<Duration> {
    let span = parser.span();
    let number = number(parser)?;
    if is_out_of_range(number.value) {
        return Err(Fault::Told((shown, "duration out of range".to_owned())));
    }
    Ok(Duration { expr: DurationExpr::Literal(number), span })
}

/// What stands between operators. Without a limit on depth here: whoever comes through parentheses comes through
/// [`calculated`].
fn atom(parser: &mut Parser<'_>) -> Parsed<Duration> {
    let start = parser.span();
    let expr = match *parser.peek() {
        TokenKind::Number | TokenKind::Duration => return written_out(parser, start),
        TokenKind::Keyword(keyword @ (Keyword::Step | Keyword::Range)) => {
            parser.advance();
            parser.expect(Punctuation::LeftParen)?;
            parser.expect(Punctuation::RightParen)?;
            if keyword == Keyword::Step { DurationExpr::Step } else { DurationExpr::Range }
        }
        TokenKind::Keyword(keyword @ (Keyword::MinOf | Keyword::MaxOf)) => {
            parser.advance();
            parser.expect(Punctuation::LeftParen)?;
            let left = calculated(parser, 0)?;
            parser.expect(Punctuation::Comma)?;
            let right = calculated(parser, 0)?;
            parser.expect(Punctuation::RightParen)?;
            let op = if keyword == Keyword::MinOf { DurationOp::Min } else { DurationOp::Max };
            DurationExpr::Binary(op, Box::new(left), Box::new(right))
        }
        TokenKind::Punctuation(Punctuation::LeftParen) => {
            parser.advance();
            let inner = calculated(parser, 0)?;
            parser.expect(Punctuation::RightParen)?;
            DurationExpr::Paren(Box::new(inner))
        }
        _ => return Err(Fault::Unexpected),
    };
    Ok(Duration { expr, span: Span { start: start.start, end: parser.last_span().end } })
}
