//! What a pool says about itself.

use kandela_algebra::histogram::LogHistogram;
use kandela_algebra::merge::Merge;

use super::meter::{Meter, Sample};
use crate::clock::Moment;

/// How many resources were closed, by why.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ClosedBy {
    /// Came back broken, was discarded, or was in use when its borrower panicked.
    pub broken: u64,
    /// Did not pass [`Manage::check`](super::Manage::check).
    pub failed_check: u64,
    /// Was older than `max_lifetime`.
    pub lifetime: u64,
    /// Lay idle for longer than `max_idle`.
    pub idle: u64,
    /// The pool shrank.
    pub shrunk: u64,
    /// The pool was closed.
    pub drained: u64,
    /// Was [detached](super::Pooled::detach): its borrower has it for good.
    pub detached: u64,
}

/// A pool at one moment, and what it counted since it was built.
#[derive(Clone, Debug, PartialEq)]
pub struct Metrics {
    /// How many resources there may be.
    pub size: usize,
    /// How many lie idle.
    pub idle: usize,
    /// How many are in use.
    pub in_use: usize,
    /// How many are being created, checked or handed over.
    pub opening: usize,
    /// How many wait for one.
    pub waiting: usize,
    /// Seconds from asking to having.
    pub waits: LogHistogram,
    /// Seconds from having to giving back.
    pub holds: LogHistogram,
    /// How often a resource was asked for.
    pub arrivals: u64,
    /// How often none could be had in time.
    pub timeouts: u64,
    /// How many resources were created.
    pub created: u64,
    /// How often creating one failed, or took too long.
    pub failed_creates: u64,
    /// How many were closed.
    pub closed: ClosedBy,
}

/// What is noted under the pool's lock.
#[derive(Debug)]
pub(super) struct Books {
    pub(super) meter: Meter,
    pub(super) created: u64,
    pub(super) failed_creates: u64,
    pub(super) closed: ClosedBy,
    /// Of the windows that were taken.
    waits: LogHistogram,
    holds: LogHistogram,
    arrivals: u64,
    timeouts: u64,
}

impl Books {
    pub(super) fn new(now: Moment) -> Books {
        Books {
            meter: Meter::new(now),
            created: 0,
            failed_creates: 0,
            closed: ClosedBy::default(),
            waits: LogHistogram::new(),
            holds: LogHistogram::new(),
            arrivals: 0,
            timeouts: 0,
        }
    }

    pub(super) fn take_sample(&mut self, now: Moment, waiting: usize) -> Sample {
        let sample = self.meter.take(now, waiting);
        self.waits.merge_from(&sample.waits);
        self.holds.merge_from(&sample.holds);
        self.arrivals += sample.arrivals;
        self.timeouts += sample.gave_up;
        sample
    }

    pub(super) fn metrics(&self, size: usize, idle: usize, taken: usize, waiting: usize) -> Metrics {
        let window = self.meter.window();
        let with_window = |total: &LogHistogram, window: &LogHistogram| {
            let mut sum = total.clone();
            sum.merge_from(window);
            sum
        };
        let in_use = self.meter.in_use();
        Metrics {
            size,
            idle,
            in_use,
            opening: taken.saturating_sub(idle + in_use),
            waiting,
            waits: with_window(&self.waits, &window.waits),
            holds: with_window(&self.holds, &window.holds),
            arrivals: self.arrivals + window.arrivals,
            timeouts: self.timeouts + window.gave_up,
            created: self.created,
            failed_creates: self.failed_creates,
            closed: self.closed,
        }
    }
}
