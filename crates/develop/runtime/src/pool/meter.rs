//! What a pool measures about itself, as windows that a [`Sizer`](super::Sizer) reads.

use std::time::Duration;

use kandela_algebra::histogram::LogHistogram;
use kandela_algebra::merge::Merge;

use crate::clock::Moment;

/// What happened while a given number of resources was in use.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Level {
    /// For how long, in seconds, just so many were in use.
    pub seconds: f64,
    /// How many uses ended while so many were in use, theirs included.
    pub ended: f64,
}

/// One window of measurements.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Sample {
    /// How long it lasted.
    pub length: Duration,
    /// How many asked for a resource: whether or not they got one.
    pub arrivals: u64,
    /// Of the seconds between one arrival and the next, the sum.
    pub gap_sum: f64,
    /// Of the same, the sum of squares.
    pub gap_square_sum: f64,
    /// `levels[n]`: what happened while n were in use.
    pub levels: Vec<Level>,
    /// Seconds from asking to having, of those who got one within the window.
    pub waits: LogHistogram,
    /// Seconds from having to giving back, of uses that ended within the window.
    pub holds: LogHistogram,
    /// How many waited at the window's end.
    pub waiting: usize,
    /// How many gave up waiting.
    pub gave_up: u64,
}

impl Sample {
    /// The share of the time that at least `size` resources were in use. 0 to 1.
    pub fn share_full(&self, size: usize) -> f64 {
        let total: f64 = self.levels.iter().map(|level| level.seconds).sum();
        let full: f64 = self.levels.iter().skip(size).map(|level| level.seconds).sum();
        if total > 0.0 { full / total } else { 0.0 }
    }

    /// How many resources were in use, on average over the window.
    pub fn mean_in_use(&self) -> f64 {
        let total: f64 = self.levels.iter().map(|level| level.seconds).sum();
        let used: f64 = self.levels.iter().enumerate().map(|(n, level)| n as f64 * level.seconds).sum();
        if total > 0.0 { used / total } else { 0.0 }
    }

    /// The 99th percentile of waits, in seconds; none where nobody waited.
    pub fn wait_p99(&self) -> f64 {
        // A quantile of noughts may be −0.
        self.waits.quantile(0.99).unwrap_or(0.0) + 0.0
    }

    /// Adds a window that followed.
    pub fn append(&mut self, next: &Sample) {
        self.length += next.length;
        self.arrivals += next.arrivals;
        self.gap_sum += next.gap_sum;
        self.gap_square_sum += next.gap_square_sum;
        if self.levels.len() < next.levels.len() {
            self.levels.resize(next.levels.len(), Level::default());
        }
        for (level, more) in self.levels.iter_mut().zip(&next.levels) {
            level.seconds += more.seconds;
            level.ended += more.ended;
        }
        self.waits.merge_from(&next.waits);
        self.holds.merge_from(&next.holds);
        self.waiting = next.waiting;
        self.gave_up += next.gave_up;
    }
}

/// Counts what happens to a pool. Plain data: who shares it, locks it.
#[derive(Clone, Debug)]
pub struct Meter {
    in_use: usize,
    since: Moment,
    began: Moment,
    last_arrival: Option<Moment>,
    window: Sample,
}

impl Meter {
    /// A meter whose first window begins at `now`.
    pub fn new(now: Moment) -> Meter {
        Meter { in_use: 0, since: now, began: now, last_arrival: None, window: Sample::default() }
    }

    /// How many are in use.
    pub fn in_use(&self) -> usize {
        self.in_use
    }

    /// The window so far.
    pub fn window(&self) -> &Sample {
        &self.window
    }

    /// Somebody asks for a resource.
    pub fn arrived(&mut self, now: Moment) {
        if let Some(last) = self.last_arrival {
            let gap = now.since(last).as_secs_f64();
            self.window.gap_sum += gap;
            self.window.gap_square_sum += gap * gap;
        }
        self.last_arrival = Some(now);
        self.window.arrivals += 1;
    }

    /// Somebody who asked `waited` ago has a resource.
    pub fn began(&mut self, now: Moment, waited: Duration) {
        self.pass(now);
        self.in_use += 1;
        self.window.waits.record(waited.as_secs_f64());
    }

    /// A use that lasted `held` is over.
    pub fn ended(&mut self, now: Moment, held: Duration) {
        self.pass(now);
        // Room for the level was made as time passed on it.
        self.level().ended += 1.0;
        self.in_use = self.in_use.saturating_sub(1);
        self.window.holds.record(held.as_secs_f64());
    }

    /// Somebody waited no longer.
    pub fn gave_up(&mut self) {
        self.window.gave_up += 1;
    }

    /// Ends the window, in which `waiting` wait, and begins the next.
    pub fn take(&mut self, now: Moment, waiting: usize) -> Sample {
        self.pass(now);
        self.window.length = now.since(self.began);
        self.window.waiting = waiting;
        self.began = now;
        std::mem::take(&mut self.window)
    }

    fn pass(&mut self, now: Moment) {
        let passed = now.since(self.since).as_secs_f64();
        self.level().seconds += passed;
        self.since = now;
    }

    fn level(&mut self) -> &mut Level {
        let in_use = self.in_use;
        if self.window.levels.len() <= in_use {
            self.window.levels.resize(in_use + 1, Level::default());
        }
        &mut self.window.levels[in_use]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Moment {
        Moment::ORIGIN.after(Duration::from_secs(seconds))
    }

    #[test]
    fn time_is_counted_at_the_level_that_it_passed_on() {
        let mut meter = Meter::new(at(0));
        meter.began(at(1), Duration::ZERO);
        meter.began(at(2), Duration::ZERO);
        meter.ended(at(5), Duration::from_secs(4));
        let sample = meter.take(at(6), 0);
        let seconds: Vec<f64> = sample.levels.iter().map(|level| level.seconds).collect();
        assert_eq!(seconds, [1.0, 2.0, 3.0]);
        assert_eq!(sample.levels[2].ended, 1.0);
        assert_eq!(sample.length, Duration::from_secs(6));
    }

    #[test]
    fn a_clock_that_steps_backwards_takes_no_time_away() {
        let mut meter = Meter::new(at(10));
        meter.began(at(12), Duration::ZERO);
        meter.ended(at(3), Duration::ZERO);
        let sample = meter.take(at(4), 0);
        assert!(sample.levels.iter().all(|level| level.seconds >= 0.0));
        assert_eq!(meter.take(at(13), 0).length, Duration::from_secs(9));
    }

    #[test]
    fn a_window_and_the_next_are_as_one_of_both() {
        let run = |split: bool| {
            let mut meter = Meter::new(at(0));
            meter.arrived(at(0));
            meter.began(at(0), Duration::ZERO);
            let first = split.then(|| meter.take(at(2), 1));
            meter.arrived(at(3));
            meter.ended(at(4), Duration::from_secs(4));
            let last = meter.take(at(5), 0);
            let Some(mut first) = first else { return last };
            first.append(&last);
            first
        };
        assert_eq!(run(true), run(false));
    }
}
