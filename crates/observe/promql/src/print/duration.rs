//! Numbers and durations in text.

use std::fmt::{self, Formatter, Write as _};

use kandela_config::duration_text;

use crate::ast::{Duration, DurationExpr, DurationOp, Number};
use crate::depth::deeper;
use crate::floats::plain;

/// A duration that is not part of another. One that is not calculated is written in units.
pub(super) fn write(f: &mut Formatter<'_>, duration: &Duration) -> fmt::Result {
    match literal(duration) {
        Some(Number { value, .. }) => write_units(f, value),
        None => write_part(f, duration),
    }
}

/// Seconds in units, such as `1h30m`; in seconds alone where milliseconds cannot say it.
pub(super) fn write_units(f: &mut Formatter<'_>, seconds: f64) -> fmt::Result {
    let nanos = (seconds.abs() * 1e9).round() as u64;
    if !nanos.is_multiple_of(1_000_000) {
        return f.write_str(&plain(seconds));
    }
    if seconds < 0.0 {
        f.write_char('-')?;
    }
    f.write_str(&duration_text(std::time::Duration::from_nanos(nanos)))
}

/// The literal that a duration is, with the signs before it.
pub(crate) fn literal(duration: &Duration) -> Option<Number> {
    match &duration.expr {
        DurationExpr::Literal(number) => Some(*number),
        DurationExpr::Signed(negative, inner) => {
            literal(inner).map(|n| if *negative { Number { value: -n.value, ..n } } else { n })
        }
        _ => None,
    }
}

/// A duration without the parentheses and plus signs around it, which say nothing inside other parentheses.
pub(crate) fn bare(duration: &Duration) -> &Duration {
    match &duration.expr {
        DurationExpr::Paren(inner) | DurationExpr::Signed(false, inner) if literal(duration).is_none() => {
            bare(inner)
        }
        _ => duration,
    }
}

fn write_part(f: &mut Formatter<'_>, duration: &Duration) -> fmt::Result {
    deeper(|| write_level(f, duration))
}

fn write_level(f: &mut Formatter<'_>, duration: &Duration) -> fmt::Result {
    if let Some(number) = literal(duration) {
        return super::write_number(f, number);
    }
    match &duration.expr {
        DurationExpr::Literal(number) => super::write_number(f, *number),
        DurationExpr::Step => f.write_str("step()"),
        DurationExpr::Range => f.write_str("range()"),
        DurationExpr::Signed(negative, inner) => {
            if *negative {
                f.write_char('-')?;
            }
            write_part(f, inner)
        }
        DurationExpr::Paren(inner) => {
            f.write_char('(')?;
            write_part(f, bare(inner))?;
            f.write_char(')')
        }
        DurationExpr::Binary(op @ (DurationOp::Min | DurationOp::Max), left, right) => {
            write!(f, "{}(", symbol(*op))?;
            write_part(f, left)?;
            f.write_str(", ")?;
            write_part(f, right)?;
            f.write_char(')')
        }
        DurationExpr::Binary(op, left, right) => {
            write_part(f, left)?;
            write!(f, " {} ", symbol(*op))?;
            write_part(f, right)
        }
    }
}

/// As it is written.
pub(crate) const fn symbol(op: DurationOp) -> &'static str {
    match op {
        DurationOp::Add => "+",
        DurationOp::Sub => "-",
        DurationOp::Mul => "*",
        DurationOp::Div => "/",
        DurationOp::Mod => "%",
        DurationOp::Pow => "^",
        DurationOp::Min => "min_of",
        DurationOp::Max => "max_of",
    }
}
