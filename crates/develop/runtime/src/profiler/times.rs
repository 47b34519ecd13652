//! The times of one path: what a thread writes, and what is read of it.

use std::sync::Arc;

use kandela_algebra::histogram::{ExponentialBuckets, Layout, LogHistogram, OffsetCounts};
use kandela_algebra::merge::{Approximate, Commutative, Count, Merge, Sum};

use super::buckets::{SCALE, bucket};
use super::ledger::add;
use crate::sync::{AtomicU64, Mutex, Ordering};

/// The bucket of 1 ns, in seconds, rounded down to a whole run.
const FIRST_BUCKET: i32 = -512;
/// Buckets come in runs of so many, four doublings, and a run takes memory once it is needed.
const RUN: usize = 64;
/// Runs up to the bucket of `u64::MAX` ns.
const RUNS: usize = 17;
/// More buckets than there are durations, so the scale never falls.
const MAX_BUCKETS: usize = RUN * RUNS;

/// What one path took: all operations of this name that began within operations of these names, on any thread.
///
/// An operation counts when it has ended. Times are exact sums of nanoseconds.
#[derive(Clone, Debug)]
pub struct PathTimes {
    /// How many operations.
    pub count: Count,
    /// From their starts to their ends.
    pub total: Sum,
    /// The part of `total` in which no thread was at it: futures that waited to be polled.
    pub idle: Sum,
    /// The part of `total` in which a thread was at the operation itself, not at one within it.
    pub own: Sum,
    /// The distribution of start to end, in seconds; exact but for the width of the buckets, 2.2 %.
    pub durations: LogHistogram,
}

impl PathTimes {
    /// Nothing has ended yet.
    pub fn new() -> PathTimes {
        let layout = Layout::new(SCALE, MAX_BUCKETS, 0.0).unwrap_or_default();
        PathTimes {
            count: Count::default(),
            total: Sum::default(),
            idle: Sum::default(),
            own: Sum::default(),
            durations: LogHistogram::with_layout(layout),
        }
    }

    /// The part of [`total`](PathTimes::total) in which a thread was at the operation or at one within it.
    pub fn busy(&self) -> Sum {
        Sum(self.total.0 - self.idle.0)
    }

    /// Whether nothing has ended.
    pub fn is_empty(&self) -> bool {
        self.count.0 == 0
    }
}

impl Default for PathTimes {
    fn default() -> Self {
        PathTimes::new()
    }
}

/// Equal in all but the histogram's sum, which rounding leaves open; [`PathTimes::total`] is that sum, exactly.
impl PartialEq for PathTimes {
    fn eq(&self, other: &Self) -> bool {
        (self.count, self.total, self.idle, self.own) == (other.count, other.total, other.idle, other.own)
            && self.durations.same_counts(&other.durations)
    }
}

impl Merge for PathTimes {
    fn empty(&self) -> Self {
        PathTimes::new()
    }
    fn merge_from(&mut self, other: &Self) {
        self.count.merge_from(&other.count);
        self.total.merge_from(&other.total);
        self.idle.merge_from(&other.idle);
        self.own.merge_from(&other.own);
        self.durations.merge_from(&other.durations);
    }
}
impl Commutative for PathTimes {}
impl Approximate for PathTimes {}

/// What one thread counts of one path. The thread alone writes; others read while it does.
pub(super) struct Cells {
    total: AtomicU64,
    idle: AtomicU64,
    own: AtomicU64,
    /// In nanoseconds; `u64::MAX` before there is one.
    min: AtomicU64,
    max: AtomicU64,
    zero: AtomicU64,
    runs: Mutex<Vec<(usize, Arc<Run>)>>,
}

/// The counts of neighbouring buckets.
struct Run([AtomicU64; RUN]);

/// The thread's own way to its cells.
pub(super) struct Tally {
    cells: Arc<Cells>,
    runs: [Option<Arc<Run>>; RUNS],
}

impl Tally {
    pub(super) fn new() -> Tally {
        let cells = Cells {
            total: AtomicU64::new(0),
            idle: AtomicU64::new(0),
            own: AtomicU64::new(0),
            min: AtomicU64::new(u64::MAX),
            max: AtomicU64::new(0),
            zero: AtomicU64::new(0),
            runs: Mutex::new(Vec::new()),
        };
        Tally { cells: Arc::new(cells), runs: [const { None }; RUNS] }
    }

    pub(super) fn cells(&self) -> &Arc<Cells> {
        &self.cells
    }

