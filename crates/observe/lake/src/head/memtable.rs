//! One generation of the head: everything that came in since the last flush began.
//!
//! A generation is written to by many appenders, then frozen, flushed and dropped. A query holds on to the generations it
//! began with, so a flush that finishes meanwhile takes nothing from under it.

use std::collections::{BTreeSet, HashSet};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicI64, AtomicU64, AtomicUsize, Ordering};

use arrow_array::RecordBatch;
use kandela_model::tables::Table;
use kandela_model::{Histogram, Timestamp};
use parking_lot::{Mutex, MutexGuard};

use super::block::{Arena, Block};
use super::registry::SHARDS;
use crate::wal::Rotated;

const DAY_MICROS: i64 = 86_400_000_000;

/// Blocks whose samples are laid out at once: a few hundred thousand rows.
const SLICE_BLOCKS: usize = 32_768;

/// A series that was first heard of on a day in this generation.
#[derive(Clone, Copy, Debug)]
pub(crate) struct NewDay {
    /// Its number in the catalog.
    pub(crate) number: u32,
    /// Its first sample of the day, in microseconds.
    pub(crate) ts: i64,
}

/// One shard's samples.
#[derive(Debug, Default)]
pub(crate) struct MemShard {
    pub(crate) arena: Arena,
    /// Samples at or before their series' newest: (series, time, value), in order of arrival.
    pub(crate) late: Vec<(i64, i64, f64)>,
    pub(crate) histograms: Vec<(i64, Timestamp, Histogram)>,
    pub(crate) late_histograms: Vec<(i64, Timestamp, Histogram)>,
    pub(crate) new_days: Vec<NewDay>,
}

/// One generation of the head.
#[derive(Debug)]
pub(crate) struct Memtable {
    /// Which one; 1 is the first.
    pub(crate) generation: u32,
    shards: Vec<Mutex<MemShard>>,
    rows: Mutex<Vec<(&'static Table, RecordBatch)>>,
    bytes: AtomicUsize,
    samples: AtomicU64,
    last_seq: AtomicU64,
    min_ts: AtomicI64,
    max_ts: AtomicI64,
    closed: OnceLock<Rotated>,
}

/// Samples sorted by series and time, as parallel columns.
#[derive(Debug, Default)]
pub(crate) struct SampleRows {
    pub(crate) series_ids: Vec<i64>,
    pub(crate) ts: Vec<i64>,
    pub(crate) values: Vec<f64>,
}

impl SampleRows {
    pub(crate) fn is_empty(&self) -> bool {
        self.ts.is_empty()
    }

    fn push(&mut self, series_id: i64, ts: i64, value: f64) {
        self.series_ids.push(series_id);
        self.ts.push(ts);
        self.values.push(value);
    }
}

/// What a scan asks for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Window<'a> {
    /// Only these series; `None` for all.
    pub(crate) ids: Option<&'a HashSet<i64>>,
    /// From this microsecond on.
    pub(crate) from: i64,
    /// Through this microsecond.
    pub(crate) through: i64,
}

impl Window<'_> {
    pub(crate) const EVERYTHING: Window<'static> = Window { ids: None, from: i64::MIN, through: i64::MAX };

    fn wants(&self, series_id: i64) -> bool {
        self.ids.is_none_or(|ids| ids.contains(&series_id))
    }

    fn holds(&self, ts: i64) -> bool {
        (self.from..=self.through).contains(&ts)
    }
}

impl Memtable {
    pub(crate) fn new(generation: u32) -> Self {
        Self {
            generation,
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
            rows: Mutex::default(),
            bytes: AtomicUsize::new(0),
            samples: AtomicU64::new(0),
            last_seq: AtomicU64::new(0),
            min_ts: AtomicI64::new(i64::MAX),
            max_ts: AtomicI64::new(i64::MIN),
            closed: OnceLock::new(),
        }
    }

