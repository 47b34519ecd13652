//! The way in: from a batch to the log to the memtable.
//!
//! First pass, shard by shard: find each series and drop what is known to be a duplicate or too old. Then one log record.
//! Second pass: lay the samples into the memtable. Between the passes the flush gate is held shared, so one record never
//! straddles two generations. A batch costs two lock operations a shard, one hash and one cache line a series.

use std::cell::RefCell;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use kandela_model::{
    Exemplar, Histogram, LabelsRef, Metadata, MetricBatch, SeriesIndex as BatchIndex, Timestamp, tables,
};
use parking_lot::{Mutex, RwLock};

use super::admission::{Admission, Judgement};
use super::apply::{Row, apply, apply_histogram};
use super::memtable::Memtable;
use super::record::{
    Definition, LoggedSample, RecordKind, put_definitions, put_metadata, put_samples, put_varint,
};
use super::registry::{Registry, SHARDS, Slot};
use crate::config::LakeConfig;
use crate::error::{LakeError, Result};
use crate::rows;
use crate::wal::{Wal, WalError};

/// Rejections that are named one by one; the rest are only counted.
const MAX_NAMED_REJECTIONS: usize = 20;

/// How often a record is made anew when the disk spoils one segment after the other.
const MAX_TRIES: usize = 3;

/// Why a sample was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RejectReason {
    /// Older than its series' newest sample by more than the out-of-order window.
    TooOld,
    /// More than ten minutes ahead of this machine's clock.
    TooFarAhead,
    /// Of a day that the next retention run would remove.
    PastRetention,
    /// Before the year 1 or after the year 9999, where no table has a date.
    NoDate,
    /// Its series would be one more than `max_series` allows.
    SeriesLimit,
    /// A delta histogram that does not add to what came before it.
    Incompatible,
    /// A delta from before its series' newest sample: the sums from there on were given out already.
    LateDelta,
    /// A delta that is NaN or infinite, after which the sum could never be a number again.
    NotANumber,
}

impl RejectReason {
    /// Words for people and for metrics' `reason` label.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::TooOld => "older than the out-of-order window",
            Self::TooFarAhead => "more than ten minutes in the future",
            Self::PastRetention => "older than the retention",
            Self::NoDate => "a time before the year 1 or after the year 9999",
            Self::SeriesLimit => "limit on active series reached",
            Self::Incompatible => "histogram layout changed between deltas",
            Self::LateDelta => "a delta older than its series' newest sample",
            Self::NotANumber => "a delta that is not a number",
        }
    }
}

/// A sample that was not taken.
#[derive(Clone, Debug, PartialEq)]
pub struct Rejected {
    /// Its series, as people write it.
    pub series: String,
    /// Its time.
    pub ts: Timestamp,
    /// Why.
    pub reason: RejectReason,
}

/// What became of a batch.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Appended {
    /// Float samples taken.
    pub samples: usize,
    /// Histograms taken.
    pub histograms: usize,
    /// Exemplars taken.
    pub exemplars: usize,
    /// Points that were there already; the first acknowledged stays.
    pub duplicates: usize,
    /// Exemplars past the retention or ahead of the clock, which are left out.
    pub untimely_exemplars: usize,
    /// Points that were rejected, by reason.
    pub rejections: Vec<(RejectReason, usize)>,
    /// The first of them by name.
    pub rejected: Vec<Rejected>,
}

impl Appended {
    fn reject(&mut self, series: impl FnOnce() -> String, ts: i64, reason: RejectReason) {
        match self.rejections.iter_mut().find(|(of, _)| *of == reason) {
            Some((_, count)) => *count += 1,
            None => self.rejections.push((reason, 1)),
        }
        if self.rejected.len() < MAX_NAMED_REJECTIONS {
            self.rejected.push(Rejected { series: series(), ts: Timestamp::from_micros(ts), reason });
        }
    }

    /// How many points were rejected.
    pub fn rejected_points(&self) -> usize {
        self.rejections.iter().map(|(_, count)| count).sum()
    }
}

/// Where points come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    /// A client: checked, then logged.
    Client,
    /// An import of history: no limit on age.
    Import,
}

