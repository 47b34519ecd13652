//! `anchored` and `smoothed` ranges: values at the ends of a window are those of samples around it, so nothing is extrapolated.

use super::Window;
use super::rate::Kind;
use crate::ast::Boundary;

/// The samples from the last before a window to, where it is smoothed, the first at or behind its end.
pub(super) struct Around<'a> {
    pub(super) times: &'a [i64],
    pub(super) values: &'a [f64],
    pub(super) from: i64,
    pub(super) through: i64,
    pub(super) boundary: Boundary,
}

/// A window with samples at both ends.
pub(crate) struct Extended {
    pub(crate) times: Vec<i64>,
    pub(crate) values: Vec<f64>,
}

impl Around<'_> {
    /// Samples at the window's start, within it, and at its end; nothing where no sample tells of the window.
    pub(super) fn extended(&self, is_counter: bool) -> Option<Extended> {
        let smoothed = self.boundary == Boundary::Smoothed;
        let first = self.times.partition_point(|at| *at <= self.from).saturating_sub(1);
        let last = if smoothed {
            self.times.partition_point(|at| *at < self.through).min(self.times.len().checked_sub(1)?)
        } else {
            self.times.len().checked_sub(1)?
        };
        let (first_at, last_at) = (*self.times.get(first)?, *self.times.get(last)?);
        if last_at <= self.from || smoothed && first_at > self.through {
            return None;
        }
        let left = if smoothed && first_at < self.from {
            self.between(first, first + 1, self.from, is_counter)?
        } else {
            *self.values.get(first)?
        };
        let right = if smoothed && last > 0 && last_at > self.through {
            self.between(last - 1, last, self.through, is_counter)?
        } else {
            *self.values.get(last)?
        };
        let (mut times, mut values) = (vec![self.from], vec![left]);
        for n in first..=last {
            let at = *self.times.get(n)?;
            if at > self.from && at < self.through {
                times.push(at);
                values.push(*self.values.get(n)?);
            }
        }
        times.push(self.through);
        values.push(right);
        Some(Extended { times, values })
    }

    /// The value at a time between two samples. A counter that began again did so from zero.
    fn between(&self, before: usize, after: usize, at: i64, is_counter: bool) -> Option<f64> {
        let (start, end) = (*self.times.get(before)?, *self.times.get(after)?);
        let (y1, y2) = (*self.values.get(before)?, *self.values.get(after)?);
        Some(interpolated((start, if is_counter && y2 < y1 { 0.0 } else { y1 }), (end, y2), at))
    }

    /// Rate, increase or delta.
    pub(super) fn change(&self, kind: Kind) -> Option<f64> {
        let is_counter = kind != Kind::Delta;
        let Extended { values, .. } = self.extended(is_counter)?;
        let mut result = values.last()? - values.first()?;
        if is_counter {
            let resets = values.windows(2).map(|pair| match pair {
                [before, after] if after < before => *before,
                _ => 0.0,
            });
            result += resets.sum::<f64>();
        }
        Some(if kind == Kind::Rate { result / ((self.through - self.from) as f64 / 1e6) } else { result })
    }
}

/// The value at a time on the line through two samples.
pub(crate) fn interpolated(before: (i64, f64), after: (i64, f64), at: i64) -> f64 {
    before.1 + (after.1 - before.1) * (at - before.0) as f64 / (after.0 - before.0) as f64
}

impl Extended {
    pub(super) fn window<'a>(&'a self, of: &Around<'_>, at: i64) -> Window<'a> {
        Window {
            times: &self.times,
            values: &self.values,
            starts: &[],
            histograms: &[],
            from: of.from,
            through: of.through,
            at,
        }
    }
}

/// Why a function cannot work on such a range.
pub(super) fn refused(boundary: Boundary, name: &str) -> Option<String> {
    let (word, served): (&str, &[&str]) = match boundary {
        Boundary::Plain => return None,
        Boundary::Anchored => ("anchored", &["changes", "delta", "increase", "rate", "resets"]),
        Boundary::Smoothed => ("smoothed", &["delta", "increase", "rate"]),
    };
    (!served.contains(&name))
        .then(|| format!("{word} modifier can only be used with: {} - not with {name}", served.join(", ")))
}