    /// Counts one operation, its times in nanoseconds.
    #[inline]
    pub(super) fn record(&mut self, total: u64, idle: u64, own: u64) {
        let cells = &*self.cells;
        add(&cells.total, total);
        add(&cells.own, own);
        if idle > 0 {
            add(&cells.idle, idle);
        }
        if total < cells.min.load(Ordering::Relaxed) {
            cells.min.store(total, Ordering::Relaxed);
        }
        if total > cells.max.load(Ordering::Relaxed) {
            cells.max.store(total, Ordering::Relaxed);
        }
        if total == 0 {
            return add(&cells.zero, 1);
        }
        let bucket = (bucket(total) - FIRST_BUCKET) as usize;
        match &self.runs[bucket / RUN] {
            Some(run) => add(&run.0[bucket % RUN], 1),
            None => self.begin_run(bucket),
        }
    }

    #[cold]
    fn begin_run(&mut self, bucket: usize) {
        let run = Arc::new(Run([const { AtomicU64::new(0) }; RUN]));
        add(&run.0[bucket % RUN], 1);
        self.cells.runs.lock().push((bucket / RUN, run.clone()));
        self.runs[bucket / RUN] = Some(run);
    }
}

impl Cells {
    /// What was counted so far. While the thread counts on, the operation that it is about to add may be in one of the figures and
    /// not yet in another.
    pub(super) fn read(&self) -> PathTimes {
        let read = |cell: &AtomicU64| cell.load(Ordering::Relaxed);
        let runs = self.runs.lock().clone();
        let positions = || runs.iter().map(|(position, _)| *position);
        let (first, last) = (positions().min().unwrap_or(0), positions().max().unwrap_or(0));
        let mut counts = vec![0; (last - first + 1) * RUN];
        for (position, run) in &runs {
            let buckets = counts[(position - first) * RUN..][..RUN].iter_mut();
            buckets.zip(&run.0).for_each(|(count, cell)| *count = read(cell));
        }
        let sum = |cell: &AtomicU64| Sum(i128::from(read(cell)));
        let (total, min, max) = (sum(&self.total), read(&self.min), read(&self.max));
        let buckets = ExponentialBuckets {
            scale: SCALE,
            zero_count: read(&self.zero),
            positive: OffsetCounts { offset: FIRST_BUCKET + (first * RUN) as i32, counts },
            sum: Some(total.0 as f64 / 1e9),
            min: Some(seconds(min)),
            max: Some(seconds(max)),
            ..ExponentialBuckets::default()
        };
        // Every bucket lies within the range of floats, and the scale is one that there is.
        let durations = LogHistogram::from_exponential(&buckets, MAX_BUCKETS).unwrap_or_default();
        PathTimes {
            count: Count(durations.count()),
            total,
            idle: sum(&self.idle),
            own: sum(&self.own),
            durations,
        }
    }
}

fn seconds(nanos: u64) -> f64 {
    nanos as f64 / 1e9
}

#[cfg(test)]
mod tests {
    use kandela_algebra::laws;
    use proptest::prelude::*;

    use super::*;

    fn counted(totals: &[u64]) -> PathTimes {
        let mut tally = Tally::new();
        totals.iter().for_each(|&total| tally.record(total, total / 3, total / 2));
        tally.cells().read()
    }

    proptest! {
        #[test]
        fn cells_hold_what_the_histogram_would_have(totals in prop::collection::vec(0u64.., 1..50)) {
            let mut recorded = PathTimes::new().durations;
            totals.iter().for_each(|&total| recorded.record(seconds(total)));
            let counted = counted(&totals.iter().map(|total| total >> 8).collect::<Vec<_>>());
            let mut shifted = PathTimes::new().durations;
            totals.iter().for_each(|&total| shifted.record(seconds(total >> 8)));
            prop_assert!(counted.durations.same_counts(&shifted));
            prop_assert_eq!(counted.count.0, recorded.count());
            prop_assert_eq!(counted.durations.scale(), SCALE);
        }

        #[test]
        fn times_merge_in_any_order(parts in prop::collection::vec(prop::collection::vec(0u64..1 << 40, 0..9), 3..6)) {
            let parts: Vec<PathTimes> = parts.iter().map(|part| counted(part)).collect();
            laws::merge(parts.clone()).unwrap();
            laws::commutative(parts, PathTimes::eq).unwrap();
        }
    }

    #[test]
    fn the_shortest_and_the_longest_duration_have_a_bucket() {
        let counted = counted(&[0, 1, u64::MAX]);
        assert_eq!(counted.count, Count(3));
        assert_eq!(counted.durations.max(), Some(seconds(u64::MAX)));
        assert_eq!(counted.durations.min(), Some(0.0));
    }
}
