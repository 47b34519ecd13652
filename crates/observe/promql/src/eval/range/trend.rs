//! Straight lines through samples, and smoothing.

use kandela_algebra::merge::FloatSum;

use super::{Notes, Window};
use crate::eval::value::Point;

/// Slope and the value at `intercept`, by least squares over seconds.
fn regression(window: &Window<'_>, intercept: i64) -> Option<(f64, f64)> {
    let first = *window.values.first()?;
    let (mut x, mut y, mut xy, mut xx) =
        (FloatSum::default(), FloatSum::default(), FloatSum::default(), FloatSum::default());
    let mut constant = true;
    for (at, value) in window.times.iter().zip(window.values) {
        constant &= *value == first;
        let seconds = (at - intercept) as f64 / 1e6;
        x.add(seconds);
        y.add(*value);
        xy.add(seconds * value);
        xx.add(seconds * seconds);
    }
    if constant {
        return Some(if first.is_infinite() { (f64::NAN, f64::NAN) } else { (0.0, first) });
    }
    let n = window.values.len() as f64;
    let covariance = xy.value() - x.value() * y.value() / n;
    let variance = xx.value() - x.value() * x.value() / n;
    let slope = covariance / variance;
    Some((slope, y.value() / n - slope * x.value() / n))
}

fn enough(window: &Window<'_>, notes: &mut Notes<'_>) -> bool {
    if !window.times.is_empty() {
        notes.ignored(window);
    }
    window.times.len() >= 2
}

pub(super) fn derivative(window: &Window<'_>, notes: &mut Notes<'_>) -> Option<Point> {
    if !enough(window, notes) {
        return None;
    }
    regression(window, *window.times.first()?).map(|(slope, _)| Point::Float(slope))
}

pub(super) fn predict(window: &Window<'_>, args: &[f64], notes: &mut Notes<'_>) -> Option<Point> {
    if !enough(window, notes) {
        return None;
    }
    let ahead = args.first().copied().unwrap_or(f64::NAN);
    regression(window, window.at).map(|(slope, value)| Point::Float(slope * ahead + value))
}

/// Holt's linear method.
pub(super) fn smooth(window: &Window<'_>, args: &[f64], notes: &mut Notes<'_>) -> Option<Point> {
    if !enough(window, notes) {
        return None;
    }
    let (Some(level), Some(slope)) = (args.first(), args.get(1)) else { return None };
    let [first, second, ..] = window.values else { return None };
    let (mut before, mut smoothed, mut trend) = (0.0, *first, second - first);
    for (n, value) in window.values.iter().enumerate().skip(1) {
        if n > 1 {
            trend = slope * (smoothed - before) + (1.0 - slope) * trend;
        }
        before = smoothed;
        smoothed = level * value + (1.0 - level) * (before + trend);
    }
    Some(Point::Float(smoothed))
}
