//! Follows what comes in, from the log: how samples are sent on to other systems.

use std::collections::HashMap;
use std::ops::RangeInclusive;

use kandela_model::tables;
use kandela_model::{Labels, MetricBatch, SeriesHistogram, SeriesIndex as BatchIndex, Timestamp};

use crate::error::{LakeError, Result};
use crate::head::{RecordKind, decode_metadata, decode_samples, take, take_definitions, take_varint};
use crate::rows;
use crate::wal::{Record, TailItem, Wal, WalReader};

/// Follows the log. Holds the labels of the series that the log defines.
pub struct LakeTail {
    reader: WalReader,
    from_seq: u64,
    by_number: HashMap<u32, i64>,
    labels: HashMap<i64, Labels>,
}

/// What came in.
#[derive(Debug)]
pub enum Tailed {
    /// One record's metrics, and its log sequence.
    Batch {
        /// The sequence.
        seq: u64,
        /// The metrics; deltas appear as the sums that the head made of them.
        batch: MetricBatch,
    },
    /// Sequences that left the log before they were read, or are damaged.
    Lost(RangeInclusive<u64>),
}

impl LakeTail {
    /// Follows from record `from_seq` on. Definitions of series are read from further back, as far as the log goes.
    pub(crate) fn new(wal: &Wal, from_seq: u64) -> Self {
        let first = wal.segments().first().map_or(1, |segment| segment.first_seq);
        Self { reader: wal.reader(first), from_seq, by_number: HashMap::new(), labels: HashMap::new() }
    }

    /// The next thing that came in; `None` when all was read, then [`LakeTail::wait`].
    ///
    /// # Errors
    /// When the log cannot be read or was closed.
    #[expect(clippy::should_implement_trait, reason = "it fails, and the log may grow after it gave none")]
    pub fn next(&mut self) -> Result<Option<Tailed>> {
        let Self { reader, from_seq, by_number, labels } = self;
        loop {
            match reader.next()? {
                None => return Ok(None),
                Some(TailItem::Lost(lost)) if lost.end() < from_seq => {}
                Some(TailItem::Lost(lost)) => return Ok(Some(Tailed::Lost(lost))),
                Some(TailItem::Record(record)) => {
                    let seq = record.seq;
                    let batch = read(&record, by_number, labels).ok_or_else(|| LakeError::Damaged {
                        what: "log record",
                        place: format!("segment {}, sequence {seq}", record.segment),
                        reason: "its payload cannot be read".to_owned(),
                    })?;
                    if seq >= *from_seq && !batch.is_empty() {
                        return Ok(Some(Tailed::Batch { seq, batch }));
                    }
                }
            }
        }
    }

    /// Returns when there is something to read.
    ///
    /// # Errors
    /// When the log was closed.
    pub async fn wait(&mut self) -> Result<()> {
        Ok(self.reader.wait().await?)
    }
}

/// Series of a batch by identity, added on first use.
struct Naming<'a> {
    labels: &'a HashMap<i64, Labels>,
    indexes: HashMap<i64, BatchIndex>,
}

impl Naming<'_> {
    fn index(&mut self, batch: &mut MetricBatch, id: i64) -> Option<BatchIndex> {
        if let Some(index) = self.indexes.get(&id) {
            return Some(*index);
        }
        let index = batch.add_canonical(self.labels.get(&id)?.as_ref());
        self.indexes.insert(id, index);
        Some(index)
    }
}

fn read(
    record: &Record<'_>,
    by_number: &mut HashMap<u32, i64>,
    labels: &mut HashMap<i64, Labels>,
) -> Option<MetricBatch> {
    let mut batch = MetricBatch::default();
    let mut payload = record.payload;
    let mut define = |payload: &mut &[u8], labels: &mut HashMap<i64, Labels>| -> Option<()> {
        for definition in take_definitions(payload)? {
            by_number.insert(definition.number, definition.id);
            labels.entry(definition.id).or_insert_with(|| definition.labels.to_owned());
        }
        Some(())
    };
    match RecordKind::from_number(record.kind)? {
        RecordKind::Began => by_number.clear(),
        RecordKind::Cut => {}
        RecordKind::Samples | RecordKind::Accumulated => {
            define(&mut payload, labels)?;
            let mut naming = Naming { labels, indexes: HashMap::new() };
            decode_samples(payload, |sample| {
                let series = by_number.get(&sample.number).and_then(|id| naming.index(&mut batch, *id));
                if let Some(series) = series {
                    batch.add_sample(series, Timestamp::from_micros(sample.ts), sample.value);
                }
            })?;
        }
        RecordKind::Histograms => {
            define(&mut payload, labels)?;
            let sums = take_varint(&mut payload)?;
            take(&mut payload, usize::try_from(sums.checked_mul(8)?).ok()?)?;
            let mut naming = Naming { labels, indexes: HashMap::new() };
            let rows = rows::decode(&tables::HISTOGRAMS, payload).ok()?;
            for (id, ts, histogram) in rows::histograms_from(&rows).ok()? {
                if let Some(series) = naming.index(&mut batch, id) {
                    batch.histograms.push(SeriesHistogram { series, ts, histogram, delta: false });
                }
            }
        }
        RecordKind::Metadata => batch.metadata = decode_metadata(payload)?,
        RecordKind::Rows => {
            let (table, payload) = payload.split_first()?;
            if tables::ALL.get(usize::from(*table))?.name == tables::EXEMPLARS.name {
                let mut naming = Naming { labels, indexes: HashMap::new() };
                let rows = rows::decode(&tables::EXEMPLARS, payload).ok()?;
                for (id, exemplar) in rows::exemplars_from(&rows).ok()? {
                    if let Some(series) = naming.index(&mut batch, id) {
                        batch.exemplars.push(kandela_model::SeriesExemplar { series, exemplar });
                    }
                }
            }
        }
    }
    Some(batch)
}
