//! Inverse hyperbolic functions whose arguments may be as large as floats are, as Go's `math` has them.

use std::f64::consts::LN_2;

/// From here on `x * x + 1` is `x * x`.
const LARGE: f64 = (1 << 28) as f64;

pub(super) fn asinh(value: f64) -> f64 {
    let magnitude = value.abs();
    if magnitude > LARGE { (magnitude.ln() + LN_2).copysign(value) } else { value.asinh() }
}

pub(super) fn acosh(value: f64) -> f64 {
    if value >= LARGE { value.ln() + LN_2 } else { value.acosh() }
}
