//! Power: tries a little more and a little less, and goes where throughput is won faster than latency.

use super::control::{Bounds, Control, step};
use super::sample::Sample;
use crate::decision::Decision;

/// The share of latency in the power: throughput^(1 − SHARE) / latency^SHARE is what is to be largest. At a quarter, a percent
/// more of latency must buy at least a third of a percent of throughput.
const SHARE: f64 = 0.25;
/// How far the two limits that are compared lie from their centre, as a share of it: at rest, and at most.
const LEAST_REACH: f64 = 0.1;
const MOST_REACH: f64 = 0.3;
/// How much of what a comparison says is followed.
const GAIN: f64 = 0.5;
/// How much more where all that grows is the queue.
const DESCENT: f64 = 2.0;
/// How much of the trend is the last comparison.
const NEWEST: f64 = 0.3;
/// How far one comparison may move the limit, as a logarithm: 30 %.
const LONGEST_STEP: f64 = 0.262;
/// A window tells something about its limit where at least this share of calls, against those answered, found it reached.
const BINDING: f64 = 0.1;
/// What a window with drops leaves of the limit.
const AFTER_DROPS: f64 = 0.9;

/// Seeks the limit of the greatest *power*, throughput^γ / latency with γ = 3 (Kleinrock, *Power and deterministic rules of thumb*,
/// ICC 1979): the knee of the curve of throughput over concurrency.
///
/// Two windows make a comparison, one with a limit a little above the centre and one below. Where throughput follows the limit and
/// latency does not, the far side has room; where latency follows and throughput does not, calls only queue there; where neither
/// does, something else limits, and the centre stays. No latency without load is ever assumed, so none can drift: a far side that
/// became slower but not narrower keeps its limit. It is extremum seeking, as in the incremental steps of Heiss and Wagner
/// (*Adaptive load control in transaction processing systems*, VLDB 1991), with Cinnamon's question of whether growth pays as the
/// rule and not as the exception.
///
/// Windows in which nobody found the limit reached say nothing about it; during them it stays at the centre.
#[derive(Debug)]
pub struct Power {
    centre: f64,
    /// Of the comparisons so far: what a percent of limit brings in power, from −SHARE (nothing but queueing) to 1 − SHARE.
    trend: f64,
    reach: f64,
    half: Half,
}

/// Where the comparison stands: the limits of a pair go up and down, then down and up, so that what changes meanwhile by itself
/// cancels out.
#[derive(Clone, Copy, Debug)]
enum Half {
    Rest,
    First(Side),
    Second(Side, Tried),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Side {
    Upper,
    Lower,
}

#[derive(Clone, Copy, Debug)]
struct Tried {
    limit: f64,
    throughput: f64,
    latency: f64,
}

impl Power {
    /// Starts at `limit`.
    pub fn new(limit: f64) -> Power {
        Power { centre: limit, trend: 1.0 - SHARE, reach: MOST_REACH, half: Half::Rest }
    }

    fn upper(&self) -> f64 {
        (self.centre * (1.0 + self.reach)).round().max(self.lower() + 1.0)
    }

    fn lower(&self) -> f64 {
        (self.centre * (1.0 - self.reach)).round().max(1.0)
    }

    fn compare(&mut self, upper: Tried, lower: Tried, bounds: Bounds) {
        let distance = (upper.limit / lower.limit).ln();
        if distance < 0.01 {
            return;
        }
        let won = (upper.throughput / lower.throughput).ln().clamp(-2.0 * distance, 2.0 * distance);
        let lost = (upper.latency / lower.latency).ln().clamp(-2.0 * distance, 2.0 * distance);
        let power = (1.0 - SHARE) * won - SHARE * lost;
        self.trend += NEWEST * (power / distance - self.trend);
        self.reach = (LEAST_REACH + 0.3 * self.trend.abs()).min(MOST_REACH);
        // Pure queueing shows as −SHARE only; where that is the trend, the way down is as fast as the way up.
        let gain = GAIN * (1.0 + DESCENT * (-self.trend / SHARE).clamp(0.0, 1.0).powi(2));
        let step = (gain * power).clamp(-LONGEST_STEP, LONGEST_STEP);
        self.centre = bounds.clamp(self.centre * step.exp());
    }
}

impl Control for Power {
    fn update(&mut self, sample: &Sample, bounds: Bounds) -> Option<Decision<usize>> {
        let tried = Tried {
            limit: sample.limit as f64,
            throughput: sample.throughput,
            latency: sample.latency.geometric_mean,
        };
        let says_nothing =
            sample.completed == 0 || (sample.blocked as f64) < BINDING * sample.completed as f64;
        if sample.dropped * 10 > sample.completed {
            self.centre = bounds.clamp(self.centre * AFTER_DROPS);
            self.half = Half::Rest;
        } else if says_nothing {
            self.half = Half::Rest;
        } else {
            self.half = match self.half {
                Half::Rest => Half::First(Side::Upper),
                Half::First(Side::Upper) => Half::Second(Side::Lower, tried),
                Half::First(Side::Lower) => Half::Second(Side::Upper, tried),
                Half::Second(Side::Lower, upper) => {
                    self.compare(upper, tried, bounds);
                    Half::First(Side::Lower)
                }
                Half::Second(Side::Upper, lower) => {
                    self.compare(tried, lower, bounds);
                    Half::First(Side::Upper)
                }
            };
        }
        let limit = match self.half {
            Half::Rest => self.centre,
            Half::First(Side::Upper) | Half::Second(Side::Upper, _) => self.upper(),
            Half::First(Side::Lower) | Half::Second(Side::Lower, _) => self.lower(),
        };
        step(
            sample,
            bounds.clamp(limit),
            "throughput is to be won faster than latency",
            &[("power_slope", self.trend)],
        )
    }

    fn centre(&self) -> f64 {
        self.centre
    }
}

#[cfg(test)]
mod tests {
    use super::super::control::testing::{BOUNDS, saturated, settle};
    use super::*;

    #[test]
    fn it_settles_at_the_number_of_workers() {
        for (start, workers) in [(4.0, 16), (200.0, 16), (20.0, 300), (20.0, 2)] {
            let limit = settle(&mut Power::new(start), 400, workers, 0.01);
            let ratio = limit / workers as f64;
            assert!((0.85..1.3).contains(&ratio), "{workers} workers from {start}: {limit}");
        }
    }

    #[test]
    fn a_far_side_that_is_slower_but_not_narrower_keeps_its_limit() {
        let mut power = Power::new(16.0);
        let before = settle(&mut power, 400, 16, 0.01);
        let after = settle(&mut power, 400, 16, 0.04);
        assert!((after / before - 1.0).abs() < 0.1, "{before} {after}");
    }

    #[test]
    fn without_load_nothing_is_tried() {
        let mut power = Power::new(20.0);
        let idle = Sample { blocked: 0, ..saturated(20, 16, 0.01) };
        assert_eq!(power.update(&idle, BOUNDS), None);
        assert_eq!(power.centre(), 20.0);
    }

    #[test]
    fn drops_lower_the_limit() {
        let mut power = Power::new(20.0);
        power.update(&Sample { dropped: 500, ..saturated(20, 16, 0.01) }, BOUNDS);
        assert!(power.centre() < 20.0);
    }
}