#[derive(Debug, Default)]
struct Scratch {
    fingerprints: Vec<u128>,
    by_shard: Vec<u32>,
    slots: Vec<Option<Slot>>,
    starts: Vec<u32>,
    rows: Vec<Row>,
    undefined: Vec<u32>,
    payload: Vec<u8>,
    /// The log segment that the payload's definitions are made for.
    segment: u64,
}

thread_local! {
    static SCRATCH: RefCell<Scratch> = RefCell::default();
}

/// Sums of increments so far.
#[derive(Debug, Default)]
pub(crate) struct Accumulators {
    pub(crate) floats: HashMap<i64, f64>,
    pub(crate) histograms: HashMap<i64, Histogram>,
}

/// What appends share.
pub(crate) struct Appender {
    pub(crate) registry: Arc<Registry>,
    pub(crate) wal: Wal,
    /// Held shared by appends, and alone while a generation is frozen.
    pub(crate) gate: RwLock<()>,
    pub(crate) accumulators: Mutex<Accumulators>,
    /// Bytes of the registry and of generations that still wait for their flush.
    pub(crate) held_bytes: AtomicUsize,
    last_exemplars: Mutex<HashMap<i64, Exemplar>>,
    config: LakeConfig,
}

impl Appender {
    pub(crate) fn new(
        registry: Arc<Registry>,
        accumulators: Accumulators,
        wal: Wal,
        config: &LakeConfig,
    ) -> Self {
        let held_bytes = AtomicUsize::new(registry.heap_bytes());
        Self {
            registry,
            wal,
            gate: RwLock::default(),
            accumulators: Mutex::new(accumulators),
            held_bytes,
            last_exemplars: Mutex::default(),
            config: config.clone(),
        }
    }

    /// Takes a batch into `memtable`, which must be the active one; the caller holds the gate shared. Gives what became of
    /// it and the last log sequence to sync through.
    pub(crate) fn append(
        &self,
        memtable: &Memtable,
        batch: &MetricBatch,
        now: Timestamp,
        origin: Origin,
    ) -> Result<(Appended, u64)> {
        let mut tries = 0;
        loop {
            tries += 1;
            match self.try_append(memtable, batch, now, origin) {
                // The disk spoiled the segment that the record was made for; the next one is ready.
                Err(LakeError::LogRefused { source: WalError::Rotated { .. }, .. }) if tries < MAX_TRIES => {}
                done => return done,
            }
        }
    }

    fn try_append(
        &self,
        memtable: &Memtable,
        batch: &MetricBatch,
        now: Timestamp,
        origin: Origin,
    ) -> Result<(Appended, u64)> {
        self.admit(memtable, batch.heap_bytes())?;
        let admission = &Admission::new(&self.config, now, origin);
        let mut report = Appended::default();
        let mut seq = self.append_metadata(memtable, batch)?;
        seq = seq.max(SCRATCH.with_borrow_mut(|scratch| {
            self.resolve(batch, scratch, &mut report);
            self.gather(batch, scratch, admission, &mut report);
            self.log_and_apply(memtable, RecordKind::Samples, scratch, &mut report)
        })?);
        if !batch.deltas.is_empty() {
            seq = seq.max(SCRATCH.with_borrow_mut(|scratch| {
                self.append_deltas(memtable, batch, scratch, admission, &mut report)
            })?);
        }
        if !batch.histograms.is_empty() || !batch.exemplars.is_empty() {
            let slots = SCRATCH.with_borrow(|scratch| scratch.slots.clone());
            seq = seq.max(self.append_histograms(memtable, batch, &slots, admission, &mut report)?);
            seq = seq.max(self.append_exemplars(memtable, batch, &slots, admission, &mut report)?);
        }
        Ok((report, seq))
    }

    /// Refuses what would not fit into the head's share of memory.
    pub(crate) fn admit(&self, memtable: &Memtable, bytes: usize) -> Result<()> {
        let used = memtable.heap_bytes() + self.held_bytes.load(Ordering::Relaxed);
        let limit = self.config.head_share();
        if used + bytes > limit {
            return Err(LakeError::HeadFull { used, limit });
        }
        Ok(())
    }

