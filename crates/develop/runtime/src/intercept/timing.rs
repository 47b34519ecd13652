//! Timing: the whole distribution of latencies, by operation and outcome, and how many calls are in flight.
//!
//! Each operation has a few histograms, and a thread records into one of them; what is asked for is their merge, which is exact
//! ([`Merge`]), so that no two threads wait for each other as a rule.

use std::sync::Arc;
use std::time::Duration;

use kandela_algebra::histogram::LogHistogram;
use kandela_algebra::merge::Merge;

use super::measured::{Measured, Outcome, Record};
use super::operation::Operations;
use crate::range::OutOfRange;
use crate::sync::{AtomicU64, Mutex, Ordering};

/// Times calls into [`Timings`].
pub type Timing<Req, Resp> = Measured<Timings, Req, Resp>;

/// The latencies of all operations.
#[derive(Debug)]
pub struct Timings {
    operations: Operations<Timed>,
}

/// The latencies of one operation, as they are recorded.
#[derive(Debug, Default)]
pub struct Timed {
    in_flight: AtomicU64,
    shards: [Shard; SHARDS],
}

const SHARDS: usize = 8;

/// On a cache line of its own.
#[derive(Debug, Default)]
#[repr(align(64))]
struct Shard {
    by_outcome: Mutex<Vec<(Outcome, LogHistogram)>>,
}

/// What was measured of one operation.
#[derive(Clone, Debug, PartialEq)]
pub struct OperationTiming {
    /// Its name.
    pub operation: String,
    /// Calls that have started and not ended.
    pub in_flight: u64,
    /// Latencies in seconds, of each outcome that there was.
    pub by_outcome: Vec<(Outcome, LogHistogram)>,
}

impl OperationTiming {
    /// Latencies in seconds, of all calls.
    pub fn all(&self) -> LogHistogram {
        merged(self.by_outcome.iter().map(|(_, histogram)| histogram))
    }

    /// Latencies in seconds, of calls with this outcome.
    pub fn of(&self, outcome: Outcome) -> LogHistogram {
        merged(self.by_outcome.iter().filter(|(of, _)| *of == outcome).map(|(_, histogram)| histogram))
    }
}

impl Timings {
    /// Keeps up to `most_operations`, from 1 to 100,000; those that come later are counted as
    /// [`OTHER`](super::operation::OTHER). An operation takes about 1.5 kB for each thread, 8 at most, and outcome.
    ///
    /// # Errors
    /// [`OutOfRange`] where `most_operations` is.
    pub fn new(most_operations: usize) -> Result<Timings, OutOfRange> {
        Ok(Timings { operations: Operations::new(most_operations)? })
    }

    /// What was measured so far, by operation.
    pub fn snapshot(&self) -> Vec<OperationTiming> {
        self.operations.all().into_iter().map(|(name, timed)| timed.snapshot(name)).collect()
    }
}

impl Timed {
    fn snapshot(&self, operation: String) -> OperationTiming {
        let mut by_outcome: Vec<(Outcome, LogHistogram)> = Vec::new();
        for shard in &self.shards {
            for (outcome, histogram) in shard.by_outcome.lock().iter() {
                histogram_of(&mut by_outcome, *outcome).merge_from(histogram);
            }
        }
        by_outcome.sort_unstable_by_key(|(outcome, _)| *outcome);
        OperationTiming { operation, in_flight: self.in_flight.load(Ordering::Relaxed), by_outcome }
    }
}

impl Record for Timings {
    type Operation = Timed;

    fn operation(&self, name: &str) -> Arc<Timed> {
        self.operations.get(name)
    }

    fn start(operation: &Timed) {
        operation.in_flight.fetch_add(1, Ordering::Relaxed);
    }

    fn end(operation: &Timed, outcome: Outcome, took: Duration) {
        operation.in_flight.fetch_sub(1, Ordering::Relaxed);
        let mut by_outcome = operation.shards[own_shard()].by_outcome.lock();
        histogram_of(&mut by_outcome, outcome).record(took.as_secs_f64());
    }
}

fn histogram_of(by_outcome: &mut Vec<(Outcome, LogHistogram)>, outcome: Outcome) -> &mut LogHistogram {
    let known = by_outcome.iter().position(|(of, _)| *of == outcome);
    let position = known.unwrap_or_else(|| {
        by_outcome.push((outcome, LogHistogram::new()));
        by_outcome.len() - 1
    });
    &mut by_outcome[position].1
}

fn merged<'a>(histograms: impl Iterator<Item = &'a LogHistogram>) -> LogHistogram {
    kandela_algebra::merge::merge_all(&LogHistogram::new(), histograms)
}

/// Threads take shards in turns, and keep them.
fn own_shard() -> usize {
    static NEXT: std::sync::atomic::AtomicUsize = std::sync::atomic::AtomicUsize::new(0);
    thread_local! {
        static OWN: usize = NEXT.fetch_add(1, Ordering::Relaxed) % SHARDS;
    }
    OWN.with(|own| *own)
}

#[cfg(test)]
mod tests {
    use kandela_algebra::intercept::Intercept;

    use super::*;
    use crate::clock::ManualClock;

    fn timing(clock: &ManualClock) -> (Arc<Timings>, Timing<u64, Result<u64, ()>>) {
        let timings = Arc::new(Timings::new(10).expect("10 is a number of operations"));
        let outcome = |response: &Result<u64, ()>| response.map_or(Outcome::Error, |_| Outcome::Ok);
        let timing = Timing::new(timings.clone(), Arc::new(clock.clone()), |_| "work", outcome);
        (timings, timing)
    }

    #[test]
    fn latencies_are_kept_by_outcome() {
        let clock = ManualClock::new();
        let (timings, timing) = timing(&clock);
        for ms in 1..=100 {
            let _ = timing.call(ms, |ms| {
                clock.advance(Duration::from_millis(ms));
                if ms % 4 == 0 { Err(()) } else { Ok(ms) }
            });
        }
        let [work] = &timings.snapshot()[..] else { panic!("one operation") };
        assert_eq!((work.of(Outcome::Ok).count(), work.of(Outcome::Error).count()), (75, 25));
        let p50 = work.all().quantile(0.5).expect("100 calls");
        assert!((p50 - 0.050).abs() < 0.05 * 0.05, "{p50}");
    }

    #[test]
    fn a_panicking_handler_is_no_longer_in_flight() {
        let clock = ManualClock::new();
        let (timings, timing) = timing(&clock);
        let call = std::panic::AssertUnwindSafe(|| {
            timing.call(1, |_| {
                assert_eq!(timings.snapshot()[0].in_flight, 1);
                std::panic::resume_unwind(Box::new("meant"))
            })
        });
        assert!(std::panic::catch_unwind(call).is_err());
        let work = &timings.snapshot()[0];
        assert_eq!((work.in_flight, work.of(Outcome::Panicked).count()), (0, 1));
    }

    #[test]
    fn a_clock_that_steps_backwards_times_nothing() {
        let clock = ManualClock::new();
        clock.advance(Duration::from_secs(9));
        let (timings, timing) = timing(&clock);
        let _ = timing.call(1, |_| {
            clock.set(crate::clock::Moment::ORIGIN);
            Ok(1)
        });
        assert_eq!(timings.snapshot()[0].all().max(), Some(0.0));
    }

    #[test]
    fn what_threads_record_is_merged_without_loss() {
        let clock = ManualClock::new();
        let (timings, timing) = timing(&clock);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| (0..1000).for_each(|n| assert!(timing.call(n, Ok).is_ok())));
            }
        });
        assert_eq!(timings.snapshot()[0].all().count(), 4000);
    }
}