    pub(crate) fn shard(&self, shard: usize) -> Option<MutexGuard<'_, MemShard>> {
        self.shards.get(shard).map(Mutex::lock)
    }

    pub(crate) fn push_rows(&self, table: &'static Table, batch: RecordBatch) {
        self.grew(batch.get_array_memory_size());
        self.rows.lock().push((table, batch));
    }

    /// The rows of `table`, in order of arrival.
    pub(crate) fn rows(&self, table: &Table) -> Vec<RecordBatch> {
        let rows = self.rows.lock();
        rows.iter().filter(|(of, _)| of.name == table.name).map(|(_, batch)| batch.clone()).collect()
    }

    /// How many rows of `table` there are.
    pub(crate) fn count(&self, table: &Table) -> u64 {
        let shards = || (0..self.shards.len()).filter_map(|shard| self.shard(shard));
        let sum = |rows: fn(&MemShard) -> usize| shards().map(|shard| rows(&shard) as u64).sum::<u64>();
        let histograms = || sum(|shard| shard.histograms.len() + shard.late_histograms.len());
        match table.name {
            "series" => sum(|shard| shard.new_days.len()),
            "samples" => self.samples().saturating_sub(histograms()),
            "histograms" => histograms(),
            _ => self.rows(table).iter().map(|batch| batch.num_rows() as u64).sum(),
        }
    }

    pub(crate) fn grew(&self, bytes: usize) {
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    pub(crate) fn took(&self, samples: usize, oldest: i64, newest: i64) {
        self.samples.fetch_add(samples as u64, Ordering::Relaxed);
        self.min_ts.fetch_min(oldest, Ordering::Relaxed);
        self.max_ts.fetch_max(newest, Ordering::Relaxed);
    }

    pub(crate) fn logged(&self, seq: u64) {
        self.last_seq.fetch_max(seq, Ordering::Relaxed);
    }

    /// Bytes in use.
    pub(crate) fn heap_bytes(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Samples and histograms that it took.
    pub(crate) fn samples(&self) -> u64 {
        self.samples.load(Ordering::Relaxed)
    }

    /// The oldest time of a sample, in microseconds; `i64::MAX` before the first.
    pub(crate) fn min_ts(&self) -> i64 {
        self.min_ts.load(Ordering::Relaxed)
    }

    /// The newest time of a sample, in microseconds; `i64::MIN` before the first.
    pub(crate) fn max_ts(&self) -> i64 {
        self.max_ts.load(Ordering::Relaxed)
    }

    /// The highest log sequence that it holds; 0 while it holds none.
    pub(crate) fn last_seq(&self) -> u64 {
        self.last_seq.load(Ordering::Relaxed)
    }

    /// Notes the log segment that ends with this generation.
    pub(crate) fn closed_segment(&self, rotated: Rotated) {
        self.closed.get_or_init(|| rotated);
    }

    /// The log segment that ends with this generation, once it is frozen.
    pub(crate) fn segment(&self) -> Option<Rotated> {
        self.closed.get().copied()
    }

    /// Whether nothing came in.
    pub(crate) fn is_empty(&self) -> bool {
        self.last_seq() == 0
    }

    /// Samples newer than all of their series before them, sorted by series and time.
    pub(crate) fn samples_in(&self, window: Window<'_>) -> SampleRows {
        let mut blocks: Vec<Block> = Vec::new();
        for shard in &self.shards {
            blocks.extend(shard.lock().arena.blocks().filter(|block| window.wants(block.series_id())));
        }
        // Stable, so the blocks of one series stay in ascending time.
        blocks.sort_by_key(Block::series_id);
        let mut rows = SampleRows::default();
        for block in &blocks {
            for (ts, value) in block.samples().filter(|(ts, _)| window.holds(*ts)) {
                rows.push(block.series_id(), ts, value);
            }
        }
        rows
    }

    /// The UTC days of the samples that came in order, ascending.
    pub(crate) fn days(&self) -> BTreeSet<i32> {
        let mut days = BTreeSet::new();
        for shard in &self.shards {
            for block in shard.lock().arena.blocks() {
                let (first, last) = block.span();
                days.extend(Timestamp::from_micros(first).day()..=Timestamp::from_micros(last).day());
            }
        }
        days
    }

    /// Hands the samples of one day that came in order to `each`, sorted by series and time, in slices of bounded size.
    pub(crate) fn sorted_samples_of<E>(
        &self,
        day: i32,
        mut each: impl FnMut(SampleRows) -> Result<(), E>,
    ) -> Result<(), E> {
        let guards: Vec<_> = self.shards.iter().map(Mutex::lock).collect();
        let from = i64::from(day) * DAY_MICROS;
        let window = Window { from, through: from + DAY_MICROS - 1, ..Window::EVERYTHING };
        let mut blocks: Vec<&Block> = guards.iter().flat_map(|shard| shard.arena.blocks()).collect();
        blocks.sort_by_key(|block| block.series_id());
        for slice in blocks.chunks(SLICE_BLOCKS) {
            let mut rows = SampleRows::default();
            for block in slice {
                for (ts, value) in block.samples().filter(|(ts, _)| window.holds(*ts)) {
                    rows.push(block.series_id(), ts, value);
                }
            }
            if !rows.is_empty() {
                each(rows)?;
            }
        }
        Ok(())
    }

    /// Samples that came late, sorted by series and time; of several at one time only the first that came.
    pub(crate) fn late_samples_in(&self, window: Window<'_>) -> SampleRows {
        let mut rows = SampleRows::default();
        for (id, ts, value) in self.late_samples(|id, ts| window.wants(id) && window.holds(ts)) {
            rows.push(id, ts, value);
        }
        rows
    }

    /// Whether any sample came late.
    pub(crate) fn has_late_samples(&self) -> bool {
        self.shards.iter().any(|shard| !shard.lock().late.is_empty())
    }

    /// As [`Memtable::late_samples_in`], of the (series, time) that `keep` says, as rows.
    pub(crate) fn late_samples(&self, keep: impl Fn(i64, i64) -> bool) -> Vec<(i64, i64, f64)> {
        let mut late: Vec<(i64, i64, f64)> = Vec::new();
        for shard in &self.shards {
            late.extend(shard.lock().late.iter().filter(|(id, ts, _)| keep(*id, *ts)));
        }
        late.sort_by_key(|(id, ts, _)| (*id, *ts));
        late.dedup_by_key(|(id, ts, _)| (*id, *ts));
        late
    }

    /// Histograms sorted by series and time: in order, or the late ones.
    pub(crate) fn histograms(&self, late: bool) -> Vec<(i64, Timestamp, Histogram)> {
        self.histograms_of(late, |_, _| true)
    }

    /// As [`Memtable::histograms`], of the (series, time in microseconds) that `keep` says.
    pub(crate) fn histograms_of(
        &self,
        late: bool,
        keep: impl Fn(i64, i64) -> bool,
    ) -> Vec<(i64, Timestamp, Histogram)> {
        let mut all = Vec::new();
        for shard in &self.shards {
            let shard = shard.lock();
            let rows = if late { &shard.late_histograms } else { &shard.histograms };
            all.extend(rows.iter().filter(|(id, ts, _)| keep(*id, ts.micros())).cloned());
        }
        all.sort_by_key(|(id, ts, _)| (*id, *ts));
        all.dedup_by_key(|(id, ts, _)| (*id, *ts));
        all
    }

    /// Follows a renumbering of the registry.
    pub(crate) fn renumber(&self, renumbered: &[Option<u32>]) {
        for shard in &self.shards {
            for new in &mut shard.lock().new_days {
                if let Some(number) = renumbered.get(new.number as usize).copied().flatten() {
                    new.number = number;
                }
            }
        }
    }

    /// Series first heard of on a day, in no order.
    pub(crate) fn new_days(&self) -> Vec<NewDay> {
        self.shards.iter().flat_map(|shard| shard.lock().new_days.clone()).collect()
    }
}
