//! The calls that count: the last so many, or those of the last so many seconds.

use std::time::Duration;

use crate::clock::Moment;

/// Slices of a window of time: what is older than the window is forgotten a tenth of it at a time.
const SLICES: usize = 10;

/// Which calls count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Span {
    /// The last so many: 1 to 100,000.
    Calls(usize),
    /// Those of the last so long: 100 ms to 1 h. Forgotten by tenths.
    Time(Duration),
}

/// Calls, and how they went.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// All.
    pub calls: u64,
    /// Those that failed.
    pub failed: u64,
    /// Those that went well, but slowly.
    pub slow: u64,
}

impl Counts {
    pub(crate) fn add(&mut self, call: Graded) {
        self.calls += 1;
        self.failed += u64::from(call == Graded::Failed);
        self.slow += u64::from(call == Graded::Slow);
    }

    fn take(&mut self, call: Graded) {
        self.calls -= 1;
        self.failed -= u64::from(call == Graded::Failed);
        self.slow -= u64::from(call == Graded::Slow);
    }

    /// The share that failed; 0 of none.
    pub fn failure_rate(&self) -> f64 {
        self.failed as f64 / self.calls.max(1) as f64
    }

    /// The share that was slow; 0 of none.
    pub fn slow_rate(&self) -> f64 {
        self.slow as f64 / self.calls.max(1) as f64
    }
}

/// How a call went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Graded {
    Good,
    Slow,
    Failed,
}

#[derive(Debug)]
pub(crate) enum Window {
    Calls { ring: Vec<Graded>, size: usize, next: usize, counts: Counts },
    Time { slices: Vec<Counts>, slice: Duration, current: usize, started: Moment },
}

impl Window {
    pub(crate) fn new(span: Span, now: Moment) -> Window {
        match span {
            Span::Calls(size) => Window::Calls { ring: Vec::new(), size, next: 0, counts: Counts::default() },
            Span::Time(time) => Window::Time {
                slices: vec![Counts::default(); SLICES],
                slice: time / SLICES as u32,
                current: 0,
                started: now,
            },
        }
    }

    pub(crate) fn clear(&mut self, now: Moment) {
        match self {
            Window::Calls { ring, next, counts, .. } => {
                ring.clear();
                *next = 0;
                *counts = Counts::default();
            }
            Window::Time { slices, started, .. } => {
                slices.fill(Counts::default());
                *started = now;
            }
        }
    }

    /// Adds a call, and returns what counts with it.
    pub(crate) fn add(&mut self, now: Moment, call: Graded) -> Counts {
        self.turn(now);
        match self {
            Window::Calls { ring, size, next, counts } => {
                if ring.len() < *size {
                    ring.push(call);
                } else {
                    counts.take(ring[*next]);
                    ring[*next] = call;
                }
                *next = (*next + 1) % *size;
                counts.add(call);
                *counts
            }
            Window::Time { slices, current, .. } => {
                slices[*current].add(call);
                self.counts(now)
            }
        }
    }

    /// What counts now.
    pub(crate) fn counts(&mut self, now: Moment) -> Counts {
        self.turn(now);
        match self {
            Window::Calls { counts, .. } => *counts,
            Window::Time { slices, .. } => slices.iter().fold(Counts::default(), |sum, slice| Counts {
                calls: sum.calls + slice.calls,
                failed: sum.failed + slice.failed,
                slow: sum.slow + slice.slow,
            }),
        }
    }

    /// Forgets the slices that have become too old.
    fn turn(&mut self, now: Moment) {
        let Window::Time { slices, slice, current, started } = self else { return };
        let passed = now.since(*started).as_nanos() / slice.as_nanos();
        if passed >= SLICES as u128 {
            slices.fill(Counts::default());
            *started = now;
            return;
        }
        for _ in 0..passed {
            *current = (*current + 1) % SLICES;
            slices[*current] = Counts::default();
            *started = started.after(*slice);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Moment {
        Moment::ORIGIN.after(Duration::from_millis(millis))
    }

    #[test]
    fn only_the_last_calls_count() {
        let mut window = Window::new(Span::Calls(3), at(0));
        for call in [Graded::Failed, Graded::Slow, Graded::Good] {
            window.add(at(0), call);
        }
        assert_eq!(window.counts(at(0)), Counts { calls: 3, failed: 1, slow: 1 });
        assert_eq!(window.add(at(0), Graded::Good), Counts { calls: 3, failed: 0, slow: 1 });
    }

    #[test]
    fn only_the_calls_of_the_last_second_count() {
        let mut window = Window::new(Span::Time(Duration::from_secs(1)), at(0));
        window.add(at(0), Graded::Failed);
        window.add(at(550), Graded::Slow);
        assert_eq!(window.counts(at(999)).calls, 2);
        assert_eq!(window.counts(at(1000)), Counts { calls: 1, failed: 0, slow: 1 });
        assert_eq!(window.counts(at(9000)), Counts::default());
    }
}