    fn append_metadata(&self, memtable: &Memtable, batch: &MetricBatch) -> Result<u64> {
        let changed: Vec<Metadata> = batch
            .metadata
            .iter()
            .filter(|family| self.registry.family_of(&family.family).as_ref() != Some(*family))
            .cloned()
            .collect();
        if changed.is_empty() {
            return Ok(0);
        }
        let mut payload = Vec::new();
        put_metadata(&mut payload, &changed);
        let seq = self.log(RecordKind::Metadata, &payload)?;
        memtable.logged(seq);
        changed.iter().for_each(|family| self.registry.describe(family));
        Ok(seq)
    }

    /// Finds the slot of every series of the batch, making the new ones.
    fn resolve(&self, batch: &MetricBatch, scratch: &mut Scratch, report: &mut Appended) {
        let count = batch.series().len() as u32;
        scratch.fingerprints.clear();
        scratch
            .fingerprints
            .extend((0..count).map(|n| self.registry.fingerprint(batch.labels(BatchIndex(n)))));
        let fingerprints = &scratch.fingerprints;
        group_by_shard(fingerprints, &mut scratch.by_shard);
        let shard_of = |n: &u32| fingerprints.get(*n as usize).map_or(0, |f| Registry::shard_of(*f));
        scratch.slots.clear();
        scratch.slots.resize(count as usize, None);
        let mut missing = Vec::new();
        for group in scratch.by_shard.chunk_by(|a, b| shard_of(a) == shard_of(b)) {
            let Some(number_of_shard) = group.first().map(shard_of) else { continue };
            let Some(shard) = self.registry.shard(number_of_shard) else { continue };
            for n in group {
                let found = fingerprints.get(*n as usize).and_then(|fingerprint| shard.find(*fingerprint));
                match (found, scratch.slots.get_mut(*n as usize)) {
                    (Some(entry), Some(slot)) => *slot = Some(Slot { shard: number_of_shard as u32, entry }),
                    _ => missing.push(*n),
                }
            }
        }
        if missing.is_empty() {
            return;
        }
        let before = self.registry.heap_bytes();
        for n in missing {
            let labels = batch.labels(BatchIndex(n));
            let made = self.registry.find_or_add(labels, None, self.config.max_series);
            if made.is_none() {
                report.reject(|| labels.to_string(), 0, RejectReason::SeriesLimit);
            }
            if let Some(slot) = scratch.slots.get_mut(n as usize) {
                *slot = made;
            }
        }
        let grown = self.registry.heap_bytes().saturating_sub(before);
        self.held_bytes.fetch_add(grown, Ordering::Relaxed);
    }

    /// Turns the batch's samples into rows, shard by shard, leaving out what is a duplicate or outside the windows.
    fn gather(
        &self,
        batch: &MetricBatch,
        scratch: &mut Scratch,
        admission: &Admission,
        report: &mut Appended,
    ) {
        scratch.rows.clear();
        scratch.undefined.clear();
        let segment = self.wal.segment();
        scratch.segment = segment;
        let sorted: Vec<_>;
        let samples = if batch.samples.is_sorted_by_key(|sample| sample.series) {
            batch.samples.as_slice()
        } else {
            let mut copy = batch.samples.clone();
            copy.sort_by_key(|sample| sample.series);
            sorted = copy;
            &sorted
        };
        // starts[n] is where the samples of series n begin.
        scratch.starts.clear();
        scratch.starts.reserve(batch.series().len() + 1);
        let mut at = 0u32;
        for n in 0..batch.series().len() as u32 {
            scratch.starts.push(at);
            while samples.get(at as usize).is_some_and(|sample| sample.series.0 == n) {
                at += 1;
            }
        }
        scratch.starts.push(at);
        let mut guard: Option<(u32, _)> = None;
        for n in &scratch.by_shard {
            let Some(Some(slot)) = scratch.slots.get(*n as usize).copied() else { continue };
            if guard.as_ref().is_none_or(|(shard, _)| *shard != slot.shard) {
                drop(guard.take());
                guard = self.registry.shard(slot.shard as usize).map(|shard| (slot.shard, shard));
            }
            let Some(live) = guard.as_mut().and_then(|(_, shard)| shard.get_mut(slot.entry)) else {
                continue;
            };
            let (from, to) = match (scratch.starts.get(*n as usize), scratch.starts.get(*n as usize + 1)) {
                (Some(from), Some(to)) => (*from as usize, *to as usize),
                _ => continue,
            };
            let rows_before = scratch.rows.len();
            for sample in samples.get(from..to).unwrap_or_default() {
                let ts = sample.ts.micros();
                match admission.judge(live.last_ts, ts) {
                    Judgement::Take => {
                        scratch.rows.push(Row { slot, number: live.number, ts, value: sample.value });
                    }
                    Judgement::Duplicate => report.duplicates += 1,
                    Judgement::Reject(reason) => {
                        report.reject(|| batch.labels(sample.series).to_string(), ts, reason);
                    }
                }
            }
            if scratch.rows.len() > rows_before && live.logged_in != segment {
                scratch.undefined.push(*n);
            }
        }
        drop(guard);
        // Definitions name series by their place in the batch; turn them into (number, labels) when the record is written.
        let labels_of = |n: &u32| batch.labels(BatchIndex(*n));
        scratch.payload.clear();
        let Scratch { undefined, slots, payload, .. } = scratch;
        self.put_definitions(
            payload,
            undefined.iter().filter_map(|n| Some((slots.get(*n as usize).copied()??, labels_of(n)))),
        );
    }

