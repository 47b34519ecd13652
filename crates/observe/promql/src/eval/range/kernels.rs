//! Functions of ranges over floats alone, for all windows of a series at once.
//!
//! Neighbouring windows share most of their samples. What can be carried from one to the next is; so the cost of a series is
//! that of its samples and steps, not that of its windows.

use kandela_algebra::merge::{FloatSum, TwoStacks, Window as _};

use super::bounds::Bounds;
use super::rate::{self, Counted, Shape};
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
        "max_over_time" => |s, out| extreme(s, out, |new, old| new >= old),
        "min_over_time" => |s, out| extreme(s, out, |new, old| new <= old),
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
    // Where a counter began again: few samples, or none.
    let resets: Vec<usize> = match is_counter {
        true => {
            values.windows(2).enumerate().filter(|(_, pair)| pair[1] < pair[0]).map(|(n, _)| n + 1).collect()
        }
        false => Vec::new(),
    };
    let (mut first_reset, mut past_reset) = (0, 0);
    let mut any = false;
    for ((n, out), (low, high)) in out.iter_mut().enumerate().zip(bounds.windows()) {
        if high - low < 2 {
            continue;
        }
        let (Some(first), Some(last)) = (values.get(*low), values.get(high - 1)) else { continue };
        let (Some(first_at), Some(last_at)) = (times.get(*low), times.get(high - 1)) else { continue };
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
        let to_zero = (is_counter && result > 0.0 && *first >= 0.0).then(|| first / result);
        let shape =
            Shape { first: Counted { at: *first_at, since: 0 }, last: *last_at, count: high - low, to_zero };
        let window = ranges.window(grid.time(n));
        *out = present(result * rate::factor(window, &shape, None, kind));
        any = true;
    }
    any
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

/// The largest or smallest value: a queue holds those that may still become it, the present one in front.
fn extreme(sliding: &Sliding<'_>, out: &mut [f64], beats: impl Fn(f64, f64) -> bool) -> bool {
    let mut queue: Vec<(usize, f64)> = Vec::new();
    let (mut front, mut taken) = (0, 0);
    each(sliding, out, |values, low, high| {
        taken = low.max(taken);
        for (at, new) in values.iter().enumerate().take(high).skip(taken) {
            // Any number takes the place of NaN.
            while queue.len() > front
                && queue.last().is_some_and(|(_, old)| old.is_nan() || beats(*new, *old))
            {
                queue.pop();
            }
            queue.push((at, *new));
        }
        taken = high;
        while queue.get(front).is_some_and(|(at, _)| *at < low) {
            front += 1;
        }
        queue.get(front).map(|(_, value)| *value)
    })
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
    let mut window = TwoStacks::new(&FloatSum::default());
    let (mut first, mut past) = (0, 0);
    each(sliding, out, |values, low, high| {
        if low >= past {
            window = TwoStacks::new(&FloatSum::default());
            (first, past) = (low, low);
        }
        while first < low && window.pop() {
            first += 1;
        }
        for value in values.get(past..high)? {
            let mut one = FloatSum::default();
            one.add(*value);
            window.push(one);
        }
        past = high;
        Some(finish(window.total().value(), (low, high)))
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
