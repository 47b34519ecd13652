//! Coming back: what the tables do not have yet is read from the log.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

use kandela_model::tables;
use tokio::runtime::Handle;

use crate::error::{LakeError, Result};
use crate::flush::{FlushReport, flush_table};
use crate::head::{
    Accumulators, Memtable, RecordKind, Registry, Row, Slot, apply, apply_histogram, decode_metadata,
    decode_samples, take, take_definitions, take_varint,
};
use crate::rows;
use crate::table::{LakeTable, TableState};
use crate::wal::{Record, ReplayReport, WalError};

/// What was found at start.
#[derive(Clone, Debug, Default)]
pub struct Recovery {
    /// Log records that were read again.
    pub records: u64,
    /// Samples and histograms among them that no table had.
    pub points: u64,
    /// Damaged parts of the log: where, and where their bytes were put aside.
    pub damaged: Vec<String>,
    /// Bytes at the log's end that were never acknowledged.
    pub torn_bytes: u64,
    /// Log sequences that should be there and are not.
    pub missing: Vec<std::ops::RangeInclusive<u64>>,
    /// How long it took.
    pub took: std::time::Duration,
}

impl Recovery {
    pub(crate) fn note(&mut self, report: &ReplayReport, cut: u64) {
        self.torn_bytes = report.torn.iter().map(|torn| torn.length).sum();
        self.missing = report.missing.iter().filter(|missing| *missing.end() > cut).cloned().collect();
        for damage in &report.damaged {
            let place = damage
                .quarantined
                .clone()
                .unwrap_or_else(|| PathBuf::from("nowhere: the folder cannot be written"));
            self.damaged.push(format!(
                "log segment {} at byte {}: {} bytes are damaged; the rest is served, the bytes lie in {}",
                damage.stretch.segment,
                damage.stretch.offset,
                damage.stretch.length,
                place.display()
            ));
        }
    }
}

/// The head while it is being rebuilt.
pub(crate) struct Rebuild<'a> {
    pub(crate) registry: Arc<Registry>,
    pub(crate) memtable: Arc<Memtable>,
    pub(crate) accumulators: Accumulators,
    pub(crate) tables: &'a [LakeTable],
    /// The last log sequence that each table has.
    pub(crate) committed: HashMap<&'static str, u64>,
    /// Newer versions of tables, where memory ran full on the way.
    pub(crate) states: HashMap<&'static str, TableState>,
    /// Bytes of memory at which to flush before going on.
    pub(crate) flush_at: usize,
    pub(crate) recovery: Recovery,
    /// The last sequence that left the log on purpose.
    pub(crate) cut: u64,
    slots: HashMap<u32, Slot>,
    slots_by_id: HashMap<i64, Slot>,
    rows: Vec<Row>,
}

impl<'a> Rebuild<'a> {
    pub(crate) fn new(
        registry: Arc<Registry>,
        accumulators: Accumulators,
        tables: &'a [LakeTable],
        committed: HashMap<&'static str, u64>,
        flush_at: usize,
    ) -> Self {
        Self {
            registry,
            memtable: Arc::new(Memtable::new(1)),
            accumulators,
            tables,
            committed,
            states: HashMap::new(),
            flush_at,
            recovery: Recovery::default(),
            cut: 0,
            slots: HashMap::new(),
            slots_by_id: HashMap::new(),
            rows: Vec::new(),
        }
    }

    /// Takes one record of the log. A record that cannot be read is named and left out.
    pub(crate) fn visit(&mut self, record: Record<'_>) -> Result<()> {
        self.recovery.records += 1;
        let read = match RecordKind::from_number(record.kind) {
            Some(RecordKind::Began) => {
                self.slots.clear();
                Some(())
            }
            Some(RecordKind::Cut) => record.payload.try_into().ok().map(|seq| {
                self.cut = self.cut.max(u64::from_le_bytes(seq));
            }),
            Some(kind @ (RecordKind::Samples | RecordKind::Accumulated)) => self.samples(&record, kind),
            Some(RecordKind::Histograms) => self.histograms(&record),
            Some(RecordKind::Rows) => self.table_rows(&record),
            Some(RecordKind::Metadata) => decode_metadata(record.payload).map(|families| {
                families.iter().for_each(|family| self.registry.describe(family));
            }),
            None => None,
        };
        if read.is_none() {
            self.recovery.damaged.push(format!(
                "log record {} in segment {} is whole but cannot be read as kind {}; it is left out",
                record.seq, record.segment, record.kind
            ));
        }
        if self.memtable.heap_bytes() > self.flush_at {
            self.flush()?;
        }
        Ok(())
    }