    fn put_definitions<'a>(
        &self,
        payload: &mut Vec<u8>,
        series: impl Iterator<Item = (Slot, LabelsRef<'a>)>,
    ) {
        let definitions: Vec<Definition<'a>> = series
            .filter_map(|(slot, labels)| {
                let mut shard = self.registry.shard(slot.shard as usize)?;
                let (number, id) = shard.get_mut(slot.entry).map(|live| (live.number, live.id))?;
                drop(shard);
                let salt = self.registry.with_index(|index| index.salt(number))?;
                Some(Definition { number, id, salt, labels })
            })
            .collect();
        put_definitions(payload, definitions.into_iter());
    }

    /// Writes the gathered rows to the log, then lays them into the memtable.
    fn log_and_apply(
        &self,
        memtable: &Memtable,
        kind: RecordKind,
        scratch: &mut Scratch,
        report: &mut Appended,
    ) -> Result<u64> {
        if scratch.rows.is_empty() {
            return Ok(0);
        }
        let Scratch { rows, payload, .. } = scratch;
        put_samples(
            payload,
            rows.iter().map(|row| LoggedSample { number: row.number, ts: row.ts, value: row.value }),
        );
        let seq = self.log_in(scratch.segment, kind, payload)?;
        let (taken, duplicates) = apply(&self.registry, memtable, rows, scratch.segment);
        memtable.logged(seq);
        report.samples += taken;
        report.duplicates += duplicates;
        Ok(seq)
    }

    /// As [`Appender::log`], for a payload whose series are defined in `segment`, partly by earlier records.
    fn log_in(&self, segment: u64, kind: RecordKind, payload: &[u8]) -> Result<u64> {
        self.wal
            .append_in(segment, kind as u8, &[payload])
            .map_err(|source| LakeError::LogRefused { folder: self.wal.folder().to_owned(), source })
    }

    pub(crate) fn log(&self, kind: RecordKind, payload: &[u8]) -> Result<u64> {
        self.wal
            .append(kind as u8, &[payload])
            .map_err(|source| LakeError::LogRefused { folder: self.wal.folder().to_owned(), source })
    }

