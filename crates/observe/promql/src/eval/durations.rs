//! Durations that are calculated from the query's step and range.

use super::EvalError;
use crate::ast::{Duration, DurationExpr, DurationOp};
use crate::depth::deeper;

/// What durations are calculated from, in seconds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Known {
    pub(crate) step: f64,
    pub(crate) range: f64,
}

/// A duration in microseconds that must be positive.
pub(crate) fn positive(duration: &Duration, known: Known) -> Result<i64, EvalError> {
    let seconds = seconds(duration, known)?;
    if seconds <= 0.0 || seconds.is_nan() {
        return Err(fault(duration, "duration must be greater than 0"));
    }
    micros(seconds, duration)
}

/// A duration in microseconds.
pub(crate) fn any(duration: &Duration, known: Known) -> Result<i64, EvalError> {
    micros(seconds(duration, known)?, duration)
}

/// Whole milliseconds, as Prometheus has them.
fn micros(seconds: f64, duration: &Duration) -> Result<i64, EvalError> {
    let millis = (seconds * 1_000.0).round();
    if millis.is_nan() || millis.abs() >= i64::MAX as f64 / 1_000_000.0 {
        return Err(fault(duration, "duration is out of range"));
    }
    Ok(millis as i64 * 1_000)
}

fn fault(duration: &Duration, message: &str) -> EvalError {
    EvalError::Bad(format!("{}:{}: {message}", duration.span.start, duration.span.end))
}

fn seconds(duration: &Duration, known: Known) -> Result<f64, EvalError> {
    deeper(|| seconds_of_level(duration, known))
}

fn seconds_of_level(duration: &Duration, known: Known) -> Result<f64, EvalError> {
    Ok(match &duration.expr {
        DurationExpr::Literal(number) => number.value,
        DurationExpr::Step => known.step,
        DurationExpr::Range => known.range,
        DurationExpr::Signed(negative, inner) => {
            let inner = seconds(inner, known)?;
            if *negative { -inner } else { inner }
        }
        DurationExpr::Paren(inner) => seconds(inner, known)?,
        DurationExpr::Binary(op, left, right) => {
            let (left, right) = (seconds(left, known)?, seconds(right, known)?);
            match op {
                DurationOp::Add => left + right,
                DurationOp::Sub => left - right,
                DurationOp::Mul => left * right,
                DurationOp::Div if right == 0.0 => return Err(fault(duration, "division by zero")),
                DurationOp::Div => left / right,
                DurationOp::Mod if right == 0.0 => return Err(fault(duration, "modulo by zero")),
                DurationOp::Mod => left % right,
                DurationOp::Pow => left.powf(right),
                DurationOp::Min => left.min(right),
                DurationOp::Max => left.max(right),
            }
        }
    })
}