    fn is_new(&self, table: &tables::Table, seq: u64) -> bool {
        self.committed.get(table.name).is_none_or(|committed| seq > *committed)
    }

    fn define(&mut self, payload: &mut &[u8]) -> Option<()> {
        for definition in take_definitions(payload)? {
            let identity = Some((definition.id, definition.salt));
            let slot = self.registry.find_or_add(definition.labels, identity, usize::MAX)?;
            self.slots.insert(definition.number, slot);
            self.slots_by_id.insert(definition.id, slot);
        }
        Some(())
    }

    fn samples(&mut self, record: &Record<'_>, kind: RecordKind) -> Option<()> {
        let mut payload = record.payload;
        self.define(&mut payload)?;
        if !self.is_new(&tables::SAMPLES, record.seq) {
            return Some(());
        }
        self.rows.clear();
        let (slots, rows) = (&self.slots, &mut self.rows);
        let mut undefined = 0u64;
        decode_samples(payload, |sample| match slots.get(&sample.number) {
            Some(slot) => {
                rows.push(Row { slot: *slot, number: sample.number, ts: sample.ts, value: sample.value });
            }
            None => undefined += 1,
        })?;
        if undefined > 0 {
            self.recovery.damaged.push(format!(
                "log record {} has {undefined} samples of series whose definition is lost; they are left out",
                record.seq
            ));
        }
        if kind == RecordKind::Accumulated {
            for row in &self.rows {
                if let Some(id) = self.registry.id_of(row.slot) {
                    self.accumulators.floats.insert(id, row.value);
                }
            }
        }
        self.rows.sort_by_key(|row| row.slot.shard);
        let (taken, _) = apply(&self.registry, &self.memtable, &self.rows, 0);
        self.recovery.points += taken as u64;
        self.memtable.logged(record.seq);
        Some(())
    }

    fn histograms(&mut self, record: &Record<'_>) -> Option<()> {
        let mut payload = record.payload;
        self.define(&mut payload)?;
        let accumulated = take_varint(&mut payload)?;
        let mut sums = Vec::new();
        for _ in 0..accumulated {
            sums.push(i64::from_le_bytes(take(&mut payload, 8)?.try_into().ok()?));
        }
        if !self.is_new(&tables::HISTOGRAMS, record.seq) {
            return Some(());
        }
        let batch = rows::decode(&tables::HISTOGRAMS, payload).ok()?;
        for row in rows::histograms_from(&batch).ok()? {
            let (id, ts, histogram) = row;
            let Some(slot) = self.slots_by_id.get(&id).copied() else { continue };
            if sums.contains(&id) {
                self.accumulators.histograms.insert(id, histogram.clone());
            }
            self.recovery.points +=
                u64::from(apply_histogram(&self.registry, &self.memtable, slot, ts, histogram, 0));
        }
        self.memtable.logged(record.seq);
        Some(())
    }

    fn table_rows(&mut self, record: &Record<'_>) -> Option<()> {
        let (number, payload) = record.payload.split_first()?;
        let table = tables::ALL.get(usize::from(*number)).copied()?;
        if self.is_new(table, record.seq) {
            self.memtable.push_rows(table, rows::decode(table, payload).ok()?);
            self.memtable.logged(record.seq);
        }
        Some(())
    }

    /// Makes room: what is rebuilt so far goes to the tables, as an ordinary flush would.
    fn flush(&mut self) -> Result<()> {
        let next = Arc::new(Memtable::new(self.memtable.generation + 1));
        let full = std::mem::replace(&mut self.memtable, next);
        for table in self.tables {
            let mut report = FlushReport::default();
            let flushed =
                Handle::current().block_on(flush_table(table, &full, &self.registry, &mut report))?;
            if let Some(state) = flushed {
                self.committed.insert(table.spec.name, full.last_seq());
                self.states.insert(table.spec.name, state);
            }
        }
        Ok(())
    }
}

impl From<WalError> for LakeError {
    fn from(source: WalError) -> Self {
        Self::Log { source }
    }
}
