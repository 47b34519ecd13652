//! Functions of ranges over floats alone, for all windows of a series at once.
//!
//! Neighbouring windows share most of their samples. What can be carried from one to the next is; so the cost of a series is
//! that of its samples and steps, not that of its windows.

use std::hint::select_unpredictable;

use kandela_algebra::merge::{FloatSum, Merge as _, Summary as _};

use super::bounds::Bounds;
use super::rate::{self, Counted, Shape, Stretch};
use crate::eval::aggregate::Mean;
use crate::eval::ranges::Ranges;
use crate::eval::value::{Grid, present};

/// The floats of one series and the windows over them.
pub(super) struct Sliding<'a> {
    pub(super) times: &'a [i64],
    pub(super) values: &'a [f64],
    pub(super) bounds: &'a Bounds,
    pub(super) grid: Grid,
    pub(super) ranges: &'a Ranges<'a>,
}

/// Puts the function's value of each window into a column; whether there are any.
pub(super) type Kernel = fn(&Sliding<'_>, &mut [f64]) -> bool;

pub(super) fn kernel(name: &str) -> Option<Kernel> {
    Some(match name {
        "rate" => |s, out| change(s, out, rate::Kind::Rate),
        "increase" => |s, out| change(s, out, rate::Kind::Increase),
        "delta" => |s, out| change(s, out, rate::Kind::Delta),
        "changes" => {
            |s, out| steps(s, out, |before, after| before != after && !(before.is_nan() && after.is_nan()))
        }
        "resets" => |s, out| steps(s, out, |before, after| after < before),
        "max_over_time" => |s, out| extreme(s, out, |new, old| new > old),
        "min_over_time" => |s, out| extreme(s, out, |new, old| new < old),
        "sum_over_time" => |s, out| sum(s, out, |sum, _| sum),
        "avg_over_time" => average,
        "count_over_time" => |s, out| each(s, out, |_, low, high| Some((high - low) as f64)),
        "present_over_time" => |s, out| each(s, out, |_, _, _| Some(1.0)),
        "last_over_time" => |s, out| each(s, out, |values, _, high| values.get(high - 1).copied()),
        "first_over_time" => |s, out| each(s, out, |values, low, _| values.get(low).copied()),
        _ => return None,
    })
}

/// A value of each window that is not empty, from the samples and the window's ends among them.
fn each(
    sliding: &Sliding<'_>,
    out: &mut [f64],
    mut value: impl FnMut(&[f64], usize, usize) -> Option<f64>,
) -> bool {
    let mut any = false;
    for (out, (low, high)) in out.iter_mut().zip(sliding.bounds.windows()) {
        if low < high
            && let Some(value) = value(sliding.values, *low, *high)
        {
            *out = present(value);
            any = true;
        }
    }
    any
}

/// Rate, increase and delta, as [`rate::extrapolated`].
fn change(sliding: &Sliding<'_>, out: &mut [f64], kind: rate::Kind) -> bool {
    let Sliding { times, values, bounds, grid, ranges } = sliding;
    let is_counter = kind != rate::Kind::Delta;
    let resets = if is_counter { resets(values) } else { Vec::new() };
    let shape = |(low, high): (usize, usize), to_zero| {
        let (first, last) = (*times.get(low)?, *times.get(high.checked_sub(1)?)?);
        Some(Shape { first: Counted { at: first, since: 0 }, last, count: high - low, to_zero })
    };
    let window = |n| ranges.window(grid.time(n));
    let stretches = bounds.stretches(|(n, ends)| match shape(ends, None) {
        Some(shape) => Stretch::of(window(n), &shape, kind),
        None => Stretch::default(),
    });
    let (mut first_reset, mut past_reset) = (0, 0);
    let mut any = false;
    let windows = bounds.windows().iter().zip(stretches);
    for ((n, out), ((low, high), stretch)) in out.iter_mut().enumerate().zip(windows) {
        if high - low < 2 {
            continue;
        }
        let (Some(first), Some(last)) = (values.get(*low), values.get(high - 1)) else { continue };
        let mut result = last - first;
        while resets.get(first_reset).is_some_and(|at| at <= low) {
            first_reset += 1;
        }
        while resets.get(past_reset).is_some_and(|at| at < high) {
            past_reset += 1;
        }
        for at in resets.get(first_reset..past_reset).unwrap_or_default() {
            result += values.get(at - 1).copied().unwrap_or_default();
        }
        let near_zero = is_counter && result > 0.0 && *first >= 0.0 && stretch.may_pass_zero(*first, result);
        let exactly =
            || Some(rate::factor(window(n), &shape((*low, *high), Some(first / result))?, None, kind));
        let factor = if near_zero { exactly() } else { None }.unwrap_or(stretch.factor);
        *out = present(result * factor);
        any = true;
    }
    any
}

/// How many values are looked at before it is asked whether any of them was of the kind that is looked for.
const AT_ONCE: usize = 64;

/// Where a counter began again: few samples, or none.
fn resets(values: &[f64]) -> Vec<usize> {
    let mut resets = Vec::new();
    let after = values.get(1..).unwrap_or_default();
    for (piece, (before, after)) in values.chunks(AT_ONCE).zip(after.chunks(AT_ONCE)).enumerate() {
        let falls = || before.iter().zip(after).map(|(before, after)| after < before);
        if falls().fold(false, |any, falls| any | falls) {
            let at = piece * AT_ONCE + 1;
            resets.extend(falls().enumerate().filter(|(_, falls)| *falls).map(|(n, _)| at + n));
        }
    }
    resets
}

/// How often neighbours in a window stand in a relation.
fn steps(sliding: &Sliding<'_>, out: &mut [f64], is_step: impl Fn(f64, f64) -> bool) -> bool {
    let mut so_far = Vec::with_capacity(sliding.values.len());
    let mut count = 0u32;
    let mut before: Option<f64> = None;
    for value in sliding.values {
        count += u32::from(before.is_some_and(|before| is_step(before, *value)));
        so_far.push(count);
        before = Some(*value);
    }
    each(sliding, out, |_, low, high| Some(f64::from(so_far.get(high - 1)? - so_far.get(low)?)))
}

/// The largest or smallest value; of equal ones the first, and NaN only of NaNs alone.
fn extreme(sliding: &Sliding<'_>, out: &mut [f64], beats: impl Fn(f64, f64) -> bool) -> bool {
    let join = |first: f64, then: f64| select_unpredictable(beats(then, first) | first.is_nan(), then, first);
    totals(sliding, out, f64::NAN, |value| value, join, |extreme, _| extreme)
}

/// How many samples a window must share with its neighbour for a sliding sum to pay.
const WORTH_SLIDING: usize = 4;

/// The sum of each window; `finish` is also given the window's ends.
fn sum(sliding: &Sliding<'_>, out: &mut [f64], finish: impl Fn(f64, (usize, usize)) -> f64) -> bool {
    if sliding.bounds.covered() < WORTH_SLIDING * sliding.values.len() {
        return each(sliding, out, |values, low, high| {
            let mut sum = FloatSum::default();
            values.get(low..high)?.iter().for_each(|value| sum.add(*value));
            Some(finish(sum.value(), (low, high)))
        });
    }
    let join = |mut first: FloatSum, then: FloatSum| {
        first.merge_from(&then);
        first
    };
    let zero = FloatSum::default();
    totals(sliding, out, zero, |value| zero.lift(value), join, |sum, ends| finish(sum.value(), ends))
}

/// What each window's samples, each as `one` makes it, join to.
///
/// The samples lie in a row, and a place splits them: before it stands, for each, the total from it to there; from there on one
/// total grows. When no window reaches before that place any more, the next is the end of the window at hand. So each sample is
/// joined twice at most, in order, however many windows share it: the two stacks of [`kandela_algebra::merge::TwoStacks`] without
/// a copy of the samples.
fn totals<T: Copy>(
    sliding: &Sliding<'_>,
    out: &mut [f64],
    empty: T,
    one: impl Fn(f64) -> T,
    join: impl Fn(T, T) -> T,
    finish: impl Fn(T, (usize, usize)) -> f64,
) -> bool {
    let mut onwards: Vec<T> = Vec::new();
    let (mut split, mut past, mut since) = (0, 0, empty);
    each(sliding, out, |values, low, high| {
        if low >= split {
            let mut total = empty;
            let from_each = values.get(low..high)?.iter().rev().map(|value| {
                total = join(one(*value), total);
                total
            });
            onwards.clear();
            onwards.extend(from_each);
            (split, past, since) = (high, high, empty);
        }
        since = values.get(past..high)?.iter().fold(since, |since, value| join(since, one(*value)));
        past = high;
        let before = *onwards.get(split - low - 1)?;
        Some(finish(join(before, since), (low, high)))
    })
}

fn average(sliding: &Sliding<'_>, out: &mut [f64]) -> bool {
    sum(sliding, out, |sum, (low, high)| {
        if sum.is_finite() {
            return sum / (high - low) as f64;
        }
        // Too large a sum of values that are not: their running mean is not.
        let mut mean = Mean::default();
        sliding.values.get(low..high).unwrap_or_default().iter().for_each(|value| mean.add(*value));
        mean.value()
    })
}
