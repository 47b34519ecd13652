//! Points on their way out: gathered into batches of bounded size, with progress, damage and counts.

use std::ops::ControlFlow;
use std::path::Path;

use kandela_model::{LabelError, LabelsRef, MetricBatch, SeriesIndex, Timestamp};

use super::chunk::{self, ChunkError};
use super::error::{Damage, Fault, TsdbError};

/// Points of a batch; one chunk more may come on top.
const BATCH_POINTS: usize = 10_000;
/// Bytes of labels and histograms of a batch.
const BATCH_BYTES: usize = 8 << 20;
/// Damages that are named one by one; the rest are only counted.
const MAX_NAMED_DAMAGES: usize = 100;

/// How far reading has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Bytes read. The write-ahead log is read twice and counts twice.
    pub done: u64,
    /// Bytes to read in all.
    pub total: u64,
}

/// What came of reading a folder, besides its points.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Blocks that were read.
    pub blocks: usize,
    /// Series that a block or the write-ahead log defines, counted in each.
    pub series: u64,
    /// Points that Prometheus was told to delete.
    pub deleted: u64,
    /// Points of the head that a block or a chunk gave already.
    pub repeated: u64,
    /// Points of the write-ahead log whose series nothing defines; Prometheus drops them too.
    pub undefined: u64,
    /// Things that were damaged and skipped.
    pub damages: u64,
    /// The first hundred of them.
    pub damaged: Vec<Damage>,
}

/// Why reading ends early.
#[derive(Debug)]
pub(super) enum Halt {
    Error(TsdbError),
    /// The taker wants no more.
    Stopped,
}

impl From<TsdbError> for Halt {
    fn from(error: TsdbError) -> Self {
        Self::Error(error)
    }
}

/// Where points go.
pub(super) struct Batches<'a> {
    pub(super) report: Report,
    batch: MetricBatch,
    /// Grows with every batch, since an index of a series is worth nothing in the next one.
    generation: u64,
    bytes: usize,
    progress: Progress,
    strict: bool,
    take: &'a mut dyn FnMut(MetricBatch, Progress) -> ControlFlow<()>,
}

/// A series in the current batch, as long as that is the current one.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Placed(Option<(u64, SeriesIndex)>);

impl<'a> Batches<'a> {
    pub(super) fn new(
        total: u64,
        strict: bool,
        take: &'a mut dyn FnMut(MetricBatch, Progress) -> ControlFlow<()>,
    ) -> Self {
        Self {
            report: Report::default(),
            batch: MetricBatch::default(),
            generation: 0,
            bytes: 0,
            progress: Progress { done: 0, total },
            strict,
            take,
        }
    }

    /// The batch being filled.
    pub(super) fn batch(&mut self) -> &mut MetricBatch {
        &mut self.batch
    }

    /// Where a series stands in the current batch, adding it where it does not stand there yet.
    #[inline]
    pub(super) fn place(&mut self, placed: &mut Placed, labels: LabelsRef<'_>) -> SeriesIndex {
        match placed.0 {
            Some((generation, index)) if generation == self.generation => index,
            _ => {
                let index = self.batch.add_canonical(labels);
                self.bytes += labels.as_bytes().len();
                *placed = Placed(Some((self.generation, index)));
                index
            }
        }
    }

    /// As [`Batches::place`], for labels that are not in canonical form.
    pub(super) fn place_pairs(
        &mut self,
        placed: &mut Placed,
        pairs: &[(&str, &str)],
    ) -> Result<SeriesIndex, LabelError> {
        match placed.0 {
            Some((generation, index)) if generation == self.generation => Ok(index),
            _ => {
                let index = self.batch.add_series(pairs.iter().copied())?;
                self.bytes += self.batch.labels(index).as_bytes().len();
                *placed = Placed(Some((self.generation, index)));
                Ok(index)
            }
        }
    }

    /// Adds the points of a chunk, as [`chunk::append`] does.
    pub(super) fn chunk(
        &mut self,
        series: SeriesIndex,
        encoding: u8,
        data: &[u8],
        keep: impl Fn(Timestamp) -> bool,
    ) -> Result<chunk::ChunkPoints, ChunkError> {
        let before = self.batch.histograms.len();
        let points = chunk::append(encoding, data, keep, series, &mut self.batch)?;
        let added = self.batch.histograms.get(before..).unwrap_or_default();
        self.bytes += added.iter().map(|added| added.histogram.heap_bytes()).sum::<usize>();
        Ok(points)
    }

    /// Hands out the batch where it is full. Indexes of series are worth nothing afterwards.
    #[inline]
    pub(super) fn settle(&mut self) -> Result<(), Halt> {
        if self.batch.points() < BATCH_POINTS && self.bytes < BATCH_BYTES { Ok(()) } else { self.hand_out() }
    }

    /// Counts bytes towards [`settle`](Self::settle).
    pub(super) fn grew_by(&mut self, bytes: usize) {
        self.bytes += bytes;
    }

    /// Hands out what there is.
    pub(super) fn hand_out(&mut self) -> Result<(), Halt> {
        self.generation += 1;
        self.bytes = 0;
        let batch = std::mem::take(&mut self.batch);
        if batch.is_empty() {
            return Ok(());
        }
        match (self.take)(batch, self.progress) {
            ControlFlow::Continue(()) => Ok(()),
            ControlFlow::Break(()) => Err(Halt::Stopped),
        }
    }

    pub(super) fn advance(&mut self, bytes: u64) {
        self.progress.done = self.progress.done.saturating_add(bytes).min(self.progress.total);
    }

    pub(super) fn done(&self) -> u64 {
        self.progress.done
    }

    /// Says that everything up to `done` has been read.
    pub(super) fn advance_to(&mut self, done: u64) {
        self.progress.done = done.min(self.progress.total);
    }

    /// Names what is damaged; an error where nothing may be skipped.
    pub(super) fn damaged(&mut self, damage: Damage) -> Result<(), Halt> {
        if self.strict {
            return Err(TsdbError::Damaged(damage).into());
        }
        tracing::warn!(
            file = %damage.file.display(),
            offset = damage.offset,
            what = damage.what,
            "damaged data skipped"
        );
        self.report.damages += 1;
        if self.report.damaged.len() < MAX_NAMED_DAMAGES {
            self.report.damaged.push(damage);
        }
        Ok(())
    }

    pub(super) fn damaged_at(
        &mut self,
        file: &Path,
        offset: u64,
        what: impl Into<String>,
    ) -> Result<(), Halt> {
        self.damaged(Damage { file: file.to_owned(), offset, what: what.into() })
    }

    /// Goes on past damage, stops at an error.
    pub(super) fn skip(&mut self, fault: Fault) -> Result<(), Halt> {
        match fault {
            Fault::Error(error) => Err(error.into()),
            Fault::Damage(damage) => self.damaged(damage),
        }
    }
}
