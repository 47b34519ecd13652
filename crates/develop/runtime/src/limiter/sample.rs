//! What a limit is decided on: one window of finished calls.

use std::time::Duration;

use kandela_algebra::histogram::{Layout, LogHistogram};
use kandela_algebra::merge::{Merge, Summary};

use super::priority::{CLASSES, Priority};
use crate::clock::Moment;
use crate::steady::Steady;

/// A window is given up for the next one after this long without enough calls: they say nothing about now.
const STALE: Duration = Duration::from_secs(10);
/// A window lasts at least this many mean latencies, so that most of its calls both began and ended under its limit.
const LATENCIES: f64 = 3.0;

/// What happened during a window.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    /// How long it lasted.
    pub lasted: Duration,
    /// The limit that held.
    pub limit: usize,
    /// Calls in flight, on average: the sum of latencies over the window's length (Little's law).
    pub in_flight: f64,
    /// Calls that ended well, a second.
    pub throughput: f64,
    /// Their latencies.
    pub latency: Latency,
    /// Calls that ended well.
    pub completed: u64,
    /// Calls that the far side dropped: timeouts, refusals.
    pub dropped: u64,
    /// Calls that found the limit reached when they came.
    pub blocked: u64,
}

/// Latencies of a window, in seconds.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Latency {
    /// The smallest.
    pub min: f64,
    /// The mean.
    pub mean: f64,
    /// The mean of the logarithms, back from the logarithm: a mean that a few slow calls do not rule.
    pub geometric_mean: f64,
    /// The median.
    pub p50: f64,
    /// The 99th percentile.
    pub p99: f64,
}

/// Who came in a window, by priority.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Demand {
    /// Calls that were answered, well or not, by [`Priority::class`].
    pub served: [u64; CLASSES],
    /// Calls that were turned away, by [`Priority::class`].
    pub refused: [u64; CLASSES],
    /// Of those turned away, how many had been let in to wait: the queue was full, or they waited for too long.
    pub refused_by_queue: u64,
}

/// A window that is filling.
#[derive(Debug)]
pub(crate) struct Window {
    shortest: Duration,
    enough: u64,
    steady: Steady,
    started: Option<Moment>,
    latencies: LogHistogram,
    seconds: f64,
    dropped: u64,
    blocked: u64,
    demand: Demand,
}

impl Window {
    /// Windows of at least `shortest` and `enough` calls.
    pub(crate) fn new(shortest: Duration, enough: u64) -> Window {
        let layout = Layout::for_relative_error(0.02, 160).unwrap_or_default();
        Window {
            shortest,
            enough,
            steady: Steady::default(),
            started: None,
            latencies: LogHistogram::with_layout(layout),
            seconds: 0.0,
            dropped: 0,
            blocked: 0,
            demand: Demand::default(),
        }
    }

    pub(crate) fn completed(&mut self, priority: Priority, latency: Duration) {
        let seconds = latency.as_secs_f64();
        self.latencies.record(seconds);
        self.seconds += seconds;
        self.demand.served[priority.class()] += 1;
    }

    pub(crate) fn dropped(&mut self, priority: Priority) {
        self.dropped += 1;
        self.demand.served[priority.class()] += 1;
    }

    pub(crate) fn blocked(&mut self) {
        self.blocked += 1;
    }

    pub(crate) fn refused(&mut self, priority: Priority, by_queue: bool) {
        self.demand.refused[priority.class()] += 1;
        self.demand.refused_by_queue += u64::from(by_queue);
    }

    /// What happened since the last window, if that is enough; a new window starts then.
    pub(crate) fn close(&mut self, now: Moment, limit: usize) -> Option<(Sample, Demand)> {
        let now = self.steady.at(now);
        let lasted = now.since(*self.started.get_or_insert(now));
        let calls = self.latencies.count() + self.dropped;
        if lasted < self.shortest {
            return None;
        }
        if calls < self.enough {
            if lasted > STALE.max(self.shortest * 10) {
                self.restart(now);
            }
            return None;
        }
        let mean = self.seconds / self.latencies.count().max(1) as f64;
        if lasted.as_secs_f64() < LATENCIES * mean {
            return None;
        }
        let sample = self.sample(lasted, limit);
        let demand = self.demand;
        self.restart(now);
        Some((sample, demand))
    }

    fn sample(&self, lasted: Duration, limit: usize) -> Sample {
        let completed = self.latencies.count();
        let logarithms: f64 = self
            .latencies
            .buckets()
            .map(|bucket| bucket.count as f64 * (bucket.lower.max(1e-9) * bucket.upper.max(1e-9)).ln() / 2.0)
            .sum();
        let latency = self.latencies.present().map_or_else(Latency::default, |latencies| Latency {
            min: latencies.min,
            mean: latencies.mean,
            geometric_mean: (logarithms / completed as f64).exp(),
            p50: latencies.p50,
            p99: latencies.p99,
        });
        let seconds = lasted.as_secs_f64();
        Sample {
            lasted,
            limit,
            in_flight: self.seconds / seconds,
            throughput: completed as f64 / seconds,
            latency,
            completed,
            dropped: self.dropped,
            blocked: self.blocked,
        }
    }

    fn restart(&mut self, now: Moment) {
        self.started = Some(now);
        self.latencies = self.latencies.empty();
        self.seconds = 0.0;
        self.dropped = 0;
        self.blocked = 0;
        self.demand = Demand::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MILLISECOND: Duration = Duration::from_millis(1);

    #[test]
    fn calls_in_flight_follow_from_littles_law() {
        let mut window = Window::new(100 * MILLISECOND, 10);
        assert_eq!(window.close(Moment::ORIGIN, 4), None);
        (0..20).for_each(|_| window.completed(Priority::Normal, 10 * MILLISECOND));
        let (sample, demand) =
            window.close(Moment::ORIGIN.after(100 * MILLISECOND), 4).expect("enough calls");
        assert!((sample.in_flight - 2.0).abs() < 1e-9, "{sample:?}");
        assert!((sample.throughput - 200.0).abs() < 1e-9, "{sample:?}");
        assert!((sample.latency.geometric_mean / 0.01 - 1.0).abs() < 0.03, "{sample:?}");
        assert_eq!(demand.served, [0, 0, 20, 0]);
    }

    #[test]
    fn a_window_is_longer_than_its_calls() {
        let mut window = Window::new(100 * MILLISECOND, 10);
        window.close(Moment::ORIGIN, 4);
        (0..20).for_each(|_| window.completed(Priority::Normal, 90 * MILLISECOND));
        assert_eq!(window.close(Moment::ORIGIN.after(100 * MILLISECOND), 4), None);
        assert!(window.close(Moment::ORIGIN.after(280 * MILLISECOND), 4).is_some());
    }

    #[test]
    fn calls_of_long_ago_are_forgotten() {
        let mut window = Window::new(100 * MILLISECOND, 10);
        window.close(Moment::ORIGIN, 4);
        (0..9).for_each(|_| window.completed(Priority::Normal, MILLISECOND));
        assert_eq!(window.close(Moment::ORIGIN.after(Duration::from_secs(60)), 4), None);
        window.completed(Priority::Normal, MILLISECOND);
        assert_eq!(window.close(Moment::ORIGIN.after(Duration::from_secs(61)), 4), None);
    }
}