    /// Adds increments up, and logs and applies the sums.
    fn append_deltas(
        &self,
        memtable: &Memtable,
        batch: &MetricBatch,
        scratch: &mut Scratch,
        admission: &Admission,
        report: &mut Appended,
    ) -> Result<u64> {
        let mut accumulators = self.accumulators.lock();
        let mut sums: HashMap<i64, f64> = HashMap::new();
        scratch.rows.clear();
        let mut undefined: Vec<(Slot, LabelsRef<'_>)> = Vec::new();
        let segment = self.wal.segment();
        scratch.segment = segment;
        let mut defined = HashSet::new();
        let mut deltas: Vec<_> = batch.deltas.iter().collect();
        deltas.sort_by_key(|delta| (delta.series, delta.ts));
        deltas.dedup_by(|later, first| {
            let same = (later.series, later.ts) == (first.series, first.ts);
            report.duplicates += usize::from(same);
            same
        });
        for delta in deltas {
            let Some(Some(slot)) = scratch.slots.get(delta.series.0 as usize).copied() else { continue };
            let Some(mut shard) = self.registry.shard(slot.shard as usize) else { continue };
            let Some(live) = shard.get_mut(slot.entry) else { continue };
            let ts = delta.ts.micros();
            let judgement = match admission.of(ts) {
                Err(reason) => Judgement::Reject(reason),
                Ok(()) if !delta.value.is_finite() => Judgement::Reject(RejectReason::NotANumber),
                Ok(()) if ts == live.last_ts => Judgement::Duplicate,
                Ok(()) if ts < live.last_ts => Judgement::Reject(RejectReason::LateDelta),
                Ok(()) => Judgement::Take,
            };
            match judgement {
                Judgement::Take => {}
                Judgement::Duplicate => {
                    report.duplicates += 1;
                    continue;
                }
                Judgement::Reject(reason) => {
                    report.reject(|| batch.labels(delta.series).to_string(), ts, reason);
                    continue;
                }
            }
            if live.logged_in != segment && defined.insert(live.id) {
                undefined.push((slot, batch.labels(delta.series)));
            }
            let sum = sums
                .entry(live.id)
                .or_insert_with(|| accumulators.floats.get(&live.id).copied().unwrap_or(0.0));
            *sum += delta.value;
            scratch.rows.push(Row { slot, number: live.number, ts, value: *sum });
        }
        scratch.rows.sort_by_key(|row| row.slot.shard);
        scratch.payload.clear();
        self.put_definitions(&mut scratch.payload, undefined.into_iter());
        let seq = self.log_and_apply(memtable, RecordKind::Accumulated, scratch, report)?;
        accumulators.floats.extend(sums);
        Ok(seq)
    }

    fn append_histograms(
        &self,
        memtable: &Memtable,
        batch: &MetricBatch,
        slots: &[Option<Slot>],
        admission: &Admission,
        report: &mut Appended,
    ) -> Result<u64> {
        let mut accumulators = self.accumulators.lock();
        let mut sums: HashMap<i64, Histogram> = HashMap::new();
        let (mut kept, mut undefined, mut defined) = (Vec::new(), Vec::new(), HashSet::new());
        let segment = self.wal.segment();
        let mut points: Vec<_> = batch.histograms.iter().collect();
        points.sort_by_key(|point| (point.series, point.ts));
        points.dedup_by(|later, first| {
            let same = (later.series, later.ts) == (first.series, first.ts);
            report.duplicates += usize::from(same);
            same
        });
        for point in points {
            let Some(Some(slot)) = slots.get(point.series.0 as usize).copied() else { continue };
            let Some(mut shard) = self.registry.shard(slot.shard as usize) else { continue };
            let Some(live) = shard.get_mut(slot.entry) else { continue };
            let ts = point.ts.micros();
            match admission.judge(live.last_ts, ts) {
                Judgement::Take if point.delta && ts < live.last_ts => {
                    report.reject(|| batch.labels(point.series).to_string(), ts, RejectReason::LateDelta);
                }
                Judgement::Take => {
                    let summed = if point.delta {
                        let start = || accumulators.histograms.get(&live.id).cloned();
                        accumulate(&mut sums, live.id, start, &point.histogram)
                    } else {
                        Some(point.histogram.clone())
                    };
                    let Some(histogram) = summed else {
                        report.reject(
                            || batch.labels(point.series).to_string(),
                            ts,
                            RejectReason::Incompatible,
                        );
                        continue;
                    };
                    if live.logged_in != segment && defined.insert(live.id) {
                        undefined.push((slot, batch.labels(point.series)));
                    }
                    kept.push((slot, live.id, point.ts, histogram));
                }
                Judgement::Duplicate => report.duplicates += 1,
                Judgement::Reject(reason) => {
                    report.reject(|| batch.labels(point.series).to_string(), ts, reason);
                }
            }
        }
        if kept.is_empty() {
            return Ok(0);
        }
        let mut payload = Vec::new();
        self.put_definitions(&mut payload, undefined.into_iter());
        let rows: Vec<_> = kept.iter().map(|(_, id, ts, histogram)| (*id, *ts, histogram)).collect();
        let accumulated: Vec<i64> = sums.keys().copied().collect();
        put_varint(&mut payload, accumulated.len() as u64);
        accumulated.iter().for_each(|id| payload.extend_from_slice(&id.to_le_bytes()));
        payload.extend_from_slice(&rows::encode(&rows::histograms(&rows)?)?);
        let seq = self.log_in(segment, RecordKind::Histograms, &payload)?;
        memtable.logged(seq);
        accumulators.histograms.extend(sums);
        for (slot, _, ts, histogram) in kept {
            let taken = apply_histogram(&self.registry, memtable, slot, ts, histogram, segment);
            report.histograms += usize::from(taken);
            report.duplicates += usize::from(!taken);
        }
        Ok(seq)
    }

    fn append_exemplars(
        &self,
        memtable: &Memtable,
        batch: &MetricBatch,
        slots: &[Option<Slot>],
        admission: &Admission,
        report: &mut Appended,
    ) -> Result<u64> {
        let mut last = self.last_exemplars.lock();
        let mut kept: Vec<(i64, &Exemplar)> = Vec::new();
        for point in &batch.exemplars {
            // A page may show an exemplar of long ago, scrape after scrape; that is no mistake of the samples with it.
            if admission.of(point.exemplar.ts.micros()).is_err() {
                report.untimely_exemplars += 1;
                continue;
            }
            let Some(Some(slot)) = slots.get(point.series.0 as usize).copied() else { continue };
            let Some(mut shard) = self.registry.shard(slot.shard as usize) else { continue };
            let Some(id) = shard.get_mut(slot.entry).map(|live| live.id) else { continue };
            // A page shows the same exemplar scrape after scrape.
            if last.get(&id) == Some(&point.exemplar) {
                report.duplicates += 1;
            } else {
                last.insert(id, point.exemplar.clone());
                kept.push((id, &point.exemplar));
            }
        }
        if kept.is_empty() {
            return Ok(0);
        }
        let count = kept.len();
        let seq = self.append_rows(memtable, &tables::EXEMPLARS, rows::exemplars(&kept)?)?;
        report.exemplars += count;
        Ok(seq)
    }

    /// Logs rows of a table and lays them into the memtable.
    pub(crate) fn append_rows(
        &self,
        memtable: &Memtable,
        table: &'static tables::Table,
        batch: arrow_array::RecordBatch,
    ) -> Result<u64> {
        self.admit(memtable, batch.get_array_memory_size())?;
        let number = tables::ALL.iter().position(|other| other.name == table.name).unwrap_or_default() as u8;
        let mut payload = vec![number];
        payload.extend_from_slice(&rows::encode(&batch)?);
        let seq = self.log(RecordKind::Rows, &payload)?;
        memtable.push_rows(table, batch);
        memtable.logged(seq);
        Ok(seq)
    }
}

/// The places of `fingerprints`, shard by shard, by one counting pass.
fn group_by_shard(fingerprints: &[u128], places: &mut Vec<u32>) {
    let mut next = [0u32; SHARDS];
    for fingerprint in fingerprints {
        if let Some(count) = next.get_mut(Registry::shard_of(*fingerprint)) {
            *count += 1;
        }
    }
    let mut begins = 0;
    for count in &mut next {
        (*count, begins) = (begins, begins + *count);
    }
    places.clear();
    places.resize(fingerprints.len(), 0);
    for (place, fingerprint) in (0u32..).zip(fingerprints) {
        if let Some(at) = next.get_mut(Registry::shard_of(*fingerprint)) {
            if let Some(slot) = places.get_mut(*at as usize) {
                *slot = place;
            }
            *at += 1;
        }
    }
}

/// Adds a delta to its running sum; `None` when the two do not add.
fn accumulate(
    sums: &mut HashMap<i64, Histogram>,
    id: i64,
    start: impl FnOnce() -> Option<Histogram>,
    delta: &Histogram,
) -> Option<Histogram> {
    match sums.get(&id).cloned().or_else(start) {
        Some(mut sum) => {
            sum.add(delta).ok()?;
            sums.insert(id, sum.clone());
            Some(sum)
        }
        None => {
            sums.insert(id, delta.clone());
            Some(delta.clone())
        }
    }
}
